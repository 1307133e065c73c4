import type { Account, AccountId, Chat, Contact, Show } from "../core/generated/api";
import { t } from "../lib/text";

/** A row of the contact list: the head of a group, or a contact in it. */
export type PersonRow =
  | { kind: "group"; key: string; name: string; online: number; total: number }
  | { kind: "contact"; key: string; group: string; contact: Contact };

const order: Record<Show, number> = { chat: 0, available: 0, away: 1, xa: 2, dnd: 1, offline: 3 };
const collator = new Intl.Collator(undefined, { sensitivity: "base", numeric: true });

/** The part of an address that names its server. */
export function domainOf(address: string): string {
  return address.slice(address.indexOf("@") + 1);
}

/** What a contact is called: the name one gave, else the address. */
export function contactName(contact: Contact): string {
  const name = contact.name?.trim();
  return name === undefined || name === "" ? contact.address : name;
}

/** Whether all words of a search stand in any of the texts. */
export function matches(query: string, ...texts: readonly (string | null)[]): boolean {
  const all = plain(texts.join(" "));
  return plain(query)
    .split(/\s+/u)
    .every((word) => all.includes(word));
}

function plain(text: string): string {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase();
}

/** Online first, then by name. */
export function sortedContacts(contacts: Iterable<Contact>): Contact[] {
  const keyed = [...contacts].map((contact) => ({
    contact,
    name: contactName(contact),
    rank: order[contact.presence],
  }));
  keyed.sort(
    (a, b) => a.rank - b.rank || collator.compare(a.name, b.name) || a.contact.account - b.contact.account,
  );
  return keyed.map(({ contact }) => contact);
}

/** Contacts under the names of their groups; those without a group last. */
export function groupedContacts(contacts: Iterable<Contact>): PersonRow[] {
  const groups = new Map<string, Contact[]>();
  const rest: Contact[] = [];
  for (const contact of sortedContacts(contacts)) {
    if (contact.groups.length === 0) rest.push(contact);
    for (const name of new Set(contact.groups)) {
      const members = groups.get(name);
      if (members) members.push(contact);
      else groups.set(name, [contact]);
    }
  }
  const rows: PersonRow[] = [];
  const named = [...groups].sort(([a], [b]) => collator.compare(a, b));
  for (const [name, members] of named) pushGroup(rows, `g ${name}`, name, members);
  // Alone, they need no heading.
  if (rest.length > 0)
    pushGroup(rows, "rest", named.length > 0 ? t("contacts.ungrouped") : t("contacts.all"), rest);
  return rows;
}

function pushGroup(rows: PersonRow[], key: string, name: string, members: readonly Contact[]): void {
  const online = members.filter((contact) => contact.presence !== "offline").length;
  rows.push({ kind: "group", key, name, online, total: members.length });
  for (const contact of members) {
    rows.push({ kind: "contact", key: `${key} ${contact.account} ${contact.address}`, group: name, contact });
  }
}

/** Chats by last activity, the newest first. */
export function sortedChats(chats: Iterable<Chat>): Chat[] {
  return [...chats].sort((a, b) => lastActivity(b) - lastActivity(a) || b.chat - a.chat);
}

// An opened chat without messages stands on top until something happens elsewhere.
function lastActivity(chat: Chat): number {
  return chat.last ? chat.last.position : Number.MAX_SAFE_INTEGER;
}

/** Accounts in the order in which they were added. */
export function sortedAccounts(accounts: Iterable<Account>): Account[] {
  return [...accounts].sort((a, b) => a.account - b.account);
}

/** What the contacts of an account see of us now. */
export function shownPresence(account: Account): Show {
  return account.state === "online" ? account.show : "offline";
}

export function ofAccount<T extends { account: AccountId }>(
  all: Iterable<T>,
  account: AccountId | null,
): T[] {
  const rows = [...all];
  return account === null ? rows : rows.filter((row) => row.account === account);
}
