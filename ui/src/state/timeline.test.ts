import { describe, expect, test } from "vitest";

import type { Message } from "../core/generated/api";
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
function shown(messages: readonly Message[]): string[] {
  return timeline(messages, null).flatMap((row) => {
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
