import { describe, expect, test, vi } from "vitest";

import { FakeCore } from "../core/fake";
import { applyAll } from "./apply";
import { Mirror, personKey } from "./mirror.svelte";
import { readAll, readBackTo, readNewest, readOlder, trim } from "./read";

function world() {
  const core = new FakeCore();
  const mirror = new Mirror();
  const account = core.addAccount("anna@a.example");
  core.addContact(account, "ben@b.example");
  core.addContact(account, "cleo@c.example");
  const chat = core.addChat(account, "ben@b.example");
  void core.subscribe((events) => void applyAll(mirror, events));
  return { core, mirror, account, chat };
}

describe("reading all lists", () => {
  test("fills the picture", async () => {
    const { core, mirror, account } = world();
    core.addRequest(account, "new@d.example");
    await readAll(core, mirror);
    expect(mirror.accounts.size).toBe(1);
    expect(mirror.contacts.size).toBe(2);
    expect(mirror.chats.size).toBe(1);
    expect(mirror.requests.size).toBe(1);
  });

  test("keeps a presence that came while the list was on its way", async () => {
    const { core, mirror, account } = world();
    const request = core.request.bind(core);
    core.request = async (method, params) => {
      const answer = await request(method, params);
      if (method === "list_contacts") {
        core.changeContact(account, "ben@b.example", { presence: "chat" });
        await Promise.resolve();
      }
      return answer;
    };
    await readAll(core, mirror);
    expect(mirror.contacts.get(personKey(account, "ben@b.example"))?.presence).toBe("chat");
  });

  test("does not bring back a contact that was removed while the list was on its way", async () => {
    const { core, mirror, account } = world();
    const request = core.request.bind(core);
    core.request = async (method, params) => {
      const answer = await request(method, params);
      if (method === "list_contacts") {
        core.emit({ type: "contact_removed", account, address: "ben@b.example" });
        await Promise.resolve();
        await Promise.resolve();
      }
      return answer;
    };
    await readAll(core, mirror);
    expect([...mirror.contacts.values()].map((one) => one.address)).toEqual(["cleo@c.example"]);
  });

  test("drops what is no longer there after events were lost", async () => {
    const { core, mirror, account } = world();
    await readAll(core, mirror);
    core.contacts.delete(`${account} ben@b.example`);
    core.chats.clear();
    await readAll(core, mirror);
    expect(mirror.contacts.size).toBe(1);
    expect(mirror.chats.size).toBe(0);
  });
});

describe("reading messages", () => {
  test("pages back until the start", async () => {
    const { core, mirror, chat } = world();
    for (let at = 0; at < 120; at += 1) {
      core.addMessage(chat, `text ${at}`, { sent_at: new Date(at * 1_000).toISOString() });
    }
    const rows = await readNewest(core, mirror, chat);
    expect(rows.messages.length).toBe(50);
    await readOlder(core, rows);
    await readOlder(core, rows);
    expect(rows.messages.length).toBe(120);
    expect(rows.complete).toBe(true);
    expect(rows.messages.map((one) => one.body)).toEqual(
      Array.from({ length: 120 }, (_, at) => `text ${at}`),
    );
  });

  test("reads on when more of the past was fetched from the server", async () => {
    const { core, mirror, account, chat } = world();
    core.changeAccount(account, { gaps: [{ after: 0, before: 9_000_000_000 }] });
    core.addMessage(chat, "new", { sent_at: new Date(9_000_000).toISOString() });
    await readAll(core, mirror);
    const rows = await readNewest(core, mirror, chat);
    expect(rows.complete).toBe(true);
    await readOlder(core, rows);
    expect(core.asked.filter((one) => one.method === "list_messages").length).toBe(1);
    core.addPast(chat, "old", new Date(1).toISOString());
    core.changeAccount(account, { gaps: [{ after: 0, before: 1_000 }] });
    await vi.waitUntil(() => rows.stale);
    await readOlder(core, rows);
    expect(rows.messages.map((one) => one.body)).toEqual(["old", "new"]);
  });

  test("takes in what arrives while the page is on its way", async () => {
    const { core, mirror, chat } = world();
    core.addMessage(chat, "one");
    core.delay = 200;
    const reading = readNewest(core, mirror, chat);
    await new Promise((done) => setTimeout(done));
    core.receive(chat, "two");
    await vi.waitUntil(() => mirror.chats.get(chat)?.last?.body === "two");
    const rows = await reading;
    expect(rows.messages.map((one) => one.body)).toEqual(["one", "two"]);
  });

  test("is not misled by a message of long ago that changes meanwhile", async () => {
    const { core, mirror, chat } = world();
    const ids: number[] = [];
    for (let at = 0; at < 60; at += 1) {
      ids.push(core.addMessage(chat, `text ${at}`, { sent_at: new Date(at * 1_000).toISOString() }));
    }
    core.delay = 200;
    const reading = readNewest(core, mirror, chat);
    await new Promise((done) => setTimeout(done));
    core.changeMessage(ids[3] ?? -1, { delivery: "read" });
    const rows = await reading;
    expect(rows.messages.map((one) => one.body)[0]).toBe("text 10");
    expect(rows.messages.length).toBe(50);
  });

  test("goes back as far as a found message", async () => {
    const { core, mirror, chat } = world();
    const all: number[] = [];
    for (let at = 0; at < 900; at += 1) {
      all.push(core.addMessage(chat, `text ${at}`, { sent_at: new Date(at * 1_000).toISOString() }));
    }
    const rows = await readNewest(core, mirror, chat);
    expect(await readBackTo(core, rows, all[3] ?? -1)).toBe(true);
    expect(await readBackTo(core, rows, 999_999)).toBe(false);
  });

  test("lets go of old rows and knows that they are still stored", async () => {
    const { core, mirror, chat } = world();
    for (let at = 0; at < 20; at += 1) {
      core.addMessage(chat, `text ${at}`, { sent_at: new Date(at * 1_000).toISOString() });
    }
    const rows = await readNewest(core, mirror, chat);
    expect(rows.complete).toBe(true);
    trim(rows, 5);
    expect(rows.messages.length).toBe(5);
    expect(rows.complete).toBe(false);
    await readOlder(core, rows);
    expect(rows.messages.length).toBe(20);
  });

  test("after lost events reads the open chat anew", async () => {
    const { core, mirror, chat } = world();
    const id = core.addMessage(chat, "mine", { direction: "out", delivery: "sent" });
    await readNewest(core, mirror, chat);
    const stored = core.messages.get(chat)?.find((one) => one.message === id);
    if (!stored) throw new Error("the message is stored");
    core.messages.set(chat, [{ ...stored, delivery: "read", rev: stored.rev + 1_000 }]);
    const rows = await readNewest(core, mirror, chat, true);
    expect(rows.messages.map((one) => one.delivery)).toEqual(["read"]);
  });
});
