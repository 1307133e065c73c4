import "../src/styles/tokens.css";
import "../src/styles/base.css";

import axe from "axe-core";
import { mount, unmount } from "svelte";
import { afterEach, expect } from "vitest";
import { page } from "vitest/browser";

import type { FakeCore } from "../src/core/fake";
import Window from "../src/Window.svelte";

let opened: ReturnType<typeof mount> | undefined;

/** Opens the window on a core in memory and waits until the first lists are on screen. */
export async function openWindow(core: FakeCore, size: [number, number] = [1280, 800]): Promise<void> {
  await page.viewport(...size);
  const target = document.createElement("div");
  target.id = "app";
  document.body.replaceChildren(target);
  delete document.documentElement.dataset.ready;
  opened = mount(Window, { target, props: { core } });
  await expect.poll(() => document.documentElement.dataset.ready).toBe("true");
}

afterEach(async () => {
  if (opened) await unmount(opened);
  opened = undefined;
  document.documentElement.removeAttribute("dir");
});

/** The first element of a test id. */
export function one(id: string): HTMLElement | null {
  return document.querySelector<HTMLElement>(`[data-testid="${id}"]`);
}

/** All elements of a test id. */
export function all(id: string): HTMLElement[] {
  return [...document.querySelectorAll<HTMLElement>(`[data-testid="${id}"]`)];
}

/** Clicks the first element of a test id, once it is there. */
export async function click(id: string): Promise<void> {
  await page.getByTestId(id).first().click();
}

/** Fills a field. */
export async function fill(id: string, text: string): Promise<void> {
  await page.getByTestId(id).fill(text);
}

/** Waits until an element is there. */
export async function see(id: string): Promise<HTMLElement> {
  // A page that is opened first is made first.
  await expect.poll(() => one(id), { message: `${id} is on screen` }).not.toBeNull();
  const element = one(id);
  if (!element) throw new Error(`${id} has gone again`);
  return element;
}

/** Waits until an element has gone. */
export async function gone(id: string): Promise<void> {
  await expect.poll(() => one(id), { message: `${id} is gone` }).toBeNull();
}

/** Waits until the keyboard stands at this test id: asked again at every look, as the element may not be there yet. */
export async function keyboardAt(id: string): Promise<void> {
  await expect.poll(() => document.activeElement?.getAttribute("data-testid")).toBe(id);
}

/** Opens the chat with an address: from the list of chats, or of contacts if nothing was written yet. */
export async function openChat(address: string): Promise<void> {
  const find = () =>
    document.querySelector<HTMLElement>(
      `:is([data-testid=chat-row], [data-testid=contact-row])[data-address="${address}"]`,
    );
  await expect.poll(find, { message: `a row of ${address}` }).not.toBeNull();
  await page.elementLocator(find() ?? document.body).click();
  await see("messages");
}

/** A row of a list by its address. */
export async function row(id: string, address: string): Promise<HTMLElement> {
  const find = () => document.querySelector<HTMLElement>(`[data-testid="${id}"][data-address="${address}"]`);
  await expect.poll(find, { message: `${id} of ${address}` }).not.toBeNull();
  const found = find();
  if (!found) throw new Error(`${id} of ${address} has gone again`);
  return found;
}

/** What the messages on screen say, oldest first. */
export function bodies(): (string | null | undefined)[] {
  return all("message").map((message) => message.querySelector(".text")?.textContent);
}

/** Waits until a list has stopped moving. */
export async function still(list: HTMLElement): Promise<void> {
  let same = 0;
  let last = -1;
  while (same < 12) {
    await new Promise((done) => requestAnimationFrame(done));
    same = list.scrollTop === last ? same + 1 : 0;
    last = list.scrollTop;
  }
}

/** What axe finds wrong on the whole screen, as short lines. */
export async function accessibilityFaults(): Promise<string[]> {
  const { violations } = await axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  });
  return violations.flatMap((violation) =>
    violation.nodes.map((node) => `${violation.id}: ${node.html.slice(0, 160)} ${node.failureSummary ?? ""}`),
  );
}

/** Whether anything sticks out of the window to the side. */
export function sticksOut(): string[] {
  const width = document.documentElement.clientWidth;
  return [...document.querySelectorAll<HTMLElement>("#app *")]
    .filter((element) => {
      const box = element.getBoundingClientRect();
      // What is cut with an ellipsis is wider than what is seen of it.
      if (box.width === 0 || element.closest(".sr-only") || element.parentElement?.closest(".ellipsis"))
        return false;
      return box.right > width + 1 || box.left < -1;
    })
    .map((element) => `${element.tagName} ${element.className}`);
}

/** Until what was told has been taken in and is on screen. */
export async function drawn(): Promise<void> {
  for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
}
