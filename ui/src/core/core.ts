import type { Event, FileId, Opening, Requests } from "./generated/api";

/** What the window can ask of the program behind it; spoken by `bridge.ts`, and by `fake.ts` in tests. */
export interface Core {
  /** How the profile opened. */
  opening(): Promise<Opening>;
  /** Opens the profile with a passphrase; rejects with a `Fault`. */
  unlock(passphrase: string): Promise<Opening>;
  /** Asks for something; rejects with a `Fault`. */
  request<M extends Method>(method: M, params: Requests[M]["params"]): Promise<Requests[M]["result"]>;
  /** Hands over every event from now on, in order and in batches. */
  subscribe(receive: (events: Event[]) => void): Promise<void>;
  /** Opens a link outside of the window; the program decides which schemes it opens. */
  openLink(url: string): Promise<void>;
  /** Opens a file that is here with the system's program for it. */
  openFile(file: FileId): Promise<void>;
  /** Where the window loads a picture from, by the word that `show_picture` gave. */
  pictureUrl(word: string): string;
}

export type Method = keyof Requests;
