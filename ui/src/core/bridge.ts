import { Channel, convertFileSrc, invoke } from "@tauri-apps/api/core";

import type { Core } from "./core";
import type { Event } from "./generated/api";

/** The program itself. The only place that knows how the window reaches it. */
export const bridge: Core = {
  opening: () => invoke("opening"),
  unlock: (passphrase) => invoke("unlock", { passphrase }),
  request: (method, params) => invoke("request", { method, params }),
  subscribe: (receive) => invoke("subscribe", { channel: new Channel<Event[]>(receive) }),
  openLink: (url) => invoke("open_link", { url }),
  openFile: (file) => invoke("open_file", { file }),
  pictureUrl: (word) => convertFileSrc(word, "picture"),
};
