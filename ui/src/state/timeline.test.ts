import { describe, expect, test } from "vitest";

import type { Gap, Message } from "../core/generated/api";
import { message } from "../core/rows";
import { timeline } from "./timeline";

function before(id: number, count: number): Message {
  const undecryptable = {
    device: 7,
    reason: "before_this_device",
    method: null,
    count,
    repaired: false,
  } as const;
  return message(id, { body: null, undecryptable });
}

/** What stands in the list, without days and the tail. */
function shown(messages: readonly Message[], gaps: readonly Gap[] = []): string[] {
  return timeline(messages, null, gaps).flatMap((row) => {
    if (row.kind === "gap") return [row.place];
    if (row.kind === "before") return [`${row.count} from before`];
    return row.kind === "message" ? [row.message.body ?? ""] : [];
  });
}

describe("messages from before this device", () => {
  test("are one quiet line, with the count of the newest of them", () => {
    expect(shown([before(1, 1), before(2, 41), message(3)])).toEqual(["41 from before", "text 3"]);
  });

  test("are a line for each place where they stand", () => {
    const messages = [before(1, 3), message(2), before(3, 2), message(4)];
    expect(shown(messages)).toEqual(["3 from before", "text 2", "2 from before", "text 4"]);
  });

  test("do not hide what could not be read for another reason", () => {
    const other = message(2, {
      body: null,
      undecryptable: { device: 7, reason: "no_session", method: null, count: 1, repaired: false },
    });
    expect(shown([before(1, 5), other])).toEqual(["5 from before", ""]);
  });
});

describe("what is still to be fetched", () => {
  const messages = [message(10), message(20)];

  test.each<[string, Gap, string[]]>([
    ["before all", { after: 0, before: 10 }, ["older", "text 10", "text 20"]],
    ["between two", { after: 10, before: 20 }, ["text 10", "between", "text 20"]],
    ["behind the last, from it on", { after: 20, before: 99 }, ["text 10", "text 20", "newer"]],
    ["behind the last, in another chat", { after: 50, before: 99 }, ["text 10", "text 20", "newer"]],
    ["around what was written here meanwhile", { after: 15, before: 99 }, ["text 10", "text 20", "newer"]],
  ])("is marked where it is: %s", (_, gap, rows) => {
    expect(shown(messages, [gap])).toEqual(rows);
  });

  test("is marked once, in front of what came live, whatever of ours stands in it", () => {
    const live = message(99);
    expect(shown([...messages, live], [{ after: 10, before: 99 }])).toEqual([
      "text 10",
      "text 20",
      "between",
      "text 99",
    ]);
    const two = [
      { after: 12, before: 14 },
      { after: 15, before: 18 },
    ];
    expect(shown(messages, two)).toEqual(["text 10", "between", "text 20"]);
  });

  test("is marked in front of those from before this device", () => {
    expect(shown([message(10), before(20, 2)], [{ after: 10, before: 20 }])).toEqual([
      "text 10",
      "between",
      "2 from before",
    ]);
    expect(shown([before(20, 2)], [{ after: 0, before: 20 }])).toEqual(["older", "2 from before"]);
    expect(shown([before(20, 1), before(30, 2)], [{ after: 20, before: 30 }])).toEqual([
      "older",
      "2 from before",
    ]);
  });

  test("parts messages that would stand together", () => {
    const first = timeline(messages, null, [{ after: 10, before: 20 }]).filter(
      (row) => row.kind === "message" && row.first,
    );
    expect(first).toHaveLength(2);
  });
});
