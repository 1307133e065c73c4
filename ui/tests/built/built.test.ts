import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";

import { type Browser, chromium } from "playwright";
import { afterAll, beforeAll, expect, test } from "vitest";

// What the shell sends with every page (src-tauri/tauri.conf.json).
const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob: picture: http://picture.localhost",
  "font-src 'self'",
  "connect-src ipc: http://ipc.localhost",
].join("; ");
const TYPES: Record<string, string> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

let out: string;
let server: Server;
let browser: Browser;

beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), "waxwing-ui-"));
  // A process of its own: a build is only a real one outside of the tests' environment.
  execFileSync(
    process.execPath,
    ["node_modules/vite/bin/vite.js", "build", "--outDir", out, "--logLevel", "error"],
    {
      cwd: join(import.meta.dirname, "../.."),
      env: { ...process.env, NODE_ENV: "production" },
    },
  );
  server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://x").pathname;
    const file = join(out, path === "/" ? "index.html" : path);
    try {
      const body = readFileSync(file);
      response.writeHead(200, {
        "content-type": TYPES[extname(file)] ?? "application/octet-stream",
        "content-security-policy": CSP,
      });
      response.end(body);
    } catch {
      // Browsers ask for an icon by themselves; the web view of the shell does not.
      response.writeHead(path === "/favicon.ico" ? 204 : 404).end();
    }
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
  });
}, 60_000);

afterAll(async () => {
  await browser.close();
  await new Promise((done) => server.close(done));
  rmSync(out, { recursive: true, force: true });
});

const assets = () => readdirSync(join(out, "assets")).map((name) => join(out, "assets", name));

test("the window that is shipped holds no core in memory", () => {
  for (const file of assets()) {
    expect(readFileSync(file, "utf8")).not.toMatch(/FakeCore|orchard\.example|expert text of/u);
  }
});

test("it is small, above all what is read at the start", () => {
  const size = (files: string[]) => files.reduce((sum, file) => sum + readFileSync(file).length, 0);
  const page = readFileSync(join(out, "index.html"), "utf8");
  const first = [...page.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/gu)].map(([, path = ""]) =>
    join(out, path),
  );
  expect(first.length).toBeGreaterThan(1);
  expect(size(first)).toBeLessThan(300_000);
  expect(size(assets())).toBeLessThan(420_000);
});

test("it works under the strict content policy and asks nothing of the network", async () => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const said: string[] = [];
  const fetched: string[] = [];
  page.on("console", (line) => said.push(line.text()));
  page.on("pageerror", (error) => said.push(error.message));
  page.on("request", (request) => fetched.push(request.url()));
  await page.addInitScript(shell);
  const { port } = server.address() as AddressInfo;
  await page.goto(`http://127.0.0.1:${port}/`);
  await page.waitForSelector("html[data-ready=true]");
  await page.getByTestId("chat-row").click();
  await page.getByTestId("message").last().waitFor();
  await page.getByTestId("composer-emoji").click();
  await page.getByTestId("emoji-picker").waitFor();
  await page.keyboard.press("Escape");
  await page.getByTestId("tab-contacts").click();
  await page.getByTestId("contact-row").first().click({ button: "right" });
  await page.getByTestId("contact-menu").waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+k");
  await page.getByTestId("switcher").waitFor();
  await page.keyboard.press("Escape");
  await page.getByTestId("rail-settings").click();
  await page.getByTestId("account-connection").first().click();
  await page.getByTestId("connection-settings").click();
  await page.getByTestId("connection-form").waitFor();
  expect(said).toEqual([]);
  expect(fetched.filter((url) => !url.startsWith(`http://127.0.0.1:${port}/`))).toEqual([]);
  await page.close();
});

test("something is painted before any script has run", async () => {
  const context = await browser.newContext({ javaScriptEnabled: false, colorScheme: "light" });
  const page = await context.newPage();
  const { port } = server.address() as AddressInfo;
  await page.goto(`http://127.0.0.1:${port}/`);
  const rail = await page.locator(".shell-rail").boundingBox();
  expect(rail?.width).toBeGreaterThan(40);
  expect(rail?.height).toBeGreaterThan(400);
  await context.close();
});

/** Stands in for the shell, in the page. */
function shell(): void {
  const now = new Date().toISOString();
  const account = 1;
  const address = "ben@b.example";
  const message = {
    message: 1,
    chat: 1,
    account,
    from: address,
    direction: "in",
    body: "hello https://a.example",
    files: [],
    sent_at: now,
    delivery: "delivered",
    encryption: "omemo2",
    trust: "blind",
    unprotected: false,
    undecryptable: null,
    error: null,
    origin_id: null,
    archive_id: null,
    rev: 1,
  };
  const chat = {
    chat: 1,
    account,
    address,
    title: "Ben",
    unread: 0,
    encryption: "omemo",
    lock: "encrypted",
    read_up_to: 1,
    last: message,
    rev: 1,
  };
  const contact = {
    account,
    address,
    name: "Ben",
    subscription: "both",
    asked: false,
    groups: [],
    presence: "available",
    status: null,
    rev: 1,
  };
  const own = {
    account,
    address: "anna@a.example",
    enabled: true,
    state: "online",
    error: null,
    show: "available",
    status: null,
    color: 0,
    unread: 0,
    host: null,
    port: null,
    tls: null,
    proxy: null,
    refused_certificate: null,
    accepted_certificate: null,
    own_authorities: false,
    plain_allowed: false,
    renewed: null,
    gaps: [],
    rev: 1,
  };
  const answers: Record<string, unknown> = {
    list_accounts: [own],
    list_contacts: [contact],
    list_chats: [chat],
    list_requests: [],
    list_messages: [message],
    list_devices: [],
    search: [],
    connection_report: { account, connection: null, lost: 0, swallowed: 0, features: [] },
  };
  let callbacks = 0;
  Object.assign(window, {
    __TAURI_INTERNALS__: {
      transformCallback: () => (callbacks += 1),
      unregisterCallback: () => undefined,
      invoke: (command: string, args: { method?: string }) =>
        Promise.resolve(
          command === "opening"
            ? { state: "ready" }
            : command === "request"
              ? answers[args.method ?? ""]
              : null,
        ),
    },
  });
}
