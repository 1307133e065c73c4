import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { FakeCore } from "../src/core/fake";
import { openWindow } from "./support";

let core: FakeCore;

beforeEach(async () => {
  core = new FakeCore();
  core.addAccount("anna@a.example");
  await openWindow(core);
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});

afterEach(() => {
  vi.useRealTimers();
});

const told = () =>
  core.asked
    .filter((one) => one.method === "set_active")
    .map((one) => (one.params as { active: boolean }).active);
const leave = () => window.dispatchEvent(new Event("blur"));
const come = () => window.dispatchEvent(new Event("focus"));

test("somebody who is away for half a minute no longer looks, and does at once when back", () => {
  leave();
  vi.advanceTimersByTime(29_000);
  expect(told()).toEqual([]);
  vi.advanceTimersByTime(2_000);
  expect(told()).toEqual([false]);
  come();
  expect(told()).toEqual([false, true]);
});

test("a short look elsewhere is not told", () => {
  for (let time = 0; time < 4; time += 1) {
    leave();
    vi.advanceTimersByTime(20_000);
    come();
  }
  vi.advanceTimersByTime(60_000);
  expect(told()).toEqual([]);
});

test("a key or a press counts as being there", () => {
  leave();
  vi.advanceTimersByTime(31_000);
  window.dispatchEvent(new PointerEvent("pointerdown"));
  expect(told()).toEqual([false, true]);
});

test("what gets the keyboard within a window that is left does not count", () => {
  const focus = (id: string) => document.querySelector<HTMLElement>(`[data-testid=${id}]`)?.focus();
  focus("search");
  leave();
  focus("tab-chats");
  vi.advanceTimersByTime(31_000);
  expect(told()).toEqual([false]);
});

test("a hidden window is one that is left", () => {
  const hidden = vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
  document.dispatchEvent(new Event("visibilitychange"));
  vi.advanceTimersByTime(31_000);
  hidden.mockRestore();
  expect(told()).toEqual([false]);
});

test("what lies open in a window that is looked at is told, and what does not", async () => {
  const account = [...core.accounts.keys()][0] ?? 0;
  const chat = core.addChat(account, "ben@b.example");
  core.addMessage(chat, "hello");
  expect(core.looking).toBe("window");
  // As a click on what is shown outside of the window does.
  core.emit({ type: "chat_wanted", chat });
  await expect.poll(() => core.looking).toBe(chat);
  leave();
  await expect.poll(() => core.looking).toBe("elsewhere");
  come();
  await expect.poll(() => core.looking).toBe(chat);
});

test("the network's return has all connections looked after", () => {
  window.dispatchEvent(new Event("online"));
  expect(core.asked.filter((one) => one.method === "check_connections")).toHaveLength(1);
});
