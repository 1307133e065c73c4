import { beforeEach, describe, expect, test } from "vitest";
import { page, userEvent } from "vitest/browser";

import { FakeCore } from "../src/core/fake";
import type { File, FileFailure } from "../src/core/generated/api";
import { file } from "../src/core/rows";
import en from "../locales/en.json";
import { all, click, gone, one, openChat, openWindow, row, see } from "./support";

let core: FakeCore;
let chat: number;

beforeEach(() => {
  core = new FakeCore();
  const account = core.addAccount("anna@a.example");
  core.addContact(account, "ben@b.example", { name: "Ben" });
  chat = core.addChat(account, "ben@b.example");
});

/** Ben sends a file, and the chat is opened. */
async function shown(more: Partial<File> = {}, body: string | null = null): Promise<void> {
  core.addMessage(chat, body, { files: [file(7, { name: "notes.pdf", ...more })] });
  await openWindow(core);
  await openChat("ben@b.example");
  await see("file");
}

const asked = (method: string) => core.asked.filter((one) => one.method === method).map((one) => one.params);
const state = () => one("file")?.dataset.state;

describe("a file", () => {
  test("is fetched only on a click, and says how far it is", async () => {
    await shown({ size: 2_000_000 });
    expect(one("file-about")?.textContent).toContain("2 MB");
    expect(asked("fetch_file")).toEqual([]);
    await click("file-fetch");
    await expect.poll(state).toBe("fetching");
    core.changeFile(7, { received: 500_000 });
    await expect.poll(() => one("file")?.querySelector("progress")?.value).toBe(500_000);
    expect(one("file-about")?.textContent).toContain("of");
    core.changeFile(7, { state: "ready", received: null });
    await expect.poll(state).toBe("ready");
    expect(asked("fetch_file")).toEqual([{ file: 7 }]);
    expect(one("file-about")?.textContent).toContain("checked");
  });

  test("can be stopped, and fetched again", async () => {
    await shown({ size: 2_000_000 });
    await click("file-fetch");
    await expect.poll(state).toBe("fetching");
    await click("file-stop");
    await expect.poll(state).toBe("offered");
    expect(asked("cancel_file")).toEqual([{ file: 7 }]);
    await see("file-fetch");
  });

  test("of a stranger is fetched only after the host was shown and agreed to", async () => {
    core.unagreed.add(7);
    await shown({ size: 5_000, host: "files.evil.example" });
    await click("file-fetch");
    await see("fetch-file-dialog");
    expect(one("fetch-host")?.textContent).toBe("files.evil.example");
    await click("confirm-no");
    await gone("fetch-file-dialog");
    expect(state()).toBe("offered");
    await click("file-fetch");
    await click("confirm-yes");
    await expect.poll(state).toBe("fetching");
    expect(asked("fetch_file").at(-1)).toEqual({ file: 7, host: "files.evil.example", size: 5_000 });
  });

  test("that is large is fetched only after its size was shown and agreed to", async () => {
    await shown({ size: 734_003_200 });
    await click("file-fetch");
    await see("fetch-file-dialog");
    expect(one("fetch-size")?.textContent).toBe("734 MB");
  });

  test("is opened outside only after asking, and a program with a warning", async () => {
    await shown({ state: "ready", size: 10 });
    await click("file-open");
    await see("open-file-dialog");
    expect(one("open-program")).toBeNull();
    expect(core.opened_files).toEqual([]);
    await click("confirm-yes");
    await gone("open-file-dialog");
    expect(core.opened_files).toEqual([7]);
    core.changeFile(7, { name: "run.exe", program: true });
    await expect.poll(() => one("file-name")?.textContent).toBe("run.exe");
    await click("file-open");
    await see("open-program");
    await click("confirm-no");
    expect(core.opened_files).toEqual([7]);
  });

  test("is saved, and where is said", async () => {
    await shown({ state: "ready", size: 10 });
    await click("file-save");
    await expect.poll(() => one("notice")?.textContent).toContain("/home/mira/Downloads/notes.pdf");
  });

  test.each(
    Object.keys(en)
      .filter((key) => key.startsWith("file.failure."))
      .map((key) => key.slice("file.failure.".length) as FileFailure),
  )("that failed says why and whether one can try again: %s", async (failure) => {
    await shown({ state: "failed", failure, host: "cdn.b.example" });
    const words = en[`file.failure.${failure}`].replace("{host}", "\u2068cdn.b.example\u2069");
    expect(one("file-about")?.textContent).toBe(words);
    expect(one("file-again") !== null).toBe(failure !== "not_encrypted");
  });

  test("that lies elsewhere is fetched there only after that host was agreed to", async () => {
    await shown({ state: "failed", failure: "elsewhere", host: "cdn.b.example", size: 10 });
    await click("file-again");
    await see("fetch-file-dialog");
    await click("confirm-yes");
    await expect.poll(state).toBe("fetching");
    expect(asked("fetch_file").at(-1)).toEqual({ file: 7, host: "cdn.b.example", size: 10 });
  });

  test("that is a picture is shown, and larger by the keyboard", async () => {
    core.pictures.set(7, "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7");
    await shown({ state: "ready", size: 10, picture: { width: 300, height: 200 } });
    const button = await see("file-picture");
    await expect.poll(() => button.querySelector("img")?.complete).toBe(true);
    const box = button.getBoundingClientRect();
    expect(Math.abs(box.width / box.height - 1.5)).toBeLessThan(0.05);
    button.focus();
    await userEvent.keyboard("{Enter}");
    await see("picture");
    await userEvent.keyboard("{Escape}");
    await gone("picture-dialog");
  });

  test("keeps the text that came with it", async () => {
    await shown({}, "what I promised");
    expect(one("message")?.textContent).toContain("what I promised");
    expect(all("file")).toHaveLength(1);
  });

  test("is named in the list of chats and found by its name", async () => {
    await shown();
    expect((await row("chat-row", "ben@b.example")).textContent).toContain("File: \u2068notes.pdf\u2069");
    await page.getByTestId("search").fill("notes");
    await see("found-message");
    expect(one("found-message")?.textContent).toContain("notes.pdf");
  });

  test("with a very long name stays within a narrow window", async () => {
    core.addMessage(chat, null, { files: [file(7, { name: `${"x".repeat(180)}.pdf` })] });
    await openWindow(core, [360, 640]);
    await openChat("ben@b.example");
    const box = (await see("file")).getBoundingClientRect();
    expect(box.right).toBeLessThanOrEqual(360);
    expect(document.documentElement.scrollWidth).toBeLessThanOrEqual(360);
  });
});

test("the lock says what the older generation leaves open", async () => {
  await openWindow(core);
  await openChat("ben@b.example");
  await click("composer-lock");
  expect((await see("lock-limits")).textContent).toBe(en["lock.whole"]);
  core.changeChat(chat, { text_only: true });
  await expect.poll(() => one("lock-limits")?.textContent).toBe(en["lock.text_only"]);
});
