/** The brightness of each pixel of a picture, row by row, in base64. */
export type Brightness = { width: number; height: number; pixels: string };

/** Larger files are not looked at. */
const BYTES = 20 * 1024 * 1024;
/** Nor are pictures with more pixels, which would fill the memory. */
const PIXELS = 64_000_000;
/** A picture is made so small that none of its sides is longer. */
const SIDE = 1_400;

/** The brightness of a picture. Null if it is none that can be shown, or too large a one. */
export async function brightnessOf(file: Blob): Promise<Brightness | null> {
  if (file.size > BYTES) return null;
  let picture: ImageBitmap;
  try {
    picture = await createImageBitmap(file);
  } catch {
    return null;
  }
  try {
    return picture.width * picture.height > PIXELS ? null : measured(picture);
  } finally {
    picture.close();
  }
}

function measured(picture: ImageBitmap): Brightness | null {
  const scale = Math.min(1, SIDE / Math.max(picture.width, picture.height));
  const width = Math.max(1, Math.round(picture.width * scale));
  const height = Math.max(1, Math.round(picture.height * scale));
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) return null;
  // What is transparent is paper.
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(picture, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const grey = new Uint8Array(width * height);
  for (let at = 0; at < grey.length; at += 1) {
    const red = data[at * 4] ?? 0;
    const green = data[at * 4 + 1] ?? 0;
    const blue = data[at * 4 + 2] ?? 0;
    grey[at] = (red * 299 + green * 587 + blue * 114) / 1_000;
  }
  return { width, height, pixels: base64(grey) };
}

function base64(bytes: Uint8Array): string {
  const CHUNK = 0x8000;
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) {
    text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  }
  return btoa(text);
}
