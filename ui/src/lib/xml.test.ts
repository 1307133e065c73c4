import { describe, expect, test } from "vitest";

import { indented, kindOf } from "./xml";

describe("XML for reading", () => {
  const cases: [string, string, string][] = [
    ["moves elements in", "<a><b x='1'/><c><d/></c></a>", "<a>\n  <b x='1'/>\n  <c>\n    <d/>\n  </c>\n</a>"],
    [
      "leaves text beside its element",
      "<message><body>hi there</body></message>",
      "<message>\n  <body>hi there</body>\n</message>",
    ],
    ["keeps an empty pair on one line", "<a><b></b></a>", "<a>\n  <b></b>\n</a>"],
    ["keeps mixed content apart", "<a>one<b/>two</a>", "<a>\n  one\n  <b/>\n  two\n</a>"],
    [
      "knows that a quoted bracket ends nothing",
      `<a t="1>0" u='"'><b/></a>`,
      `<a t="1>0" u='"'>\n  <b/>\n</a>`,
    ],
    [
      "shows the head of a stream, which never closes",
      "<?xml version='1.0'?><stream:stream to='a.example'>",
      "<?xml version='1.0'?>\n<stream:stream to='a.example'>",
    ],
    ["shows the end of one", "</stream:stream>", "</stream:stream>"],
    ["keeps what was cut off", '<a><b>text<c attribute="lo', '<a>\n  <b>\n    text<c attribute="lo'],
    ["leaves what is no XML", "white space ping", "white space ping"],
    ["drops nothing but white space between elements", "<a>\n  <b/>\n</a>", "<a>\n  <b/>\n</a>"],
  ];
  test.each(cases)("%s", (_what, xml, shown) => expect(indented(xml)).toBe(shown));

  test("is bounded however deep and however broken it is", () => {
    const deep = indented("<a>".repeat(20_000));
    expect(deep.length).toBeLessThan(20_000 * 80);
    // Were the time to grow with the square of the length, this would last for minutes and end the test.
    const quotes = "<a '".repeat(200_000);
    expect(indented(quotes).replace(/\s/gu, "")).toBe(quotes.replace(/\s/gu, ""));
  });

  test("is told apart by its first element", () => {
    expect(kindOf("<message to='a'/>")).toBe("message");
    expect(kindOf("<presence/>")).toBe("presence");
    expect(kindOf(" <iq type='get'>")).toBe("iq");
    expect(kindOf("<client:iq>")).toBe("iq");
    expect(kindOf("<iqs/>")).toBe("other");
    expect(kindOf("<r xmlns='urn:xmpp:sm:3'/>")).toBe("other");
    expect(kindOf("")).toBe("other");
  });
});
