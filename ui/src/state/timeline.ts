import type { Gap, Message, MessageId, Trust } from "../core/generated/api";
import { dayKey } from "../lib/time";

/** A row of the message list. */
export type TimelineRow =
  | { kind: "day"; key: string; at: string }
  | { kind: "unread"; key: string }
  /** Messages may be missing here: before the first one, in between, or behind the last one. */
  | { kind: "gap"; key: string; place: "older" | "between" | "newer" }
  /** So many messages from before this device stand here. */
  | { kind: "before"; key: string; count: number }
  | { kind: "tail"; key: string }
  | { kind: "message"; key: string; message: Message; first: boolean; last: boolean };

/** Where the unread line stands: before the first received message after this one; `start` means before all. */
export type UnreadAfter = MessageId | "start" | null;

const GROUP_SPAN = 5 * 60_000;

/**
 * Messages with day and unread lines between them and marks where some may be missing, and with those of one person
 * close together grouped. Each gap is drawn where it ends: in front of the first message behind it, or at the end.
 */
export function timeline(
  messages: readonly Message[],
  unreadAfter: UnreadAfter,
  gaps: readonly Gap[] = [],
): TimelineRow[] {
  const rows: TimelineRow[] = [];
  let passed = unreadAfter === "start";
  let drawn = unreadAfter === null;
  let prior: Message | undefined;
  let priorDay: string | undefined;
  let open = gaps;
  /** Draws the gaps that end up to a position, as one. */
  function endGaps(position: number, place: "older" | "between" | "newer"): boolean {
    const ended = open.filter((gap) => gap.before <= position);
    const first = ended[0];
    if (!first) return false;
    open = open.filter((gap) => gap.before > position);
    rows.push({ kind: "gap", key: `gap ${first.after}`, place });
    return true;
  }
  for (const [place, message] of messages.entries()) {
    if (isBeforeThisDevice(message)) {
      // The newest of those that follow each other counts them all.
      const next = messages[place + 1];
      if (next && isBeforeThisDevice(next)) continue;
      endGaps(message.position, prior ? "between" : "older");
      rows.push({ kind: "before", key: `m ${message.message}`, count: message.undecryptable?.count ?? 1 });
      if (message.message === unreadAfter) passed = true;
      prior = message;
      priorDay = dayKey(message.sent_at);
      continue;
    }
    let joins = prior !== undefined && !isBeforeThisDevice(prior) && belongTogether(prior, message);
    if (endGaps(message.position, prior ? "between" : "older")) joins = false;
    const day = dayKey(message.sent_at);
    if (priorDay !== day) {
      rows.push({ kind: "day", key: `day ${day} ${prior?.message ?? "start"}`, at: message.sent_at });
      joins = false;
    }
    if (passed && !drawn && message.direction === "in") {
      rows.push({ kind: "unread", key: "unread" });
      drawn = true;
      joins = false;
    }
    if (joins) endless(rows);
    rows.push({ kind: "message", key: `m ${message.message}`, message, first: !joins, last: true });
    if (message.message === unreadAfter) passed = true;
    prior = message;
    priorDay = day;
  }
  if (prior) endGaps(Infinity, "newer");
  // Air below the newest message, as a row, so that scrolling to the end shows it.
  rows.push({ kind: "tail", key: "tail" });
  return rows;
}

function isBeforeThisDevice(message: Message): boolean {
  return message.undecryptable?.reason === "before_this_device";
}

function endless(rows: TimelineRow[]): void {
  const row = rows.at(-1);
  if (row?.kind === "message") row.last = false;
}

/** Why one cannot be sure whose device wrote a message; null if there is no reason to doubt it. */
export function doubtAbout(message: Message): Extract<Trust, "undecided" | "untrusted"> | null {
  return message.trust === "undecided" || message.trust === "untrusted" ? message.trust : null;
}

function belongTogether(one: Message, next: Message): boolean {
  return (
    one.direction === next.direction &&
    one.from === next.from &&
    doubtAbout(one) === doubtAbout(next) &&
    Math.abs(Date.parse(next.sent_at) - Date.parse(one.sent_at)) < GROUP_SPAN
  );
}
