import type { ChatId, Event } from "../core/generated/api";
import { applyAll } from "./apply";
import type { App } from "./app.svelte";
import { asFault, faultText } from "./faults";
import { say, showChat } from "./actions";
import { MOST_ROWS, PAGE, readAll, readNewest, trim } from "./read";
import { readWire } from "./wire";

/** Learns how the profile opened, and reads the first lists. */
export async function start(app: App): Promise<void> {
  const { core, view } = app;
  try {
    view.opening = await core.opening();
  } catch (thrown) {
    view.opening = { state: "failed", fault: asFault(thrown) };
  }
  if (view.opening.state === "ready") await load(app);
}

/** Once the profile is open: listens, then reads the first lists, so that nothing is missed in between. */
export async function load(app: App): Promise<void> {
  const { view, mirror } = app;
  try {
    await app.core.subscribe((events) => receive(app, events));
    await readAll(app.core, mirror);
    view.page = mirror.accounts.size === 0 ? "sign_in" : view.page;
    view.loaded = true;
  } catch (thrown) {
    view.opening = { state: "failed", fault: asFault(thrown) };
  }
}

/** Opens the profile with a passphrase; a fault is the caller's to show. */
export async function unlock(app: App, passphrase: string): Promise<void> {
  const opening = await app.core.unlock(passphrase);
  app.view.opening = opening;
  if (opening.state === "ready") await load(app);
}

function receive(app: App, events: Event[]): void {
  const { resync, wanted } = applyAll(app.mirror, events);
  for (const [chat, rows] of app.mirror.rows) {
    if (chat !== app.view.chat && rows.messages.length > MOST_ROWS) trim(rows, PAGE);
  }
  settle(app);
  if (resync) void readAnew(app);
  if (wanted !== null) showWanted(app, wanted);
}

function showWanted(app: App, wanted: ChatId): void {
  const chat = app.mirror.chats.get(wanted);
  if (!app.view.loaded || !chat) return;
  if (app.view.account !== chat.account) app.view.account = null;
  void showChat(app, wanted);
}

// The window must not stand where nothing is any more.
function settle(app: App): void {
  const { view, mirror } = app;
  if (!view.loaded) return;
  if (view.chat !== null && !mirror.chats.has(view.chat) && mirror.gone.has(`chat ${view.chat}`))
    view.chat = null;
  if (view.account !== null && !mirror.accounts.has(view.account)) view.account = null;
  if (view.page === "connection" && (view.connection === null || !mirror.accounts.has(view.connection))) {
    view.page = "settings";
  }
  if (mirror.accounts.size === 0 && view.page !== "sign_in") {
    view.page = "sign_in";
    view.chat = null;
  }
}

async function readAnew(app: App): Promise<void> {
  try {
    const open = app.view.chat;
    for (const chat of app.mirror.rows.keys()) if (chat !== open) app.mirror.rows.delete(chat);
    await readAll(app.core, app.mirror);
    await readWire(app);
    if (open !== null && app.mirror.chats.has(open)) await readNewest(app.core, app.mirror, open, true);
    settle(app);
  } catch (thrown) {
    say(app, faultText(asFault(thrown)));
  }
}
