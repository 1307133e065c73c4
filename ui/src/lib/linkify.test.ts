import { describe, expect, test } from "vitest";

import { isJumbo, linkify } from "./linkify";

const links = (text: string) =>
  linkify(text).flatMap((piece) => (piece.url === undefined ? [] : [piece.url]));

describe("links in a text", () => {
  test.each([
    ["see https://a.example/b?c=d#e for more", ["https://a.example/b?c=d#e"]],
    ["(https://a.example)", ["https://a.example"]],
    ["https://a.example/wiki/Wax_(seal).", ["https://a.example/wiki/Wax_(seal)"]],
    ["https://a.example, https://b.example!", ["https://a.example", "https://b.example"]],
    ["HTTP://A.example", ["HTTP://A.example"]],
    [
      "write to mailto:me@a.example or xmpp:me@a.example?message",
      ["mailto:me@a.example", "xmpp:me@a.example?message"],
    ],
    ["<https://a.example>", ["https://a.example"]],
    ["https://a.example/\u202Egnp.exe", ["https://a.example/"]],
    ["https://bücher.example/ü", ["https://bücher.example/ü"]],
  ])("%s", (text, expected) => {
    expect(links(text)).toEqual(expected);
  });

  test.each([
    ["javascript:alert(1)"],
    ["data:text/html,hi"],
    ["file:///etc/passwd"],
    ["vbscript:x"],
    ["https://"],
    ["mailto:"],
    ["nothttps://a.example"],
    ["www.a.example"],
    ["plain words only"],
  ])("%s is no link", (text) => {
    expect(links(text)).toEqual([]);
  });

  test("leave the text as it is when put together again", () => {
    const text = "a https://a.example, (https://b.example/x) <b>no markup</b> & end";
    expect(
      linkify(text)
        .map((piece) => piece.text)
        .join(""),
    ).toBe(text);
  });

  test("take no time to speak of in a very long text", () => {
    // Were the time to grow with the square of the length, this would last for minutes and end the test.
    linkify("https://a.example/" + ")".repeat(400_000));
    linkify("http".repeat(200_000));
    linkify("https://a.example ".repeat(100_000));
    isJumbo("🎉".repeat(23) + "a");
  });
});

describe("a text of emoji only", () => {
  test.each([["❤️"], ["😄"], ["👍🏽 🎉"], ["👨‍👩‍👧"], ["🎉🎉🎉"]])("%s is shown larger", (text) => {
    expect(isJumbo(text)).toBe(true);
  });
  test.each([["a 😄"], ["🎉🎉🎉🎉"], ["7"], [""], ["!"]])("%s is not", (text) => {
    expect(isJumbo(text)).toBe(false);
  });
});
