import { beforeEach, describe, expect, test } from "vitest";
import { page, userEvent } from "vitest/browser";

import { FakeCore, fault } from "../src/core/fake";
import type { Delivery, Lock, Trust, UndecryptableReason } from "../src/core/generated/api";
import { device } from "../src/core/rows";
import en from "../locales/en.json";
import {
  all,
  bodies,
  click,
  fill,
  gone,
  keyboardAt,
  one,
  openChat,
  openWindow,
  row,
  see,
  still,
} from "./support";

let core: FakeCore;
let account: number;
let chat: number;

beforeEach(() => {
  core = new FakeCore();
  account = core.addAccount("anna@a.example");
  core.addContact(account, "ben@b.example", { name: "Ben", presence: "away", status: "At lunch" });
  chat = core.addChat(account, "ben@b.example");
});

const asked = (method: string) => core.asked.filter((one) => one.method === method);

describe("writing", () => {
  test("Enter sends, Shift and Enter make a new line", async () => {
    await openWindow(core);
    await openChat("ben@b.example");
    await keyboardAt("composer-input");
    await userEvent.keyboard("one{Shift>}{Enter}{/Shift}two{Enter}");
    await see("message");
    expect(asked("send_text").map((one) => one.params)).toEqual([{ chat, body: "one\ntwo" }]);
    expect((one("composer-input") as HTMLTextAreaElement).value).toBe("");
  });

  test("Enter that ends a composed word does not send", async () => {
    await openWindow(core);
    await openChat("ben@b.example");
    await fill("composer-input", "にほん");
    const field = await see("composer-input");
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true }));
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true }));
    expect(asked("send_text")).toHaveLength(0);
    await userEvent.keyboard("{Enter}");
    await expect.poll(() => asked("send_text").length).toBe(1);
  });

  test("several in quick succession keep their order, however slow the answers", async () => {
    core.delay = 30;
    await openWindow(core);
    await openChat("ben@b.example");
    await userEvent.keyboard("one{Enter}two{Enter}three{Enter}");
    await expect.poll(() => bodies()).toEqual(["one", "two", "three"]);
  });

  test("what was not taken stands in the field again", async () => {
    await openWindow(core);
    await openChat("ben@b.example");
    core.refuse.set("send_text", fault("disk_full"));
    await userEvent.keyboard("precious words{Enter}");
    await expect.poll(() => (one("composer-input") as HTMLTextAreaElement).value).toBe("precious words");
    expect(one("notice")?.textContent).toContain("disk is full");
  });

  test("a draft waits in its chat", async () => {
    core.addContact(account, "cleo@c.example", { name: "Cleo" });
    core.addMessage(chat, "hello");
    core.addMessage(core.addChat(account, "cleo@c.example"), "hello");
    await openWindow(core);
    await openChat("ben@b.example");
    await fill("composer-input", "half a thought");
    await openChat("cleo@c.example");
    expect((one("composer-input") as HTMLTextAreaElement).value).toBe("");
    expect((await row("chat-row", "ben@b.example")).textContent).toContain("half a thought");
    await openChat("ben@b.example");
    expect((one("composer-input") as HTMLTextAreaElement).value).toBe("half a thought");
  });

  test("the field grows with the text and stops", async () => {
    await openWindow(core);
    await openChat("ben@b.example");
    const field = await see("composer-input");
    const small = field.getBoundingClientRect().height;
    await fill("composer-input", "1\n2\n3\n4");
    const grown = field.getBoundingClientRect().height;
    expect(grown).toBeGreaterThan(small * 1.8);
    await fill("composer-input", "line\n".repeat(80));
    expect(field.getBoundingClientRect().height).toBeLessThanOrEqual(200);
  });

  test("an emoji goes where the caret stands", async () => {
    await openWindow(core);
    await openChat("ben@b.example");
    await fill("composer-input", "ab");
    (one("composer-input") as HTMLTextAreaElement).setSelectionRange(1, 1);
    await click("composer-emoji");
    await click("emoji");
    await userEvent.keyboard("{Escape}");
    await gone("emoji-picker");
    expect((one("composer-input") as HTMLTextAreaElement).value).toBe("a😀b");
    expect(document.activeElement).toBe(one("composer-input"));
  });
});

describe("the five outgoing states", () => {
  const states: Delivery[] = ["waiting", "sent", "delivered", "read", "failed"];

  test("are told apart by shape and by words", async () => {
    for (const delivery of states) {
      core.addMessage(chat, delivery, {
        direction: "out",
        delivery,
        ...(delivery === "failed" ? { error: fault("rejected") } : {}),
      });
    }
    await openWindow(core);
    await openChat("ben@b.example");
    await expect.poll(() => all("message").map((message) => message.dataset.delivery)).toEqual(states);
    const marks = all("message").map((message) => message.querySelector("[data-testid=delivery]"));
    const shapes = marks.map((mark) =>
      [...(mark?.querySelectorAll("path, circle, rect") ?? [])]
        .map((part) => part.getAttribute("d") ?? part.tagName)
        .join(" "),
    );
    expect(new Set(shapes).size).toBe(5);
    expect(marks.map((mark) => mark?.getAttribute("aria-label"))).toEqual([
      "Waiting to be sent",
      "Sent to the server",
      "Delivered to their device",
      "Read",
      "Not sent",
    ]);
  });

  test("follow one another on screen", async () => {
    await openWindow(core);
    await openChat("ben@b.example");
    await userEvent.keyboard("hello{Enter}");
    const message = await see("message");
    const id = Number(message.dataset.message);
    for (const delivery of ["waiting", "sent", "delivered", "read"] as const) {
      core.changeMessage(id, { delivery });
      await expect.poll(() => one("message")?.dataset.delivery).toBe(delivery);
    }
    expect(all("message")).toHaveLength(1);
  });

  test("a failed one says why and can be sent again", async () => {
    core.addMessage(chat, "late", {
      direction: "out",
      delivery: "failed",
      error: fault("no_trusted_devices"),
    });
    await openWindow(core);
    await openChat("ben@b.example");
    expect((await see("failed")).textContent).toContain("trust none of their devices");
    await click("failed-check");
    await see("encryption-page");
    await click("encryption-back");
    await click("message-retry");
    await expect.poll(() => one("message")?.dataset.delivery).toBe("waiting");
    expect(all("message")).toHaveLength(1);
  });

  test("while offline what one writes waits, and the cause is told", async () => {
    core.changeAccount(account, { state: "connecting", error: fault("unreachable") });
    await openWindow(core);
    await openChat("ben@b.example");
    expect((await see("offline-banner")).textContent).toMatch(/not reachable.*sent once/su);
    await userEvent.keyboard("later{Enter}");
    expect((await see("message")).dataset.delivery).toBe("waiting");
    core.changeAccount(account, { state: "online", error: null });
    await gone("offline-banner");
  });
});

describe("reading", () => {
  function hourAgo(count: number, from = 0) {
    const ids: number[] = [];
    for (let at = 0; at < count; at += 1) {
      const sent_at = new Date(Date.now() - 3_600_000 + (from + at) * 1_000).toISOString();
      ids.push(core.addMessage(chat, `text ${from + at}`, { sent_at }));
    }
    return ids;
  }

  test("the unread line stands behind what was read and stays while one reads", async () => {
    hourAgo(3);
    core.receive(chat, "new one");
    core.receive(chat, "new two");
    await openWindow(core);
    await openChat("ben@b.example");
    const line = await see("unread-line");
    const after = all("message").filter(
      (message) => line.compareDocumentPosition(message) & Node.DOCUMENT_POSITION_FOLLOWING,
    );
    expect(after.map((message) => message.querySelector(".text")?.textContent)).toEqual([
      "new one",
      "new two",
    ]);
    await expect.poll(() => asked("mark_read").length).toBeGreaterThan(0);
    await expect.poll(() => core.chats.get(chat)?.unread).toBe(0);
    expect(one("unread-line")).not.toBeNull();
  });

  test("nothing is marked read while the window is in the background", async () => {
    await openWindow(core);
    await openChat("ben@b.example");
    window.dispatchEvent(new Event("blur"));
    core.receive(chat, "are you there?");
    await see("message");
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    expect(asked("mark_read")).toHaveLength(0);
    window.dispatchEvent(new Event("focus"));
    await expect.poll(() => asked("mark_read").length).toBe(1);
  });

  test("while one reads further up nothing moves, and a button counts what came", async () => {
    hourAgo(120);
    await openWindow(core);
    await openChat("ben@b.example");
    const list = await see("messages");
    await expect.poll(() => list.scrollTop).toBeGreaterThan(400);
    await still(list);
    list.scrollTop -= 900;
    await see("jump-newest");
    core.receive(chat, "one more");
    core.receive(chat, "and another");
    await expect.poll(() => one("jump-newest")?.textContent?.trim()).toBe("2");
    expect(asked("mark_read")).toHaveLength(0);
    await click("jump-newest");
    await gone("jump-newest");
    await expect.poll(() => core.chats.get(chat)?.unread).toBe(0);
  });

  test("scrolling up fetches older messages, and what is in sight stays in sight", async () => {
    hourAgo(200);
    await openWindow(core);
    await openChat("ben@b.example");
    const list = await see("messages");
    expect(asked("list_messages")).toHaveLength(1);
    await expect.poll(() => list.scrollTop).toBeGreaterThan(400);
    for (let tries = 0; tries < 60 && !bodies().includes("text 0"); tries += 1) {
      list.scrollTop = 0;
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    }
    await expect.poll(() => bodies().includes("text 0")).toBe(true);
    expect(asked("list_messages").length).toBeGreaterThanOrEqual(4);
    // Only a window of rows is in the page.
    expect(all("message").length).toBeLessThan(120);
  });

  test("a message while one reads the end keeps the end in sight", async () => {
    hourAgo(60);
    await openWindow(core);
    await openChat("ben@b.example");
    const list = await see("messages");
    core.receive(chat, "the newest");
    await expect.poll(() => bodies().at(-1)).toBe("the newest");
    await expect.poll(() => list.scrollHeight - list.scrollTop - list.clientHeight).toBeLessThan(3);
  });

  test("a chat that is opened again shows its end, whatever came and whatever was read in front meanwhile", async () => {
    hourAgo(200);
    const other = core.addChat(account, "cara@c.example");
    core.addMessage(other, "short");
    await openWindow(core);
    const end = async (body: string) => {
      await expect.poll(() => bodies().at(-1)).toBe(body);
      const list = await see("messages");
      await expect.poll(() => list.scrollHeight - list.scrollTop - list.clientHeight).toBeLessThan(3);
      await still(list);
      const last = all("message").at(-1)?.getBoundingClientRect();
      expect(last?.bottom).toBeGreaterThan(list.getBoundingClientRect().top);
      expect(last?.top).toBeLessThan(list.getBoundingClientRect().bottom);
      return list;
    };
    await openChat("ben@b.example");
    await end("text 199");
    await openChat("cara@c.example");
    await end("short");
    const long = "much to tell. ".repeat(80);
    core.addMessage(chat, long);
    await openChat("ben@b.example");
    const list = await end(long);
    // Reads older ones, which stand in front then.
    for (let tries = 0; tries < 60 && asked("list_messages").length < 4; tries += 1) {
      list.scrollTop = 0;
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    }
    await openChat("cara@c.example");
    await end("short");
    await openChat("ben@b.example");
    await end(long);
  });

  test("a found message is brought into sight", async () => {
    const ids = hourAgo(300);
    core.changeMessage(ids[5] ?? 0, { body: "the needle" });
    await openWindow(core);
    await fill("search", "needle");
    await click("found-message");
    await expect.poll(() => bodies().includes("the needle")).toBe(true);
    const found = all("message").find((message) => message.textContent?.includes("the needle"));
    const box = found?.getBoundingClientRect();
    expect(box?.top ?? -1).toBeGreaterThan(0);
    expect(box?.bottom ?? 9_999).toBeLessThan(800);
  });

  test("markup stays text, and links open outside", async () => {
    core.addMessage(chat, "<img src=x onerror=alert(1)> https://a.example/x and http://b.example");
    await openWindow(core);
    await openChat("ben@b.example");
    const message = await see("message");
    expect(message.querySelector("img")).toBeNull();
    expect(message.textContent).toContain("<img src=x onerror=alert(1)>");
    const [safe, open] = message.querySelectorAll("a");
    safe?.click();
    await expect.poll(() => core.links).toEqual(["https://a.example/x"]);
    open?.click();
    expect((await see("open-link-dialog")).textContent).toContain("http://b.example/");
    expect(core.links).toHaveLength(1);
    await click("confirm-yes");
    await expect.poll(() => core.links).toEqual(["https://a.example/x", "http://b.example"]);
  });

  test("a link to a person only fills in a form", async () => {
    core.addMessage(chat, "write to xmpp:cleo@c.example?message;body=hi");
    await openWindow(core);
    await openChat("ben@b.example");
    (await see("message")).querySelector("a")?.click();
    await expect
      .poll(() => (one("add-contact-address") as HTMLInputElement | null)?.value)
      .toBe("cleo@c.example");
    expect(core.links).toEqual([]);
    expect(asked("add_contact")).toHaveLength(0);
  });

  test("a name cannot turn the line around", async () => {
    core.changeContact(account, "ben@b.example", { name: "ben\u202Eexe.moc" });
    await openWindow(core);
    await openChat("ben@b.example");
    expect((await see("chat-title")).tagName).toBe("BDI");
  });

  test("a very long text is folded", async () => {
    core.addMessage(chat, "word ".repeat(40_000));
    await openWindow(core);
    await openChat("ben@b.example");
    expect((await see("message")).textContent?.length).toBeLessThan(5_000);
    await click("message-whole");
    await expect.poll(() => one("message")?.textContent?.length).toBeGreaterThan(190_000);
  });

  test("what could not be decrypted says why and from which device", async () => {
    const reasons: UndecryptableReason[] = [
      "not_for_this_device",
      "no_session",
      "key_gone",
      "identity_changed",
      "malformed",
      "wrong_place",
      "too_large",
      "unsupported",
    ];
    for (const reason of reasons)
      core.addMessage(chat, null, {
        undecryptable: { device: 4_711, reason, method: null, count: 1, repaired: false },
      });
    await openWindow(core, [1280, 1400]);
    await openChat("ben@b.example");
    await expect.poll(() => all("undecryptable").map((row) => row.dataset.reason)).toEqual(reasons);
    for (const broken of all("undecryptable")) {
      const words = en[`undecryptable.${broken.dataset.reason as UndecryptableReason}`];
      expect(broken.textContent).toContain(words);
      expect(broken.textContent).toContain("4711");
      // A way to what helps stands only where there is something.
      const helps = ["no_session", "key_gone", "key_reused", "too_far_ahead", "identity_changed"].includes(
        broken.dataset.reason ?? "",
      );
      expect(broken.querySelector("[data-testid=undecryptable-check]") !== null, words).toBe(helps);
    }
    await click("undecryptable-check");
    await see("encryption-page");
  });

  test.each([
    ["undecided", "in", "message.undecided"],
    ["untrusted", "in", "message.untrusted"],
    ["undecided", "out", "message.undecided_own"],
    ["untrusted", "out", "message.untrusted_own"],
  ] as const)("a message from a device that is %s is marked, %s", async (trust, direction, words) => {
    core.addMessage(chat, "hello", { direction, delivery: "delivered", trust, encryption: "omemo2" });
    await openWindow(core);
    await openChat("ben@b.example");
    const doubt = await see("doubt");
    expect(doubt.dataset.trust).toBe(trust);
    expect(doubt.textContent).toContain(en[words]);
    const label = one("protection")?.getAttribute("aria-label");
    expect(label).toContain("End-to-end encrypted");
    expect(label).toContain(trust === "undecided" ? "had not decided about" : "did not trust");
    expect((await row("chat-row", "ben@b.example")).querySelector("[title]")?.getAttribute("title")).toBe(
      en[words],
    );
    await click("doubt-check");
    await see("encryption-page");
  });

  test("messages from a device one is sure of are not marked, nor do others stand together with them", async () => {
    const say = (body: string, trust: Trust) => core.addMessage(chat, body, { trust });
    say("verified", "verified");
    say("blind", "blind");
    say("who 1", "undecided");
    say("who 2", "undecided");
    say("blind again", "blind");
    await openWindow(core);
    await openChat("ben@b.example");
    // Once for those that stand together, under the last of them; each has its own sign.
    expect((await see("doubt")).closest("[data-testid=message]")?.textContent).toContain("who 2");
    expect(all("doubt")).toHaveLength(1);
    const sure = all("protection").map((sign) => !sign.ariaLabel?.includes("decided"));
    expect(sure).toEqual([true, true, false, false, true]);
    expect(all("message").map((message) => message.classList.contains("first"))).toEqual([
      true,
      false,
      true,
      false,
      true,
    ]);
  });

  test("plain text in an encrypted chat is marked", async () => {
    core.addMessage(chat, "hello", { encryption: "none", trust: null, unprotected: true });
    await openWindow(core);
    await openChat("ben@b.example");
    expect((await see("unprotected")).textContent).toContain("without encryption");
    expect((await see("message")).dataset.encryption).toBe("none");
  });
});

describe("the lock", () => {
  const locks: Lock[] = ["encrypted", "plain_chosen", "plain_no_devices", "checking", "undecided", "blocked"];

  test.each(locks)("%s says what will happen to the next message", async (lock) => {
    const off = lock === "plain_chosen";
    core.changeChat(chat, { lock, encryption: off ? "none" : "omemo" });
    await openWindow(core);
    await openChat("ben@b.example");
    const button = await see("composer-lock");
    expect(button.dataset.lock).toBe(lock);
    expect(button.getAttribute("aria-label")).toBe(en[`lock.${lock}.long`]);
    await click("composer-lock");
    expect((await see("lock-panel")).textContent).toContain(en[`lock.${lock}.long`]);
    await userEvent.keyboard("{Escape}");
    await gone("lock-panel");
  });

  test("changes before one's eyes", async () => {
    core.changeChat(chat, { lock: "checking" });
    await openWindow(core);
    await openChat("ben@b.example");
    expect((await see("composer-lock")).dataset.lock).toBe("checking");
    core.changeChat(chat, { lock: "encrypted" });
    await expect.poll(() => one("composer-lock")?.dataset.lock).toBe("encrypted");
  });

  test("that is blocked sends nothing and keeps what was written", async () => {
    core.changeChat(chat, { lock: "blocked" });
    await openWindow(core);
    await openChat("ben@b.example");
    await see("composer-blocked");
    await userEvent.keyboard("hello{Enter}");
    await see("lock-panel");
    expect(asked("send_text")).toHaveLength(0);
    expect((one("composer-input") as HTMLTextAreaElement).value).toBe("hello");
    await click("lock-devices");
    await see("details");
  });

  test("is opened only after an honest question", async () => {
    await openWindow(core);
    await openChat("ben@b.example");
    await click("composer-lock");
    await click("lock-off");
    expect((await see("encryption-off-dialog")).textContent).toContain("can read what you write");
    await click("confirm-no");
    await gone("encryption-off-dialog");
    expect(asked("set_encryption")).toHaveLength(0);
    await click("composer-lock");
    await click("lock-off");
    await click("confirm-yes");
    await expect.poll(() => one("composer-lock")?.dataset.lock).toBe("plain_chosen");
  });

  test("devices show their keys and can be verified", async () => {
    const fingerprint = "0123456789abcdef".repeat(4);
    core.setDevices(account, "ben@b.example", [device(7, { fingerprint, label: "Phone" })]);
    await openWindow(core);
    await openChat("ben@b.example");
    await click("chat-details");
    const blocks = [...(await see("fingerprint")).querySelectorAll("span")].map((block) => block.textContent);
    expect(blocks).toHaveLength(8);
    expect(blocks[0]).toBe("01234567");
    await click("device-verify");
    await click("compare-same");
    await click("compare-verify");
    await expect.poll(() => one("device")?.dataset.trust).toBe("verified");
    await click("device-distrust");
    await expect.poll(() => one("device")?.dataset.trust).toBe("untrusted");
  });
});

test("a contact can be told more or less than the account's others", async () => {
  core.changeAccount(account, { send_receipts: false });
  await openWindow(core);
  await openChat("ben@b.example");
  await click("chat-details");
  const markers = (await see("contact-markers")) as HTMLSelectElement;
  expect(markers.selectedOptions[0]?.textContent).toBe("As set for the account: yes");
  const receipts = (await see("contact-receipts")) as HTMLSelectElement;
  expect(receipts.selectedOptions[0]?.textContent).toBe("As set for the account: no");
  await page.getByTestId("contact-markers").selectOptions("off");
  await expect
    .poll(() => asked("set_contact_markers").map((one) => one.params))
    .toEqual([{ account, address: "ben@b.example", send: "off" }]);
  await page.getByTestId("contact-receipts").selectOptions("on");
  await expect.poll(() => receipts.value).toBe("on");
  expect(markers.value).toBe("off");
});

test("with several accounts the composer says as whom one writes", async () => {
  core.addAccount("anna@work.example");
  await openWindow(core);
  await openChat("ben@b.example");
  expect((await see("composer-account")).textContent).toContain("anna@a.example");
  await expect.element(page.getByTestId("rail-all")).toHaveAttribute("aria-pressed", "true");
});

describe("somebody who is not in the contact list", () => {
  const ADDRESS = "ben@b-example.faraway.example";
  let strange: number;

  beforeEach(() => {
    // However the chat is called.
    strange = core.addChat(account, ADDRESS, { title: "Ben" });
    core.addMessage(strange, "It is me, Ben");
  });

  test("is shown by the address alone, with a word, in the list, the header and the details", async () => {
    await openWindow(core, [360, 720]);
    const found = await row("chat-row", ADDRESS);
    expect(found.querySelector(".name")?.textContent).toBe(ADDRESS);
    expect(found.querySelector("[data-testid=chat-stranger]")?.textContent).toBe(en["list.stranger"]);
    await openChat(ADDRESS);
    const title = one("chat-title");
    expect(title?.textContent).toBe(ADDRESS);
    // All of it, since its end tells whose server it is.
    expect(title?.parentElement?.scrollWidth).toBe(title?.parentElement?.clientWidth);
    expect(document.querySelector("main [data-testid=chat-stranger]")?.textContent).toBe(
      en["chat.not_contact"],
    );
    await click("chat-details");
    expect((await see("details-name")).textContent).toBe(ADDRESS);
    expect(one("details-standing")?.textContent).toBe(en["details.stranger"]);
    expect(one("composer-input")?.getAttribute("aria-label")).toContain(ADDRESS);
    const named = [...document.querySelectorAll("#app bdi")].filter((name) => name.textContent === "Ben");
    expect(named).toEqual([]);
  });

  test("has no presence, where a contact has one", async () => {
    core.addMessage(chat, "hello");
    await openWindow(core);
    const dots = async (address: string) => (await row("chat-row", address)).querySelectorAll(".dot").length;
    expect(await dots("ben@b.example")).toBe(1);
    expect(await dots(ADDRESS)).toBe(0);
    expect((await row("chat-row", ADDRESS)).textContent).not.toContain(en["presence.offline"]);
    await userEvent.keyboard("{Control>}k{/Control}");
    await fill("switcher-input", "faraway");
    const choice = await see("switcher-choice");
    expect(choice.textContent).toContain(ADDRESS);
    expect(choice.querySelector(".dot")).toBeNull();
  });

  test("is told aloud and asked about by the address", async () => {
    await openWindow(core);
    await openChat(ADDRESS);
    core.receive(strange, "are you there?");
    await expect
      .poll(() => document.querySelector("main [role=status].sr-only")?.textContent)
      .toContain(ADDRESS);
    core.setDevices(account, ADDRESS, [
      device(31, { trust: "verified" }),
      device(32, { trust: "undecided", label: "Ben's phone" }),
    ]);
    core.lockByTrust(account);
    const asks = await see("new-keys");
    expect(asks.querySelector("[role=status]")?.textContent).toContain(ADDRESS);
  });

  test("becomes a contact by being added, and one's own address is no stranger", async () => {
    const own = core.addChat(account, "anna@a.example");
    core.addMessage(own, "a note", { direction: "out" });
    await openWindow(core);
    await openChat("anna@a.example");
    expect((await row("chat-row", "anna@a.example")).querySelector("[data-testid=chat-stranger]")).toBeNull();
    expect(document.querySelector("main [data-testid=chat-stranger]")).toBeNull();
    await openChat(ADDRESS);
    core.addContact(account, ADDRESS, { name: "Ben's second address", presence: "available" });
    await expect.poll(() => one("chat-title")?.textContent).toBe("Ben's second address");
    await gone("chat-stranger");
  });
});
