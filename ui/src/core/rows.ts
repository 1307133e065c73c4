import type { Account, Chat, Contact, Device, File, Message } from "./generated/api";

/** What core answers with, for tests: Anna, online, and Ben, whom nothing is known of but his address. */
export function account(more: Partial<Account> = {}): Account {
  return {
    account: 1,
    address: "anna@a.example",
    enabled: true,
    state: "online",
    error: null,
    show: "available",
    status: null,
    color: 0,
    unread: 0,
    host: null,
    port: null,
    tls: null,
    proxy: null,
    refused_certificate: null,
    accepted_certificate: null,
    own_authorities: false,
    send_receipts: true,
    send_markers: true,
    notify: "text",
    plain_allowed: false,
    renewed: null,
    gaps: [],
    rev: 1,
    ...more,
  };
}

export function contact(more: Partial<Contact> = {}): Contact {
  return {
    account: 1,
    address: "ben@b.example",
    name: null,
    subscription: "both",
    asked: false,
    groups: [],
    send_receipts: "as_account",
    send_markers: "as_account",
    presence: "offline",
    status: null,
    rev: 1,
    ...more,
  };
}

export function chat(more: Partial<Chat> = {}): Chat {
  return {
    chat: 1,
    account: 1,
    address: "ben@b.example",
    title: "ben@b.example",
    unread: 0,
    encryption: "omemo",
    lock: "encrypted",
    text_only: false,
    trust_taken_back: false,
    read_up_to: null,
    last: null,
    rev: 1,
    ...more,
  };
}

/** The later the higher the id. */
export function message(id: number, more: Partial<Message> = {}): Message {
  return {
    message: id,
    chat: 1,
    account: 1,
    from: "ben@b.example",
    direction: "in",
    body: `text ${id}`,
    files: [],
    sent_at: new Date(1_700_000_000_000 + id * 1_000).toISOString(),
    position: id,
    delivery: "delivered",
    encryption: "omemo2",
    trust: "blind",
    unprotected: false,
    undecryptable: null,
    error: null,
    origin_id: null,
    archive_id: null,
    rev: id,
    ...more,
  };
}

/** A file that nobody asked for yet. */
export function file(id: number, more: Partial<File> = {}): File {
  return {
    file: id,
    name: `file ${id}.pdf`,
    media_type: null,
    size: null,
    state: "offered",
    received: null,
    failure: null,
    host: "upload.b.example",
    picture: null,
    program: false,
    ...more,
  };
}

/** A device in use, whose key was taken as it came. */
export function device(id: number, more: Partial<Device> = {}): Device {
  return {
    device: id,
    fingerprint: String(id % 10).repeat(64),
    trust: "blind",
    protocols: ["omemo1", "omemo2"],
    active: true,
    own: false,
    label: null,
    first_seen: null,
    trust_told: false,
    taken_back_by: null,
    last_seen: null,
    last_failure: null,
    last_repaired: null,
    reach: "ready",
    bundle_fault: null,
    other_key: null,
    ...more,
  };
}
