import type { ConsoleEntry, Way } from "../core/generated/api";
import { indented, kindOf, type XmlKind } from "../lib/xml";
import { exactTime } from "../lib/time";

/** Which entries of a console are shown. */
export type Filter = { text: string; kinds: ReadonlySet<XmlKind>; way: Way | "both" };

export const kinds: readonly XmlKind[] = ["message", "presence", "iq", "other"];

// Told once for each entry, however often the filter changes.
const told = new WeakMap<ConsoleEntry, XmlKind>();

/** The kind of an entry. */
export function entryKind(entry: ConsoleEntry): XmlKind {
  const known = told.get(entry);
  if (known !== undefined) return known;
  const kind = kindOf(entry.xml);
  told.set(entry, kind);
  return kind;
}

/** The entries that a filter lets through, in their order. */
export function filtered(entries: readonly ConsoleEntry[], filter: Filter): readonly ConsoleEntry[] {
  const text = filter.text.trim().toLowerCase();
  if (text === "" && filter.way === "both" && filter.kinds.size === kinds.length) return entries;
  return entries.filter(
    (entry) =>
      (filter.way === "both" || entry.way === filter.way) &&
      filter.kinds.has(entryKind(entry)) &&
      (text === "" || entry.xml.toLowerCase().includes(text)),
  );
}

/** Entries as a text that one can paste into a report. */
export function asText(entries: readonly ConsoleEntry[]): string {
  return entries
    .map((entry) => `<!-- ${entry.way} ${exactTime(entry.at)} -->\n${indented(entry.xml)}\n`)
    .join("\n");
}
