import type { AccountId, ChatId, Event, Message } from "../core/generated/api";
import {
  type Mirror,
  personKey,
  putAccount,
  putChat,
  putContact,
  putEntries,
  putMessages,
} from "./mirror.svelte";

/** What the window has to do itself after a batch of events. */
export type Outcome = { resync: boolean; wanted: ChatId | null };

/** Takes in a batch of events, in order. */
export function applyAll(mirror: Mirror, events: readonly Event[]): Outcome {
  let resync = false;
  let wanted: ChatId | null = null;
  const messages: Message[] = [];
  for (const event of events) {
    // Put in at once: each time the list is made anew.
    if (event.type === "message_changed") messages.push(event.message);
    else apply(mirror, event);
    if (event.type === "resync") resync = true;
    if (event.type === "chat_wanted") wanted = event.chat;
  }
  putMessages(mirror, messages);
  return { resync, wanted };
}

/** Takes in one event. The one place that knows all of them. */
export function apply(mirror: Mirror, event: Event): void {
  switch (event.type) {
    case "ready":
      mirror.version = event.version;
      return;
    case "account_changed":
      mirror.gone.delete(goneAccount(event.account.account));
      putAccount(mirror, event.account);
      return;
    case "account_removed":
      forgetAccount(mirror, event.account);
      return;
    case "contact_changed":
      mirror.gone.delete(goneContact(event.contact.account, event.contact.address));
      putContact(mirror, event.contact);
      return;
    case "contact_removed":
      mirror.gone.add(goneContact(event.account, event.address));
      mirror.contacts.delete(personKey(event.account, event.address));
      return;
    case "request_received": {
      const { account, address, received_at } = event;
      mirror.gone.delete(goneRequest(account, address));
      mirror.requests.set(personKey(account, address), { account, address, received_at });
      return;
    }
    case "request_answered":
      mirror.gone.add(goneRequest(event.account, event.address));
      mirror.requests.delete(personKey(event.account, event.address));
      return;
    case "chat_changed":
      mirror.gone.delete(goneChat(event.chat.chat));
      putChat(mirror, event.chat);
      return;
    case "message_changed":
      putMessages(mirror, [event.message]);
      return;
    case "caught_up":
      // What was caught up with came as messages and chats; the window shows nothing of its own for it.
      return;
    case "notify":
    case "notify_withdrawn":
      // Shown outside of the window, by Rust.
      return;
    case "chat_wanted":
      // Shown by whoever called, once all events are taken in.
      return;
    case "console_seen":
      if (mirror.wire?.account === event.account) putEntries(mirror.wire, event.entries);
      return;
    case "resync":
      // Everything is read anew by whoever called.
      return;
    default:
      event satisfies never;
  }
}

export const goneAccount = (account: AccountId) => `account ${account}`;
export const goneContact = (account: AccountId, address: string) => `contact ${account} ${address}`;
export const goneRequest = (account: AccountId, address: string) => `request ${account} ${address}`;
export const goneChat = (chat: number) => `chat ${chat}`;

function forgetAccount(mirror: Mirror, account: AccountId): void {
  mirror.gone.add(goneAccount(account));
  mirror.accounts.delete(account);
  for (const [key, contact] of mirror.contacts) if (contact.account === account) mirror.contacts.delete(key);
  for (const [key, request] of mirror.requests) if (request.account === account) mirror.requests.delete(key);
  for (const [id, chat] of mirror.chats) {
    if (chat.account !== account) continue;
    mirror.chats.delete(id);
    mirror.rows.delete(id);
  }
}
