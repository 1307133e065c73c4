import type { ConsoleEntry } from "../core/generated/api";

/** Large entries that are shown whole. They outlive their rows, which are only there while they are in sight. */
export const unfolded = new WeakSet<ConsoleEntry>();
