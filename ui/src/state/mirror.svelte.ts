import { SvelteMap } from "svelte/reactivity";

import type {
  Account,
  AccountId,
  Chat,
  ChatId,
  ConsoleEntry,
  Contact,
  ContactRequest,
  Message,
} from "../core/generated/api";

/** The rows of one chat that are in the page: a stretch that always reaches to the newest message. */
export class Rows {
  /** In the order of the chat, oldest first. */
  messages: readonly Message[] = $state.raw([]);
  /** Nothing older is stored. */
  complete = $state(false);
  /** Older ones may have been stored since that was found out. */
  stale = $state(false);
  loading = $state(false);
  /** The reading of older ones that is under way. */
  older: Promise<void> | null = null;
  loaded = $state(false);
}

/** What went over an account's wire since somebody looks at it. */
export class Wire {
  /** The oldest first, by rising number, at most `MOST_ENTRIES`. */
  entries: readonly ConsoleEntry[] = $state.raw([]);

  constructor(readonly account: AccountId) {}
}

/** So many entries of a wire are kept in the page, */
export const MOST_ENTRIES = 5_000;
/** and so many characters of them. */
const MOST_LETTERS = 8_000_000;

/** What core has told, and nothing else: the window's picture of it. */
export class Mirror {
  version: string | null = $state(null);
  readonly accounts = new SvelteMap<AccountId, Account>();
  /** By `personKey`. */
  readonly contacts = new SvelteMap<string, Contact>();
  /** By `personKey`. */
  readonly requests = new SvelteMap<string, ContactRequest>();
  readonly chats = new SvelteMap<ChatId, Chat>();
  /** Only of chats that were opened. */
  readonly rows = new SvelteMap<ChatId, Rows>();
  /** Only while it is looked at. */
  wire: Wire | null = $state.raw(null);
  /** What was removed while lists were on their way, which may still hold it. */
  readonly gone = new Set<string>();
}

/** One address as one account sees it. */
export function personKey(account: AccountId, address: string): string {
  return `${account} ${address}`;
}

/** Whether a row may replace what is there: answers and events overtake each other, the higher `rev` is newer. */
export function isNewer(had: { rev: number } | undefined, row: { rev: number }): boolean {
  return had === undefined || row.rev >= had.rev;
}

export function putAccount(mirror: Mirror, account: Account): void {
  const had = mirror.accounts.get(account.account);
  if (!isNewer(had, account)) return;
  mirror.accounts.set(account.account, account);
  if (had !== undefined && pastOf(had) !== pastOf(account)) outdate(mirror, account.account);
}

/** Up to which position the past has not been read from the server. */
function pastOf(account: Account): number {
  return account.gaps.find((gap) => gap.after === 0)?.before ?? 0;
}

function outdate(mirror: Mirror, account: AccountId): void {
  for (const [chat, rows] of mirror.rows) {
    if (mirror.chats.get(chat)?.account === account) rows.stale = true;
  }
}

export function putContact(mirror: Mirror, contact: Contact): void {
  const key = personKey(contact.account, contact.address);
  if (isNewer(mirror.contacts.get(key), contact)) mirror.contacts.set(key, contact);
}

export function putChat(mirror: Mirror, chat: Chat): void {
  if (isNewer(mirror.chats.get(chat.chat), chat)) mirror.chats.set(chat.chat, chat);
}

/** Puts new or altered messages where they belong, if their chats are in the page. */
export function putMessages(mirror: Mirror, messages: readonly Message[]): void {
  for (const chat of new Set(messages.map((message) => message.chat))) {
    const rows = mirror.rows.get(chat);
    if (!rows) continue;
    const theirs = messages.filter((message) => message.chat === chat);
    // While the first page is on its way nobody knows what stands before it: `putPage` finds their place.
    rows.messages = withMessages(rows.messages, theirs, rows.complete || !rows.loaded);
  }
}

/** Takes in a page of messages, oldest first, as it was answered. */
export function putPage(rows: Rows, page: readonly Message[], complete: boolean): void {
  rows.complete = complete;
  // The answer may be older than events that came meanwhile, and the other way round.
  const had = new Map(rows.messages.map((message) => [message.message, message]));
  const merged = page.map((message) => {
    const known = had.get(message.message);
    had.delete(message.message);
    return known !== undefined && known.rev > message.rev ? known : message;
  });
  rows.messages = withMessages(merged, had.values(), complete);
  rows.loaded = true;
}

/** Takes in what went over a wire; the answer and the events may hold the same. */
export function putEntries(wire: Wire, entries: readonly ConsoleEntry[]): void {
  const last = wire.entries.at(-1)?.number ?? 0;
  const first = entries[0];
  if (first === undefined) return;
  if (first.number > last) {
    wire.entries = newest([...wire.entries, ...entries]);
    return;
  }
  const all = new Map([...wire.entries, ...entries].map((entry) => [entry.number, entry]));
  wire.entries = newest([...all.values()].sort((a, b) => a.number - b.number));
}

function newest(entries: readonly ConsoleEntry[]): readonly ConsoleEntry[] {
  let letters = 0;
  const over = entries.findLastIndex((entry) => (letters += entry.xml.length) > MOST_LETTERS);
  return entries.slice(Math.max(over + 1, entries.length - MOST_ENTRIES));
}

function withMessages(
  messages: readonly Message[],
  more: Iterable<Message>,
  complete: boolean,
): readonly Message[] {
  const all = [...messages];
  const known = new Set(all.map((message) => message.message));
  for (const message of more) {
    if (known.has(message.message)) {
      const at = all.findLastIndex((row) => row.message === message.message);
      const had = all[at];
      if (!isNewer(had, message)) continue;
      if (had?.position === message.position) {
        all[at] = message;
        continue;
      }
      all.splice(at, 1);
      known.delete(message.message);
    }
    const place = all.findLastIndex((prior) => !isBefore(message, prior)) + 1;
    // Older than all rows here: it comes when those before are read.
    if (place === 0 && all.length > 0 && !complete) continue;
    all.splice(place, 0, message);
    known.add(message.message);
  }
  return all;
}

function isBefore(one: Message, other: Message): boolean {
  return one.position < other.position;
}
