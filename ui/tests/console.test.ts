import { beforeEach, describe, expect, test, vi } from "vitest";
import { page, userEvent } from "vitest/browser";

import { FakeCore } from "../src/core/fake";
import { traffic } from "../src/core/samples";
import { all, click, fill, gone, one, openWindow, see, still } from "./support";

let core: FakeCore;
let account: number;
let copied: string[];

beforeEach(() => {
  core = new FakeCore();
  account = core.addAccount("anna@a.example");
  copied = [];
  vi.spyOn(navigator.clipboard, "writeText").mockImplementation((text) => {
    copied.push(text);
    return Promise.resolve();
  });
});

async function openConsole() {
  await openWindow(core);
  await click("rail-settings");
  await click("account-connection");
  await click("connection-console");
  await expect.poll(() => core.consoles.has(account)).toBe(true);
}

const switched = () =>
  core.asked.filter((one) => one.method === "set_console").map((one) => (one.params as { on: boolean }).on);
const texts = () => all("console-entry").map((entry) => entry.querySelector("pre")?.textContent);

describe("the console", () => {
  test("is on while it is looked at, and only then", async () => {
    await openConsole();
    await see("console-empty");
    await click("connection-overview");
    await expect.poll(() => core.consoles.has(account)).toBe(false);
    await click("connection-console");
    await expect.poll(() => core.consoles.has(account)).toBe(true);
    await userEvent.keyboard("{Escape}");
    await see("settings");
    await expect.poll(() => core.consoles.has(account)).toBe(false);
    expect(switched()).toEqual([true, false, true, false]);
  });

  test("shows XML as text, moved in, with its way and its time", async () => {
    await openConsole();
    core.see(
      account,
      ["in", "<message><body>&lt;b&gt; <img src='x'/></body></message>"],
      ["out", "<presence/>"],
    );
    await expect.poll(() => texts()).toHaveLength(2);
    const [first, second] = all("console-entry");
    expect(first?.querySelector("img")).toBeNull();
    expect(texts()[0]).toBe("<message>\n  <body>\n    &lt;b&gt;\n    <img src='x'/>\n  </body>\n</message>");
    expect([first?.dataset.way, second?.dataset.way]).toEqual(["in", "out"]);
    expect(second?.querySelector("time")?.textContent).toMatch(/^\d\d:\d\d:\d\d\.\d{3}$/u);
    expect(one("console")?.textContent).toContain("secrets are masked");
  });

  test("lets through what fits the text, the kinds and the way", async () => {
    core.traffic.set(account, [
      ["in", "<message id='m1'/>"],
      ["out", "<message id='m2'/>"],
      ["in", "<presence id='p1'/>"],
      ["out", "<iq id='q1'/>"],
      ["in", "<a h='1'/>"],
    ]);
    await openConsole();
    await expect.poll(() => texts()).toHaveLength(5);
    await click("console-kind-message");
    await click("console-kind-other");
    await expect.poll(() => texts()).toEqual(["<presence id='p1'/>", "<iq id='q1'/>"]);
    await userEvent.selectOptions(await see("console-way"), "out");
    await expect.poll(() => texts()).toEqual(["<iq id='q1'/>"]);
    await userEvent.selectOptions(await see("console-way"), "both");
    await click("console-kind-message");
    await fill("console-filter", "ID='M2");
    await expect.poll(() => texts()).toEqual(["<message id='m2'/>"]);
    expect(one("console-count")?.textContent).toContain("1 of 5");
    await fill("console-filter", "nowhere");
    expect((await see("console-empty")).textContent).toContain("Nothing fits");
    await userEvent.keyboard("{Escape}");
    await expect.poll(() => texts()).toHaveLength(4);
    await see("console");
  });

  test("holds still while it is paused, and counts what waits", async () => {
    await openConsole();
    core.see(account, ["in", "<a h='1'/>"]);
    await see("console-entry");
    await click("console-pause");
    core.see(account, ["in", "<a h='2'/>"], ["in", "<a h='3'/>"]);
    await expect.poll(() => one("console-pause")?.textContent).toContain("2 new");
    expect(texts()).toEqual(["<a h='1'/>"]);
    await click("console-pause");
    await expect.poll(() => texts()).toEqual(["<a h='1'/>", "<a h='2'/>", "<a h='3'/>"]);
  });

  test("is cleared of what was there, and shows what comes", async () => {
    await openConsole();
    core.see(account, ["in", "<a h='1'/>"]);
    await see("console-entry");
    await click("console-clear");
    await gone("console-entry");
    core.see(account, ["in", "<a h='2'/>"]);
    await expect.poll(() => texts()).toEqual(["<a h='2'/>"]);
  });

  test("gives one entry or all that are shown to the clipboard", async () => {
    core.traffic.set(account, [
      ["in", "<message><body>hi</body></message>"],
      ["out", "<presence/>"],
    ]);
    await openConsole();
    await see("console-entry");
    await click("console-copy");
    await expect.poll(() => copied).toEqual(["<message>\n  <body>hi</body>\n</message>"]);
    await click("console-kind-presence");
    await expect.poll(() => texts()).toHaveLength(1);
    await click("console-copy-all");
    await expect.poll(() => copied.length).toBe(2);
    expect(copied[1]).toMatch(/^<!-- in [\d:.]+ -->\n<message>\n {2}<body>hi<\/body>\n<\/message>\n$/u);
  });

  test("holds thousands of entries with few of them in the page, and follows the newest", async () => {
    core.traffic.set(account, traffic(2_000));
    await openConsole();
    await expect.poll(() => one("console-count")?.textContent).toContain("2,000");
    const list = await see("console-log");
    await expect.poll(() => all("console-entry").at(-1)?.dataset.number).toBe("2000");
    await still(list);
    expect(list.scrollHeight - list.scrollTop - list.clientHeight).toBeLessThan(3);
    expect(all("console-entry").length).toBeLessThan(60);
    core.see(account, ["in", "<a h='2001'/>"]);
    await expect.poll(() => all("console-entry").at(-1)?.dataset.number).toBe("2001");
    list.focus();
    await userEvent.keyboard("{Home}");
    await expect.poll(() => all("console-entry")[0]?.dataset.number).toBe("1");
    await still(list);
    core.see(account, ["in", "<a h='2002'/>"]);
    await expect.poll(() => one("console-count")?.textContent).toContain("2,002");
    expect(all("console-entry")[0]?.dataset.number).toBe("1");
  });

  test("folds a large entry and shows all of it on demand", async () => {
    const item = "<item jid='somebody@crowd.example'/>";
    const xml = `<iq><query>${item.repeat(1_800)}</query></iq>`;
    core.traffic.set(account, [["in", xml]]);
    await openConsole();
    await see("console-entry");
    expect(texts()[0]?.split("\n").length).toBeLessThan(12);
    expect(one("console-fold")?.textContent).toContain("64 KiB");
    await click("console-fold");
    await expect.poll(() => texts()[0]?.split("\n").length).toBe(1_804);
    await click("console-fold");
    await expect.poll(() => texts()[0]?.split("\n").length).toBeLessThan(12);
  });

  test("reads what it missed after events were lost", async () => {
    await openConsole();
    core.see(account, ["in", "<a h='1'/>"]);
    await see("console-entry");
    core.consoles.get(account)?.push({
      number: 2,
      at: new Date().toISOString(),
      way: "out",
      xml: "<r/>",
    });
    core.emit({ type: "resync" });
    await expect.poll(() => texts()).toEqual(["<a h='1'/>", "<r/>"]);
  });

  test("works by the keyboard alone", async () => {
    core.traffic.set(account, traffic(300));
    await openConsole();
    const log = await see("console-log");
    await expect.poll(() => all("console-entry").at(-1)?.dataset.number).toBe("300");
    await still(log);
    (await see("console-copy-all")).focus();
    await userEvent.tab();
    expect(document.activeElement).toBe(log);
    await userEvent.keyboard("{Home}");
    await expect.poll(() => all("console-entry")[0]?.dataset.number).toBe("1");
    await userEvent.keyboard("{End}");
    await expect.poll(() => all("console-entry").at(-1)?.dataset.number).toBe("300");
    (await see("connection-console")).focus();
    await userEvent.keyboard("{ArrowLeft}");
    await expect.poll(() => one("connection-page")?.dataset.tab).toBe("settings");
    await expect.element(page.getByTestId("connection-form")).toBeVisible();
  });
});
