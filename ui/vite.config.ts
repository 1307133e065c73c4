import { svelte } from "@sveltejs/vite-plugin-svelte";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";

// The tests' browser; the name of the system's Chromium can be given when it stands elsewhere.
const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";

export default defineConfig({
  plugins: [svelte()],
  build: {
    // WebKitGTK 2.40, WebView2 and macOS 13 all read this.
    target: ["es2022", "safari16"],
    cssTarget: "safari16",
    modulePreload: { polyfill: false },
    // Data URLs would need `img-src data:` for no gain.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  server: { port: 5173, strictPort: true },
  test: {
    projects: [
      {
        test: {
          name: "built",
          environment: "node",
          include: ["tests/built/*.test.ts"],
          testTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: {
          name: "state",
          environment: "node",
          include: ["src/**/*.test.ts"],
        },
      },
      {
        extends: true,
        optimizeDeps: { include: ["axe-core", "virtua/svelte"] },
        test: {
          name: "window",
          include: ["tests/*.test.ts"],
          // What is waited for comes at once as a rule; a busy machine may take its time.
          testTimeout: 60_000,
          expect: { poll: { timeout: 20_000 } },
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            viewport: { width: 1280, height: 800 },
            provider: playwright({
              launchOptions: {
                executablePath: chromium,
                args: [
                  "--no-sandbox",
                  "--disable-gpu",
                  "--disable-background-networking",
                  "--disable-component-update",
                  "--no-first-run",
                ],
              },
            }),
            instances: [{ browser: "chromium" }],
          },
        },
      },
    ],
  },
});
