import { expect, test } from "vitest";

import { blocks, initials, tint } from "./person";
import { briefTime, dayName } from "./time";

test.each([
  ["Noor Haddad", "NH"],
  ["anna.berg@a.example", "AB"],
  ["bob@a.example", "B"],
  ["يوسف الحداد", "يا"],
  ["!!!", "?"],
  ["", "?"],
  ["\u202Eevil name", "EN"],
])("the initials of %s", (name, expected) => {
  expect(initials(name)).toBe(expected);
});

test("the same address always has the same tint, and all tints are in use", () => {
  const tints = Array.from({ length: 200 }, (_, at) => tint(`person${at}@a.example`));
  expect(new Set(tints)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7]));
  expect(tint("ben@b.example")).toBe(tint("ben@b.example"));
});

test("a fingerprint is read in blocks of eight", () => {
  expect(blocks("0123456789abcdef".repeat(4))).toHaveLength(8);
  expect(blocks("0123456789abcdef")[1]).toBe("89abcdef");
});

test("a day is told by its distance from now", () => {
  const now = new Date("2026-03-04T12:00");
  expect(dayName("2026-03-04T00:01", now)).toBe("Today");
  expect(dayName("2026-03-03T23:59", now)).toBe("Yesterday");
  expect(dayName("2026-01-02T12:00", now)).toMatch(/2/u);
  expect(briefTime("2026-03-03T23:59", now)).toBe("Yesterday");
  expect(briefTime("2026-03-01T12:00", now)).toMatch(/Sun/u);
  expect(briefTime("2024-03-01T12:00", now)).toMatch(/2024/u);
});
