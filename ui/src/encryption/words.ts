import type {
  Chat,
  Device,
  DeviceReport,
  EncryptionReport,
  Encryption,
  Reach,
  UndecryptableReason,
} from "../core/generated/api";
import { blocks } from "../lib/person";
import { counted, type Key, t } from "../lib/text";

/** What a device is called: as its owner named it, or by its number. */
export function deviceName(device: Device): string {
  if (device.own) return t("device.this");
  return device.label ?? t("device.number", { device: String(device.device) });
}

/** What tells a device from others, whatever it calls itself: its number, and how its key begins. */
export function keyWords({ device, fingerprint, label }: Device): string {
  const number = label === null ? [] : [t("device.number", { device: String(device) })];
  const begin = blocks(fingerprint ?? "").slice(0, 2);
  const key = fingerprint === null ? t("device.no_key") : t("device.key_begins", { key: begin.join(" ") });
  return [...number, key].join(" · ");
}

/** The names of generations. */
export function protocolNames(protocols: readonly Encryption[]): string {
  const names = protocols.filter((one) => one !== "none").map((one) => t(`protocol.${one}`));
  return names.length > 0 ? names.join(", ") : t("protocol.none");
}

/** Whether a text may be a link that names keys; core reads it. */
export function namesKeys(text: string): boolean {
  return /^\s*xmpp:[^?]+\?(.*[;&])?omemo-sid-/iu.test(text);
}

/** Whether the next message reaches a device, and why not. */
export function reachWords({ device, protocol }: DeviceReport): string {
  if (device.reach === "no_keys" && device.bundle_fault !== null) {
    return t("reach.no_keys_why", { why: t(`bundle_fault.${device.bundle_fault}`) });
  }
  const reach = t(`reach.${device.reach}`, { protocol: t(`protocol.${protocol ?? "none"}`) });
  if (!isOldSession(device)) return reach;
  return `${reach} ${t("reach.not_reset", { why: t(`bundle_fault.${device.bundle_fault ?? "missing"}`) })}`;
}

/** How far its key is trusted, and whose decision that was. */
export function trustWords(device: Device): string {
  if (device.own) return t("trust.why.own");
  const { trust, trust_told } = device;
  if (trust_told && trust === "verified") return t("trust.why.verified_told");
  if (trust_told && trust === "untrusted") return t("trust.why.untrusted_told");
  return t(`trust.why.${trust}`);
}

/** Something that mends what is wrong with a device. */
export type Repair = { does: "fetch" | "reset" | "remove"; words: Key };

/** What mends a device, beside the decision about its key. */
export function repairOf({ device }: DeviceReport): Repair | null {
  if (device.own) return null;
  if (device.reach === "no_keys") return { does: "fetch", words: "repair.fetch" };
  if (device.reach === "unlisted") return { does: "fetch", words: "repair.look" };
  return isReached(device) && isBroken(device) ? { does: "reset", words: "repair.reset" } : null;
}

/** What else can be done with a device, although nothing is wrong with it. */
export function choicesFor({ device, ours }: DeviceReport): Repair[] {
  if (device.own) return [];
  const reset: Repair[] =
    isReached(device) && !isBroken(device) ? [{ does: "reset", words: "repair.reset" }] : [];
  return ours && device.active ? [...reset, { does: "remove", words: "repair.remove" }] : reset;
}

/** Whether its encryption was to be set up anew and could not be, so that the one that there was goes on. */
const isOldSession = ({ reach, bundle_fault }: Device) => reach === "ready" && bundle_fault !== null;

/** Whether the last that came from a device could not be read, and nothing has mended that since. */
function isBroken(device: Device): boolean {
  const { last_failure, last_seen, last_repaired } = device;
  if (isOldSession(device)) return true;
  if (last_failure === null || !resets.includes(last_failure.reason)) return false;
  return ![last_seen, last_repaired].some((at) => at !== null && at > last_failure.at);
}

/** What a new session mends: one was lost on either side, or is behind the other. */
const resets: readonly UndecryptableReason[] = ["no_session", "key_gone", "key_reused", "too_far_ahead"];

const URGENCY: readonly Reach[] = [
  "this_device",
  "undecided",
  "no_keys",
  "unlisted",
  "ready",
  "untried",
  "untrusted",
  "inactive",
];

/** Where a device stands in its list: this one first, then those that want something. */
export function urgency({ device }: DeviceReport): number {
  if (isReached(device) && isBroken(device)) return URGENCY.indexOf("no_keys");
  return URGENCY.indexOf(device.reach);
}

const REACHED: readonly Reach[] = ["ready", "untried"];
const MISSED: readonly Reach[] = ["undecided", "untrusted", "no_keys", "unlisted"];
const isReached = (device: Device) => REACHED.includes(device.reach);

/** What becomes of the next message, in a sentence, and what else is to be said of it. */
export function verdict(
  report: EncryptionReport,
  name: string,
): { first: string; then: string; well: boolean } {
  const theirs = report.devices.filter((device) => !device.ours);
  const missing = report.devices.filter((device) => MISSED.includes(device.device.reach)).length;
  const left = missing === 0 ? t("check.next.all_well") : counted("check.next.missing", missing);
  if (report.next === "plain") {
    return { first: t("check.next.plain"), then: t("check.next.plain_why"), well: false };
  }
  if (report.next !== "encrypted") {
    return { first: t(`check.next.${report.next}`, { name }), then: "", well: report.next === "asks" };
  }
  const first =
    theirs.length === 0
      ? t("check.next.note")
      : counted("check.next.encrypted", theirs.filter((report) => isReached(report.device)).length, { name });
  return { first, then: left, well: missing === 0 };
}

/** The whole report as text, for those who help: it holds no secrets. */
export function expertText(report: EncryptionReport, chat: Chat, account: string): string {
  const lines = [
    `Waxwing encryption report, ${new Date().toISOString()}`,
    `chat ${account} with ${chat.address}: ${chat.encryption}, lock ${chat.lock}, next ${report.next}, ${
      report.online ? "online" : "offline"
    }`,
    ...report.lists.map(
      (list) =>
        `list ${list.ours ? "own" : "theirs"} ${list.protocol}: ${list.read_at ?? "never read"}${
          list.failed ? ", failed now" : ""
        }${list.fault === null ? "" : `, ${list.fault}`}`,
    ),
    ...report.published.map(
      (keys) =>
        `own keys ${keys.protocol}: ${keys.at ?? "never published"}${keys.closed ? ", not open to everybody" : ""}`,
    ),
    ...report.devices.map(deviceText),
  ];
  return lines.join("\n");
}

function deviceText(report: DeviceReport): string {
  const { device } = report;
  return [
    `${report.ours ? "own" : "their"} device ${device.device}${device.own ? " (this one)" : ""}`,
    `reach ${device.reach}${report.protocol ? ` ${report.protocol}` : ""}`,
    `trust ${device.trust}`,
    `listed ${device.protocols.join("+") || "no"}`,
    `label ${device.label ?? "none"}`,
    `first seen ${device.first_seen ?? "unknown"}`,
    `last seen ${device.last_seen ?? "never"}`,
    `last failure ${device.last_failure ? `${device.last_failure.reason} at ${device.last_failure.at}` : "none"}`,
    `session replaced ${device.last_repaired ?? "never"}`,
    `keys ${device.bundle_fault ?? "as they should be"}`,
    ...(device.other_key === null
      ? []
      : [`other key ${blocks(device.other_key.fingerprint).join(" ")} at ${device.other_key.at}`]),
    ...(report.again_at === null ? [] : [`keys again ${report.again_at}`]),
    `fingerprint ${device.fingerprint === null ? "unknown" : blocks(device.fingerprint).join(" ")}`,
  ].join(", ");
}
