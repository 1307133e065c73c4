import { beforeEach, describe, expect, test } from "vitest";
import { page, userEvent } from "vitest/browser";

import { FakeCore, fault } from "../src/core/fake";
import type { Code } from "../src/core/generated/api";
import { certificate, report } from "../src/core/samples";
import { fakeScene } from "../src/core/scenes";
import type { ConnectionTab } from "../src/state/app.svelte";
import { all, click, fill, gone, keyboardAt, one, openWindow, see, sticksOut } from "./support";

let core: FakeCore;
let account: number;

beforeEach(() => {
  core = new FakeCore();
  account = core.addAccount("anna@a.example");
});

const asked = (method: string) => core.asked.filter((one) => one.method === method).map((one) => one.params);

async function openConnection(tab: ConnectionTab = "overview", size?: [number, number]) {
  await openWindow(core, size);
  await click("rail-settings");
  await click("account-connection");
  if (tab !== "overview") await click(`connection-${tab}`);
  await see("connection-page");
}

function refuse(code: Code) {
  core.changeAccount(account, {
    state: "failed",
    error: fault(code),
    refused_certificate: certificate("a.example", { issuer: "a.example", self_signed: true }),
  });
}

describe("a certificate that was refused", () => {
  const reasons: [Code, RegExp][] = [
    ["certificate_unknown_issuer", /vouches for itself/u],
    ["certificate_wrong_name", /other names than .*a\.example/u],
    ["certificate_expired", /has expired or is not valid yet/u],
    ["certificate_changed", /another certificate than the one you trusted before/u],
  ];
  test.each(reasons)("with %s says why, whose it is and how to know it", async (code, words) => {
    refuse(code);
    await openWindow(core);
    await click("remedy-decide");
    const dialog = await see("certificate-dialog");
    expect(dialog.textContent).toMatch(words);
    expect(dialog.textContent).toContain("xmpp.a.example");
    expect(dialog.textContent).toMatch(/16 Dec 2025|Dec 16, 2025/u);
    const blocks = [...dialog.querySelectorAll("[data-testid=fingerprint] span")].map(
      (one) => one.textContent,
    );
    expect(blocks.join("")).toBe(certificate("a.example").fingerprint);
    expect(blocks).toHaveLength(8);
  });

  test("never shows itself, and not connecting is where the keyboard stands", async () => {
    refuse("certificate_unknown_issuer");
    await openWindow(core);
    await see("account-trouble");
    expect(one("certificate-dialog")).toBeNull();
    await click("remedy-decide");
    await keyboardAt("certificate-refuse");
    await userEvent.keyboard("{Enter}");
    await gone("certificate-dialog");
    expect(asked("accept_certificate")).toEqual([]);
  });

  test("is trusted only after saying that it was compared", async () => {
    refuse("certificate_unknown_issuer");
    await openWindow(core);
    await click("remedy-decide");
    const trust = (await see("certificate-trust")) as HTMLButtonElement;
    expect(trust.disabled).toBe(true);
    await click("certificate-compared");
    await expect.poll(() => trust.disabled).toBe(false);
    await click("certificate-trust");
    await gone("certificate-dialog");
    expect(asked("accept_certificate")).toEqual([
      { account, fingerprint: certificate("a.example").fingerprint },
    ]);
    await gone("account-trouble");
  });

  test("has to be compared again if the server shows another one meanwhile", async () => {
    refuse("certificate_unknown_issuer");
    await openWindow(core);
    await click("remedy-decide");
    await click("certificate-compared");
    await expect.poll(() => (one("certificate-trust") as HTMLButtonElement).disabled).toBe(false);
    core.changeAccount(account, { refused_certificate: certificate("other.example") });
    await expect.poll(() => (one("certificate-trust") as HTMLButtonElement).disabled).toBe(true);
    expect((one("certificate-compared") as HTMLInputElement).checked).toBe(false);
  });

  test("that is withdrawn or damaged cannot be accepted", async () => {
    core.changeAccount(account, { state: "failed", error: fault("certificate_invalid") });
    await openWindow(core);
    await see("account-trouble");
    expect(one("remedy-decide")).toBeNull();
    await see("remedy-again");
  });

  test("can be looked at from the account's card, too", async () => {
    refuse("certificate_wrong_name");
    await openWindow(core);
    await click("rail-settings");
    await click("remedy-decide");
    await see("certificate-dialog");
  });

  test("is offered where signing in failed, and then it signs in", async () => {
    core = new FakeCore();
    await openWindow(core);
    await fill("onboarding-address", "issuer@b.example");
    await fill("onboarding-password", "secret");
    await click("onboarding-submit");
    await click("onboarding-decide");
    await click("certificate-compared");
    await click("certificate-trust");
    await gone("onboarding");
    expect([...core.accounts.values()][0]?.state).toBe("online");
  });

  test("that is trusted is shown in the settings and can be given up", async () => {
    const { fingerprint } = certificate("a.example");
    core.changeAccount(account, { accepted_certificate: fingerprint });
    await openConnection("settings");
    const card = await see("trusted-certificate");
    expect(card.textContent?.replace(/\s/gu, "")).toContain(fingerprint);
    await click("trusted-stop");
    await gone("trusted-certificate");
    expect(asked("forget_certificate")).toEqual([{ account }]);
  });
});

describe("a weaker sign-in", () => {
  const codes: [Code, RegExp, RegExp][] = [
    ["plain_only", /wants to see the password itself/u, /inside the protected connection only/u],
    ["login_weakened", /in a stronger way/u, /somebody stands in between/u],
  ];
  test.each(codes)("after %s is explained and not the default", async (code, what, when) => {
    core.changeAccount(account, { state: "failed", error: fault(code) });
    await openWindow(core);
    await click("remedy-decide");
    const dialog = await see("weaker-login-dialog");
    expect(dialog.textContent).toMatch(what);
    expect(dialog.textContent).toMatch(when);
    await keyboardAt("confirm-no");
    await userEvent.keyboard("{Enter}");
    await gone("weaker-login-dialog");
    expect(asked("allow_weaker_login")).toEqual([]);

    await click("remedy-decide");
    await click("confirm-yes");
    await gone("account-trouble");
    expect(asked("allow_weaker_login")).toEqual([{ account }]);
  });

  test("can be allowed where signing in failed", async () => {
    core = new FakeCore();
    await openWindow(core);
    await fill("onboarding-address", "plain@b.example");
    await fill("onboarding-password", "secret");
    await click("onboarding-submit");
    await click("onboarding-decide");
    await click("confirm-yes");
    await gone("onboarding");
    expect([...core.accounts.values()][0]?.plain_allowed).toBe(true);
  });
});

test("that the password itself may be sent can be taken back", async () => {
  core.changeAccount(account, { plain_allowed: true });
  await openConnection();
  await click("forbid-plain");
  await gone("forbid-plain");
  expect(asked("forbid_plain_login")).toEqual([{ account }]);
});

describe("remedies", () => {
  test("what mends itself is quiet and asks for nothing", async () => {
    core.addContact(account, "ben@b.example", { name: "Ben" });
    core.addMessage(core.addChat(account, "ben@b.example"), "hello");
    core.changeAccount(account, { state: "connecting", error: fault("server_shutdown") });
    await openWindow(core);
    await click("chat-row");
    expect((await see("offline-banner")).textContent).toContain("Server restarting.");
    expect(one("account-trouble")).toBeNull();
    expect(one("remedy-again")).toBeNull();
    core.changeAccount(account, { state: "failed", error: fault("conflict") });
    expect((await see("account-trouble")).textContent).toContain("signed in elsewhere");
    await click("remedy-again");
    await gone("account-trouble");
  });

  const where: Code[] = ["proxy_failed", "proxy_refused", "tls_unavailable", "server_not_found"];
  test.each(where)("%s leads to the settings of the connection", async (code) => {
    core.changeAccount(account, { state: "failed", error: fault(code) });
    await openWindow(core);
    await click("remedy-connection");
    await see("connection-form");
  });
});

describe("the page of a connection", () => {
  test("says in one sentence and in a table how it stands", async () => {
    await openConnection();
    await expect
      .poll(() => one("connection-standing")?.textContent)
      .toMatch(/Connected securely to .*xmpp\.a\.example.* since/u);
    const table = (await see("connection-table")).textContent;
    for (const text of [
      "xmpp.a.example:5223",
      "[2001:db8::5]:5223",
      "TLS 1.3",
      "TLS13_AES_256_GCM_SHA384",
      "Meadow Authority R3",
      "SCRAM-SHA-256-PLUS",
      "tls-exporter",
      "312 ms",
      "41 ms",
      "Prosody 0.12.4",
      "2 times since the start",
    ]) {
      expect(table).toContain(text);
    }
    expect(asked("connection_report").length).toBeGreaterThan(0);
  });

  test("shows what the server lacks first, and what that means", async () => {
    await openConnection();
    await see("feature");
    const features = all("feature");
    expect(features[0]?.dataset.present).toBe("false");
    const missing = features.filter((feature) => feature.dataset.present === "false");
    expect(missing.map((feature) => feature.dataset.feature)).toEqual([
      "avatar_conversion",
      "external_services",
      "fast",
    ]);
    expect(missing[1]?.textContent).toMatch(/Missing:.*XEP-0215|Missing:.*Calls may fail/su);
    expect(features).toHaveLength(18);
  });

  test("is read anew on demand, and when the connection comes and goes", async () => {
    await openConnection();
    await see("connection-table");
    const before = asked("connection_report").length;
    core.reports.set(account, { lost: 7 });
    await click("connection-refresh");
    await expect.poll(() => one("connection-table")?.textContent).toContain("7 times");
    expect(asked("connection_report").length).toBe(before + 1);
    core.changeAccount(account, { state: "connecting", error: fault("disconnected") });
    await expect.poll(() => one("connection-standing")?.textContent).toContain("Connecting…");
    expect((await see("connection-error")).dataset.code).toBe("disconnected");
    expect(one("feature")).toBeNull();
  });

  test("tells that the certificate counts only by the person's word, and that a proxy is used", async () => {
    const usual = report(account, "a.example");
    if (usual.connection) Object.assign(usual.connection, { pinned: true, proxied: true });
    core.reports.set(account, usual);
    await openConnection();
    await expect.poll(() => one("connection-standing")?.textContent).toContain("through your proxy");
    expect(one("connection-standing")?.textContent).toContain("because you said that you trust it");
  });

  test("is left by Escape, and leads back to the settings", async () => {
    await openConnection();
    await userEvent.keyboard("{Escape}");
    await see("settings");
  });

  test("is gone with its account", async () => {
    core.addAccount("cleo@c.example");
    await openConnection();
    await core.request("remove_account", { account });
    await see("settings");
    expect(one("connection-page")).toBeNull();
  });
});

describe("the settings of a connection", () => {
  test("send what was filled in, and connect anew", async () => {
    await openConnection("settings");
    await fill("connection-host", " xmpp.a.example ");
    await fill("connection-port", "5222");
    await userEvent.selectOptions(await see("connection-tls"), "starttls");
    await userEvent.selectOptions(await see("connection-proxy"), "socks5");
    await fill("connection-proxy-host", "127.0.0.1");
    await fill("connection-proxy-port", "9050");
    await fill("connection-proxy-user", "anna");
    await fill("connection-proxy-password", "hush");
    await click("connection-save");
    await expect
      .poll(() => asked("set_connection"))
      .toEqual([
        {
          account,
          host: "xmpp.a.example",
          port: 5222,
          tls: "starttls",
          proxy: { kind: "socks5", host: "127.0.0.1", port: 9050, user: "anna", password: "hush" },
        },
      ]);
    await expect.poll(() => (one("connection-proxy-password") as HTMLInputElement).value).toBe("");
    expect(one("notice")?.textContent).toContain("connects anew");
  });

  test("begin with what is set, and keep the proxy's password", async () => {
    core.changeAccount(account, {
      host: "xmpp.a.example",
      port: 443,
      tls: "direct",
      proxy: { kind: "http", host: "proxy.a.example", port: 8080, user: "anna" },
    });
    await openConnection("settings");
    await fill("connection-port", "");
    await click("connection-save");
    await expect
      .poll(() => asked("set_connection"))
      .toEqual([
        {
          account,
          host: "xmpp.a.example",
          tls: "direct",
          proxy: { kind: "http", host: "proxy.a.example", port: 8080, user: "anna" },
        },
      ]);
    await userEvent.selectOptions(await see("connection-proxy"), "");
    await click("connection-save");
    await expect
      .poll(() => asked("set_connection")[1])
      .toEqual({
        account,
        host: "xmpp.a.example",
        tls: "direct",
      });
  });

  const wrong: [string, string, string, RegExp][] = [
    ["a port that is none", "connection-port", "99999", /1 to 65535/u],
    ["a port that is a word", "connection-port", "tls", /1 to 65535/u],
    ["a server that is an address", "connection-host", "anna@a.example", /name such as/u],
    ["a proxy that is a link", "connection-proxy-host", "http://proxy", /name such as/u],
    ["a proxy's port that is none", "connection-proxy-port", "0", /1 to 65535/u],
  ];
  test.each(wrong)("refuse %s beside its field, before asking", async (_what, field, text, words) => {
    await openConnection("settings");
    await userEvent.selectOptions(await see("connection-proxy"), "socks5");
    await fill("connection-proxy-host", "127.0.0.1");
    await fill("connection-proxy-port", "9050");
    await fill(field, text);
    await click("connection-save");
    const input = await see(field);
    expect(input.getAttribute("aria-invalid")).toBe("true");
    const told = document.getElementById(input.getAttribute("aria-describedby") ?? "");
    expect(told?.textContent).toMatch(words);
    await expect.poll(() => document.activeElement).toBe(input);
    expect(asked("set_connection")).toEqual([]);
  });

  test("ask for a proxy's host, port and user name only where they are needed", async () => {
    await openConnection("settings");
    await userEvent.selectOptions(await see("connection-proxy"), "http");
    expect(document.querySelector("[aria-invalid]")).toBeNull();
    await fill("connection-proxy-password", "hush");
    await click("connection-save");
    await expect.poll(() => document.querySelectorAll("[aria-invalid=true]").length).toBe(3);
    expect(asked("set_connection")).toEqual([]);
  });

  test("say what core refused", async () => {
    await openConnection("settings");
    core.refuse.set("set_connection", fault("invalid_params"));
    await click("connection-save");
    expect((await see("connection-form-error")).dataset.code).toBe("invalid_params");
  });
});

describe("own certificate authorities", () => {
  const pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

  test("are pasted, shown as set, and removed", async () => {
    await openConnection("settings");
    await fill("authorities-pem", pem);
    await click("authorities-use");
    await expect.poll(() => one("authorities")?.dataset.set).toBe("true");
    await click("authorities-remove");
    await expect.poll(() => one("authorities")?.dataset.set).toBe("false");
    expect(asked("set_authorities")).toEqual([{ account, pem }, { account }]);
  });

  test("come from a file", async () => {
    await openConnection("settings");
    const file = new File([pem], "club.pem", { type: "application/x-pem-file" });
    await userEvent.upload(await see("authorities-file"), file);
    await expect.poll(() => (one("authorities-pem") as HTMLTextAreaElement).value).toBe(pem);
  });

  test("that are none are refused beside the field", async () => {
    await openConnection("settings");
    await fill("authorities-pem", "a photograph of my cat");
    await click("authorities-use");
    expect((await see("authorities-error")).textContent).toContain("no certificate in this text");
    expect(asked("set_authorities")).toEqual([]);
    await fill("authorities-pem", pem);
    core.refuse.set("set_authorities", fault("invalid_params"));
    await click("authorities-use");
    await expect.poll(() => asked("set_authorities").length).toBe(1);
    await see("authorities-error");
  });
});

test.each(["connection", "console", "certificate", "weaker", "proxy"])(
  "a narrow window lets nothing stick out: %s",
  async (scene) => {
    core = fakeScene(scene);
    await openWindow(core, [360, 720]);
    const decide = one("remedy-decide");
    if (decide) {
      await page.elementLocator(decide).click();
      await expect.poll(() => document.querySelector("dialog")).not.toBeNull();
      expect(sticksOut()).toEqual([]);
      await userEvent.keyboard("{Escape}");
      await expect.poll(() => document.querySelector("dialog")).toBeNull();
    }
    await click("rail-settings");
    expect(sticksOut()).toEqual([]);
    await page.getByTestId("account-connection").nth(1).click();
    await see("connection-page");
    for (const tab of ["settings", "console", "overview"]) {
      await click(`connection-${tab}`);
      await expect.poll(() => one("connection-page")?.dataset.tab).toBe(tab);
      expect(sticksOut()).toEqual([]);
    }
  },
);
