import type { File, FileFailure, FileId } from "../core/generated/api";
import { type Key, t } from "../lib/text";
import { ask, open, say } from "./actions";
import type { App } from "./app.svelte";
import { asFault, faultText } from "./faults";

// A new reason without words is a type error.
const failures: Record<FileFailure, Key> = {
  not_encrypted: "file.failure.not_encrypted",
  gone: "file.failure.gone",
  refused: "file.failure.refused",
  server_failed: "file.failure.server_failed",
  unreachable: "file.failure.unreachable",
  certificate: "file.failure.certificate",
  proxy_failed: "file.failure.proxy_failed",
  elsewhere: "file.failure.elsewhere",
  insecure: "file.failure.insecure",
  too_large: "file.failure.too_large",
  truncated: "file.failure.truncated",
  forged: "file.failure.forged",
  disk_full: "file.failure.disk_full",
  not_stored: "file.failure.not_stored",
  lost: "file.failure.lost",
};

/** Why a file could not be had, in plain words. */
export function failureText(file: File): string {
  if (file.failure === null) return "";
  return t(failures[file.failure], { host: file.host ?? "" });
}

/** Whether asking again can be of use. */
export function canTryAgain(file: File): boolean {
  return file.state === "failed" && file.failure !== "not_encrypted";
}

/** Fetches a file; where the person has to agree first, they are asked. */
export async function fetchFile(app: App, file: File): Promise<void> {
  try {
    await app.core.request("fetch_file", { file: file.file });
  } catch (thrown) {
    const fault = asFault(thrown);
    if (fault.code === "not_agreed") open(app, { kind: "fetch_file", file });
    else say(app, faultText(fault));
  }
}

/** Fetches a file after the person agreed to its host and its size. */
export async function fetchAgreed(app: App, file: File): Promise<void> {
  await ask(app, "fetch_file", {
    file: file.file,
    ...(file.host === null ? {} : { host: file.host }),
    ...(file.size === null ? {} : { size: file.size }),
  });
}

export async function stopFile(app: App, file: FileId): Promise<void> {
  await ask(app, "cancel_file", { file });
}

/** Saves a file among the downloads, and says where. */
export async function saveFile(app: App, file: File): Promise<void> {
  const saved = await ask(app, "save_file", { file: file.file });
  if (saved) say(app, t("file.saved", { path: saved.path }));
}

/** Opens a file with the system's program for it. */
export async function openFile(app: App, file: FileId): Promise<void> {
  try {
    await app.core.openFile(file);
  } catch (thrown) {
    say(app, faultText(asFault(thrown)));
  }
}

/** Where the window loads a picture from; null if it cannot be shown. */
export async function pictureOf(app: App, file: FileId): Promise<string | null> {
  try {
    return app.core.pictureUrl((await app.core.request("show_picture", { file })).word);
  } catch {
    return null;
  }
}
