import { describe, expect, test } from "vitest";
import { userEvent } from "vitest/browser";

import { FakeCore, fault } from "../src/core/fake";
import type { Code } from "../src/core/generated/api";
import { click, fill, gone, keyboardAt, one, openWindow, see } from "./support";

async function signIn(address: string, password: string) {
  await fill("onboarding-address", address);
  await fill("onboarding-password", password);
  await click("onboarding-submit");
}

describe("signing in", () => {
  test("asks for an address and a password only, and leads to the lists", async () => {
    const core = new FakeCore();
    await openWindow(core);
    const address = await see("onboarding-address");
    await expect.poll(() => document.activeElement).toBe(address);
    expect(one("onboarding-host")).toBeNull();
    await signIn("anna@a.example", "secret");
    await gone("onboarding");
    await see("tab-chats");
    expect(core.asked.find((one) => one.method === "add_account")?.params).toEqual({
      address: "anna@a.example",
      password: "secret",
    });
  });

  test("takes a server, a port and the kind of connection when they are unfolded", async () => {
    const core = new FakeCore();
    await openWindow(core);
    await click("onboarding-advanced");
    await fill("onboarding-host", "127.0.0.1");
    await fill("onboarding-port", "15222");
    await userEvent.selectOptions(await see("onboarding-tls"), "starttls");
    await signIn("anna@a.example", "secret");
    await gone("onboarding");
    expect(core.asked.find((one) => one.method === "add_account")?.params).toEqual({
      address: "anna@a.example",
      password: "secret",
      host: "127.0.0.1",
      port: 15222,
      tls: "starttls",
    });
  });

  test("goes through a proxy from the first attempt on", async () => {
    const core = new FakeCore();
    await openWindow(core);
    await click("onboarding-advanced");
    await userEvent.selectOptions(await see("onboarding-proxy"), "socks5");
    await signIn("anna@a.example", "secret");
    expect(one("onboarding-proxy-host")?.getAttribute("aria-invalid")).toBe("true");
    expect(core.asked.some((one) => one.method === "add_account")).toBe(false);
    await fill("onboarding-proxy-host", "127.0.0.1");
    await fill("onboarding-proxy-port", "9050");
    await click("onboarding-submit");
    await gone("onboarding");
    expect(core.asked.find((one) => one.method === "add_account")?.params).toEqual({
      address: "anna@a.example",
      password: "secret",
      proxy: { kind: "socks5", host: "127.0.0.1", port: 9050 },
    });
    expect(core.asked.some((one) => one.method === "set_connection")).toBe(false);
  });

  test("refuses a port that is none before asking", async () => {
    const core = new FakeCore();
    await openWindow(core);
    await click("onboarding-advanced");
    await fill("onboarding-port", "99999");
    await signIn("anna@a.example", "secret");
    expect(core.asked.some((one) => one.method === "add_account")).toBe(false);
    expect(one("onboarding-port")?.getAttribute("aria-invalid")).toBe("true");
  });

  test("with a wrong password asks for it again, of the same account", async () => {
    const core = new FakeCore();
    await openWindow(core);
    await signIn("wrong@a.example", "guess");
    const error = await see("onboarding-error");
    expect(error.dataset.code).toBe("wrong_password");
    expect(error.textContent).toContain("does not accept this password");
    await keyboardAt("onboarding-password");
    await fill("onboarding-password", "right");
    await click("onboarding-submit");
    await gone("onboarding");
    expect(core.accounts.size).toBe(1);
    expect(core.asked.filter((one) => one.method === "add_account")).toHaveLength(1);
  });

  test("with another address leaves no account of the first try behind", async () => {
    const core = new FakeCore();
    await openWindow(core);
    await signIn("unknown@a.example", "secret");
    await see("onboarding-error");
    await signIn("anna@a.example", "secret");
    await gone("onboarding");
    expect([...core.accounts.values()].map((one) => one.address)).toEqual(["anna@a.example"]);
  });

  test("that failed can be taken back", async () => {
    const core = new FakeCore();
    await openWindow(core);
    await signIn("cert@a.example", "secret");
    await see("onboarding-error");
    await click("onboarding-discard");
    await gone("onboarding-error");
    expect(core.accounts.size).toBe(0);
    await see("onboarding");
  });

  const said: [string, Code, RegExp][] = [
    ["unknown", "server_not_found", /no server by that name/u],
    ["down", "unreachable", /cannot be reached/u],
    ["cert", "certificate_wrong_name", /belongs to another name/u],
    ["issuer", "certificate_unknown_issuer", /cannot prove who it is/u],
    ["expired", "certificate_expired", /has expired/u],
    ["weak", "login_weakened", /weaker way to sign in/u],
  ];
  test.each(said)("%s@… says why in plain words", async (name, code, words) => {
    await openWindow(new FakeCore());
    await signIn(`${name}@a.example`, "secret");
    const error = await see("onboarding-error");
    expect(error.dataset.code).toBe(code);
    expect(error.textContent).toMatch(words);
    // No way around a certificate.
    const buttons = [...document.querySelectorAll("button")].map((button) => button.textContent);
    expect(buttons.join(" ")).not.toMatch(/anyway|ignore|trust/iu);
  });

  test("with something that is no address says so and stays", async () => {
    const core = new FakeCore();
    await openWindow(core);
    await signIn("not an address", "secret");
    expect((await see("onboarding-error")).dataset.code).toBe("invalid_address");
    expect(core.accounts.size).toBe(0);
  });

  test("to a further account can be left, and the first stays", async () => {
    const core = new FakeCore();
    core.addAccount("anna@a.example");
    await openWindow(core);
    await click("rail-add-account");
    await signIn("wrong@b.example", "guess");
    await see("onboarding-error");
    await click("onboarding-cancel");
    await gone("onboarding");
    expect([...core.accounts.values()].map((one) => one.address)).toEqual(["anna@a.example"]);
  });
});

describe("the passphrase", () => {
  test("is chosen twice, and nobody can recover it", async () => {
    const core = new FakeCore();
    core.opened = { state: "passphrase_needed", first: true };
    await openWindow(core);
    expect(document.body.textContent).toContain("no keychain");
    expect(document.body.textContent).toContain("Nobody can recover it");
    await fill("passphrase-input", "a few random words");
    await fill("passphrase-repeat", "another few words");
    await click("passphrase-submit");
    expect(one("passphrase-repeat")?.getAttribute("aria-invalid")).toBe("true");
    await fill("passphrase-repeat", "a few random words");
    await click("passphrase-submit");
    await see("onboarding");
  });

  test("that is wrong can be entered again", async () => {
    const core = new FakeCore();
    core.addAccount("anna@a.example");
    core.opened = { state: "passphrase_needed", first: false };
    await openWindow(core);
    await fill("passphrase-input", "wrong");
    await userEvent.keyboard("{Enter}");
    expect((await see("passphrase-error")).dataset.code).toBe("wrong_passphrase");
    await fill("passphrase-input", "correct horse");
    await userEvent.keyboard("{Enter}");
    await see("tab-chats");
    // It hears what happens from now on.
    const [account = 0] = core.accounts.keys();
    core.addContact(account, "ben@b.example", { presence: "available" });
    await see("contact-row");
  });
});

test.each([
  ["database_newer", /newer version of Waxwing/u],
  ["database_damaged", /is damaged. Restore it from a backup/u],
] as const)("messages that cannot be opened say why: %s", async (code, words) => {
  const core = new FakeCore();
  core.opened = { state: "failed", fault: fault(code) };
  await openWindow(core);
  expect((await see("opening-error")).textContent).toMatch(words);
});
