/**
 * @typedef {object} Shot
 * @property {string} name
 * @property {string} scene
 * @property {boolean} [dark]
 * @property {boolean} [contrast]
 * @property {number} [width]
 * @property {number} [height]
 * @property {number} [scale]
 * @property {(page: import("playwright").Page) => Promise<void>} [steps]
 */

/** @param {string} id @returns {(page: import("playwright").Page) => Promise<void>} */
const click = (id) => (page) => page.getByTestId(id).first().click();
/** @param {string} address @returns {(page: import("playwright").Page) => Promise<void>} */
const chat = (address) => async (page) => {
  await page.locator(`[data-testid=chat-row][data-address="${address}"]`).click();
  await page.waitForSelector("[data-testid=messages]");
};
/** @param {((page: import("playwright").Page) => Promise<void>)[]} all @returns {(page: import("playwright").Page) => Promise<void>} */
const then =
  (...all) =>
  async (page) => {
    for (const step of all) await step(page);
  };
/** @param {string} id @param {string} text @returns {(page: import("playwright").Page) => Promise<void>} */
const fill = (id, text) => (page) => page.getByTestId(id).fill(text);
/** @param {string} id @returns {(page: import("playwright").Page) => Promise<void>} */
const wait = (id) => async (page) => {
  await page.getByTestId(id).first().waitFor();
};
/** @param {string} keys @returns {(page: import("playwright").Page) => Promise<void>} */
const press = (keys) => (page) => page.keyboard.press(keys);

const noor = chat("noor@orchard.example");
const kim = chat("kim@birch.example");
/** @param {string} id @param {number} at @returns {(page: import("playwright").Page) => Promise<void>} */
const fileAt = (id, at) => (page) => page.getByTestId(id).nth(at).click();
const exceptions = [
  wait("kept-default"),
  fill("kept-address", "noor@orchard.example"),
  click("kept-add"),
  wait("kept-exception"),
  fill("kept-address", "a.very.long.name.of.somebody@a-rather-long-domain.example"),
];
const signIn = then(
  fill("onboarding-address", "wrong@orchard.example"),
  fill("onboarding-password", "guess"),
  click("onboarding-submit"),
  wait("onboarding-error"),
);

/** @param {number} at @returns {(page: import("playwright").Page) => Promise<void>} */
const connectionOf = (at) =>
  then(
    click("rail-settings"),
    (page) => page.getByTestId("account-connection").nth(at).click(),
    wait("connection-table"),
  );
const certificate = then(
  (page) => page.getByTestId("account-trouble").getByTestId("remedy-decide").click(),
  wait("certificate-dialog"),
);
const consoleOf = then(connectionOf(0), click("connection-console"), wait("console-entry"));
/** @param {string} user */
const signInAs = (user) =>
  then(
    fill("onboarding-address", `${user}@orchard.example`),
    fill("onboarding-password", "secret"),
    click("onboarding-submit"),
    wait("onboarding-decide"),
  );
/** @param {number} at */
const trouble = (at) =>
  then(wait("account-trouble"), (page) =>
    page.getByTestId("account-trouble").nth(at).getByTestId("remedy-decide").click(),
  );

/** The same picture in light, dark and narrow. @param {Shot} shot @returns {Shot[]} */
const thrice = (shot) => [
  { ...shot, name: `${shot.name}-light` },
  { ...shot, name: `${shot.name}-dark`, dark: true },
  { ...shot, name: `${shot.name}-narrow`, width: 360, height: shot.height ?? 720 },
];

const check = then(noor, click("composer-lock"), click("lock-check"), wait("encryption-verdict"));
const compare = then(
  noor,
  (page) => page.getByTestId("new-key-compare").first().click(),
  wait("compare-blocks"),
);
const code = then(click("rail-settings"), click("account-code"), wait("code"));
/** @param {string} keys */
const keyLink = (keys) =>
  then(code, fill("code-link", `xmpp:noor@orchard.example?${keys}`), click("code-read"), wait("linked-key"));
const rtl = (/** @type {import("playwright").Page} */ page) =>
  page.evaluate(() => document.documentElement.setAttribute("dir", "rtl"));

/** @type {Shot[]} */
export const shots = [
  ...thrice({ name: "encryption-new-device", scene: "new_device", steps: then(noor, wait("new-key")) }),
  ...thrice({ name: "encryption-taken-back", scene: "taken_back", steps: then(noor, wait("new-key")) }),
  ...thrice({
    name: "stranger",
    scene: "stranger",
    steps: then(chat("noor.haddad@orchard-example.faraway.example"), click("chat-details"), wait("details")),
  }),
  {
    name: "stranger-chat",
    scene: "stranger",
    dark: true,
    width: 360,
    height: 720,
    steps: chat("noor.haddad@orchard-example.faraway.example"),
  },
  { name: "stranger-list", scene: "stranger", width: 360, height: 720 },
  ...thrice({ name: "doubtful", scene: "doubtful", height: 1000, steps: then(noor, wait("doubt")) }),
  ...thrice({ name: "encryption-compare", scene: "new_device", steps: compare }),
  ...thrice({
    name: "encryption-compare-code",
    scene: "new_device",
    height: 1000,
    steps: then(compare, click("compare-code"), wait("code")),
  }),
  ...thrice({ name: "encryption-check", scene: "home", steps: check }),
  ...thrice({ name: "encryption-check-ailing", scene: "ailing", height: 1500, steps: check }),
  ...thrice({ name: "encryption-check-taken-back", scene: "taken_back", height: 1000, steps: check }),
  { name: "encryption-check-many", scene: "devices", height: 1200, steps: check },
  {
    name: "encryption-check-many-folded",
    scene: "devices",
    dark: true,
    height: 1200,
    steps: then(check, (page) => page.getByTestId("devices-folded").first().scrollIntoViewIfNeeded()),
  },
  {
    name: "encryption-check-rtl",
    scene: "ailing",
    height: 1200,
    steps: then(rtl, check),
  },
  { name: "encryption-check-contrast", scene: "ailing", contrast: true, steps: check },
  {
    name: "encryption-check-200-percent",
    scene: "ailing",
    width: 640,
    height: 400,
    scale: 2,
    steps: check,
  },
  ...thrice({ name: "encryption-code", scene: "home", height: 1000, steps: code }),
  ...thrice({
    name: "encryption-link",
    scene: "home",
    steps: keyLink(`omemo-sid-32=${"0".repeat(63)}1;omemo-sid-41=${"a".repeat(64)}`),
  }),
  {
    name: "encryption-details",
    scene: "ailing",
    height: 1400,
    steps: then(noor, click("chat-details"), wait("device")),
  },
  ...thrice({ name: "connection-overview", scene: "connection", steps: connectionOf(0) }),
  ...thrice({ name: "connection-proxied", scene: "connection", height: 1400, steps: connectionOf(1) }),
  ...thrice({
    name: "connection-settings",
    scene: "connection",
    height: 1300,
    steps: then(connectionOf(1), click("connection-settings")),
  }),
  {
    name: "connection-settings-wrong",
    scene: "connection",
    steps: then(
      connectionOf(0),
      click("connection-settings"),
      fill("connection-port", "99999"),
      (page) => page.getByTestId("connection-proxy").selectOption("socks5").then(),
      click("connection-save"),
    ),
  },
  ...thrice({ name: "connection-console", scene: "console", steps: consoleOf }),
  ...thrice({
    name: "connection-console-filtered",
    scene: "console",
    steps: then(consoleOf, fill("console-filter", "roster"), wait("console-fold")),
  }),
  ...thrice({
    name: "certificate",
    scene: "certificate",
    steps: certificate,
  }),
  {
    name: "connection-console-200-percent",
    scene: "console",
    width: 640,
    height: 400,
    scale: 2,
    steps: consoleOf,
  },
  { name: "connection-contrast", scene: "connection", contrast: true, steps: connectionOf(0) },
  {
    name: "connection-rtl",
    scene: "connection",
    steps: then(
      (page) => page.evaluate(() => document.documentElement.setAttribute("dir", "rtl")),
      connectionOf(1),
      click("connection-console"),
    ),
  },
  { name: "certificate-trouble", scene: "certificate", steps: noor },
  ...thrice({
    name: "onboarding-certificate",
    scene: "empty",
    steps: signInAs("cert"),
  }),
  {
    name: "onboarding-certificate-dialog",
    scene: "empty",
    steps: then(signInAs("changed"), click("onboarding-decide"), wait("certificate-dialog")),
  },
  ...thrice({ name: "plain-only", scene: "weaker", steps: trouble(0) }),
  ...thrice({ name: "login-weakened", scene: "weaker", steps: trouble(1) }),
  { name: "proxy-trouble", scene: "proxy", steps: noor },
  {
    name: "proxy-overview",
    scene: "proxy",
    dark: true,
    steps: then(click("rail-settings"), click("account-connection")),
  },
  { name: "proxy-settings", scene: "proxy", steps: click("rail-settings") },
  { name: "home-light", scene: "home", steps: noor },
  { name: "home-dark", scene: "home", dark: true, steps: noor },
  { name: "home-contrast", scene: "home", contrast: true, steps: noor },
  { name: "home-contrast-dark", scene: "home", contrast: true, dark: true, steps: noor },
  { name: "home-200-percent", scene: "home", width: 640, height: 400, scale: 2, steps: noor },
  { name: "fetching-light", scene: "fetching", steps: noor, height: 1_000 },
  { name: "fetching-dark", scene: "fetching", dark: true, width: 360, steps: noor },
  ...thrice({ name: "missed", scene: "missed", steps: then(noor, wait("gap")) }),
  { name: "list-light", scene: "home" },
  { name: "list-dark", scene: "home", dark: true },
  { name: "contacts-light", scene: "home", steps: click("tab-contacts") },
  { name: "contacts-dark", scene: "home", dark: true, steps: click("tab-contacts") },
  {
    name: "contact-menu",
    scene: "home",
    steps: then(click("tab-contacts"), (page) =>
      page.getByTestId("contact-row").nth(2).click({ button: "right" }),
    ),
  },
  { name: "no-chats", scene: "alone" },
  { name: "onboarding-light", scene: "empty" },
  { name: "onboarding-dark", scene: "empty", dark: true },
  { name: "onboarding-wrong", scene: "empty", steps: signIn },
  { name: "onboarding-wrong-dark", scene: "empty", dark: true, steps: signIn },
  { name: "onboarding-advanced", scene: "empty", steps: click("onboarding-advanced") },
  { name: "onboarding-360", scene: "empty", width: 360, height: 720, steps: signIn },
  { name: "passphrase-first", scene: "first_passphrase" },
  { name: "passphrase", scene: "passphrase", dark: true },
  {
    name: "details-light",
    scene: "home",
    width: 1400,
    steps: then(noor, click("chat-details"), wait("device")),
  },
  {
    name: "details-dark",
    scene: "home",
    dark: true,
    width: 1400,
    steps: then(noor, click("chat-details"), wait("device")),
  },
  { name: "lock", scene: "home", steps: then(noor, click("composer-lock")) },
  { name: "emoji", scene: "home", steps: then(noor, click("composer-emoji")) },
  { name: "emoji-dark", scene: "home", dark: true, steps: then(noor, click("composer-emoji")) },
  { name: "blocked", scene: "home", steps: then(chat("tomas@birch.example"), click("composer-lock")) },
  ...thrice({ name: "not-sent", scene: "home", steps: then(chat("tomas@birch.example"), wait("failed")) }),
  ...thrice({ name: "undecryptable", scene: "home", height: 1000, steps: chat("ines@birch.example") }),
  { name: "plain", scene: "home", steps: chat("bookshop@river.example") },
  ...thrice({ name: "files", scene: "files", height: 1500, steps: kim }),
  { name: "files-contrast", scene: "files", contrast: true, height: 1500, steps: kim },
  {
    name: "files-rtl",
    scene: "files",
    dark: true,
    height: 1500,
    steps: then((page) => page.evaluate(() => document.documentElement.setAttribute("dir", "rtl")), kim),
  },
  ...thrice({ name: "file-agree", scene: "files", steps: then(kim, fileAt("file-fetch", -1)) }),
  ...thrice({ name: "file-program", scene: "files", steps: then(kim, fileAt("file-open", 1)) }),
  ...thrice({
    name: "file-picture",
    scene: "files",
    steps: then(kim, fileAt("file-picture", 0), wait("picture")),
  }),
  { name: "lock-older", scene: "files", steps: then(kim, click("composer-lock")) },
  { name: "switch-off", scene: "home", steps: then(noor, click("composer-lock"), click("lock-off")) },
  { name: "presence", scene: "home", steps: click("own-presence") },
  { name: "requests", scene: "home", steps: click("request-row") },
  { name: "add-contact", scene: "home", steps: click("add-contact") },
  { name: "search", scene: "home", steps: then(fill("search", "o"), wait("found-message")) },
  { name: "switcher", scene: "home", steps: press("Control+k") },
  {
    name: "switcher-dark",
    scene: "home",
    dark: true,
    steps: then(press("Control+k"), fill("switcher-input", "choir"), wait("switcher-choice")),
  },
  { name: "settings-light", scene: "home", steps: click("rail-settings") },
  {
    name: "settings-kept",
    scene: "home",
    steps: then(click("rail-settings"), click("account-kept"), ...exceptions),
  },
  {
    name: "settings-kept-narrow-dark",
    scene: "home",
    dark: true,
    width: 400,
    steps: then(click("rail-settings"), click("account-kept"), ...exceptions),
  },
  {
    name: "settings-dark",
    scene: "home",
    dark: true,
    steps: then(click("rail-settings"), click("account-devices"), wait("device")),
  },
  { name: "trouble", scene: "trouble", steps: noor },
  ...thrice({ name: "copied", scene: "copied", steps: wait("account-copied") }),
  { name: "copied-settings", scene: "copied", steps: click("rail-settings") },
  { name: "trouble-dark", scene: "trouble", dark: true, steps: noor },
  { name: "trouble-settings", scene: "trouble", steps: click("rail-settings") },
  { name: "many", scene: "many", steps: chat("long@crowd.example") },
  { name: "many-contacts", scene: "many", steps: click("tab-contacts") },
  { name: "rtl", scene: "rtl", steps: chat("yusuf@bustan.example") },
  {
    name: "rtl-window",
    scene: "rtl",
    dark: true,
    steps: then(
      (page) => page.evaluate(() => document.documentElement.setAttribute("dir", "rtl")),
      chat("yusuf@bustan.example"),
    ),
  },
  { name: "narrow-list", scene: "home", width: 360, height: 720 },
  { name: "narrow-chat", scene: "home", width: 360, height: 720, steps: noor },
  { name: "narrow-chat-dark", scene: "home", dark: true, width: 360, height: 720, steps: noor },
  {
    name: "narrow-details",
    scene: "home",
    width: 360,
    height: 720,
    steps: then(noor, click("chat-details"), wait("device")),
  },
  { name: "narrow-settings", scene: "home", width: 360, height: 720, steps: click("rail-settings") },
  { name: "narrow-presence", scene: "home", width: 360, height: 720, steps: click("own-presence") },
  { name: "narrow-lock", scene: "home", width: 360, height: 720, steps: then(noor, click("composer-lock")) },
];
