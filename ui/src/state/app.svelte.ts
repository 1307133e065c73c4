import { getContext, setContext } from "svelte";
import { SvelteMap, SvelteSet } from "svelte/reactivity";
import type { VirtualizerHandle } from "virtua/svelte";

import type { Core } from "../core/core";
import type {
  AccountId,
  Chat,
  ChatId,
  Contact,
  Device,
  File,
  MessageId,
  Opening,
} from "../core/generated/api";
import { Mirror } from "./mirror.svelte";

/** A dialog over the window. */
export type Ask =
  | { kind: "add_contact"; account: AccountId | null; address: string }
  | { kind: "edit_contact"; contact: Contact }
  | { kind: "remove_contact"; contact: Contact }
  | { kind: "requests" }
  | { kind: "turn_off_encryption"; chat: ChatId }
  | { kind: "compare_key"; account: AccountId; address: string; device: Device }
  | { kind: "key_link"; account: AccountId; link: string }
  | { kind: "my_code"; account: AccountId }
  | { kind: "reset_session"; account: AccountId; address: string; device: Device }
  | { kind: "remove_device"; account: AccountId; device: Device }
  | { kind: "change_password"; account: AccountId }
  | { kind: "remove_account"; account: AccountId }
  | { kind: "certificate"; account: AccountId }
  | { kind: "weaker_login"; account: AccountId }
  | { kind: "open_link"; url: string }
  | { kind: "fetch_file"; file: File }
  | { kind: "open_file"; file: File }
  | { kind: "show_picture"; file: File }
  | { kind: "switcher" };

export type Page = "chats" | "settings" | "connection" | "encryption" | "sign_in";
export type Tab = "chats" | "contacts";
/** What is shown of an account's connection. */
export type ConnectionTab = "overview" | "settings" | "console";

/** What is the window's own: where one is, never what is true. */
export class View {
  opening: Opening | null = $state.raw(null);
  /** The first lists are here. */
  loaded = $state(false);
  page: Page = $state("chats");
  tab: Tab = $state("chats");
  /** The account filtered to, or all. */
  account: AccountId | null = $state(null);
  chat: ChatId | null = $state(null);
  /** The account whose connection is shown on the page of that name. */
  connection: AccountId | null = $state(null);
  connectionTab: ConnectionTab = $state("overview");
  details = $state(false);
  query = $state("");
  ask: Ask | null = $state.raw(null);
  /** A message to bring into sight once. */
  sought: MessageId | null = $state(null);
  /** A short word at the foot of the window. */
  notice: string | null = $state(null);
  /** Accounts that take longer than usual to read what they missed. */
  readonly behind = new SvelteSet<AccountId>();
  /** The window has the keyboard. */
  focused = $state(true);
  /** Moves on once a minute, so that "today" and times do not grow stale. */
  now = $state.raw(new Date());
}

export class App {
  readonly mirror = new Mirror();
  readonly view = new View();
  /** Unsent text by chat. */
  readonly drafts = new SvelteMap<ChatId, string>();
  /** How high the rows of a chat were, and the key of the first of them. */
  readonly heights = new Map<ChatId, { first: string; heights: ReturnType<VirtualizerHandle["getCache"]> }>();
  /** Keeps what is sent in one chat in its order. */
  readonly sending = new Map<ChatId, Promise<unknown>>();

  constructor(readonly core: Core) {}

  /** The open chat. */
  readonly chat: Chat | undefined = $derived(
    this.view.chat === null ? undefined : this.mirror.chats.get(this.view.chat),
  );
  readonly manyAccounts = $derived(this.mirror.accounts.size > 1);
}

const APP = Symbol("app");

export function provideApp(app: App): void {
  setContext(APP, app);
}

export function useApp(): App {
  return getContext<App>(APP);
}
