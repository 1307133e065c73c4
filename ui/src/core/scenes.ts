import { FakeCore, fault, showAt } from "./fake";
import type { ChatId, Device, File, Trust } from "./generated/api";
import { file } from "./rows";
import { certificate as shown, digest, features, report, traffic } from "./samples";

/** The scenes by name: `npm run dev`, then `/?fake=home`. */
export function fakeScene(name: string): FakeCore {
  return (scenes[name] ?? home)();
}

const minutes = (count: number) => new Date(Date.now() - count * 60_000).toISOString();
const hours = (count: number) => minutes(count * 60);
const days = (count: number) => hours(count * 24);

const scenes: Record<string, () => FakeCore> = {
  empty,
  home,
  many,
  trouble,
  copied,
  passphrase,
  first_passphrase,
  fetching,
  missed,
  rtl,
  files,
  alone,
  connection,
  console,
  certificate,
  weaker,
  proxy,
  new_device,
  taken_back,
  doubtful,
  stranger,
  ailing,
  devices,
};

function empty(): FakeCore {
  const core = new FakeCore();
  core.delay = 400;
  core.pace = 900;
  return core;
}

function passphrase(): FakeCore {
  const core = home();
  core.opened = { state: "passphrase_needed", first: false };
  return core;
}

function first_passphrase(): FakeCore {
  const core = empty();
  core.opened = { state: "passphrase_needed", first: true };
  return core;
}

/** The server's archive is still being read. */
function fetching(): FakeCore {
  const core = home();
  const chat = [...core.chats.values()].find((one) => one.address === "noor@orchard.example");
  const messages = core.messages.get(chat?.chat ?? -1) ?? [];
  const at = (index: number) => messages[index]?.position ?? 0;
  const half = Math.floor(messages.length / 2);
  core.changeAccount(chat?.account ?? -1, {
    gaps: [
      { after: 0, before: at(0) },
      { after: at(half - 1), before: at(half) },
    ],
  });
  return core;
}

/** What was missed since the last session cannot be read yet. */
function missed(): FakeCore {
  const core = home();
  const chat = [...core.chats.values()].find((one) => one.address === "noor@orchard.example");
  core.changeAccount(chat?.account ?? -1, { gaps: [{ after: chat?.last?.position ?? 0, before: 9e15 }] });
  return core;
}

/** A contact list and no chats. */
function alone(): FakeCore {
  const core = new FakeCore();
  const account = core.addAccount("mira@orchard.example");
  people(core, account);
  core.pace = 900;
  return core;
}

function people(core: FakeCore, account: number): void {
  const add = core.addContact.bind(core, account);
  add("noor@orchard.example", {
    name: "Noor Haddad",
    presence: "available",
    status: "Baking bread",
    groups: ["Friends"],
  });
  add("tomas@birch.example", { name: "Tomás Rivera", presence: "away", groups: ["Friends"] });
  add("ines@birch.example", {
    name: "Inês",
    presence: "chat",
    status: "Ask me anything",
    groups: ["Friends", "Choir"],
  });
  add("otto@orchard.example", {
    name: "Otto Lindqvist",
    presence: "dnd",
    status: "In rehearsal until six",
    groups: ["Choir"],
  });
  add("grandma@orchard.example", { name: "Grandma", presence: "offline", groups: ["Family"] });
  add("jun@river.example", {
    name: "Jun Watanabe",
    presence: "xa",
    status: "Travelling, back on Monday",
    groups: ["Family"],
  });
  add("bookshop@river.example", { name: null, presence: "offline" });
  add("lea@birch.example", { name: "Lea", subscription: "none", asked: true });
}

/** Two accounts in use, with chats of every kind. */
function home(): FakeCore {
  const core = new FakeCore();
  core.pace = 900;
  const mira = core.addAccount("mira@orchard.example", { status: "At the desk" });
  const work = core.addAccount("m.solberg@workshop.example", { show: "dnd", color: 1 });
  people(core, mira);
  core.addContact(work, "dana@workshop.example", {
    name: "Dana Okafor",
    presence: "available",
    groups: ["Team"],
  });
  core.addContact(work, "print@workshop.example", { name: "Print room", presence: "away", groups: ["Team"] });

  longAgo(core, mira);
  noor(core, mira);
  dana(core, work);
  core.addRequest(mira, "newcomer@faraway.example");
  core.addRequest(work, "recruiting-department-of-northern-europe@a-rather-long-company-name.example");
  core.setDevices(mira, "mira@orchard.example", [
    device(11, "verified", { own: true, label: "Waxwing on desk" }),
    device(12, "verified", { label: "Phone" }),
  ]);
  return core;
}

function longAgo(core: FakeCore, account: number): void {
  const otto = core.addChat(account, "otto@orchard.example");
  core.addMessage(otto, "Did you find the alto part?", { sent_at: days(3) });
  core.addMessage(otto, "Yes, on the piano. I bring it on Thursday.", {
    direction: "out",
    delivery: "delivered",
    sent_at: days(2.9),
  });

  const shop = core.addChat(account, "bookshop@river.example", {
    encryption: "none",
    lock: "plain_no_devices",
  });
  core.addMessage(shop, "Your order of two books has arrived. We are open until 18:00.", {
    sent_at: days(1.2),
  });

  const ines = core.addChat(account, "ines@birch.example");
  core.addMessage(ines, null, {
    sent_at: hours(20.5),
    undecryptable: { device: 0, reason: "before_this_device", method: null, count: 37, repaired: false },
  });
  core.addMessage(ines, "Can you read this?", { sent_at: hours(20) });
  core.addMessage(ines, null, {
    sent_at: hours(19.96),
    undecryptable: { device: 48_211_907, reason: "no_session", method: null, count: 1, repaired: false },
  });
  core.addMessage(ines, null, {
    sent_at: hours(19.93),
    undecryptable: { device: 90_417, reason: "identity_changed", method: null, count: 1, repaired: false },
  });
  core.addMessage(ines, null, {
    sent_at: hours(19.9),
    undecryptable: { device: 48_211_907, reason: "no_session", method: null, count: 1, repaired: true },
    read: false,
  });
  core.addMessage(ines, null, {
    sent_at: hours(19.8),
    encryption: "none",
    undecryptable: { device: 0, reason: "unsupported", method: "OpenPGP", count: 1, repaired: false },
    read: false,
  });

  const tomas = core.addChat(account, "tomas@birch.example", { lock: "blocked" });
  core.addMessage(tomas, "New phone, new me", { sent_at: hours(6) });
  core.addMessage(tomas, "Nice! Which one?", {
    direction: "out",
    delivery: "failed",
    error: fault("no_trusted_devices"),
    sent_at: hours(5.5),
  });
  core.setDevices(account, "tomas@birch.example", [
    device(71, "untrusted", {}),
    device(72, "untrusted", { protocols: ["omemo1"] }),
  ]);
}

function noor(core: FakeCore, account: number): ChatId {
  const chat = core.addChat(account, "noor@orchard.example");
  const say = (body: string, at: string, own = false) =>
    core.addMessage(chat, body, { sent_at: at, ...(own ? { direction: "out" as const } : {}) });
  say("The loaf from yesterday came out better than I hoped 🍞", hours(27));
  say("Proof! Otherwise it did not happen.", hours(26.9), true);
  say("Tomorrow at the market, ten o'clock?", hours(26.8));
  say("Ten is good. I bring coffee.", hours(26.7), true);
  say("Good morning! I am running a little late, the starter had plans of its own.", minutes(96));
  say("Ten minutes, promise.", minutes(95));
  say("No hurry", minutes(94), true);
  say(
    "I found us a bench in the sun, right by the cheese stall. Here is how to get there: https://maps.example/market?bench=7 (the green one).",
    minutes(93),
    true,
  );
  say("❤️", minutes(92));
  core.addMessage(chat, "This one is from my old tablet, it cannot do the lock yet", {
    sent_at: minutes(70),
    encryption: "none",
    trust: null,
    unprotected: true,
  });
  core.addMessage(chat, "Then keep it for the recipes.", {
    direction: "out",
    delivery: "delivered",
    sent_at: minutes(64),
  });
  core.addMessage(chat, "Are you still coming to the choir tonight?", {
    direction: "out",
    delivery: "sent",
    sent_at: minutes(9),
  });
  core.addMessage(chat, "Wouldn't miss it. Otto has promised to sing the high part himself.", {
    sent_at: minutes(4),
    trust: "verified",
    read: false,
  });
  core.addMessage(chat, "Bring earplugs 😄", { sent_at: minutes(3), trust: "verified", read: false });
  core.setDevices(account, "noor@orchard.example", [
    device(31, "verified", { label: "Noor's laptop" }),
    device(32, "blind", { protocols: ["omemo1", "omemo2"] }),
    device(33, "blind", { active: false, protocols: ["omemo1"] }),
  ]);
  return chat;
}

function dana(core: FakeCore, account: number): void {
  const chat = core.addChat(account, "dana@workshop.example");
  core.addMessage(chat, "The proofs are back from the printer.", { sent_at: minutes(42) });
  core.addMessage(chat, "Wonderful, I look at them after lunch", {
    direction: "out",
    delivery: "waiting",
    sent_at: minutes(30),
  });
}

function device(id: number, trust: Device["trust"], more: Partial<Device>): Device {
  return {
    device: id,
    fingerprint: digest(id),
    trust,
    protocols: ["omemo2"],
    active: true,
    own: false,
    label: null,
    first_seen: days(20 + (id % 5)),
    trust_told: false,
    taken_back_by: null,
    last_seen: days(id % 5),
    last_failure: null,
    last_repaired: null,
    reach: trust === "untrusted" || trust === "undecided" ? trust : "ready",
    bundle_fault: null,
    other_key: null,
    ...more,
  };
}

/** Accounts that cannot sign in. */
function trouble(): FakeCore {
  const core = home();
  const [first, second] = core.accounts.keys();
  if (first !== undefined) core.changeAccount(first, { state: "connecting", error: fault("unreachable") });
  if (second !== undefined) core.changeAccount(second, { state: "failed", error: fault("wrong_password") });
  return core;
}

/** Somebody else uses a copy of one account's data, and another one's was restored. */
function copied(): FakeCore {
  const core = home();
  const [first = 0, second = 0] = core.accounts.keys();
  core.changeAccount(first, { renewed: "copied" });
  core.changeAccount(second, { renewed: "restored" });
  return core;
}

/** Very many, and very long. */
function many(): FakeCore {
  const core = new FakeCore();
  const account = core.addAccount(
    "somebody.with.a.remarkably.long.name@a-server-with-an-even-longer-name.example",
  );
  for (let at = 0; at < 1_500; at += 1) {
    core.addContact(account, `person${at}@crowd.example`, {
      name: `Person ${at}`,
      presence: showAt(at),
      groups: at % 3 === 0 ? [] : [`Group ${at % 12}`],
    });
  }
  const long = "Maximiliana Alexandrina Theodora von und zu Hohenstein-Bartholomäuswalde the Younger";
  core.addContact(account, "long@crowd.example", {
    name: long,
    presence: "available",
    status: long.repeat(3),
  });
  for (let at = 0; at < 300; at += 1) {
    const chat = core.addChat(account, `person${at}@crowd.example`);
    core.addMessage(chat, `Message number ${at}`, { sent_at: hours(at + 2) });
  }
  const chat = core.addChat(account, "long@crowd.example");
  for (let at = 400; at > 0; at -= 1) {
    const own = at % 3 === 0;
    core.addMessage(chat, at % 7 === 0 ? `${at} ${"word ".repeat(60)}` : `Line ${at}`, {
      sent_at: minutes(at * 11 + 5),
      ...(own ? { direction: "out" as const } : {}),
    });
  }
  core.addMessage(chat, "x".repeat(300), { read: false, sent_at: minutes(1) });
  return core;
}

/** Right to left, within a window that reads left to right. */
function rtl(): FakeCore {
  const core = new FakeCore();
  core.pace = 900;
  const account = core.addAccount("salma@bustan.example");
  core.addContact(account, "yusuf@bustan.example", {
    name: "يوسف الحداد",
    presence: "available",
    status: "في المكتبة",
  });
  core.addContact(account, "tamar@etz.example", { name: "תמר לוי", presence: "away", groups: ["משפחה"] });
  core.addContact(account, "evil@etz.example", { name: "safe\u202Eexe.elif", presence: "available" });
  const tamar = core.addChat(account, "tamar@etz.example");
  core.addMessage(tamar, "נתראה מחר בשמונה?", { sent_at: hours(3) });
  const chat = core.addChat(account, "yusuf@bustan.example");
  core.addMessage(chat, "صباح الخير! هل قرأت الكتاب الذي أعطيتك إياه؟", { sent_at: minutes(50) });
  core.addMessage(chat, "نعم، انتهيت منه أمس. كان رائعًا.", { direction: "out", sent_at: minutes(45) });
  core.addMessage(chat, "الفصل الأخير هنا: https://kutub.example/fasl/12 أخبرني برأيك.", {
    sent_at: minutes(44),
  });
  core.addMessage(chat, "Mixed: العنوان is on page 12", {
    direction: "out",
    delivery: "delivered",
    sent_at: minutes(20),
  });
  return core;
}

/** Files of every kind and in every state. */
function files(): FakeCore {
  const core = home();
  const chat = core.addChat([...core.accounts.keys()][0] ?? 0, "kim@birch.example", { text_only: true });
  const offer = (id: number, name: string, more: Partial<File>, at: number, own = false) => {
    const files = [file(1_000 + id, { name, host: "upload.birch.example", ...more })];
    core.addMessage(chat, null, {
      files,
      sent_at: minutes(at),
      ...(own ? { direction: "out" as const } : {}),
    });
    return 1_000 + id;
  };
  core.addMessage(chat, "Here is everything from the weekend.", { sent_at: minutes(60) });
  const image = { media_type: "image/svg+xml", size: 182_000, picture: { width: 640, height: 400 } };
  core.pictures.set(offer(1, "market at ten.jpg", { ...image, state: "ready" }, 59), drawing);
  offer(
    2,
    "score for the choir, alto and soprano.pdf",
    { media_type: "application/pdf", size: 2_480_000 },
    58,
  );
  offer(3, "rehearsal.flac", { size: 88_000_000, state: "fetching", received: 31_000_000 }, 57);
  offer(4, "minutes.odt", { size: 41_200, state: "failed", failure: "forged" }, 56);
  offer(5, "tickets.zip", { state: "failed", failure: "elsewhere", host: "cdn.elsewhere.example" }, 55);
  const long = `${"a very long name that somebody gave to this file ".repeat(4)}.tar.gz`;
  offer(6, long, { size: 734_003_200 }, 54);
  offer(7, "install me.exe", { size: 1_200_000, state: "ready", program: true }, 53);
  offer(8, "recipe.txt", { size: 900, state: "ready" }, 52, true);
  core.unagreed.add(
    offer(9, "hello.png", { media_type: "image/png", host: "files.faraway.example:8443" }, 51),
  );
  return core;
}

const drawing = `data:image/svg+xml,${encodeURIComponent(
  "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 640 400'><rect width='640' height='400' fill='#cfe3ee'/><circle cx='500' cy='90' r='46' fill='#f6c667'/><path d='M0 300 160 170 290 280 430 150 640 310V400H0Z' fill='#7a9b76'/></svg>",
)}`;

/** One account that is well connected, with something of everything that can be set. */
function connection(): FakeCore {
  const core = home();
  const [first = 0, second = 0] = core.accounts.keys();
  const usual = report(second, "workshop.example");
  if (usual.connection) {
    Object.assign(usual.connection, { pinned: true, proxied: true, resumed: true, peer: "127.0.0.1:9050" });
  }
  usual.features = features(["archive", "blocking", "sasl2", "bind2", "fast", "channel_binding"]);
  core.reports.set(second, usual);
  core.traffic.set(first, traffic(40));
  core.changeAccount(second, {
    host: "xmpp.workshop.example",
    port: 5222,
    tls: "starttls",
    proxy: { kind: "socks5", host: "127.0.0.1", port: 9050, user: "m.solberg" },
    accepted_certificate: shown("workshop.example").fingerprint,
    own_authorities: true,
  });
  return core;
}

/** A wire with very much on it, some of it large. */
function console(): FakeCore {
  const core = home();
  const [first = 0] = core.accounts.keys();
  core.traffic.set(first, traffic(2_000));
  return core;
}

/** An account whose server shows a certificate that nobody vouches for. */
function certificate(): FakeCore {
  const core = home();
  const [first = 0] = core.accounts.keys();
  core.changeAccount(first, {
    state: "failed",
    error: fault("certificate_unknown_issuer"),
    refused_certificate: shown("orchard.example", { issuer: "orchard.example", self_signed: true }),
  });
  return core;
}

/** Servers that want a weaker sign-in. */
function weaker(): FakeCore {
  const core = home();
  const [first = 0, second = 0] = core.accounts.keys();
  core.changeAccount(first, { state: "failed", error: fault("plain_only") });
  core.changeAccount(second, { state: "failed", error: fault("login_weakened") });
  return core;
}

/** A proxy that does not work, and one that refuses. */
function proxy(): FakeCore {
  const core = home();
  const [first = 0, second = 0] = core.accounts.keys();
  const tor = { kind: "socks5", host: "127.0.0.1", port: 9050, user: null } as const;
  core.changeAccount(first, { state: "connecting", error: fault("proxy_failed"), proxy: tor });
  core.changeAccount(second, {
    state: "failed",
    error: fault("proxy_refused"),
    proxy: { ...tor, user: "m.solberg" },
  });
  return core;
}

/** A contact with a verified device has got another one, and so has one's own account. */
function new_device(): FakeCore {
  const core = home();
  const [first = 0] = core.accounts.keys();
  const address = "noor@orchard.example";
  const known = core.devices.get(`${first} ${address}`) ?? [];
  core.setDevices(first, address, [...known, device(34, "undecided", { label: "Noor's new telephone" })]);
  const own = core.devices.get(`${first} mira@orchard.example`) ?? [];
  core.setDevices(first, "mira@orchard.example", [...own, device(13, "undecided", {})]);
  core.lockByTrust(first);
  return core;
}

/** A verified device of a contact has taken back the trust in another one of theirs. */
function taken_back(): FakeCore {
  const core = home();
  const [first = 0] = core.accounts.keys();
  const address = "noor@orchard.example";
  const known = core.devices.get(`${first} ${address}`) ?? [];
  const by = known.find(({ trust }) => trust === "verified");
  const stolen = device(34, "untrusted", {
    label: "Noor's telephone",
    trust_told: true,
    taken_back_by: by?.device ?? null,
  });
  core.setDevices(first, address, [...known, stolen]);
  core.lockByTrust(first);
  return core;
}

/** Somebody who is in no contact list has written, and calls himself like a friend. */
function stranger(): FakeCore {
  const core = home();
  const [first = 0] = core.accounts.keys();
  const chat = core.addChat(first, "noor.haddad@orchard-example.faraway.example", { title: "Noor Haddad" });
  core.addMessage(chat, "Hi, it is Noor! I lost my telephone, this is my new address.", {
    sent_at: minutes(2),
    read: false,
  });
  const own = core.addChat(first, "mira@orchard.example");
  core.addMessage(own, "Milk, rye flour, the blue ribbon", { direction: "out", sent_at: minutes(6) });
  return core;
}

/** Messages from devices that nobody has decided about, or that are not trusted. */
function doubtful(): FakeCore {
  const core = new_device();
  const chat = [...core.chats.values()].find((one) => one.address === "noor@orchard.example");
  const say = (body: string, trust: Trust, at: number, own = false) =>
    core.addMessage(chat?.chat ?? -1, body, {
      trust,
      sent_at: minutes(at),
      ...(own ? { direction: "out" as const, delivery: "delivered" as const } : {}),
    });
  say("I have a new telephone!", "undecided", 2.5);
  say("Can you send me the code of the front door? I forgot it.", "undecided", 2.4);
  say("Are you there?", "untrusted", 2.2);
  say("It is 4711", "undecided", 1.5, true);
  say("That was not me. I write from my laptop.", "verified", 1);
  const { account = 0 } = chat ?? {};
  const ines = [...core.chats.values()].find((one) => one.address === "ines@birch.example");
  core.addMessage(ines?.chat ?? -1, "My new address is inside.", {
    trust: "untrusted",
    sent_at: minutes(0.5),
    read: false,
  });
  core.lockByTrust(account);
  return core;
}

/** Devices with everything that can be wrong with them. */
function ailing(): FakeCore {
  const core = home();
  const [first = 0] = core.accounts.keys();
  core.setDevices(first, "noor@orchard.example", [
    device(31, "verified", { label: "Noor's laptop", last_seen: hours(1) }),
    device(32, "blind", {
      protocols: ["omemo1", "omemo2"],
      last_failure: { reason: "no_session", at: minutes(20) },
      last_seen: days(3),
    }),
    device(35, "blind", {
      label: "Old tablet",
      protocols: ["omemo1"],
      last_failure: { reason: "key_gone", at: hours(30) },
      last_repaired: hours(29),
      last_seen: hours(2),
    }),
    device(36, "blind", {
      protocols: ["omemo1"],
      fingerprint: null,
      bundle_fault: "missing",
      last_seen: null,
    }),
    device(37, "untrusted", { label: "Somebody's telephone" }),
    device(38, "blind", {
      label: "Noor's telephone",
      last_failure: { reason: "identity_changed", at: minutes(5) },
      last_seen: days(1),
      other_key: { fingerprint: digest(4_711), at: minutes(5) },
    }),
    device(33, "blind", { active: false, protocols: [] }),
  ]);
  return core;
}

/** A contact with very many devices in every state, and very long names. */
function devices(): FakeCore {
  const core = home();
  const [first = 0] = core.accounts.keys();
  const trusts = ["verified", "blind", "untrusted", "blind", "undecided"] as const;
  const long =
    "The very old tablet in the kitchen, which used to belong to Grandma and still has her name on it";
  core.setDevices(
    first,
    "noor@orchard.example",
    Array.from({ length: 50 }, (_, at) =>
      device(100 + at, trusts[at % trusts.length] ?? "blind", {
        active: at % 4 !== 3,
        label: at % 3 === 0 ? null : at % 7 === 0 ? long : `Device of shelf ${at}`,
        protocols: at % 2 === 0 ? ["omemo1"] : ["omemo1", "omemo2"],
        fingerprint: at % 10 === 9 ? null : digest(at),
      }),
    ),
  );
  core.lockByTrust(first);
  return core;
}
