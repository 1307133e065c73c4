import { mount } from "svelte";

import { bridge } from "./core/bridge";
import type { Core } from "./core/core";
import Window from "./Window.svelte";

const target = document.getElementById("app");
if (!target) throw new Error("index.html has no #app");

mount(Window, { target, props: { core: await chooseCore() } });

// The core in memory is for development only: this branch is not in what is shipped.
async function chooseCore(): Promise<Core> {
  const scene = new URLSearchParams(location.search).get("fake");
  if (import.meta.env.DEV && scene !== null) {
    const { fakeScene } = await import("./core/scenes");
    return fakeScene(scene);
  }
  return bridge;
}
