import type { App } from "./app.svelte";

/** Away for so many milliseconds, the person no longer looks. */
const AWAY = 30_000;

/** Follows whether the person looks at the window, and tells core: at once when they come, later when they have gone.
 * Also tells it that the network came back. Returns what ends it. */
export function attend(app: App): () => void {
  const { view } = app;
  const ends = new AbortController();
  let told = true;
  let leaving: ReturnType<typeof setTimeout> | undefined;

  function tell(active: boolean): void {
    if (told === active) return;
    told = active;
    // Nobody asked for it, so nobody is told if it cannot be done.
    app.core.request("set_active", { active }).catch(() => undefined);
  }

  function here(): void {
    view.focused = true;
    clearTimeout(leaving);
    leaving = undefined;
    tell(true);
  }

  function away(): void {
    view.focused = false;
    leaving ??= setTimeout(() => tell(false), AWAY);
  }

  function seen(): void {
    if (document.visibilityState === "hidden") away();
    else if (document.hasFocus()) here();
  }

  const { signal } = ends;
  // Those of the window itself: what happens within it does not bubble up here.
  window.addEventListener("focus", here, { signal });
  window.addEventListener("blur", away, { signal });
  // A press or a key is a sign of life wherever the web view thinks that the focus is.
  window.addEventListener("pointerdown", here, { signal, capture: true });
  window.addEventListener("keydown", here, { signal, capture: true });
  document.addEventListener("visibilitychange", seen, { signal });
  window.addEventListener(
    "online",
    () => void app.core.request("check_connections", {}).catch(() => undefined),
    { signal },
  );
  return () => {
    ends.abort();
    clearTimeout(leaving);
  };
}
