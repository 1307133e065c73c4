import { describe, expect, test } from "vitest";

import type { ConsoleEntry, Event, Message } from "../core/generated/api";
import { account, chat, contact, message } from "../core/rows";
import { apply, applyAll } from "./apply";
import { Mirror, personKey, putEntries, putPage, Rows, Wire } from "./mirror.svelte";

const entry = (number: number): ConsoleEntry => ({
  number,
  at: "2026-01-01T00:00:00Z",
  way: "in",
  xml: `<message id="${number}"/>`,
});
const ben = personKey(1, "ben@b.example");

function opened(messages: Message[], complete = false): { mirror: Mirror; rows: Rows } {
  const mirror = new Mirror();
  const rows = new Rows();
  mirror.rows.set(1, rows);
  putPage(rows, messages, complete);
  return { mirror, rows };
}
const ids = (rows: Rows) => rows.messages.map((one) => one.message);

describe("a message that changes its place", () => {
  test("stands where it belongs", () => {
    const { mirror, rows } = opened([message(1), message(2), message(3)]);
    apply(mirror, { type: "message_changed", message: message(3, { position: 1.5, rev: 9 }) });
    expect(ids(rows)).toEqual([1, 3, 2]);
    apply(mirror, { type: "message_changed", message: message(3, { position: 3, rev: 8 }) });
    expect(ids(rows)).toEqual([1, 3, 2]);
  });
});

describe("every event", () => {
  // A new event without a line here is a type error.
  const cases: Record<Event["type"], { event: Event; check: (mirror: Mirror) => void }> = {
    ready: {
      event: { type: "ready", version: "9.9.9" },
      check: (mirror) => expect(mirror.version).toBe("9.9.9"),
    },
    account_changed: {
      event: { type: "account_changed", account: account({ state: "failed", rev: 2 }) },
      check: (mirror) => expect(mirror.accounts.get(1)?.state).toBe("failed"),
    },
    account_removed: {
      event: { type: "account_removed", account: 1 },
      check: (mirror) => {
        expect(mirror.accounts.size).toBe(0);
        expect(mirror.contacts.size).toBe(0);
        expect(mirror.requests.size).toBe(0);
        expect(mirror.chats.size).toBe(0);
        expect(mirror.rows.size).toBe(0);
      },
    },
    contact_changed: {
      event: { type: "contact_changed", contact: contact({ presence: "dnd", rev: 2 }) },
      check: (mirror) => expect(mirror.contacts.get(ben)?.presence).toBe("dnd"),
    },
    contact_removed: {
      event: { type: "contact_removed", account: 1, address: "ben@b.example" },
      check: (mirror) => expect(mirror.contacts.has(ben)).toBe(false),
    },
    request_received: {
      event: {
        type: "request_received",
        account: 1,
        address: "new@c.example",
        received_at: "2026-01-01T00:00:00Z",
      },
      check: (mirror) =>
        expect(mirror.requests.get(personKey(1, "new@c.example"))).toEqual({
          account: 1,
          address: "new@c.example",
          received_at: "2026-01-01T00:00:00Z",
        }),
    },
    request_answered: {
      event: { type: "request_answered", account: 1, address: "asks@c.example" },
      check: (mirror) => expect(mirror.requests.size).toBe(0),
    },
    chat_changed: {
      event: { type: "chat_changed", chat: chat({ unread: 3, rev: 2 }) },
      check: (mirror) => expect(mirror.chats.get(1)?.unread).toBe(3),
    },
    message_changed: {
      event: { type: "message_changed", message: message(1, { delivery: "read", rev: 9 }) },
      check: (mirror) => expect(mirror.rows.get(1)?.messages[0]?.delivery).toBe("read"),
    },
    // Rust shows these, and whoever takes the events in shows a chat that is wanted.
    notify: {
      event: {
        type: "notify",
        notice: { account: 1, chat: 1, title: "Ben", text: "hello", file: null, messages: 1, chats: 1 },
      },
      check: (mirror) => expect(mirror.chats.size).toBe(1),
    },
    notify_withdrawn: {
      event: { type: "notify_withdrawn", account: 1, chat: 1 },
      check: (mirror) => expect(mirror.chats.size).toBe(1),
    },
    chat_wanted: {
      event: { type: "chat_wanted", chat: 1 },
      check: (mirror) => expect(mirror.chats.size).toBe(1),
    },
    caught_up: {
      event: { type: "caught_up", account: 2 },
      check: (mirror) => expect(mirror.accounts.get(1)).toEqual(account()),
    },
    console_seen: {
      event: { type: "console_seen", account: 1, entries: [entry(1)] },
      check: (mirror) => expect(mirror.wire?.entries).toEqual([entry(1)]),
    },
    resync: {
      event: { type: "resync" },
      // It changes nothing by itself: what is there stays on screen until it is read anew.
      check: (mirror) => expect(mirror.contacts.size).toBe(1),
    },
  };

  test.each(Object.entries(cases))("%s does what it says", (_type, { event, check }) => {
    const { mirror } = opened([message(1)]);
    mirror.accounts.set(1, account());
    mirror.contacts.set(ben, contact());
    mirror.chats.set(1, chat());
    mirror.wire = new Wire(1);
    mirror.requests.set(personKey(1, "asks@c.example"), {
      account: 1,
      address: "asks@c.example",
      received_at: "2026-01-01T00:00:00Z",
    });
    apply(mirror, event);
    check(mirror);
  });
});

describe("the higher rev wins", () => {
  test("for accounts, contacts and chats that arrive late", () => {
    const mirror = new Mirror();
    applyAll(mirror, [
      { type: "account_changed", account: account({ state: "online", rev: 5 }) },
      { type: "account_changed", account: account({ state: "connecting", rev: 4 }) },
      { type: "contact_changed", contact: contact({ presence: "available", rev: 7 }) },
      { type: "contact_changed", contact: contact({ presence: "offline", rev: 6 }) },
      { type: "chat_changed", chat: chat({ unread: 0, rev: 9 }) },
      { type: "chat_changed", chat: chat({ unread: 4, rev: 8 }) },
    ]);
    expect(mirror.accounts.get(1)?.state).toBe("online");
    expect(mirror.contacts.get(ben)?.presence).toBe("available");
    expect(mirror.chats.get(1)?.unread).toBe(0);
  });

  test("for a message whose delivery state was overtaken", () => {
    const { mirror, rows } = opened([message(1, { direction: "out", delivery: "delivered", rev: 30 })]);
    apply(mirror, {
      type: "message_changed",
      message: message(1, { direction: "out", delivery: "sent", rev: 20 }),
    });
    expect(rows.messages[0]?.delivery).toBe("delivered");
  });

  test("for a page that was answered before an event but arrives after it", () => {
    const { mirror, rows } = opened([message(1)]);
    apply(mirror, { type: "message_changed", message: message(1, { delivery: "read", rev: 40 }) });
    putPage(rows, [message(1, { delivery: "sent", rev: 39 })], true);
    expect(rows.messages[0]?.delivery).toBe("read");
  });
});

describe("messages find their place", () => {
  test("a new one goes to the end", () => {
    const { mirror, rows } = opened([message(1), message(2)]);
    apply(mirror, { type: "message_changed", message: message(3) });
    expect(ids(rows)).toEqual([1, 2, 3]);
  });

  test("one from the archive goes between those it was sent between", () => {
    const { mirror, rows } = opened([message(1), message(5)]);
    const late = message(9, { position: 3 });
    apply(mirror, { type: "message_changed", message: late });
    expect(ids(rows)).toEqual([1, 9, 5]);
  });

  test("one older than all that was read is left for when it is read", () => {
    const { mirror, rows } = opened([message(5), message(6)]);
    apply(mirror, { type: "message_changed", message: message(2) });
    expect(ids(rows)).toEqual([5, 6]);
  });

  test("one older than all goes to the start once the start was reached", () => {
    const { mirror, rows } = opened([message(5), message(6)], true);
    apply(mirror, { type: "message_changed", message: message(2) });
    expect(ids(rows)).toEqual([2, 5, 6]);
  });

  test("the same one twice stays one", () => {
    const { mirror, rows } = opened([message(1)]);
    applyAll(mirror, [
      { type: "message_changed", message: message(2) },
      { type: "message_changed", message: message(2, { rev: 8 }) },
    ]);
    expect(ids(rows)).toEqual([1, 2]);
  });

  test("in a chat that is not in the page it leaves no trace", () => {
    const mirror = new Mirror();
    apply(mirror, { type: "message_changed", message: message(1) });
    expect(mirror.rows.size).toBe(0);
  });
});

test("a batch says that it asks for reading everything anew", () => {
  expect(applyAll(new Mirror(), [{ type: "resync" }]).resync).toBe(true);
  expect(applyAll(new Mirror(), [{ type: "ready", version: "1" }]).resync).toBe(false);
  expect(applyAll(new Mirror(), [{ type: "chat_wanted", chat: 7 }]).wanted).toBe(7);
});

describe("what goes over a wire", () => {
  const numbers = (wire: Wire) => wire.entries.map((one) => one.number);

  test("stands once and in order, whether an answer or an event brought it first", () => {
    const wire = new Wire(1);
    putEntries(wire, [entry(3), entry(4)]);
    putEntries(wire, [entry(1), entry(2), entry(3)]);
    putEntries(wire, [entry(5)]);
    expect(numbers(wire)).toEqual([1, 2, 3, 4, 5]);
  });

  test("of another account is not kept", () => {
    const mirror = new Mirror();
    mirror.wire = new Wire(1);
    apply(mirror, { type: "console_seen", account: 2, entries: [entry(1)] });
    expect(mirror.wire.entries).toEqual([]);
  });

  test("is let go of at its old end", () => {
    const wire = new Wire(1);
    for (let at = 0; at < 60; at += 1) {
      putEntries(
        wire,
        Array.from({ length: 100 }, (_, index) => entry(at * 100 + index + 1)),
      );
    }
    expect(wire.entries).toHaveLength(5_000);
    expect(wire.entries.at(0)?.number).toBe(1_001);
    expect(wire.entries.at(-1)?.number).toBe(6_000);
  });

  test("is let go of earlier if it is large", () => {
    const wire = new Wire(1);
    const xml = "x".repeat(65_536);
    for (let at = 1; at <= 400; at += 1) putEntries(wire, [{ ...entry(at), xml }]);
    expect(wire.entries).toHaveLength(122);
    expect(wire.entries.at(-1)?.number).toBe(400);
  });
});
