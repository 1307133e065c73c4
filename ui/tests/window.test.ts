import { describe, expect, test } from "vitest";
import { page, userEvent } from "vitest/browser";

import { fault } from "../src/core/fake";
import { fakeScene } from "../src/core/scenes";
import {
  all,
  click,
  fill,
  gone,
  keyboardAt,
  one,
  openChat,
  openWindow,
  row,
  see,
  sticksOut,
} from "./support";

const focused = () => document.activeElement;
const rows = (id: string) => all(id).map((row) => row.dataset.address);
const marked = () => {
  const list = focused();
  const id = list?.getAttribute("aria-activedescendant");
  return id === null || id === undefined ? undefined : document.getElementById(id);
};

describe("the lists", () => {
  test("without chats the contacts are shown with a friendly line", async () => {
    await openWindow(fakeScene("alone"));
    await see("no-chats");
    await row("contact-row", "noor@orchard.example");
    expect(performance.getEntriesByName("contacts").length).toBeGreaterThan(0);
  });

  test("a contact that was only looked at leaves no chat behind", async () => {
    await openWindow(fakeScene("alone"));
    await page.elementLocator(await row("contact-row", "noor@orchard.example")).click();
    await expect.poll(() => rows("chat-row")).toEqual(["noor@orchard.example"]);
    await click("tab-contacts");
    await page.elementLocator(await row("contact-row", "tomas@birch.example")).click();
    await userEvent.keyboard("half a thought");
    await click("tab-chats");
    await expect.poll(() => rows("chat-row")).toEqual(["tomas@birch.example"]);
    await userEvent.keyboard("{Escape}");
    await see("no-chat");
    await expect.poll(() => rows("chat-row")).toEqual(["tomas@birch.example"]);
  });

  test("an account that never came online says why, instead of an empty list", async () => {
    const core = fakeScene("empty");
    core.addAccount("anna@a.example", { state: "connecting", error: fault("unreachable") });
    await openWindow(core);
    expect((await see("account-trouble")).textContent).toContain("cannot be reached");
    expect((await see("no-contacts")).textContent).toContain("once you are online");
  });

  test("presence changes where it is shown", async () => {
    const core = fakeScene("alone");
    await openWindow(core);
    const [account = 0] = core.accounts.keys();
    core.changeContact(account, "noor@orchard.example", { presence: "dnd" });
    await expect
      .poll(async () => (await row("contact-row", "noor@orchard.example")).dataset.presence)
      .toBe("dnd");
  });

  test("1,500 contacts put few rows into the page", async () => {
    await openWindow(fakeScene("many"));
    await click("tab-contacts");
    await see("contact-row");
    expect(all("contact-row").length).toBeLessThan(60);
  });

  test("the chat with the newest message is on top", async () => {
    const core = fakeScene("home");
    await openWindow(core);
    const [work] = [...core.chats.values()].filter((chat) => chat.address === "otto@orchard.example");
    if (!work) throw new Error("the scene has a chat with otto");
    core.receive(work.chat, "I found it!");
    await expect.poll(() => rows("chat-row")[0]).toBe("otto@orchard.example");
  });

  test("picking an account shows only what is its own", async () => {
    const core = fakeScene("home");
    await openWindow(core);
    const [first, second] = core.accounts.keys();
    await click(`rail-account-${second}`);
    await expect.poll(() => rows("chat-row")).toEqual(["dana@workshop.example"]);
    await click(`rail-account-${first}`);
    await expect.poll(() => rows("chat-row")).not.toContain("dana@workshop.example");
    await click("rail-all");
    await expect.poll(() => rows("chat-row").length).toBe(6);
  });

  test("an account that cannot sign in says why and asks for the password", async () => {
    const core = fakeScene("home");
    const [first = 0] = core.accounts.keys();
    core.changeAccount(first, { state: "failed", error: fault("wrong_password") });
    await openWindow(core);
    expect((await see("account-trouble")).dataset.code).toBe("wrong_password");
    await page.getByRole("button", { name: "Enter password" }).click();
    await fill("change-password-input", "right");
    await click("change-password-submit");
    await gone("account-trouble");
  });

  test("an account whose keys somebody uses says so until that was seen, a restored one in the settings only", async () => {
    const core = fakeScene("copied");
    await openWindow(core);
    const [first = 0, second = 0] = core.accounts.keys();
    const banner = await see("account-copied");
    expect(all("account-copied")).toHaveLength(1);
    expect(banner.textContent).toContain("mira@orchard.example");
    expect(banner.textContent).toMatch(/a copy of .*change your password/su);
    // Of the account that is shown only.
    await click(`rail-account-${second}`);
    await gone("account-copied");
    await click("rail-all");
    await click("copied-settings");
    await see("settings");
    expect(all("account-renewed").map((one) => one.dataset.code)).toEqual(["copied", "restored"]);
    await click("renewal-seen");
    await expect.poll(() => core.accounts.get(first)?.renewed).toBe(null);
    await userEvent.keyboard("{Escape}");
    await see("chat-list");
    expect(one("account-copied")).toBeNull();
  });

  test("requests lie in one quiet row and are answered in a sheet", async () => {
    const core = fakeScene("home");
    await openWindow(core);
    expect((await see("request-row")).textContent).toContain("2 people");
    await click("request-row");
    const dialog = await see("requests-dialog");
    expect(dialog.textContent).toContain(
      "recruiting-department-of-northern-europe@a-rather-long-company-name.example",
    );
    await click("request-accept");
    await click("request-decline");
    await gone("requests-dialog");
    await gone("request-row");
    const answers = core.asked.filter((one) => one.method === "answer_request");
    expect(answers.map((one) => (one.params as { accept: boolean }).accept)).toEqual([true, false]);
  });

  test("a contact is added, renamed, put into a group and removed", async () => {
    const core = fakeScene("alone");
    await openWindow(core);
    await click("add-contact");
    await fill("add-contact-address", "nobody");
    await click("add-contact-submit");
    await expect.element(page.getByText("This is not an address.", { exact: false })).toBeVisible();
    await fill("add-contact-address", "pia@p.example");
    await fill("add-contact-name", "Pia");
    await click("add-contact-submit");
    await gone("add-contact-dialog");
    await expect.poll(() => one("chat-title")?.textContent).toBe("Pia");

    await click("tab-contacts");
    await page.elementLocator(await row("contact-row", "pia@p.example")).click({ button: "right" });
    await click("contact-edit");
    await fill("edit-contact-name", "Pia P.");
    await fill("edit-contact-groups", "Choir, Friends");
    await click("edit-contact-submit");
    await gone("edit-contact-dialog");
    await expect.poll(() => rows("contact-row").filter((one) => one === "pia@p.example").length).toBe(2);

    await page.elementLocator(await row("contact-row", "pia@p.example")).click({ button: "right" });
    await click("contact-remove");
    await click("confirm-yes");
    await expect.poll(() => rows("contact-row")).not.toContain("pia@p.example");
  });

  test("after lost events everything is read anew", async () => {
    const core = fakeScene("alone");
    await openWindow(core);
    await row("contact-row", "noor@orchard.example");
    const [account] = core.accounts.keys();
    core.contacts.delete(`${account} noor@orchard.example`);
    core.emit({ type: "resync" });
    await expect.poll(() => rows("contact-row")).not.toContain("noor@orchard.example");
  });
});

describe("own presence", () => {
  test("is set for all accounts, with the words one gives", async () => {
    const core = fakeScene("home");
    await openWindow(core);
    await click("own-presence");
    await fill("presence-status", "Out for a walk");
    await click("presence-away");
    await expect.poll(() => [...core.accounts.values()].map((one) => one.show)).toEqual(["away", "away"]);
    expect([...core.accounts.values()].map((one) => one.status)).toEqual([
      "Out for a walk",
      "Out for a walk",
    ]);
  });

  test("keeps each account's own words when only the state changes", async () => {
    const core = fakeScene("home");
    await openWindow(core);
    await click("own-presence");
    await click("presence-dnd");
    await expect.poll(() => [...core.accounts.values()].map((one) => one.show)).toEqual(["dnd", "dnd"]);
    expect([...core.accounts.values()].map((one) => one.status)).toEqual(["At the desk", null]);
  });

  test("offline switches the account off, available switches it on", async () => {
    const core = fakeScene("alone");
    await openWindow(core);
    await click("own-presence");
    await click("presence-offline");
    await expect.poll(() => [...core.accounts.values()][0]?.enabled).toBe(false);
    await click("own-presence");
    await click("presence-available");
    await expect.poll(() => [...core.accounts.values()][0]?.state).toBe("online");
  });
});

describe("the keyboard alone", () => {
  test("moves in the chat list, opens a chat, and Escape leads back", async () => {
    await openWindow(fakeScene("home"));
    (await see("chat-list")).focus();
    await userEvent.keyboard("{ArrowDown}");
    expect(marked()?.querySelector("[data-address]")?.getAttribute("data-address")).toBe(
      "dana@workshop.example",
    );
    await userEvent.keyboard("{Enter}");
    await expect.poll(() => one("chat-title")?.textContent).toBe("Dana Okafor");
    await keyboardAt("composer-input");
    await userEvent.keyboard("{Escape}");
    await see("no-chat");
  });

  test("reaches the last of very many contacts and can open it", async () => {
    await openWindow(fakeScene("many"));
    await click("tab-contacts");
    await see("contact-row");
    (await see("contact-list")).focus();
    await userEvent.keyboard("{End}");
    await expect.poll(() => marked()?.querySelector("[data-testid=contact-row]")).toBeTruthy();
    const last = marked()?.querySelector<HTMLElement>("[data-testid=contact-row]")?.dataset.address;
    const box = marked()?.getBoundingClientRect();
    expect(box?.bottom ?? 9_999).toBeLessThanOrEqual(801);
    await userEvent.keyboard("{Enter}");
    await expect.poll(() => one("chat-title")).not.toBeNull();
    expect(last).toBeTruthy();
  });

  test("Shift and F10 open what can be done with a contact", async () => {
    await openWindow(fakeScene("alone"));
    await see("contact-row");
    (await see("contact-list")).focus();
    await userEvent.keyboard("{Shift>}{F10}{/Shift}");
    await see("contact-menu");
    expect(focused()?.getAttribute("role")).toBe("menuitem");
    await userEvent.keyboard("{ArrowDown}{ArrowDown}{Enter}");
    await see("edit-contact-dialog");
    await userEvent.keyboard("{Escape}");
    await gone("edit-contact-dialog");
  });

  test("the tabs follow the arrows", async () => {
    await openWindow(fakeScene("home"));
    (await see("tab-chats")).focus();
    await userEvent.keyboard("{ArrowRight}");
    await expect.poll(() => one("tab-contacts")?.getAttribute("aria-selected")).toBe("true");
    expect(focused()).toBe(one("tab-contacts"));
  });

  test("the quick switcher goes to people, messages and actions", async () => {
    await openWindow(fakeScene("home"));
    await userEvent.keyboard("{Control>}k{/Control}");
    await see("switcher");
    await userEvent.keyboard("inês{Enter}");
    await gone("switcher");
    await expect.poll(() => one("chat-title")?.textContent).toBe("Inês");

    await userEvent.keyboard("{Control>}k{/Control}");
    await userEvent.keyboard("earplugs");
    await expect.poll(() => one("switcher-choice")?.dataset.kind).toBe("message");
    await userEvent.keyboard("{Enter}");
    await expect.poll(() => one("chat-title")?.textContent).toBe("Noor Haddad");

    await userEvent.keyboard("{Control>}k{/Control}");
    await userEvent.keyboard("settings{Enter}");
    await see("settings");
    await userEvent.keyboard("{Escape}");
    await see("chat-title");
  });

  test("a dialog keeps the keyboard and gives it back", async () => {
    await openWindow(fakeScene("home"));
    (await see("add-contact")).focus();
    await userEvent.keyboard("{Enter}");
    await keyboardAt("add-contact-address");
    await userEvent.keyboard("{Escape}");
    await gone("add-contact-dialog");
    expect(focused()).toBe(one("add-contact"));
  });

  test("every stop shows where it is", async () => {
    await openWindow(fakeScene("home"));
    await openChat("noor@orchard.example");
    const unseen: string[] = [];
    (document.activeElement as HTMLElement | null)?.blur();
    for (let stop = 0; stop < 24; stop += 1) {
      await userEvent.tab();
      const element = focused();
      if (!element || element === document.body) continue;
      const ring = [element, ...element.querySelectorAll(".active"), element.closest(".field")].some(
        (one) => one && (getComputedStyle(one).outlineStyle !== "none" || one.matches(".field:focus-within")),
      );
      if (!ring)
        unseen.push(`${element.tagName} ${element.getAttribute("data-testid") ?? element.className}`);
    }
    expect(unseen).toEqual([]);
  });
});

describe("a narrow window", () => {
  test("makes two pages of the list and the chat", async () => {
    await openWindow(fakeScene("home"), [360, 720]);
    await expect.element(page.getByTestId("chat-list")).toBeVisible();
    await openChat("noor@orchard.example");
    await expect.element(page.getByTestId("chat-list")).not.toBeVisible();
    await expect.element(page.getByTestId("composer-input")).toBeVisible();
    await click("chat-back");
    await expect.element(page.getByTestId("chat-list")).toBeVisible();
  });

  test.each(["home", "many", "rtl", "trouble", "copied", "empty"])(
    "lets nothing stick out: %s",
    async (scene) => {
      const core = fakeScene(scene);
      await openWindow(core, [360, 720]);
      expect(sticksOut()).toEqual([]);
      const first = one("chat-row");
      if (!first) return;
      await page.elementLocator(first).click();
      await see("messages");
      expect(sticksOut()).toEqual([]);
      await click("chat-details");
      await see("details");
      expect(sticksOut()).toEqual([]);
    },
  );

  test("works from right to left", async () => {
    document.documentElement.dir = "rtl";
    await openWindow(fakeScene("rtl"), [1280, 800]);
    await openChat("yusuf@bustan.example");
    const rail = (await see("rail-all")).getBoundingClientRect();
    const composer = (await see("composer-input")).getBoundingClientRect();
    expect(rail.left).toBeGreaterThan(composer.right);
    expect(sticksOut()).toEqual([]);
  });
});

describe("settings", () => {
  test("show accounts, their devices and the version", async () => {
    const core = fakeScene("home");
    await openWindow(core);
    await click("rail-settings");
    expect((await see("version")).textContent).toContain("0.1.0");
    expect(all("account-card")).toHaveLength(2);
    await click("account-devices");
    await expect.poll(() => all("device").length).toBe(2);
    expect(all("device")[0]?.textContent).toContain("This computer");
  });

  test("choose what the server keeps, and with whom not", async () => {
    const core = fakeScene("alone");
    const [account = 0] = core.accounts.keys();
    core.archives.set(account, { default: "roster", always: ["noor@orchard.example"], never: [] });
    await openWindow(core);
    await click("rail-settings");
    await click("account-kept");
    const chosen = (await see("kept-default")) as HTMLSelectElement;
    expect(chosen.value).toBe("roster");
    await userEvent.selectOptions(chosen, "always");
    await expect.poll(() => core.archives.get(account)?.default).toBe("always");
    await fill("kept-address", " Tomas@birch.example ");
    await click("kept-add");
    await expect
      .poll(() => all("kept-exception").map((one) => one.dataset.which))
      .toEqual(["always", "never"]);
    expect(core.archives.get(account)).toEqual({
      default: "always",
      always: ["noor@orchard.example"],
      never: ["tomas@birch.example"],
    });
    // Somebody is in one list at most.
    await fill("kept-address", "noor@orchard.example");
    await click("kept-add");
    await expect
      .poll(() => core.archives.get(account)?.never)
      .toEqual(["tomas@birch.example", "noor@orchard.example"]);
    expect(core.archives.get(account)?.always).toEqual([]);
    const [first] = all("kept-exception");
    expect(first?.dataset.address).toBe("tomas@birch.example");
    await page.elementLocator(first?.querySelector("button") as HTMLElement).click();
    await expect.poll(() => core.archives.get(account)?.never).toEqual(["noor@orchard.example"]);
    await fill("kept-address", "nobody");
    await click("kept-add");
    expect((await see("kept-fault")).textContent).toContain("form name@server");
    expect(core.archives.get(account)?.never).toEqual(["noor@orchard.example"]);
    expect(sticksOut()).toEqual([]);
  });

  test("say when the server lets nobody choose what it keeps", async () => {
    const core = fakeScene("alone");
    for (const account of core.accounts.keys()) core.archives.set(account, null);
    await openWindow(core);
    await click("rail-settings");
    await click("account-kept");
    expect((await see("kept-fault")).textContent).toContain("does not let you choose");
    expect(all("kept-default")).toHaveLength(0);
  });

  test("say for each account what others learn, and for each contact otherwise", async () => {
    const core = fakeScene("home");
    await openWindow(core);
    await click("rail-settings");
    const account = [...core.accounts.values()][0];
    for (const [switched, field] of [
      ["account-markers", "send_markers"],
      ["account-receipts", "send_receipts"],
    ] as const) {
      expect((await see(switched)) as HTMLInputElement).toHaveProperty("checked", true);
      await click(switched);
      await expect.poll(() => core.accounts.get(account?.account ?? 0)?.[field]).toBe(false);
      expect(all(switched)[0]).toHaveProperty("checked", false);
    }
  });

  test("say what is told of new messages", async () => {
    const core = fakeScene("alone");
    await openWindow(core);
    await click("rail-settings");
    expect((await see("account-notify")) as HTMLSelectElement).toHaveProperty("value", "text");
    await page.getByTestId("account-notify").selectOptions("name");
    await expect.poll(() => [...core.accounts.values()][0]?.notify).toBe("name");
  });

  test("remove an account only after asking, and the last one leads back to the start", async () => {
    const core = fakeScene("alone");
    await openWindow(core);
    await click("rail-settings");
    await click("account-remove");
    expect((await see("remove-account-dialog")).textContent).toContain("cannot be fetched again");
    await click("confirm-yes");
    await see("onboarding");
    expect(core.accounts.size).toBe(0);
  });
});
