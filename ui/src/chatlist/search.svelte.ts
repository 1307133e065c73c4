import type { AccountId, Message } from "../core/generated/api";
import type { App } from "../state/app.svelte";

const PAUSE = 120;
const MOST = 30;

/** Messages that hold the words asked for, a moment after the last key. Must be called while a component starts. */
export function messageSearch(app: App, asked: () => { query: string; account: AccountId | null }) {
  let found: readonly Message[] = $state.raw([]);
  let busy = $state(false);

  $effect(() => {
    const { query, account } = asked();
    if (query === "") {
      found = [];
      busy = false;
      return;
    }
    let stale = false;
    busy = true;
    const timer = setTimeout(async () => {
      try {
        const params = { query, limit: MOST, ...(account === null ? {} : { account }) };
        const answer = await app.core.request("search", params);
        if (!stale) found = answer;
      } catch {
        // A query of nothing but punctuation finds nothing.
        if (!stale) found = [];
      } finally {
        if (!stale) busy = false;
      }
    }, PAUSE);
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  });

  return {
    get found() {
      return found;
    },
    get busy() {
      return busy;
    },
  };
}

/** A text around its first hit, with the hits marked. */
export function marked(text: string, query: string): { text: string; hit: boolean }[] {
  const words = query.split(/\s+/u).filter((word) => word !== "");
  const flat = text.replace(/\s+/gu, " ").trim();
  if (words.length === 0) return [{ text: flat, hit: false }];
  const any = new RegExp(words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/gu, "\\$&")).join("|"), "giu");
  const first = flat.search(any);
  const start = first > 40 ? Math.max(0, flat.lastIndexOf(" ", first - 24) + 1) : 0;
  const pieces: { text: string; hit: boolean }[] = start > 0 ? [{ text: "… ", hit: false }] : [];
  const shown = flat.slice(start, start + 200);
  let done = 0;
  for (const match of shown.matchAll(any)) {
    if (match.index > done) pieces.push({ text: shown.slice(done, match.index), hit: false });
    pieces.push({ text: match[0], hit: true });
    done = match.index + match[0].length;
  }
  if (done < shown.length) pieces.push({ text: shown.slice(done), hit: false });
  return pieces;
}
