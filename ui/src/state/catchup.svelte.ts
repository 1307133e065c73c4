import { untrack } from "svelte";

import type { AccountId } from "../core/generated/api";
import type { App } from "./app.svelte";

/** For so many milliseconds of being online, catching up with what was missed is nothing to speak of. */
const USUAL = 2_000;

/** Follows which accounts take longer than usual to read what they missed. To be called while a component begins. */
export function watchCatchUp(app: App): void {
  const { mirror, view } = app;
  const timers = new Map<AccountId, ReturnType<typeof setTimeout>>();

  $effect(() => {
    const missing = [...mirror.accounts.values()].filter((account) => account.gaps.length > 0);
    const all = new Set(missing.map((account) => account.account));
    const reading = new Set(
      missing.filter((account) => account.state === "online").map((account) => account.account),
    );
    untrack(() => {
      // Once it is told it stays told until all is read, also through a break of the connection.
      for (const account of view.behind) if (!all.has(account)) view.behind.delete(account);
      for (const [account, timer] of timers) {
        if (reading.has(account)) continue;
        clearTimeout(timer);
        timers.delete(account);
      }
      for (const account of reading) {
        if (timers.has(account)) continue;
        timers.set(
          account,
          setTimeout(() => view.behind.add(account), USUAL),
        );
      }
    });
  });

  $effect(() => () => {
    for (const timer of timers.values()) clearTimeout(timer);
  });
}
