import { describe, expect, test } from "vitest";

import { codes, faultText, faultTitle } from "./faults";

const said = codes.map((code) => {
  const fault = { code, text: "" };
  return { code, title: faultTitle(fault), text: faultText(fault) };
});

describe("every code", () => {
  test.each(said)("$code has a title and a sentence", ({ title, text }) => {
    expect(title).toMatch(/^[A-Z].{4,44}[^.]$/u);
    expect(text).toMatch(/^[A-Z].{15,}\.$/u);
  });

  // What people who run servers say, and nobody else.
  const protocol =
    /\b(TLS|SSL|SASL|SCRAM|PLAIN|DNS|SRV|XML|XMPP|stanza|stream|JID|roster|resource|mechanism|handshake|TCP|SOCKS5?)\b/u;
  test.each(said)("$code speaks no protocol", ({ title, text }) => {
    expect(`${title} ${text}`).not.toMatch(protocol);
  });

  test("says something of its own", () => {
    expect(new Set(said.map((one) => one.text)).size).toBe(codes.length);
    expect(new Set(said.map((one) => one.title)).size).toBe(codes.length);
  });
});
