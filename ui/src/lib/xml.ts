/** What a piece of XML begins with, as far as a person tells it apart. */
export type XmlKind = "message" | "presence" | "iq" | "other";

/** The kind of a top-level element, told by its name. */
export function kindOf(xml: string): XmlKind {
  const name = /^\s*<(?:[^\s<>/:]+:)?(message|presence|iq)[\s/>]/u.exec(xml)?.[1];
  return name === "message" || name === "presence" || name === "iq" ? name : "other";
}

const TAG = /<(?:"[^"]*"|'[^']*'|[^"'<>])*>/uy;
const STEP = "  ";
/** Deeper than this nothing is moved further in. */
const DEEPEST = 32;

/** XML with one element a line, moved in by its depth. What is cut off or no XML stays as it is. */
export function indented(xml: string): string {
  const parts = split(xml);
  const lines: string[] = [];
  let depth = 0;
  const put = (text: string) => lines.push(STEP.repeat(Math.min(depth, DEEPEST)) + text);
  for (let at = 0; at < parts.length; at += 1) {
    const part = parts[at] ?? "";
    if (!part.startsWith("<")) {
      if (part.trim() !== "") put(part.trim());
    } else if (part.startsWith("</")) {
      depth = Math.max(0, depth - 1);
      put(part);
    } else if (part.endsWith("/>") || /^<[?!]/u.test(part)) {
      put(part);
    } else {
      const whole = leaf(parts, at);
      put(whole.join(""));
      if (whole.length > 1) at += whole.length - 1;
      else depth += 1;
    }
  }
  return lines.join("\n");
}

// An element that holds nothing, or nothing but text, stands on one line.
function leaf(parts: readonly string[], at: number): string[] {
  const [open = "", next = "", after = ""] = parts.slice(at, at + 3);
  if (next.startsWith("</")) return [open, next];
  if (next !== "" && !next.startsWith("<") && after.startsWith("</")) return [open, next, after];
  return [open];
}

function split(xml: string): string[] {
  const parts: string[] = [];
  let from = 0;
  while (from < xml.length) {
    const start = xml.indexOf("<", from);
    TAG.lastIndex = start;
    const tag = start < 0 ? null : TAG.exec(xml);
    if (!tag) {
      parts.push(xml.slice(from));
      break;
    }
    if (start > from) parts.push(xml.slice(from, start));
    parts.push(tag[0]);
    from = start + tag[0].length;
  }
  return parts;
}
