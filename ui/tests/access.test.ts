import { expect, test } from "vitest";
import { cdp, page, userEvent } from "vitest/browser";

import { fakeScene } from "../src/core/scenes";
import { accessibilityFaults, click, fill, openChat, openWindow, see } from "./support";

async function openConnection(there: string, account = 0): Promise<void> {
  await click("rail-settings");
  await page.getByTestId("account-connection").nth(account).click();
  await see(there);
}

/** A page or a part that is opened by a click, and is there before it is looked at. */
async function opens(button: string, what: string): Promise<void> {
  await click(button);
  await see(what);
}

type Screen = { name: string; scene: string; steps?: () => Promise<unknown> };

const screens: Screen[] = [
  { name: "onboarding", scene: "empty", steps: async () => void (await see("onboarding-address")) },
  {
    name: "onboarding with an error",
    scene: "empty",
    steps: async () => {
      await fill("onboarding-address", "wrong@a.example");
      await fill("onboarding-password", "guess");
      await click("onboarding-advanced");
      await click("onboarding-submit");
      await see("onboarding-error");
    },
  },
  { name: "choosing a passphrase", scene: "first_passphrase" },
  { name: "chats", scene: "home" },
  { name: "contacts", scene: "home", steps: () => click("tab-contacts") },
  { name: "a chat", scene: "home", steps: () => openChat("noor@orchard.example") },
  { name: "a blocked chat", scene: "home", steps: () => openChat("tomas@birch.example") },
  { name: "an undecryptable message", scene: "home", steps: () => openChat("ines@birch.example") },
  {
    name: "details",
    scene: "home",
    steps: async () => {
      await openChat("noor@orchard.example");
      await click("chat-details");
      await see("device");
    },
  },
  {
    name: "the lock",
    scene: "home",
    steps: async () => {
      await openChat("noor@orchard.example");
      await click("composer-lock");
    },
  },
  {
    name: "a new device",
    scene: "new_device",
    steps: async () => {
      await openChat("noor@orchard.example");
      await see("new-key");
    },
  },
  {
    name: "a stranger",
    scene: "stranger",
    steps: () => openChat("noor.haddad@orchard-example.faraway.example"),
  },
  {
    name: "messages from devices one is not sure of",
    scene: "doubtful",
    steps: async () => {
      await openChat("noor@orchard.example");
      await see("doubt");
    },
  },
  {
    name: "the comparison of a key",
    scene: "new_device",
    steps: async () => {
      await openChat("noor@orchard.example");
      await click("new-key-compare");
      await see("compare-blocks");
    },
  },
  {
    name: "the encryption check",
    scene: "ailing",
    steps: async () => {
      await openChat("noor@orchard.example");
      await click("composer-lock");
      await click("lock-check");
      await see("encryption-verdict");
    },
  },
  {
    name: "a code",
    scene: "home",
    steps: async () => {
      await click("rail-settings");
      await click("account-code");
      await see("code");
    },
  },
  {
    name: "emoji",
    scene: "home",
    steps: async () => {
      await openChat("noor@orchard.example");
      await opens("composer-emoji", "emoji");
    },
  },
  { name: "files", scene: "files", steps: () => openChat("kim@birch.example") },
  {
    name: "agreeing to fetch a file",
    scene: "files",
    steps: async () => {
      await openChat("kim@birch.example");
      await page.getByTestId("file-fetch").last().click();
      await see("fetch-file-dialog");
    },
  },
  {
    name: "opening a program",
    scene: "files",
    steps: async () => {
      await openChat("kim@birch.example");
      await page.getByTestId("file").filter({ hasText: "install me.exe" }).getByTestId("file-open").click();
      await see("open-program");
    },
  },
  { name: "own presence", scene: "home", steps: () => opens("own-presence", "presence-status") },
  { name: "requests", scene: "home", steps: () => opens("request-row", "request") },
  { name: "adding a contact", scene: "home", steps: () => opens("add-contact", "add-contact-address") },
  {
    name: "search",
    scene: "home",
    steps: async () => {
      await fill("search", "choir");
      await see("found-message");
    },
  },
  {
    name: "the quick switcher",
    scene: "home",
    steps: async () => {
      await userEvent.keyboard("{Control>}k{/Control}");
      await see("switcher");
    },
  },
  { name: "settings", scene: "home", steps: () => opens("rail-settings", "settings") },
  { name: "a connection", scene: "connection", steps: () => openConnection("connection-table") },
  {
    name: "the settings of a connection",
    scene: "connection",
    steps: async () => {
      await openConnection("connection-table", 1);
      await click("connection-settings");
      await fill("connection-port", "99999");
      await see("trusted-certificate");
    },
  },
  {
    name: "the console",
    scene: "console",
    steps: async () => {
      await openConnection("connection-table");
      await click("connection-console");
      await see("console-entry");
    },
  },
  { name: "accounts whose proxy fails", scene: "proxy", steps: () => openConnection("connection-error") },
  {
    name: "a refused certificate",
    scene: "certificate",
    steps: async () => {
      await click("remedy-decide");
      await see("certificate-dialog");
    },
  },
  {
    name: "a weaker sign-in",
    scene: "weaker",
    steps: async () => {
      await click("remedy-decide");
      await see("weaker-login-dialog");
    },
  },
  { name: "an account whose keys were copied", scene: "copied" },
  {
    name: "accounts in trouble",
    scene: "trouble",
    steps: () => openChat("noor@orchard.example"),
  },
];

async function media(scheme: string): Promise<void> {
  await cdp().send("Emulation.setEmulatedMedia", {
    features: [
      { name: "prefers-color-scheme", value: scheme },
      { name: "prefers-reduced-motion", value: "reduce" },
    ],
  });
}

for (const scheme of ["light", "dark"]) {
  test.each(screens)(`axe finds nothing, ${scheme}: $name`, async ({ scene, steps }) => {
    await media(scheme);
    expect(matchMedia(`(prefers-color-scheme: ${scheme})`).matches).toBe(true);
    const core = fakeScene(scene);
    core.delay = 0;
    await openWindow(core);
    await steps?.();
    expect(await accessibilityFaults()).toEqual([]);
  });
}
