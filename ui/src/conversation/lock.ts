import type { Lock, Trust, Undecryptable, UndecryptableReason } from "../core/generated/api";
import type { IconName } from "../lib/icons";
import { type Key, t } from "../lib/text";

const icons: Record<Lock, IconName> = {
  encrypted: "lock",
  plain_chosen: "unlocked",
  plain_no_devices: "unlocked",
  checking: "clock",
  undecided: "question",
  blocked: "warning",
};

/** The sign for what will happen to the next message. */
export function lockIcon(lock: Lock): IconName {
  return icons[lock];
}

/** The words for a message whose device one cannot be sure of: of the others, of one's own account, and beside the lock. */
export const doubts: Record<
  Extract<Trust, "undecided" | "untrusted">,
  { icon: IconName; theirs: Key; own: Key; full: Key }
> = {
  undecided: {
    icon: "question",
    theirs: "message.undecided",
    own: "message.undecided_own",
    full: "message.encrypted_undecided",
  },
  untrusted: {
    icon: "warning",
    theirs: "message.untrusted",
    own: "message.untrusted_own",
    full: "message.encrypted_untrusted",
  },
};

/** Why a message could not be read. */
export function whyUnreadable({
  reason,
  method,
  repaired,
}: Pick<Undecryptable, "reason" | "method" | "repaired">): string {
  if (repaired) return t("message.repaired");
  return method ? t("undecryptable.unsupported_method", { method }) : t(reasons[reason]);
}

/** Whether the page of the chat's encryption has something that helps, or shows what is wrong with the device. */
export function canBeMended({ device, reason, repaired }: Undecryptable): boolean {
  return device > 0 && !repaired && mended.includes(reason);
}

const mended: readonly UndecryptableReason[] = [
  "no_session",
  "key_gone",
  "key_reused",
  "too_far_ahead",
  "identity_changed",
];

// A new reason without words is a type error.
const reasons: Record<UndecryptableReason, Key> = {
  before_this_device: "undecryptable.before_this_device",
  not_for_this_device: "undecryptable.not_for_this_device",
  no_session: "undecryptable.no_session",
  key_gone: "undecryptable.key_gone",
  key_reused: "undecryptable.key_reused",
  too_far_ahead: "undecryptable.too_far_ahead",
  too_late: "undecryptable.too_late",
  written_here: "undecryptable.written_here",
  identity_changed: "undecryptable.identity_changed",
  too_many_devices: "undecryptable.too_many_devices",
  malformed: "undecryptable.malformed",
  wrong_place: "undecryptable.wrong_place",
  too_large: "undecryptable.too_large",
  unsupported: "undecryptable.unsupported",
};

/** The words for what will happen to the next message: at a glance, and in full. */
export const locks: Record<Lock, { short: Key; long: Key }> = {
  encrypted: { short: "lock.encrypted.short", long: "lock.encrypted.long" },
  plain_chosen: { short: "lock.plain_chosen.short", long: "lock.plain_chosen.long" },
  plain_no_devices: { short: "lock.plain_no_devices.short", long: "lock.plain_no_devices.long" },
  checking: { short: "lock.checking.short", long: "lock.checking.long" },
  undecided: { short: "lock.undecided.short", long: "lock.undecided.long" },
  blocked: { short: "lock.blocked.short", long: "lock.blocked.long" },
};
