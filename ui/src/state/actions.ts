import type { Method } from "../core/core";
import type {
  AccountId,
  Chat,
  ChatId,
  Device,
  Message,
  Requests,
  Show,
  Trust,
  UndecryptableReason,
} from "../core/generated/api";
import { counted, t } from "../lib/text";
import { namesKeys } from "../encryption/words";
import type { App, Ask, ConnectionTab } from "./app.svelte";
import { asFault, faultText } from "./faults";
import { personKey, putMessages } from "./mirror.svelte";
import { readNewest, trim } from "./read";

const ROWS_LEFT_BEHIND = 100;

/** Asks core, and says at the foot of the window why when it cannot be done. Undefined then. */
export async function ask<M extends Method>(
  app: App,
  method: M,
  params: Requests[M]["params"],
): Promise<Requests[M]["result"] | undefined> {
  try {
    return await app.core.request(method, params);
  } catch (thrown) {
    say(app, faultText(asFault(thrown)));
    return undefined;
  }
}

/** Says something at the foot of the window. */
export function say(app: App, text: string): void {
  app.view.notice = text;
}

/** Opens a dialog. */
export function open(app: App, dialog: Ask): void {
  app.view.ask = dialog;
}

/** Shows a chat. */
export async function showChat(app: App, chat: ChatId): Promise<void> {
  const { view, mirror, core } = app;
  if (view.chat !== null && view.chat !== chat) {
    const left = mirror.rows.get(view.chat);
    if (left) trim(left, ROWS_LEFT_BEHIND);
  }
  view.page = "chats";
  view.chat = chat;
  try {
    await readNewest(core, mirror, chat);
  } catch (thrown) {
    mirror.rows.delete(chat);
    say(app, faultText(asFault(thrown)));
  }
}

/** Shows the chat with an address, which is made if there is none. */
export async function showChatWith(app: App, account: AccountId, address: string): Promise<void> {
  const known = chatWith(app, account, address);
  if (known) return showChat(app, known.chat);
  const opened = await ask(app, "open_chat", { account, address });
  if (opened) await showChat(app, opened.chat);
}

/** The chat with an address, if there is one. */
export function chatWith(app: App, account: AccountId, address: string): Chat | undefined {
  for (const chat of app.mirror.chats.values()) {
    if (chat.account === account && chat.address === address) return chat;
  }
  return undefined;
}

/** Shows a found message in its chat. */
export async function showMessage(app: App, message: Message): Promise<void> {
  app.view.sought = message.message;
  await showChat(app, message.chat);
}

export function closeChat(app: App): void {
  app.view.chat = null;
  app.view.details = false;
}

/** Sends a text after those that were sent before it; true if it was taken. */
export function sendText(app: App, chat: ChatId, body: string): Promise<boolean> {
  const before = app.sending.get(chat) ?? Promise.resolve();
  const sent = before.then(async () => {
    const message = await ask(app, "send_text", { chat, body });
    if (message) putMessages(app.mirror, [message]);
    return message !== undefined;
  });
  app.sending.set(chat, sent);
  return sent;
}

/** Sends a failed message again. */
export async function retry(app: App, message: Message): Promise<void> {
  const again = await ask(app, "retry_message", { message: message.message });
  if (again) putMessages(app.mirror, [again]);
}

/** Own presence: for one account, or for all. */
export async function setPresence(
  app: App,
  accounts: readonly AccountId[],
  show: Show,
  status: string,
): Promise<void> {
  const text = status.trim();
  await Promise.all(
    accounts.map(async (account) => {
      if (show === "offline") return ask(app, "set_account_enabled", { account, enabled: false });
      if (app.mirror.accounts.get(account)?.enabled === false) {
        await ask(app, "set_account_enabled", { account, enabled: true });
      }
      return ask(app, "set_presence", { account, show, ...(text === "" ? {} : { status: text }) });
    }),
  );
}

/** The devices of a person; empty if they cannot be had. */
export async function devicesOf(app: App, account: AccountId, address: string): Promise<Device[]> {
  return (await ask(app, "list_devices", { account, address })) ?? [];
}

export async function setTrust(
  app: App,
  account: AccountId,
  address: string,
  fingerprint: string,
  trust: Trust,
): Promise<boolean> {
  return (await ask(app, "set_trust", { account, address, fingerprint, trust })) !== undefined;
}

/** Shows how the encryption of the open chat stands. */
export function showEncryption(app: App): void {
  app.view.page = "encryption";
}

/** Tries to sign in again. */
export async function signInAgain(app: App, account: AccountId): Promise<void> {
  await ask(app, "set_account_enabled", { account, enabled: false });
  await ask(app, "set_account_enabled", { account, enabled: true });
}

/** Shows how an account is connected. */
export function showConnection(app: App, account: AccountId, tab: ConnectionTab = "overview"): void {
  app.view.connection = account;
  app.view.connectionTab = tab;
  app.view.page = "connection";
}

/** Opens a link outside; unprotected ones only after asking. A link to a person only fills in a form (XEP-0147). */
export function followLink(app: App, url: string): void {
  const address = addressIn(url);
  const account = app.chat?.account ?? app.mirror.accounts.keys().next().value;
  if (account !== undefined && namesKeys(url)) open(app, { kind: "key_link", account, link: url });
  else if (address !== null) open(app, { kind: "add_contact", account: app.chat?.account ?? null, address });
  else if (/^http:/iu.test(url)) open(app, { kind: "open_link", url });
  else void openOutside(app, url);
}

function addressIn(url: string): string | null {
  const found = /^xmpp:\/*([^?#/]+)/iu.exec(url)?.[1];
  if (found === undefined) return null;
  try {
    return decodeURIComponent(found);
  } catch {
    return found;
  }
}

export async function openOutside(app: App, url: string): Promise<void> {
  try {
    await app.core.openLink(url);
  } catch (thrown) {
    say(app, faultText(asFault(thrown)));
  }
}

/** The name to show for an address. */
export function nameOf(app: App, account: AccountId, address: string): string {
  const name = app.mirror.contacts.get(personKey(account, address))?.name?.trim();
  return name === undefined || name === "" ? address : name;
}

/** Whether a chat is with somebody who is not in the contact list. One's own notes are not with a stranger. */
export function isStranger(app: App, chat: Chat): boolean {
  const { contacts, accounts } = app.mirror;
  return (
    !contacts.has(personKey(chat.account, chat.address)) &&
    accounts.get(chat.account)?.address !== chat.address
  );
}

/** What a chat is called. A stranger is never called anything but the address. */
export function titleOf(app: App, chat: Chat): string {
  return isStranger(app, chat) ? chat.address : chat.title;
}

/** One line of a text that may be very long. */
export function brief(text: string | null): string {
  return (text ?? "").slice(0, 300).replace(/\s+/gu, " ").trim();
}

/** What stands where the text of a message would stand that cannot be read. */
export function unreadable(reason: UndecryptableReason): string {
  return t(reason === "too_large" ? "message.thrown_away" : "message.undecryptable");
}

/** What a message says: its text, or else the file that it brings. */
export function said(message: Message): string {
  const file = message.files[0];
  return message.body ?? (file ? t("file.line", { name: file.name }) : "");
}

/** The last line of a chat in words. */
export function preview(message: Message): string {
  if (message.undecryptable?.reason === "before_this_device") {
    return counted("chat.before_this_device", message.undecryptable.count);
  }
  if (message.undecryptable) return unreadable(message.undecryptable.reason);
  return brief(said(message));
}

/** A count that fits a badge, and its full words. */
export function badge(unread: number): { short: string; full: string } {
  return { short: unread > 99 ? "99+" : String(unread), full: counted("unread", unread) };
}
