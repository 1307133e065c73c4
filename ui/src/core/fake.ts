import type { Core, Method } from "./core";
import type {
  Account,
  AccountId,
  AddAccount,
  ArchivePreferences,
  Certificate,
  Chat,
  ChatId,
  Code,
  ConnectionReport,
  ConsoleEntry,
  Contact,
  ContactRequest,
  Delivery,
  Device,
  EncryptionReport,
  Event,
  Fault,
  FetchFile,
  File,
  FileId,
  KeyLinkReading,
  Message,
  MessageId,
  Opening,
  Proxy,
  Requests,
  SetProxy,
  Show,
  Way,
} from "./generated/api";
import { domainOf, outcomeOf, refusedOf, stateAfter } from "./outcomes";
import * as rows from "./rows";
import { encryption, linkReading, ownCode, reachOf, report } from "./samples";

/** The most entries that a console answers with. */
const CONSOLE = 1_000;

type Handlers = { [M in Method]: (params: Requests[M]["params"]) => Requests[M]["result"] };

/** A whole core in memory, for tests and for looking at the window without a server. It behaves like the real one:
 * what it says by events it also answers, and the other way round. */
export class FakeCore implements Core {
  opened: Opening = { state: "ready" };
  /** Accepted by `unlock`; any is, when it is chosen for the first time. */
  passphrase = "correct horse";
  /** Links that were opened. */
  readonly links: string[] = [];
  /** Files that were opened. */
  readonly opened_files: FileId[] = [];
  /** What pictures look like, as URLs. */
  readonly pictures = new Map<FileId, string>();
  /** What becomes of a file that is fetched, where that is not success. */
  readonly fates = new Map<FileId, Partial<File>>();
  /** Files that are fetched only after the person agreed. */
  readonly unagreed = new Set<FileId>();
  /** Every request, in order. */
  readonly asked: { method: Method; params: unknown }[] = [];
  /** Own messages move on by themselves, this many milliseconds a step; not at all when null. */
  pace: number | null = null;
  /** Milliseconds until a request is answered. */
  delay = 0;
  /** Makes the next request of a kind fail. */
  readonly refuse = new Map<Method, Fault>();

  readonly accounts = new Map<AccountId, Account>();
  readonly contacts = new Map<string, Contact>();
  readonly requests = new Map<string, ContactRequest>();
  readonly chats = new Map<ChatId, Chat>();
  readonly messages = new Map<ChatId, Message[]>();
  readonly devices = new Map<string, Device[]>();
  /** The right password of an account that needs one. */
  readonly passwords = new Map<string, string>();
  /** How an account is connected, where that is not as usual. */
  readonly reports = new Map<AccountId, Partial<ConnectionReport>>();
  /** What the server of an account keeps; null where it lets nobody choose. */
  readonly archives = new Map<AccountId, ArchivePreferences | null>();
  /** What goes over an account's wire as soon as its console is switched on. */
  readonly traffic = new Map<AccountId, readonly [Way, string][]>();
  /** What the codes in the next picture say. */
  codes: string[] = [];
  /** The consoles that are on. */
  readonly consoles = new Map<AccountId, ConsoleEntry[]>();
  active = true;
  /** Where the person looks: a chat, the window, or elsewhere. */
  looking: ChatId | "window" | "elsewhere" = "elsewhere";

  // Accounts that may sign in more weakly than before.
  readonly #weakened = new Set<AccountId>();
  #rev = 0;
  #id = 0;
  #receive: ((events: Event[]) => void) | null = null;
  #batch: Event[] = [];
  // Like the real one, it answers nothing but `opening` and `unlock` until the profile is open.
  #enter: () => void = () => undefined;
  #door: Promise<void> | null = null;

  // The interface.

  opening(): Promise<Opening> {
    if (this.opened.state !== "ready") this.#door ??= new Promise((enter) => (this.#enter = enter));
    return Promise.resolve(this.opened);
  }

  async unlock(passphrase: string): Promise<Opening> {
    const first = this.opened.state === "passphrase_needed" && this.opened.first;
    if (!first && passphrase !== this.passphrase) throw fault("wrong_passphrase");
    this.opened = { state: "ready" };
    this.#enter();
    return this.opened;
  }

  async request<M extends Method>(method: M, params: Requests[M]["params"]): Promise<Requests[M]["result"]> {
    this.asked.push({ method, params });
    await this.#door;
    const refused = this.refuse.get(method);
    this.refuse.delete(method);
    // What happens while the answer is on its way is not in it.
    const answer = refused ?? structuredClone(this.#handlers[method](params));
    await new Promise((done) => setTimeout(done, this.delay));
    if (refused) throw refused;
    return answer as Requests[M]["result"];
  }

  async subscribe(receive: (events: Event[]) => void): Promise<void> {
    await this.#door;
    this.#receive = receive;
    this.emit({ type: "ready", version: "0.1.0" });
  }

  openLink(url: string): Promise<void> {
    this.links.push(url);
    return Promise.resolve();
  }

  openFile(file: FileId): Promise<void> {
    this.opened_files.push(file);
    return Promise.resolve();
  }

  pictureUrl(word: string): string {
    return this.pictures.get(Number(word)) ?? "data:,";
  }

  // What the world does.

  addAccount(address: string, more: Partial<Account> = {}): AccountId {
    const account = this.#next();
    const color = this.accounts.size % 8;
    this.accounts.set(account, rows.account({ account, address, color, ...more }));
    this.changeAccount(account, {});
    return account;
  }

  changeAccount(id: AccountId, change: Partial<Account>): void {
    const account = { ...need(this.accounts.get(id)), ...change, rev: this.#nextRev() };
    this.accounts.set(id, account);
    this.emit({ type: "account_changed", account });
  }

  addContact(account: AccountId, address: string, more: Partial<Contact> = {}): void {
    this.contacts.set(key(account, address), rows.contact({ account, address, ...more }));
    this.changeContact(account, address, {});
  }

  changeContact(account: AccountId, address: string, change: Partial<Contact>): void {
    const contact = { ...need(this.contacts.get(key(account, address))), ...change, rev: this.#nextRev() };
    this.contacts.set(key(account, address), contact);
    this.emit({ type: "contact_changed", contact });
    const chat = this.chatWith(account, address);
    if (chat) this.changeChat(chat.chat, { title: contact.name ?? address });
  }

  addRequest(account: AccountId, address: string): void {
    const request = { account, address, received_at: new Date().toISOString() };
    this.requests.set(key(account, address), request);
    this.emit({ type: "request_received", ...request });
  }

  addChat(account: AccountId, address: string, more: Partial<Chat> = {}): ChatId {
    const chat = this.#next();
    this.messages.set(chat, []);
    const title = this.contacts.get(key(account, address))?.name ?? address;
    this.chats.set(chat, rows.chat({ chat, account, address, title, ...more }));
    this.changeChat(chat, {});
    return chat;
  }

  changeChat(id: ChatId, change: Partial<Chat>): void {
    const chat = { ...need(this.chats.get(id)), ...change, rev: this.#nextRev() };
    this.chats.set(id, chat);
    this.emit({ type: "chat_changed", chat });
  }

  chatWith(account: AccountId, address: string): Chat | undefined {
    return [...this.chats.values()].find((chat) => chat.account === account && chat.address === address);
  }

  /** A message of the past or of now; unread ones count. */
  addMessage(
    chatId: ChatId,
    body: string | null,
    more: Partial<Message> & { read?: boolean } = {},
  ): MessageId {
    const { read = true, ...fields } = more;
    const chat = need(this.chats.get(chatId));
    const direction = fields.direction ?? "in";
    const message = rows.message(this.#next(), {
      chat: chatId,
      account: chat.account,
      from: direction === "in" ? chat.address : need(this.accounts.get(chat.account)).address,
      direction,
      body,
      sent_at: new Date().toISOString(),
      delivery: direction === "in" ? "delivered" : "read",
      encryption: chat.encryption === "omemo" ? "omemo2" : "none",
      trust: chat.encryption === "omemo" ? "blind" : null,
      rev: this.#nextRev(),
      ...fields,
    });
    message.position = Date.parse(message.sent_at) * 1_000 + (message.message % 1_000);
    need(this.messages.get(chatId)).push(message);
    this.emit({ type: "message_changed", message });
    this.changeChat(chatId, {
      last: message,
      ...(read ? { read_up_to: message.message } : { unread: need(this.chats.get(chatId)).unread + 1 }),
    });
    if (!read) this.#countUnread(chat.account);
    return message.message;
  }

  /** Something of long ago is fetched from the server; nobody is told of it by itself. */
  addPast(chatId: ChatId, body: string, sent_at: string): void {
    const chat = need(this.chats.get(chatId));
    const all = need(this.messages.get(chatId));
    const position = Date.parse(sent_at) * 1_000;
    const first = need(all[0]);
    all.unshift({
      ...first,
      message: this.#next(),
      from: chat.address,
      direction: "in",
      body,
      sent_at,
      position,
      rev: this.#nextRev(),
    });
  }

  /** Something arrives now, unread. */
  receive(chat: ChatId, body: string | null, more: Partial<Message> = {}): MessageId {
    return this.addMessage(chat, body, { ...more, direction: "in", read: false });
  }

  changeMessage(id: MessageId, change: Partial<Message>): void {
    for (const [chatId, messages] of this.messages) {
      const at = messages.findIndex((message) => message.message === id);
      const had = messages[at];
      if (!had) continue;
      const message = { ...had, ...change, rev: this.#nextRev() };
      messages[at] = message;
      this.emit({ type: "message_changed", message });
      if (this.chats.get(chatId)?.last?.message === id) this.changeChat(chatId, { last: message });
    }
  }

  changeFile(id: FileId, change: Partial<File>): void {
    const message = need(
      [...this.messages.values()].flat().find((one) => one.files.some((f) => f.file === id)),
    );
    const files = message.files.map((file) => (file.file === id ? { ...file, ...change } : file));
    this.changeMessage(message.message, { files });
  }

  setDevices(account: AccountId, address: string, devices: Device[]): void {
    this.devices.set(key(account, address), devices);
  }

  /** Something goes over an account's wire; it is kept only while the console is on. */
  see(account: AccountId, ...seen: readonly [Way, string][]): void {
    const kept = this.consoles.get(account);
    if (!kept) return;
    const last = kept.at(-1)?.number ?? 0;
    const entries = seen.map(([way, xml], at) => ({
      number: last + at + 1,
      at: new Date().toISOString(),
      way,
      xml,
    }));
    kept.push(...entries);
    for (let at = 0; at < entries.length; at += 100) {
      this.emit({ type: "console_seen", account, entries: entries.slice(at, at + 100) });
    }
    kept.splice(0, kept.length - CONSOLE);
  }

  /** Sends an event as it stands. */
  emit(event: Event): void {
    if (!this.#receive) return;
    if (this.#batch.length === 0) queueMicrotask(() => this.#flush());
    this.#batch.push(structuredClone(event));
  }

  #flush(): void {
    const batch = this.#batch;
    this.#batch = [];
    this.#receive?.(batch);
  }

  #next(): number {
    this.#id += 1;
    return this.#id;
  }

  #nextRev(): number {
    this.#rev += 1;
    return this.#rev;
  }

  #countUnread(account: AccountId): void {
    let unread = 0;
    for (const chat of this.chats.values()) if (chat.account === account) unread += chat.unread;
    this.changeAccount(account, { unread });
  }

  #signIn(id: AccountId, password: string): void {
    const account = need(this.accounts.get(id));
    this.changeAccount(id, { state: "connecting", error: null, refused_certificate: null });
    setTimeout(
      () => {
        const now = this.accounts.get(id);
        if (!now?.enabled) return;
        const code = outcomeOf(account);
        const refused = refusedOf(now, code);
        if (code === undefined || this.#getsIn(now, code, refused, password)) {
          this.changeAccount(id, { state: "online" });
        } else {
          this.changeAccount(id, {
            state: stateAfter(code),
            error: fault(code),
            refused_certificate: refused,
          });
        }
      },
      Math.max(this.delay, 20),
    );
  }

  #getsIn(account: Account, code: Code, refused: Certificate | null, password: string): boolean {
    if (code === "wrong_password") return password === "right";
    if (code === "plain_only") return account.plain_allowed;
    if (code === "login_weakened") return this.#weakened.has(account.account);
    if (code === "proxy_failed") return account.proxy === null;
    return refused !== null && account.accepted_certificate === refused.fingerprint;
  }

  // A change of how the account connects, which it then does.
  #reconnect(account: AccountId, change: Partial<Account>): Record<symbol, never> {
    this.changeAccount(account, change);
    if (need(this.accounts.get(account)).enabled) this.#signIn(account, "");
    return {};
  }

  #moveOn(id: MessageId, left: readonly Delivery[]): void {
    const [delivery, ...rest] = left;
    if (this.pace === null || delivery === undefined) return;
    setTimeout(() => {
      this.changeMessage(id, { delivery });
      this.#moveOn(id, rest);
    }, this.pace);
  }

  readonly #handlers: Handlers = {
    add_account: (params) => this.#addAccount(params),
    list_accounts: () => [...this.accounts.values()],
    set_account_enabled: ({ account, enabled }) => {
      this.changeAccount(account, { enabled, state: "offline", error: null });
      if (enabled) this.#signIn(account, "");
      return {};
    },
    set_password: ({ account, password }) => {
      this.#signIn(account, password);
      return {};
    },
    set_connection: ({ account, host, port, tls, proxy }) => {
      if (port === 0) throw fault("invalid_params");
      return this.#reconnect(account, {
        host: host ?? null,
        port: port ?? null,
        tls: tls ?? null,
        proxy: shownProxy(proxy),
      });
    },
    accept_certificate: ({ account, fingerprint }) => {
      const shown = need(this.accounts.get(account)).refused_certificate;
      if (shown?.fingerprint !== fingerprint) throw fault("not_found");
      return this.#reconnect(account, { accepted_certificate: fingerprint });
    },
    forget_certificate: ({ account }) => this.#reconnect(account, { accepted_certificate: null }),
    set_authorities: ({ account, pem }) => {
      if (pem !== undefined && !pem.includes("-----BEGIN CERTIFICATE-----")) throw fault("invalid_params");
      return this.#reconnect(account, { own_authorities: pem !== undefined });
    },
    allow_weaker_login: ({ account }) => {
      const code = need(this.accounts.get(account)).error?.code;
      if (code !== "plain_only" && code !== "login_weakened") throw fault("not_found");
      this.#weakened.add(account);
      return this.#reconnect(account, code === "plain_only" ? { plain_allowed: true } : {});
    },
    forbid_plain_login: ({ account }) => this.#reconnect(account, { plain_allowed: false }),
    archive_preferences: ({ account }) => this.#archivePreferences(account),
    set_archive_preferences: ({ account, ...preferences }) => {
      const wrong = [...preferences.always, ...preferences.never].some((address) => !address.includes("@"));
      if (wrong) throw fault("invalid_params");
      this.#archivePreferences(account);
      this.archives.set(account, preferences);
      return preferences;
    },
    connection_report: ({ account }) => this.#report(need(this.accounts.get(account))),
    set_console: ({ account, on }) => {
      if (!on) this.consoles.delete(account);
      else if (!this.consoles.has(account)) {
        this.consoles.set(account, []);
        this.see(account, ...(this.traffic.get(account) ?? []));
      }
      return {};
    },
    list_console: ({ account }) => this.consoles.get(account) ?? [],
    set_active: ({ active }) => {
      this.active = active;
      return {};
    },
    set_looking: ({ looking, chat }) => {
      this.looking = looking ? (chat ?? "window") : "elsewhere";
      return {};
    },
    set_notify: ({ account, notify }) => {
      this.changeAccount(account, { notify });
      return {};
    },
    show_chat: ({ chat }) => {
      this.emit({ type: "chat_wanted", chat });
      return {};
    },
    check_connections: () => ({}),
    remove_account: ({ account }) => {
      this.accounts.delete(account);
      for (const [id, chat] of this.chats) if (chat.account === account) this.chats.delete(id);
      for (const [id, contact] of this.contacts) if (contact.account === account) this.contacts.delete(id);
      this.emit({ type: "account_removed", account });
      return {};
    },
    set_presence: ({ account, show, status }) => {
      this.changeAccount(account, { show, status: status ?? null });
      return {};
    },
    set_receipts: ({ account, send }) => {
      this.changeAccount(account, { send_receipts: send });
      return {};
    },
    set_markers: ({ account, send }) => {
      this.changeAccount(account, { send_markers: send });
      return {};
    },
    set_contact_receipts: ({ account, address, send }) => {
      this.changeContact(account, address, { send_receipts: send });
      return {};
    },
    set_contact_markers: ({ account, address, send }) => {
      this.changeContact(account, address, { send_markers: send });
      return {};
    },
    list_contacts: ({ account }) => [...this.contacts.values()].filter((one) => one.account === account),
    add_contact: ({ account, address, name, groups }) => {
      if (!/^[^@\s]+@[^@\s]+$/u.test(address)) throw fault("invalid_address");
      const had = this.contacts.get(key(account, address));
      if (!had) this.addContact(account, address, { subscription: "none", asked: true });
      this.changeContact(account, address, {
        ...(name === undefined ? {} : { name: name === "" ? null : name }),
        ...(groups === undefined ? {} : { groups }),
      });
      return {};
    },
    remove_contact: ({ account, address }) => {
      this.contacts.delete(key(account, address));
      this.emit({ type: "contact_removed", account, address });
      return {};
    },
    list_requests: ({ account }) =>
      [...this.requests.values()].filter((one) => account === undefined || one.account === account),
    answer_request: ({ account, address, accept }) => {
      this.requests.delete(key(account, address));
      this.emit({ type: "request_answered", account, address });
      if (accept) this.addContact(account, address, { subscription: "both", presence: "available" });
      return {};
    },
    open_chat: ({ account, address }) => {
      const chat = this.chatWith(account, address)?.chat ?? this.addChat(account, address);
      return { chat };
    },
    list_chats: ({ account }) =>
      [...this.chats.values()].filter((one) => account === undefined || one.account === account),
    mark_read: ({ chat }) => {
      const had = need(this.chats.get(chat));
      this.changeChat(chat, { unread: 0, read_up_to: had.last?.message ?? null });
      this.#countUnread(had.account);
      return {};
    },
    set_encryption: ({ chat, mode }) => {
      this.changeChat(chat, { encryption: mode, lock: mode === "omemo" ? "encrypted" : "plain_chosen" });
      return {};
    },
    list_messages: ({ chat, before, limit = 50 }) => {
      const all = need(this.messages.get(chat));
      const end = before === undefined ? all.length : all.findIndex((one) => one.message === before);
      return all.slice(Math.max(0, end - limit), Math.max(0, end));
    },
    send_text: ({ chat, body }) => {
      if (body.trim() === "") throw fault("empty_message");
      const id = this.addMessage(chat, body, { direction: "out", delivery: "waiting" });
      const account = need(this.accounts.get(need(this.chats.get(chat)).account));
      if (account.state === "online") this.#moveOn(id, ["sent", "delivered", "read"]);
      return this.#message(id);
    },
    retry_message: ({ message }) => {
      this.changeMessage(message, { delivery: "waiting", error: null });
      this.#moveOn(message, ["sent", "delivered"]);
      return this.#message(message);
    },
    fetch_file: (params) => this.#fetch(params),
    cancel_file: ({ file }) => {
      if (this.#file(file).state === "fetching") this.changeFile(file, { state: "offered", received: null });
      return {};
    },
    save_file: ({ file }) => ({ path: `/home/mira/Downloads/${this.#file(file).name}` }),
    unseal_file: ({ file }) => ({ path: `/tmp/${this.#file(file).name}` }),
    show_picture: ({ file }) => {
      if (this.#file(file).picture === null) throw fault("not_found");
      return { word: String(file) };
    },
    list_devices: ({ account, address }) =>
      (this.devices.get(key(account, address)) ?? []).map((one) => ({ ...one, reach: reachOf(one) })),
    set_trust: ({ account, address, fingerprint, trust }) => {
      const devices = this.devices.get(key(account, address)) ?? [];
      for (const device of devices) {
        if (device.fingerprint === fingerprint)
          Object.assign(device, { trust, trust_told: false, taken_back_by: null });
      }
      this.lockByTrust(account);
      return {};
    },
    own_code: ({ account }) => ownCode(need(this.accounts.get(account)).address),
    read_code: () => this.codes,
    read_key_link: ({ account, link }) => this.#readLink(account, link),
    accept_key_link: ({ account, link }) => {
      const { address, keys } = this.#readLink(account, link);
      const devices = this.devices.get(key(account, address)) ?? [];
      for (const named of keys) {
        for (const device of devices) {
          if (device.fingerprint === named.fingerprint) device.trust = "verified";
          else if (device.device === named.device) device.trust = "untrusted";
        }
      }
      this.lockByTrust(account);
      return {};
    },
    encryption_report: ({ chat }) => this.#encryption(need(this.chats.get(chat))),
    read_devices_again: ({ chat }) => {
      const { account } = need(this.chats.get(chat));
      if (need(this.accounts.get(account)).state !== "online") throw fault("not_online");
      this.changeChat(chat, {});
      return {};
    },
    republish_keys: ({ account }) => {
      if (need(this.accounts.get(account)).state !== "online") throw fault("not_online");
      return {};
    },
    reset_session: ({ account, address, device }) => {
      const now = new Date().toISOString();
      this.#changeDevice(account, address, device, {
        last_repaired: now,
        reach: "ready",
        bundle_fault: null,
      });
      return {};
    },
    renewal_seen: ({ account }) => {
      this.changeAccount(account, { renewed: null });
      return {};
    },
    remove_device: ({ account, device }) => {
      const own = need(this.accounts.get(account)).address;
      this.#changeDevice(account, own, device, { active: false, protocols: [], reach: "inactive" });
      return {};
    },
    search: ({ query, limit = 50, account }) => {
      const words = query.toLowerCase().split(/\s+/u);
      return [...this.messages.values()]
        .flat()
        .filter((one) => account === undefined || one.account === account)
        .filter((one) => words.every((word) => textOf(one).includes(word)))
        .reverse()
        .slice(0, limit);
    },
  };

  #changeDevice(account: AccountId, address: string, device: number, change: Partial<Device>): void {
    const known = (this.devices.get(key(account, address)) ?? []).find((one) => one.device === device);
    if (known === undefined) throw fault("not_found");
    Object.assign(known, change);
  }

  #addAccount(params: AddAccount): { account: AccountId } {
    const { address, password, host, port, tls, proxy } = params;
    if (!/^[^@\s]+@[^@\s]+$/u.test(address)) throw fault("invalid_address");
    if ([...this.accounts.values()].some((one) => one.address === address)) throw fault("account_exists");
    const account = this.addAccount(address, {
      state: "connecting",
      host: host ?? null,
      port: port ?? null,
      tls: tls ?? null,
      proxy: shownProxy(proxy),
    });
    this.#signIn(account, password);
    return { account };
  }

  #archivePreferences(account: AccountId): ArchivePreferences {
    need(this.accounts.get(account));
    const kept = this.archives.get(account);
    if (kept === null) throw fault("not_supported");
    return kept ?? { default: "always", always: [], never: [] };
  }

  #report(account: Account): ConnectionReport {
    const usual = report(account.account, domainOf(account));
    const now = { ...usual, ...this.reports.get(account.account) };
    return account.state === "online" ? now : { ...now, connection: null, features: [] };
  }

  #fetch({ file, host, size }: FetchFile): Record<symbol, never> {
    const wanted = this.#file(file);
    const asks = this.unagreed.has(file) || wanted.failure === "elsewhere" || (wanted.size ?? 0) > 50 << 20;
    if (asks && (host !== wanted.host || (size ?? null) !== wanted.size)) throw fault("not_agreed");
    const all = wanted.size ?? 1_000_000;
    this.changeFile(file, { state: "fetching", failure: null, received: 0 });
    if (this.pace === null) return {};
    for (const part of [1, 2, 3, 4]) {
      setTimeout(() => {
        if (this.#file(file).state !== "fetching") return;
        const done: Partial<File> = { state: "ready", size: all, received: null, ...this.fates.get(file) };
        this.changeFile(file, part === 4 ? done : { received: (all * part) / 4 });
      }, this.pace * part);
    }
    return {};
  }

  #file(id: FileId): File {
    return need(
      [...this.messages.values()]
        .flat()
        .flatMap((one) => one.files)
        .find((file) => file.file === id),
    );
  }

  /** New keys that want a decision lock the chats of an account, and free them when it is made; trust that was taken back
   * is told until then. */
  lockByTrust(account: AccountId): void {
    for (const chat of this.chats.values()) {
      if (chat.account !== account || !["encrypted", "undecided"].includes(chat.lock)) continue;
      const { devices } = this.#encryption(chat);
      const waits = devices.some(({ device }) => device.reach === "undecided");
      const trust_taken_back = devices.some(({ ours, device }) => !ours && device.taken_back_by !== null);
      this.changeChat(chat.chat, { lock: waits ? "undecided" : "encrypted", trust_taken_back });
    }
  }

  #readLink(account: AccountId, link: string): KeyLinkReading {
    const own = need(this.accounts.get(account)).address;
    const reading = linkReading(link, own, (address) => this.devices.get(key(account, address)) ?? []);
    if (!reading) throw fault("no_key_link");
    return reading;
  }

  #encryption(chat: Chat): EncryptionReport {
    const account = need(this.accounts.get(chat.account));
    const of = (address: string) => this.devices.get(key(chat.account, address)) ?? [];
    return encryption(chat, account.state === "online", of(chat.address), of(account.address));
  }

  #message(id: MessageId): Message {
    return need([...this.messages.values()].flat().find((message) => message.message === id));
  }
}

function textOf(message: Message): string {
  return [message.body ?? "", ...message.files.map((file) => file.name)].join(" ").toLowerCase();
}

/** A fault with its sentence for experts. */
export function fault(code: Code): Fault {
  return { code, text: `expert text of ${code}` };
}

/** A presence in turn. */
export function showAt(index: number): Show {
  const shows: Show[] = ["available", "away", "offline", "dnd", "chat", "offline", "xa", "offline"];
  return shows[index % shows.length] ?? "offline";
}

// Nobody is told a proxy's password.
function shownProxy(proxy: SetProxy | undefined): Proxy | null {
  if (!proxy) return null;
  if (proxy.port === 0) throw fault("invalid_params");
  return { kind: proxy.kind, host: proxy.host, port: proxy.port, user: proxy.user ?? null };
}

function key(account: AccountId, address: string): string {
  return `${account} ${address}`;
}

function need<T>(value: T | undefined): T {
  if (value === undefined) throw fault("not_found");
  return value;
}
