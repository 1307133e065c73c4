import type {
  Certificate,
  Chat,
  ConnectionReport,
  Device,
  DeviceReport,
  EncryptionReport,
  FeatureName,
  KeyLinkReading,
  KeyStanding,
  NextMessage,
  OwnCode,
  Reach,
  ServerFeature,
  Way,
} from "./generated/api";

const DAY = 86_400_000;
const day = (offset: number) => new Date(Date.UTC(2026, 0, 15) + offset * DAY).toISOString();

/** A digest that is always the same for a seed. */
export function digest(seed: number): string {
  return Array.from({ length: 64 }, (_, at) =>
    ((Math.imul(seed * 97 + at, 2_654_435_761) >>> 13) & 15).toString(16),
  ).join("");
}

/** A certificate as a server shows it. */
export function certificate(domain: string, more: Partial<Certificate> = {}): Certificate {
  return {
    fingerprint: digest(domain.length),
    names: [domain, `xmpp.${domain}`],
    issuer: "Meadow Authority R3",
    not_before: day(-30),
    not_after: day(60),
    self_signed: false,
    ...more,
  };
}

const specifications: [FeatureName, string, boolean][] = [
  ["direct_tls", "XEP-0368", true],
  ["stream_management", "XEP-0198", true],
  ["client_state", "XEP-0352", true],
  ["carbons", "XEP-0280", true],
  ["archive", "XEP-0313", true],
  ["personal_events", "XEP-0163", true],
  ["open_bundles", "XEP-0060", true],
  ["blocking", "XEP-0191", true],
  ["upload", "XEP-0363", true],
  ["rooms", "XEP-0045", true],
  ["push", "XEP-0357", false],
  ["avatar_conversion", "XEP-0398", true],
  ["bookmark_conversion", "XEP-0402", true],
  ["external_services", "XEP-0215", true],
  ["sasl2", "XEP-0388", false],
  ["bind2", "XEP-0386", false],
  ["fast", "XEP-0484", false],
  ["channel_binding", "XEP-0440", false],
];

/** What a server has, but for what it lacks. */
export function features(missing: readonly FeatureName[] = []): ServerFeature[] {
  return specifications.map(([feature, specification, expected]) => ({
    feature,
    specification,
    expected,
    present: !missing.includes(feature),
  }));
}

/** How an account that is well connected is connected. */
export function report(account: number, domain: string): ConnectionReport {
  return {
    account,
    connection: {
      host: `xmpp.${domain}`,
      port: 5223,
      peer: "[2001:db8::5]:5223",
      proxied: false,
      tls: "direct",
      tls_version: "TLSv1_3",
      cipher: "TLS13_AES_256_GCM_SHA384",
      certificate: certificate(domain),
      pinned: false,
      mechanism: "SCRAM-SHA-256-PLUS",
      channel_binding: "tls-exporter",
      sasl2: true,
      bind2: true,
      resumed: false,
      resumable: true,
      round_trips: 3,
      took_ms: 312,
      ping_ms: 41,
      since: new Date(Date.now() - 50 * 60_000).toISOString(),
      resource: "waxwing-4f1c09ab",
      software: "Prosody 0.12.4",
    },
    lost: 2,
    swallowed: 0,
    features: features(["avatar_conversion", "fast", "external_services"]),
  };
}

/** So many elements as they go over a wire, oldest first, every 400th of them very large. */
export function traffic(count: number): [Way, string][] {
  return Array.from({ length: count }, (_, at): [Way, string] => {
    if (at === 0) {
      const head =
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='orchard.example' version='1.0'>";
      return ["out", head];
    }
    if (at === 1) {
      return [
        "out",
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-256-PLUS'><initial-response>••••••</initial-response><user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>Waxwing</software></user-agent></authenticate>",
      ];
    }
    if (at % 400 === 399) return ["in", large(at)];
    const way: Way = at % 3 === 0 ? "out" : "in";
    return [way, sample(at)];
  });
}

function sample(at: number): string {
  switch (at % 5) {
    case 0:
      return `<iq id='q${at}' type='get' to='orchard.example'><ping xmlns='urn:xmpp:ping'/></iq>`;
    case 1:
      return `<presence from='tomas@birch.example/phone' to='mira@orchard.example'><show>away</show><status>Number ${at}</status><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://client.example' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>`;
    case 2:
      return `<message from='noor@orchard.example/desk' to='mira@orchard.example' type='chat' id='m${at}'><encrypted xmlns='urn:xmpp:omemo:2'><header sid='31'><keys jid='mira@orchard.example'><key rid='11'>MwohBRk0bWFzdGVy</key></keys></header><payload>${digest(at)}</payload></encrypted><store xmlns='urn:xmpp:hints'/></message>`;
    case 3:
      return `<r xmlns='urn:xmpp:sm:3'/>`;
    default:
      return `<a xmlns='urn:xmpp:sm:3' h='${at}'/>`;
  }
}

function large(at: number): string {
  const items = Array.from(
    { length: 700 },
    (_, n) => `<item jid='person${n}@crowd.example' name='Person ${n}'/>`,
  );
  return `<iq id='q${at}' type='result'><query xmlns='jabber:iq:roster'>${items.join("")}</query></iq>`;
}

/** How the encryption of a chat stands, by the devices of both sides. */
export function encryption(
  chat: Chat,
  online: boolean,
  theirs: readonly Device[],
  ours: readonly Device[],
): EncryptionReport {
  const devices = [
    ...theirs.map((device) => reported(device, false)),
    ...ours.map((device) => reported(device, true)),
  ];
  const hour = (back: number) => new Date(Date.now() - back * 3_600_000).toISOString();
  const generations = ["omemo1", "omemo2"] as const;
  return {
    chat: chat.chat,
    online,
    next: nextOf(chat, devices),
    lists: generations.flatMap((protocol) =>
      [false, true].map((own) => ({
        ours: own,
        protocol,
        read_at: hour(own ? 3 : 1),
        failed: false,
        fault: null,
      })),
    ),
    published: generations.map((protocol) => ({ protocol, at: hour(5), closed: false })),
    devices,
  };
}

function nextOf(chat: Chat, devices: readonly DeviceReport[]): NextMessage {
  if (chat.lock === "plain_chosen" || chat.lock === "plain_no_devices") return "plain";
  if (chat.lock === "checking") return "asks";
  const reached = (reach: Reach, all = devices) => all.some(({ device }) => device.reach === reach);
  if (reached("undecided")) return "undecided";
  const theirs = devices.filter((device) => !device.ours);
  if (reached("ready", theirs)) return "encrypted";
  return reached("untrusted", theirs) ? "no_trusted_devices" : "no_devices";
}

function reported(device: Device, ours: boolean): DeviceReport {
  const reach = reachOf(device);
  const protocol = device.protocols.includes("omemo1") ? "omemo1" : "omemo2";
  return {
    ours,
    device: { ...device, reach },
    protocol: reach === "ready" ? protocol : null,
    again_at: null,
  };
}

/** Whether a message reaches a device, by what is known of it. */
export function reachOf(device: Device): Reach {
  if (device.own) return "this_device";
  if (!device.active) return "inactive";
  if (device.trust === "undecided" || device.trust === "untrusted") return device.trust;
  // Where a session could not be replaced, the one that there was goes on.
  return device.fingerprint === null ? "no_keys" : "ready";
}

/** A link with keys of somebody, and squares that look like its code. */
export function ownCode(address: string): OwnCode {
  const side = 41;
  const dark = (x: number, y: number) => {
    const corner = [
      [0, 0],
      [side - 7, 0],
      [0, side - 7],
    ].find(([left = 0, top = 0]) => x >= left && x < left + 7 && y >= top && y < top + 7);
    if (!corner) return ((Math.imul(x * 31 + y * 17 + 7, 2_654_435_761) >>> 15) & 1) === 1;
    const ring = Math.max(Math.abs(x - (corner[0] ?? 0) - 3), Math.abs(y - (corner[1] ?? 0) - 3));
    return ring !== 2;
  };
  const row = (y: number) => Array.from({ length: side }, (_, x) => (dark(x, y) ? "1" : "0")).join("");
  return {
    link: `xmpp:${address}?omemo-sid-11=${digest(11)}`,
    rows: Array.from({ length: side }, (_, y) => row(y)),
  };
}

/** What a link says of keys; null if it names none. */
export function linkReading(
  link: string,
  own: string,
  devicesOf: (address: string) => readonly Device[],
): KeyLinkReading | null {
  const address = /^xmpp:([^?]+)\?/u.exec(link)?.[1];
  const named = [...link.matchAll(/omemo-sid-(\d+)=([0-9a-f]{64})/gu)];
  if (address === undefined || named.length === 0) return null;
  const devices = devicesOf(address);
  const keys = named.map(([, id = "", fingerprint = ""]) => {
    const device = Number(id);
    return { device, fingerprint, standing: standingOf(devices, device, fingerprint) };
  });
  return { address, ours: address === own, keys };
}

function standingOf(devices: readonly Device[], device: number, fingerprint: string): KeyStanding {
  const known = devices.find((one) => one.fingerprint === fingerprint);
  if (known) return known.own ? "this_device" : known.trust === "verified" ? "verified" : "known";
  return devices.some((one) => one.device === device && one.fingerprint !== null) ? "differs" : "unseen";
}
