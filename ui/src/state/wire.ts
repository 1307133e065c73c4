import type { AccountId } from "../core/generated/api";
import { say } from "./actions";
import type { App } from "./app.svelte";
import { asFault, faultText } from "./faults";
import { putEntries, Wire } from "./mirror.svelte";

// Switched on and off in the order in which it was asked for: requests may overtake each other.
const switched = new WeakMap<App, Promise<unknown>>();

/** Begins to look at what goes over an account's wire. */
export function watchWire(app: App, account: AccountId): void {
  app.mirror.wire = new Wire(account);
  turn(app, account, true);
}

/** Ends it; core forgets what was shown. */
export function leaveWire(app: App): void {
  const wire = app.mirror.wire;
  app.mirror.wire = null;
  if (wire) turn(app, wire.account, false);
}

/** Reads what core has kept, at the start and after events were lost. */
export async function readWire(app: App): Promise<void> {
  const wire = app.mirror.wire;
  if (wire) putEntries(wire, await app.core.request("list_console", { account: wire.account }));
}

function turn(app: App, account: AccountId, on: boolean): void {
  const before = switched.get(app) ?? Promise.resolve();
  const now = before.then(async () => {
    try {
      await app.core.request("set_console", { account, on });
      if (on) await readWire(app);
    } catch (thrown) {
      // An account that was removed has no wire to leave.
      if (on) say(app, faultText(asFault(thrown)));
    }
  });
  switched.set(app, now);
}
