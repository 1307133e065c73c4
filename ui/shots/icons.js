// Draws icons/*.svg at every size that the bundler asks for, and packs them. `npm run icons`.
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright";

const icons = join(dirname(fileURLToPath(import.meta.url)), "../../icons");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});

/**
 * @param {string} name
 * @param {number} size
 */
async function draw(name, size) {
  const svg = await readFile(join(icons, name), "utf8");
  const page = await browser.newPage({ viewport: { width: size, height: size } });
  await page.setContent(
    `<style>body{margin:0}svg{display:block;width:${size}px;height:${size}px}</style>${svg}`,
  );
  const png = await page.screenshot({ omitBackground: true });
  await page.close();
  return png;
}

/** A Windows icon: a directory of entries, then whole PNG files. @param {Map<number, Buffer>} drawn */
function ico(drawn) {
  const entries = [...drawn].filter(([size]) => size <= 256);
  const head = Buffer.alloc(6 + 16 * entries.length);
  head.writeUInt16LE(1, 2);
  head.writeUInt16LE(entries.length, 4);
  let offset = head.length;
  entries.forEach(([size, png], at) => {
    const entry = 6 + 16 * at;
    head.writeUInt8(size % 256, entry);
    head.writeUInt8(size % 256, entry + 1);
    head.writeUInt16LE(1, entry + 4);
    head.writeUInt16LE(32, entry + 6);
    head.writeUInt32LE(png.length, entry + 8);
    head.writeUInt32LE(offset, entry + 12);
    offset += png.length;
  });
  return Buffer.concat([head, ...entries.map(([, png]) => png)]);
}

/** An icon of macOS: blocks of a four-letter type, a length and a whole PNG file. @param {Map<number, Buffer>} drawn */
function icns(drawn) {
  /** @type {[string, number][]} */
  const types = [
    ["icp4", 16],
    ["icp5", 32],
    ["ic07", 128],
    ["ic08", 256],
    ["ic09", 512],
    ["ic10", 1024],
    ["ic11", 32],
    ["ic12", 64],
    ["ic13", 256],
    ["ic14", 512],
  ];
  const blocks = types.map(([type, size]) => block(type, drawn.get(size) ?? Buffer.alloc(0)));
  return block("icns", Buffer.concat(blocks));
}

/** @param {string} type @param {Buffer} body */
function block(type, body) {
  const head = Buffer.alloc(8);
  head.write(type, 0, "ascii");
  head.writeUInt32BE(body.length + 8, 4);
  return Buffer.concat([head, body]);
}

/** @type {Map<number, Buffer>} */
const drawn = new Map();
for (const size of [16, 24, 32, 48, 64, 128, 256, 512, 1024]) {
  drawn.set(size, await draw(size <= 48 ? "icon-small.svg" : "icon.svg", size));
}

/** @param {string} name @param {number} size */
const save = async (name, size) => writeFile(join(icons, name), drawn.get(size) ?? Buffer.alloc(0));
await save("32x32.png", 32);
await save("64x64.png", 64);
await save("128x128.png", 128);
await save("128x128@2x.png", 256);
await save("icon.png", 512);
await save("icon-1024.png", 1024);
await writeFile(join(icons, "icon.ico"), ico(drawn));
await writeFile(join(icons, "icon.icns"), icns(drawn));
await writeFile(join(icons, "tray.png"), await draw("icon-small.svg", 32));
await writeFile(join(icons, "tray-unread.png"), await draw("tray-unread.svg", 32));
await writeFile(join(icons, "tray-template.png"), await draw("tray-template.svg", 44));
await browser.close();
