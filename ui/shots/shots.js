// Pictures of the window with the core in memory, for looking at. Written to ../target/shots.
// `npm run shots [name part]` takes only those whose name holds the part.
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright";
import { createServer } from "vite";

import { shots } from "./list.js";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "../../target/shots");
const part = process.argv[2] ?? "";

await mkdir(out, { recursive: true });
const server = await createServer({
  root: join(here, ".."),
  logLevel: "error",
  server: { port: 0, strictPort: false, hmr: false, watch: null },
});
await server.listen();
const [origin] = server.resolvedUrls?.local ?? [];
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
});

let failed = 0;
for (const shot of shots.filter((one) => one.name.includes(part))) {
  const { width = 1280, height = 800 } = shot;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: shot.dark ? "dark" : "light",
    contrast: shot.contrast ? "more" : "no-preference",
    reducedMotion: "reduce",
    deviceScaleFactor: shot.scale ?? 1,
    locale: "en-GB",
  });
  const page = await context.newPage();
  page.on("pageerror", (error) => {
    failed += 1;
    console.error(`${shot.name}: ${error.message}`);
  });
  page.setDefaultTimeout(8_000);
  try {
    // The first one waits until the server has made all of it.
    await page.goto(`${origin}?fake=${shot.scene}`, { timeout: 60_000 });
    await page.waitForSelector("html[data-ready=true]", { timeout: 60_000 });
    await shot.steps?.(page);
    // Two frames: what was measured is drawn.
    await page.evaluate(
      () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
    );
    await page.screenshot({ path: join(out, `${shot.name}.png`) });
    console.log(`${shot.name}.png`);
  } catch (error) {
    failed += 1;
    await page.screenshot({ path: join(out, `${shot.name}-failed.png`) });
    console.error(`${shot.name}: ${error}`);
  }
  await context.close();
}
await browser.close();
await server.close();
process.exitCode = failed === 0 ? 0 : 1;
