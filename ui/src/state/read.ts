import type { Core } from "../core/core";
import type { Account, AccountId, ChatId, Message, MessageId } from "../core/generated/api";
import { goneAccount, goneChat, goneContact, goneRequest } from "./apply";
import { type Mirror, personKey, putAccount, putChat, putContact, putPage, Rows } from "./mirror.svelte";

/** Messages read at once. */
export const PAGE = 50;
/** Most rows of a chat kept in the page while its end is in sight. */
export const MOST_ROWS = 500;
const SEEK_PAGE = 500;
const MOST_SEEKS = 40;

/** Reads all lists, at the start and after a resync. */
export async function readAll(core: Core, mirror: Mirror): Promise<void> {
  mirror.gone.clear();
  const accounts = readAccounts(core, mirror);
  const chats = readChats(core, mirror);
  const requests = readRequests(core, mirror);
  const contacts = accounts.then((all) =>
    Promise.all(all.map((account) => readContacts(core, mirror, account.account))),
  );
  await Promise.all([chats, requests, contacts]);
}

async function readAccounts(core: Core, mirror: Mirror): Promise<Account[]> {
  const before = new Map(mirror.accounts);
  const accounts = await core.request("list_accounts", {});
  for (const account of accounts) {
    before.delete(account.account);
    if (!mirror.gone.has(goneAccount(account.account))) putAccount(mirror, account);
  }
  dropUntouched(mirror.accounts, before);
  return accounts;
}

/** Reads the contact list of one account. */
export async function readContacts(core: Core, mirror: Mirror, account: AccountId): Promise<void> {
  const before = new Map([...mirror.contacts].filter(([, contact]) => contact.account === account));
  const contacts = await core.request("list_contacts", { account });
  if (mirror.gone.has(goneAccount(account))) return;
  for (const contact of contacts) {
    before.delete(personKey(account, contact.address));
    if (!mirror.gone.has(goneContact(account, contact.address))) putContact(mirror, contact);
  }
  dropUntouched(mirror.contacts, before);
}

async function readChats(core: Core, mirror: Mirror): Promise<void> {
  const before = new Map(mirror.chats);
  const chats = await core.request("list_chats", {});
  for (const chat of chats) {
    before.delete(chat.chat);
    if (mirror.gone.has(goneChat(chat.chat)) || mirror.gone.has(goneAccount(chat.account))) continue;
    putChat(mirror, chat);
  }
  dropUntouched(mirror.chats, before);
}

async function readRequests(core: Core, mirror: Mirror): Promise<void> {
  const before = new Map(mirror.requests);
  for (const request of await core.request("list_requests", {})) {
    const { account, address } = request;
    before.delete(personKey(account, address));
    if (mirror.gone.has(goneRequest(account, address)) || mirror.gone.has(goneAccount(account))) continue;
    mirror.requests.set(personKey(account, address), request);
  }
  dropUntouched(mirror.requests, before);
}

// What an answer no longer holds is gone, unless an event has touched it while the answer was on its way.
function dropUntouched<K, V>(now: Map<K, V>, unlisted: Map<K, V>): void {
  for (const [key, value] of unlisted) if (now.get(key) === value) now.delete(key);
}

/** Reads the newest messages of a chat if none are in the page, or anew. */
export async function readNewest(core: Core, mirror: Mirror, chat: ChatId, anew = false): Promise<Rows> {
  let rows = mirror.rows.get(chat);
  if (rows && !anew) return rows;
  if (!rows) {
    rows = new Rows();
    mirror.rows.set(chat, rows);
  }
  // From now on events find their place; the answer is merged with them.
  rows.loading = true;
  try {
    const limit = Math.max(PAGE, Math.min(rows.messages.length, SEEK_PAGE));
    const page = await core.request("list_messages", { chat, limit });
    const fresh = anew && page.length > 0 ? undefinedBefore(rows, page) : rows.messages;
    rows.messages = fresh;
    putPage(rows, page, page.length < limit);
  } finally {
    rows.loading = false;
  }
  return rows;
}

// After a resync only rows that events brought meanwhile may stand beside the answer.
function undefinedBefore(rows: Rows, page: readonly Message[]): readonly Message[] {
  const newest = page.at(-1);
  return newest === undefined ? [] : rows.messages.filter((message) => message.rev > newest.rev);
}

/** Reads the messages before those in the page; once at a time. */
export function readOlder(core: Core, rows: Rows, limit = PAGE): Promise<void> {
  const first = rows.messages[0];
  if (rows.older) return rows.older;
  if ((rows.complete && !rows.stale) || !first) return Promise.resolve();
  rows.stale = false;
  rows.older = readBefore(core, rows, first, limit).finally(() => (rows.older = null));
  return rows.older;
}

async function readBefore(core: Core, rows: Rows, first: Message, limit: number): Promise<void> {
  rows.loading = true;
  try {
    const page = await core.request("list_messages", { chat: first.chat, before: first.message, limit });
    putPage(rows, [...page, ...rows.messages], page.length < limit);
  } finally {
    rows.loading = false;
  }
}

/** Reads back until a message is in the page; false if it cannot be found. */
export async function readBackTo(core: Core, rows: Rows, message: MessageId): Promise<boolean> {
  for (let seek = 0; seek < MOST_SEEKS; seek += 1) {
    if (rows.messages.some((row) => row.message === message)) return true;
    if (rows.complete) return false;
    await readOlder(core, rows, SEEK_PAGE);
  }
  return false;
}

/** Lets go of all but the newest rows. */
export function trim(rows: Rows, keep: number): void {
  if (rows.messages.length <= keep) return;
  rows.messages = rows.messages.slice(-keep);
  rows.complete = false;
}
