import { beforeEach, describe, expect, test } from "vitest";
import { userEvent } from "vitest/browser";

import { FakeCore } from "../src/core/fake";
import type { AccountId, ChatId, Device } from "../src/core/generated/api";
import { device } from "../src/core/rows";
import { ownCode } from "../src/core/samples";
import { accessibilityFaults, all, click, fill, gone, one, openChat, openWindow, see } from "./support";

const BEN = "ben@b.example";
const ANNA = "anna@a.example";

let core: FakeCore;
let account: AccountId;
let chat: ChatId;

beforeEach(() => {
  core = new FakeCore();
  account = core.addAccount(ANNA);
  core.addContact(account, BEN, { name: "Ben" });
  chat = core.addChat(account, BEN);
  core.addMessage(chat, "hello");
});

/** What was asked of core by a method. */
const asked = (method: string) => core.asked.filter((one) => one.method === method).map((one) => one.params);
const text = (id: string) => one(id)?.textContent ?? "";

/** Ben's and Anna's devices; new keys of theirs wait for a decision. */
function have(theirs: Device[], ours: Device[] = [device(1, { own: true })]): void {
  core.setDevices(account, BEN, theirs);
  core.setDevices(account, ANNA, ours);
  core.lockByTrust(account);
}

describe("a new key after a verified one", () => {
  test("is seen before anything is written, and what is written waits", async () => {
    have([device(31, { trust: "verified" }), device(32, { trust: "undecided", label: "New phone" })]);
    await openWindow(core);
    await openChat(BEN);
    expect((await see("new-keys")).textContent).toMatch(/Ben.* has a new device.*waits until you decide/u);
    expect(text("new-key")).toContain("New phone");
    // The name is the device's own claim.
    expect(text("new-key-facts").replace(/[\u2068\u2069]/gu, "")).toBe(
      "Device 32 · Its key begins with 22222222 22222222",
    );
    expect(text("new-keys-names")).toContain("gives itself its name");
    expect(one("composer-lock")?.dataset.lock).toBe("undecided");
    await userEvent.keyboard("hello{Enter}");
    await expect.poll(() => asked("send_text")).toHaveLength(1);
  });

  test.each([
    ["new-key-trust", "blind"],
    ["new-key-distrust", "untrusted"],
  ])("is decided about by %s", async (button, trust) => {
    have([device(31, { trust: "verified" }), device(32, { trust: "undecided" })]);
    await openWindow(core);
    await openChat(BEN);
    await click(button);
    await gone("new-keys");
    expect(asked("set_trust")).toEqual([{ account, address: BEN, fingerprint: "2".repeat(64), trust }]);
    expect(one("composer-lock")?.dataset.lock).toBe("encrypted");
  });

  test("is compared block by block before it counts as verified", async () => {
    have([
      device(31, { trust: "verified" }),
      device(32, { trust: "undecided", fingerprint: "0123abcd".repeat(8) }),
    ]);
    await openWindow(core);
    await openChat(BEN);
    await click("new-key-compare");
    const blocks = (await see("compare-blocks")).querySelectorAll("li");
    expect(blocks).toHaveLength(8);
    expect(blocks[0]?.querySelector(".sr-only")?.textContent).toBe("0 1 2 3 a b c d");
    const verify = one("compare-verify") as HTMLButtonElement;
    expect(verify.disabled).toBe(true);
    await click("compare-same");
    await click("compare-verify");
    await gone("compare-key");
    await gone("new-keys");
    expect(asked("set_trust")).toMatchObject([{ address: BEN, trust: "verified" }]);
  });

  test("that turns out to be another one is not trusted", async () => {
    have([device(31, { trust: "verified" }), device(32, { trust: "undecided" })]);
    await openWindow(core);
    await openChat(BEN);
    await click("new-key-compare");
    await click("compare-differs");
    await gone("new-keys");
    expect(asked("set_trust")).toMatchObject([{ trust: "untrusted" }]);
  });

  test("of one's own account is asked about with a warning", async () => {
    have(
      [device(31)],
      [device(1, { own: true }), device(2, { trust: "verified" }), device(3, { trust: "undecided" })],
    );
    await openWindow(core);
    await openChat(BEN);
    expect((await see("new-keys")).textContent).toContain("only if it is yours");
    await click("new-key-trust");
    await gone("new-keys");
    expect(asked("set_trust")).toMatchObject([{ address: ANNA, trust: "blind" }]);
  });

  test("among many leads to the page with all of them", async () => {
    const many = Array.from({ length: 12 }, (_, at) => device(100 + at, { trust: "undecided" }));
    have([device(31, { trust: "verified" }), ...many]);
    await openWindow(core);
    await openChat(BEN);
    expect((await see("new-keys")).textContent).toContain("12 new devices");
    expect(all("new-key")).toHaveLength(3);
    await click("new-keys-all");
    await see("encryption-page");
  });
});

describe("trust that another device took back", () => {
  const by31 = { trust: "untrusted", trust_told: true, taken_back_by: 31 } as const;
  const desk = device(31, { trust: "verified", label: "Desk" });

  test("is told in the chat with who says so, and holds nothing up", async () => {
    have([desk, device(32, by31)]);
    await openWindow(core);
    await openChat(BEN);
    expect((await see("new-keys")).textContent).toMatch(
      /Ben.* has a device that a verified one no longer trusts/u,
    );
    expect(text("new-key")).toMatch(/^Device .*32/u);
    expect(text("new-key-facts").replace(/[\u2068\u2069]/gu, "")).toMatch(/22222222 · Desk says so$/u);
    expect(one("new-key-trust")).toBeNull();
    expect(one("composer-lock")?.dataset.lock).toBe("encrypted");
  });

  test("is told no more when one agrees", async () => {
    have([desk, device(32, by31)]);
    await openWindow(core);
    await openChat(BEN);
    await click("new-key-distrust");
    await gone("new-keys");
    expect(asked("set_trust")).toMatchObject([{ address: BEN, trust: "untrusted" }]);
  });

  test("is told as soon as it happens, beside what waits for a decision", async () => {
    have([desk, device(32), device(33, { trust: "undecided" })]);
    await openWindow(core);
    await openChat(BEN);
    await see("new-keys");
    expect(all("new-key")).toHaveLength(1);
    have([desk, device(32, by31), device(33, { trust: "undecided" })]);
    await expect.poll(() => all("new-key")).toHaveLength(2);
    expect(text("new-keys")).toMatch(/verified one no longer trusts.*has a new device/su);
    expect(await accessibilityFaults()).toEqual([]);
  });

  test("is not asked about where nobody took any back", async () => {
    have([desk, device(32, { trust: "untrusted", trust_told: true })]);
    await openWindow(core);
    await openChat(BEN);
    await see("composer");
    expect(asked("encryption_report")).toEqual([]);
    expect(one("new-keys")).toBeNull();
  });
});

async function openCheck(): Promise<void> {
  await openWindow(core);
  await openChat(BEN);
  await click("composer-lock");
  await click("lock-check");
  await see("encryption-verdict");
}

/** A device's card on the page. */
const card = (id: number) => document.querySelector<HTMLElement>(`[data-testid=device][data-device="${id}"]`);

/** What can be done with a device, and how that is offered. */
const does = (id: number) =>
  [...(card(id)?.querySelectorAll<HTMLElement>("[data-does]") ?? [])].map(
    ({ dataset }) => `${dataset.testid} ${dataset.does}`,
  );

describe("the encryption check", () => {
  test("says of each device of both sides whether the next message reaches it, and why not", async () => {
    have(
      [
        device(31, { trust: "verified" }),
        device(32, { trust: "untrusted" }),
        device(33, { fingerprint: null, bundle_fault: "missing" }),
        device(34, { active: false, protocols: [] }),
      ],
      [device(1, { own: true }), device(2)],
    );
    await openCheck();
    expect(card(34)).toBeNull();
    expect((await see("devices-unused")).textContent.trim()).toBe("1 device that is no longer in use");
    one("devices-unused")?.querySelector("summary")?.click();
    await expect.poll(() => card(34)).not.toBeNull();
    expect(text("encryption-verdict")).toMatch(/reaches 1 device of.*Ben.*does not reach 2 other devices/su);
    for (const [id, reach, words] of [
      [31, "ready", /reaches it, with .*OMEMO/u],
      [32, "untrusted", /key is not trusted/u],
      [33, "no_keys", /offers no keys/u],
      [34, "inactive", /no longer in use/u],
      [1, "this_device", /reading on it/u],
      [2, "ready", /reaches it/u],
    ] as const) {
      const mark = card(id)?.querySelector<HTMLElement>("[data-testid=device-reach]");
      expect(mark?.dataset.reach, `device ${id}`).toBe(reach);
      expect(mark?.textContent, `device ${id}`).toMatch(words);
    }
    expect(await accessibilityFaults()).toEqual([]);
  });

  test("tells what failed, and resets the encryption with the device after asking", async () => {
    const at = new Date(Date.now() - 60_000).toISOString();
    have([device(31, { last_failure: { reason: "no_session", at } })]);
    await openCheck();
    expect(text("device-failure")).toContain("could not be read");
    // Where it mends something, it stands out, and only once.
    expect(does(31)).toEqual(["device-repair reset"]);
    await click("device-repair");
    expect((await see("reset-session-dialog")).textContent).toContain("written so far stays");
    await click("confirm-no");
    await gone("reset-session-dialog");
    expect(asked("reset_session")).toEqual([]);
    await click("device-repair");
    await click("confirm-yes");
    await gone("reset-session-dialog");
    expect(asked("reset_session")).toEqual([{ account, address: BEN, device: 31 }]);
    expect(text("notice")).toContain("set up anew");
    // It is mended now.
    await expect.poll(() => does(31)).toEqual(["device-choice reset"]);
    expect(text("device-failure")).toContain("set up anew");
  });

  test("tells that the encryption could not be set up anew, and why, and offers it again", async () => {
    have([device(31, { bundle_fault: "missing" })]);
    await openCheck();
    expect(text("device-reach")).toMatch(/reaches it.*could not be set up anew.*goes on.*offers no keys/su);
    expect(does(31)).toEqual(["device-repair reset"]);
    await click("device-repair");
    await click("confirm-yes");
    await expect.poll(() => does(31)).toEqual(["device-choice reset"]);
    expect(text("device-reach")).not.toContain("could not");
  });

  test("shows the key that was shown in a device's name beside the one it is known by", async () => {
    const other_key = { fingerprint: "0123abcd".repeat(8), at: new Date().toISOString() };
    have([device(31), device(32, { other_key })]);
    await openCheck();
    expect(card(31)?.querySelector("[data-testid=device-other-key]")).toBeNull();
    const other = card(32)?.querySelector<HTMLElement>("[data-testid=device-other-key]");
    expect(other?.textContent).toMatch(/Another key.*refused/u);
    expect(other?.textContent.replaceAll(/\s/gu, "")).toContain(other_key.fingerprint);
    expect(await accessibilityFaults()).toEqual([]);
  });

  test("resets the encryption with any device that is reached, at any time, online or not", async () => {
    const last_failure = { reason: "no_session", at: "2026-01-01T00:00:00Z" } as const;
    have(
      [
        device(31, { trust: "verified" }),
        device(32, { last_failure, last_seen: "2026-01-02T00:00:00Z" }),
        device(33, { trust: "untrusted" }),
        device(34, { active: false }),
      ],
      [device(1, { own: true }), device(2, { label: "Phone" })],
    );
    await openCheck();
    expect([31, 32, 33, 34, 1, 2].map(does)).toEqual([
      ["device-choice reset"],
      ["device-choice reset"],
      [],
      [],
      [],
      ["device-choice reset", "device-choice remove"],
    ]);
    core.changeAccount(account, { state: "offline" });
    await see("encryption-offline");
    card(2)?.querySelector<HTMLElement>("[data-does=reset]")?.click();
    expect((await see("reset-session-dialog")).textContent).toContain("Phone");
    expect(await accessibilityFaults()).toEqual([]);
    await click("confirm-yes");
    await expect.poll(() => asked("reset_session")).toEqual([{ account, address: ANNA, device: 2 }]);
  });

  test("fetches keys that could not be had", async () => {
    have([device(31), device(33, { fingerprint: null, bundle_fault: "no_one_time_keys" })]);
    await openCheck();
    expect(card(33)?.textContent).toContain("used up the keys");
    await click("device-repair");
    await expect.poll(() => asked("read_devices_again")).toEqual([{ chat }]);
  });

  test("takes an own device off the account after asking", async () => {
    have([device(31)], [device(1, { own: true }), device(2)]);
    await openCheck();
    card(2)?.querySelector<HTMLElement>("[data-does=remove]")?.click();
    expect((await see("remove-device-dialog")).textContent).toContain("Nothing will be encrypted for it");
    await click("confirm-yes");
    await gone("remove-device-dialog");
    expect(asked("remove_device")).toEqual([{ account, device: 2 }]);
  });

  test("stays usable with very many devices, and folds none away that wants something", async () => {
    const at = "2026-01-01T00:00:00Z";
    const many = Array.from({ length: 300 }, (_, at) => device(1_000 + at, { active: at % 3 === 0 }));
    have([
      ...many,
      device(31, { trust: "verified" }),
      device(32, { last_failure: { reason: "no_session", at } }),
      device(33, { fingerprint: null, bundle_fault: "missing" }),
      device(34, { trust: "undecided" }),
    ]);
    await openCheck();
    expect(all("device").map((one) => one.dataset.device)).toEqual(
      expect.arrayContaining(["34", "32", "33", "1"]),
    );
    // Twenty of theirs, and this one.
    expect(all("device")).toHaveLength(21);
    expect(text("devices-folded")).toContain("20 of 104 devices are shown");
    expect(text("devices-unused")).toContain("200 devices that are no longer in use");
    for (let step = 0; step < 5; step += 1) await click("devices-more");
    await gone("devices-folded");
    expect(all("device")).toHaveLength(105);
    one("devices-unused")?.querySelector("summary")?.click();
    expect((await see("devices-folded")).textContent).toContain("20 of 200");
    expect(all("device")).toHaveLength(125);
    expect(await accessibilityFaults()).toEqual([]);
  });

  test("publishes one's own keys again", async () => {
    have([device(31)]);
    await openCheck();
    (one("encryption-behind") as HTMLDetailsElement).open = true;
    await click("encryption-republish");
    await expect.poll(() => asked("republish_keys")).toEqual([{ account }]);
  });

  test("follows what changes, and says that nobody can be reached", async () => {
    have([device(31, { trust: "untrusted" })]);
    core.changeChat(chat, { lock: "blocked" });
    await openCheck();
    expect(one("encryption-verdict")?.dataset.next).toBe("no_trusted_devices");
    await click("device-trust");
    await expect.poll(() => one("encryption-verdict")?.dataset.next).toBe("encrypted");
  });

  test("says that it is what was known last while the account is offline", async () => {
    have([device(31)]);
    await openCheck();
    core.changeAccount(account, { state: "offline" });
    expect((await see("encryption-offline")).textContent).toContain("known last");
    expect((one("encryption-again") as HTMLButtonElement).disabled).toBe(true);
  });

  test("is left by the keyboard, back to the chat", async () => {
    have([device(31)]);
    await openCheck();
    await userEvent.keyboard("{Escape}");
    await gone("encryption-page");
    await see("composer");
  });
});

const link = (...keys: [number, string][]) =>
  `xmpp:${BEN}?${keys.map(([id, print]) => `omemo-sid-${id}=${print}`).join(";")}`;

/** The dialog for codes and links, opened from the settings. */
async function openCode(): Promise<void> {
  await openWindow(core);
  await click("rail-settings");
  await click("account-code");
  await see("my-code");
}

/** A picture as somebody opens it. */
async function picture(): Promise<File> {
  const canvas = new OffscreenCanvas(60, 40);
  canvas.getContext("2d")?.fillRect(0, 0, 30, 40);
  return new File([await canvas.convertToBlob()], "code.png", { type: "image/png" });
}

async function openPicture(file: File): Promise<void> {
  const input = (await see("code-file")) as HTMLInputElement;
  const files = new DataTransfer();
  files.items.add(file);
  input.files = files.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

describe("verifying by code or link", () => {
  test("shows one's own code and hands on its link", async () => {
    await openCode();
    const code = await see("code");
    expect(code.getAttribute("aria-label")).toContain(ANNA);
    const squares = code.getAttribute("viewBox")?.split(" ").map(Number);
    expect(squares).toEqual([0, 0, 49, 49]);
    await see("own-code-copy");
    expect(await accessibilityFaults()).toEqual([]);
  });

  test("reads a picture on this computer, as brightness of each pixel", async () => {
    have([device(31)]);
    core.codes = [link([31, "1".repeat(64)])];
    await openCode();
    await openPicture(await picture());
    expect((await see("linked-key")).dataset.standing).toBe("known");
    const [brightness] = asked("read_code") as { width: number; height: number; pixels: string }[];
    expect(brightness).toMatchObject({ width: 60, height: 40 });
    const pixels = atob(brightness?.pixels ?? "");
    expect(pixels).toHaveLength(60 * 40);
    expect([pixels.charCodeAt(0), pixels.charCodeAt(59)]).toEqual([0, 255]);
  });

  test.each([
    ["without a code", [], /No code was found/u],
    ["with another code", ["https://b.example"], /does not name any keys/u],
  ])("says what is wrong with a picture %s", async (_, codes, words) => {
    core.codes = codes;
    await openCode();
    await openPicture(await picture());
    expect((await see("code-wrong")).textContent).toMatch(words);
  });

  test("says that a file is no picture", async () => {
    await openCode();
    await openPicture(new File(["no picture"], "x.png", { type: "image/png" }));
    expect((await see("code-wrong")).textContent).toContain("cannot be opened");
    expect(asked("read_code")).toEqual([]);
  });

  test("takes a picture from the clipboard", async () => {
    core.codes = [link([31, "1".repeat(64)])];
    await openCode();
    const data = new DataTransfer();
    data.items.add(await picture());
    window.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
    await see("key-link");
  });

  test("only asks, and verifies what was accepted", async () => {
    have([device(31)]);
    await openCode();
    await fill("code-link", link([31, "1".repeat(64)], [32, "a".repeat(64)]));
    await click("code-read");
    await see("key-link-accept");
    expect(all("linked-key").map((key) => key.dataset.standing)).toEqual(["known", "unseen"]);
    expect(text("key-link-accept")).toContain("Verify 2 keys");
    expect(asked("accept_key_link")).toEqual([]);
    expect(await accessibilityFaults()).toEqual([]);
    await click("key-link-accept");
    await gone("key-link");
    expect(asked("accept_key_link")).toHaveLength(1);
  });

  test("shows a key that differs as a danger", async () => {
    have([device(31, { trust: "verified" })]);
    await openCode();
    await fill("code-link", link([31, "f".repeat(64)]));
    await click("code-read");
    expect((await see("key-link-differs")).textContent).toContain("Somebody may stand in between");
    expect(text("key-link-accept")).toContain("Trust only these keys");
    expect(await accessibilityFaults()).toEqual([]);
  });

  test("refuses a link that names no key", async () => {
    await openCode();
    await fill("code-link", "xmpp:ben@b.example");
    await click("code-read");
    expect((await see("code-wrong")).textContent).toContain("does not name any keys");
  });

  test("has nothing to accept in a link that brings nothing new", async () => {
    have([device(31, { trust: "verified" })]);
    await openCode();
    await fill("code-link", link([31, "1".repeat(64)]));
    await click("code-read");
    await see("key-link-nothing");
    expect(one("key-link-accept")).toBeNull();
  });

  test("opens a link out of a message as a question", async () => {
    have([device(31)]);
    core.receive(chat, `Mine: ${ownCode(BEN).link}`);
    await openWindow(core);
    await openChat(BEN);
    await expect.poll(() => document.querySelector<HTMLElement>("[data-testid=message] a")).not.toBeNull();
    document.querySelector<HTMLElement>("[data-testid=message] a")?.click();
    await see("key-link");
    expect(asked("accept_key_link")).toEqual([]);
  });
});
