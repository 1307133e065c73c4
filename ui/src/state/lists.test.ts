import { describe, expect, test } from "vitest";

import type { Contact, Message, Gap } from "../core/generated/api";
import { contact, message } from "../core/rows";
import { groupedContacts, matches } from "./people";
import { timeline } from "./timeline";

const person = (address: string, more: Partial<Contact> = {}) => contact({ address, ...more });
const at = (id: number, time: string, direction: "in" | "out" = "in") =>
  message(id, {
    from: direction === "in" ? "ben@b.example" : "anna@a.example",
    direction,
    sent_at: new Date(time).toISOString(),
    position: Date.parse(time) * 1_000,
  });
const shape = (messages: Message[], unreadAfter: Parameters<typeof timeline>[1] = null) =>
  timeline(messages, unreadAfter).map((row) => (row.kind === "message" ? row.message.message : row.kind));

describe("the contact list", () => {
  test("is by group, online first, then by name, and without a group last", () => {
    const rows = groupedContacts([
      person("z@x", { groups: ["Work"], presence: "available" }),
      person("a@x", { groups: ["Work"] }),
      person("b@x", { groups: ["Choir", "Work"], presence: "away" }),
      person("c@x"),
    ]);
    expect(rows.map((row) => (row.kind === "group" ? row.name : row.contact.address))).toEqual([
      "Choir",
      "b@x",
      "Work",
      "z@x",
      "b@x",
      "a@x",
      "Without a group",
      "c@x",
    ]);
  });

  test("gives each row a key of its own, also one person in two groups", () => {
    const rows = groupedContacts([person("b@x", { groups: ["Choir", "Work", "Work"] })]);
    expect(new Set(rows.map((row) => row.key)).size).toBe(rows.length);
    expect(rows.length).toBe(4);
  });

  test("is searched without regard to case and accents", () => {
    expect(matches("jose", "José Núñez", null)).toBe(true);
    expect(matches("NUNEZ jo", "José Núñez", null)).toBe(true);
    expect(matches("maria", "José Núñez", "jose@x.example")).toBe(false);
  });
});

describe("the timeline", () => {
  test("puts a line between two days", () => {
    expect(shape([at(1, "2026-03-01T12:00"), at(2, "2026-03-01T12:01"), at(3, "2026-03-02T09:00")])).toEqual([
      "day",
      1,
      2,
      "day",
      3,
      "tail",
    ]);
  });

  test("puts the unread line before the first received message after what was read", () => {
    const messages = [
      at(1, "2026-03-01T12:00"),
      at(2, "2026-03-01T12:01", "out"),
      at(3, "2026-03-01T12:02"),
      at(4, "2026-03-01T12:03"),
    ];
    expect(shape(messages, 1)).toEqual(["day", 1, 2, "unread", 3, 4, "tail"]);
    expect(shape(messages, "start")).toEqual(["day", "unread", 1, 2, 3, 4, "tail"]);
    expect(shape(messages, null)).not.toContain("unread");
  });

  test("marks where messages are still to be fetched", () => {
    const messages = [at(1, "2026-03-01T12:00"), at(2, "2026-03-01T12:01"), at(3, "2026-03-01T12:02")];
    const [one = 0, two = 0, three = 0] = messages.map((message) => message.position);
    const marks = (...gaps: Gap[]) =>
      timeline(messages, null, gaps).map((row) =>
        row.kind === "message" ? row.message.message : row.kind === "gap" ? row.place : row.kind,
      );
    expect(marks({ after: one, before: two })).toEqual(["day", 1, "between", 2, 3, "tail"]);
    expect(marks({ after: one + 1, before: two - 1 })).toEqual(["day", 1, "between", 2, 3, "tail"]);
    expect(marks({ after: 0, before: one }, { after: two, before: three })).toEqual([
      "older",
      "day",
      1,
      2,
      "between",
      3,
      "tail",
    ]);
    expect(marks({ after: one - 9, before: one - 1 }, { after: three, before: three + 9 })).toEqual([
      "older",
      "day",
      1,
      2,
      3,
      "newer",
      "tail",
    ]);
    // With a message in its midst: what is missing may stand before that one as well as behind it.
    expect(marks({ after: one, before: three })).toEqual(["day", 1, 2, "between", 3, "tail"]);
  });

  test("groups what one person writes within five minutes", () => {
    const rows = timeline(
      [
        at(1, "2026-03-01T12:00"),
        at(2, "2026-03-01T12:04"),
        at(3, "2026-03-01T12:10"),
        at(4, "2026-03-01T12:10", "out"),
      ],
      null,
    );
    const groups = rows.flatMap((row) => (row.kind === "message" ? [[row.first, row.last]] : []));
    expect(groups).toEqual([
      [true, false],
      [false, true],
      [true, true],
      [true, true],
    ]);
  });
});
