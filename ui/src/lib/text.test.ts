import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import en from "../../locales/en.json";
import { counted, t } from "./text";

const root = join(import.meta.dirname, "..");
const sources = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((name) => /\.(svelte|ts)$/u.test(name) && !/\.test\.ts$|generated/u.test(name))
  .map((name) => readFileSync(join(root, name), "utf8"))
  .join("\n");

describe("the words on screen", () => {
  test("fill in what they are given, isolated from the sentence around it", () => {
    expect(t("composer.as", { address: "anna@a.example" })).toBe("Writing as \u2068anna@a.example\u2069");
    expect(counted("unread", 1)).toBe("1 unread message");
    expect(counted("unread", 12)).toBe("12 unread messages");
  });

  test("never name the protocol's own terms", () => {
    const terms = /\b(roster|jid|muc|occupant|resource|stanza|bundle|prekey|subscription)s?\b/iu;
    for (const [key, text] of Object.entries(en)) expect(text, key).not.toMatch(terms);
  });

  test("are all used", () => {
    // Keys made from a closed set of words: the set's type keeps them complete.
    const made =
      /^(presence|delivery|account|subscription|trust|protocol|fault|lock|undecryptable|list|emoji|feature|weaker|standing|reach|bundle_fault)\.|^console\.(kind_|in$|out$)|^kept\.(always|roster|never)$|^check\.next\./u;
    const unused = Object.keys(en)
      .map((key) => key.replace(/\.(one|other)$/u, ""))
      // Said outside of the window, by Rust.
      .filter((key) => !key.startsWith("notice."))
      .filter((key) => !made.test(key) && !sources.includes(`"${key}"`));
    expect(unused).toEqual([]);
  });

  test("have both forms wherever things are counted", () => {
    const stems = Object.keys(en).flatMap((key) => (key.endsWith(".other") ? [key.slice(0, -6)] : []));
    expect(stems.length).toBeGreaterThan(3);
    for (const stem of stems) expect(en).toHaveProperty([`${stem}.one`]);
  });

  test("come only from the locale: no sentence stands in a component", () => {
    const loose = [...sources.matchAll(/>\s*([A-Z][a-z]+ [a-z][^<>{}=;()]*)</gu)].map((match) => match[1]);
    expect(loose).toEqual([]);
  });

  test("name no colour outside of tokens.css", () => {
    const styles = [...sources.matchAll(/<style>([\s\S]*?)<\/style>/gu)].map((match) => match[1]).join("\n");
    expect(styles).not.toMatch(/#[0-9a-f]{3,8}\b|\brgba?\(|\bhsla?\(/iu);
  });
});
