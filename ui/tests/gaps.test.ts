import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { FakeCore } from "../src/core/fake";
import en from "../locales/en.json";
import { all, bodies, drawn, gone, one, openChat, openWindow, see } from "./support";

let core: FakeCore;
let account: number;
let chat: number;

beforeEach(() => {
  core = new FakeCore();
  account = core.addAccount("anna@a.example");
  core.addContact(account, "ben@b.example", { name: "Ben" });
  chat = core.addChat(account, "ben@b.example");
});

describe("what the server still holds", () => {
  test("is marked, and comes in sight when it is fetched", async () => {
    const early = new Date(Date.now() - 3_600_000).toISOString();
    core.addMessage(chat, "early", { sent_at: early });
    core.addMessage(chat, "late");
    const [first, second] = core.messages.get(chat)?.map((message) => message.position) ?? [];
    if (first === undefined || second === undefined) throw new Error("two messages");
    core.changeAccount(account, {
      gaps: [
        { after: 0, before: first },
        { after: first, before: second },
      ],
    });
    await openWindow(core);
    await openChat("ben@b.example");
    await expect
      .poll(() => all("gap").map((mark) => mark.textContent))
      .toEqual([en["chat.gap_older"], en["chat.gap"]]);
    core.addPast(chat, "long ago", new Date(Date.now() - 7_200_000).toISOString());
    core.changeAccount(account, { gaps: [{ after: first, before: second }] });
    await expect.poll(() => bodies()).toEqual(["long ago", "early", "late"]);
    core.changeAccount(account, { gaps: [] });
    await gone("gap");
  });

  const holdTime = () => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  afterEach(() => void vi.useRealTimers());

  /** Lets what was told be taken in and drawn, and so many milliseconds pass. */
  async function pass(milliseconds: number): Promise<void> {
    await drawn();
    vi.advanceTimersByTime(milliseconds);
    await drawn();
  }

  const missed = () => ({ after: core.messages.get(chat)?.at(-1)?.position ?? 0, before: 9e15 });

  test("is marked behind the last message when that takes longer than usual", async () => {
    const hour = Date.now() - 3_600_000;
    for (let at = 0; at < 60; at += 1) {
      core.addMessage(chat, `text ${at}`, { sent_at: new Date(hour + at * 1_000).toISOString() });
    }
    await openWindow(core);
    await openChat("ben@b.example");
    const list = await see("messages");
    await expect.poll(() => bodies().at(-1)).toBe("text 59");
    holdTime();
    core.changeAccount(account, { gaps: [missed()] });
    await pass(1_900);
    expect(one("gap")).toBeNull();
    await pass(200);
    vi.useRealTimers();
    await expect.poll(() => one("gap")?.textContent).toBe(en["chat.gap_newer"]);
    expect(
      all("message")
        .at(-1)
        ?.compareDocumentPosition(one("gap") as HTMLElement),
    ).toBe(Node.DOCUMENT_POSITION_FOLLOWING);
    await expect.poll(() => list.scrollHeight - list.scrollTop - list.clientHeight).toBeLessThan(3);
    // A break of the connection changes nothing, and another chat shows it at once.
    core.changeAccount(account, { state: "connecting" });
    const cleo = core.addChat(account, "cleo@c.example");
    core.addMessage(cleo, "hello", { sent_at: new Date(hour).toISOString() });
    await openChat("cleo@c.example");
    expect((await see("gap")).textContent).toBe(en["chat.gap_newer"]);
    core.changeAccount(account, { state: "online", gaps: [] });
    await gone("gap");
  });

  test("is not marked behind the last message in an ordinary catch-up, or before one is online", async () => {
    core.addMessage(chat, "hello");
    core.changeAccount(account, { state: "connecting", gaps: [missed()] });
    let marks = 0;
    const watch = new MutationObserver(() => (marks += all("gap").length));
    watch.observe(document.body, { childList: true, subtree: true });
    await openWindow(core);
    await openChat("ben@b.example");
    await see("message");
    holdTime();
    await pass(60_000);
    core.changeAccount(account, { state: "online" });
    await pass(1_900);
    core.receive(chat, "caught up");
    core.changeAccount(account, { gaps: [] });
    await pass(60_000);
    vi.useRealTimers();
    await expect.poll(() => bodies().at(-1)).toBe("caught up");
    watch.disconnect();
    expect(marks).toBe(0);
  });

  test("is marked in front of messages from before this device", async () => {
    core.addMessage(chat, "early", { sent_at: new Date(Date.now() - 3_600_000).toISOString() });
    core.addMessage(chat, null, {
      undecryptable: { device: 0, reason: "before_this_device", method: null, count: 3, repaired: false },
    });
    const [first = 0, second = 0] = core.messages.get(chat)?.map((message) => message.position) ?? [];
    core.changeAccount(account, { gaps: [{ after: first, before: second }] });
    await openWindow(core);
    await openChat("ben@b.example");
    const gap = await see("gap");
    expect(gap.textContent).toBe(en["chat.gap"]);
    expect(gap.compareDocumentPosition(await see("before-this-device"))).toBe(
      Node.DOCUMENT_POSITION_FOLLOWING,
    );
  });

  test("is said instead of a beginning", async () => {
    core.changeAccount(account, { gaps: [{ after: 0, before: 9e15 }] });
    await openWindow(core);
    await openChat("ben@b.example");
    await expect.poll(() => one("chat-empty")?.textContent.trim()).toBe(en["chat.gap_older"]);
  });
});
