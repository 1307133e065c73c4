import { parseUrl } from "./url";

/** A piece of a message: plain text, or a link when `url` is there. */
export type Piece = { text: string; url?: string };

// Ends at spaces, quotes, angle brackets, controls and the marks that turn writing direction around.
const LINK =
  // eslint-disable-next-line no-control-regex
  /(?:https?:\/\/|mailto:|xmpp:)[^\s<>"'`\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u206f]+/giu;
const TRAILING = /[.,;:!?…*_~»›)\]}]$/u;
const BRACKETS = "()[]{}";
/** Links drawn in one message. */
const MOST_LINKS = 100;
const PAIRS: Record<string, string> = { ")": "(", "]": "[", "}": "{" };

/** Cuts text into plain pieces and links. Only https, http, mailto and xmpp become links. */
export function linkify(text: string): Piece[] {
  const pieces: Piece[] = [];
  let done = 0;
  let links = 0;
  for (const match of text.matchAll(LINK)) {
    if (links >= MOST_LINKS) break;
    const url = withoutTrailing(match[0]);
    if (!isWhole(url) || startsInsideWord(text, match.index)) continue;
    if (match.index > done) pieces.push({ text: text.slice(done, match.index) });
    pieces.push({ text: url, url });
    links += 1;
    done = match.index + url.length;
  }
  if (done < text.length) pieces.push({ text: text.slice(done) });
  return pieces;
}

/** Whether a text is nothing but one to three emoji, which are shown larger. */
export function isJumbo(text: string): boolean {
  if (text.length > 48 || !/\p{Extended_Pictographic}/u.test(text)) return false;
  // One class, one pass: no way to make it slow.
  if (!/^[\p{Extended_Pictographic}\p{Emoji_Modifier}\uFE0F\u200D\s]+$/u.test(text)) return false;
  return graphemes(text) <= 3;
}

function graphemes(text: string): number {
  let count = 0;
  for (const part of new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(text)) {
    if (part.segment.trim() !== "") count += 1;
  }
  return count;
}

// Punctuation belongs to the sentence; a closing bracket only if it was opened inside of the link. One pass, since
// the text may be made to be slow.
function withoutTrailing(found: string): string {
  const count = new Map<string, number>();
  for (const sign of found) if (BRACKETS.includes(sign)) count.set(sign, (count.get(sign) ?? 0) + 1);
  let end = found.length;
  while (end > 0) {
    const last = found.charAt(end - 1);
    if (!TRAILING.test(last)) break;
    const open = PAIRS[last];
    if (open !== undefined) {
      const closed = count.get(last) ?? 0;
      if ((count.get(open) ?? 0) >= closed) break;
      count.set(last, closed - 1);
    }
    end -= 1;
  }
  return found.slice(0, end);
}

function isWhole(url: string): boolean {
  const rest = url.replace(/^(?:https?:\/\/|mailto:|xmpp:)/iu, "");
  return rest.length > 0 && parseUrl(url) !== null;
}

function startsInsideWord(text: string, index: number): boolean {
  return index > 0 && /[\p{L}\p{N}]/u.test(text.slice(index - 1, index));
}
