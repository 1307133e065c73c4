/** A hidden window draws no frames. */
const LONGEST = 250;

/** Calls back once what is drawn now is on screen; lists measure themselves in the first frame and fill in the second. */
export function afterPaint(done: () => void): void {
  let called = false;
  const once = () => {
    if (called) return;
    called = true;
    clearTimeout(timer);
    done();
  };
  const timer = setTimeout(once, LONGEST);
  requestAnimationFrame(() => requestAnimationFrame(once));
}
