const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** One or two letters that stand for a name or an address. */
export function initials(name: string): string {
  const local = name.includes("@") ? name.slice(0, name.indexOf("@")) : name;
  const words = local.split(/[\s._\-+]+/u).filter((word) => /[\p{L}\p{N}]/u.test(word));
  const first = words.at(0);
  const last = words.length > 1 ? words.at(-1) : undefined;
  if (first === undefined) return "?";
  return (firstLetter(first) + (last === undefined ? "" : firstLetter(last))).toLocaleUpperCase();
}

function firstLetter(word: string): string {
  for (const { segment } of segmenter.segment(word)) {
    if (/[\p{L}\p{N}]/u.test(segment)) return segment;
  }
  return "";
}

/** A number from 0 to 7 that is always the same for an address. */
export function tint(address: string): number {
  let hash = 2166136261;
  for (let i = 0; i < address.length; i += 1) {
    hash = Math.imul(hash ^ address.charCodeAt(i), 16777619);
  }
  // The low bits alone are poorly mixed.
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 2246822519);
  return ((hash ^ (hash >>> 13)) >>> 0) % 8;
}

/** A fingerprint in blocks of eight, as people read it to each other. */
export function blocks(fingerprint: string): string[] {
  return fingerprint.match(/.{1,8}/gu) ?? [];
}
