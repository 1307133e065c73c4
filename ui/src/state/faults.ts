import type { Account, Code, Fault } from "../core/generated/api";
import { t } from "../lib/text";

/** What a person can do about a fault of an account, or of a message: to check the encryption of its chat. */
export type Remedy =
  | "password"
  | "again"
  | "certificate"
  | "weaker_login"
  | "connection"
  | "address"
  | "check"
  | "wait"
  | "none";

// Every code has a way on, and its words in `locales/en.json`; a new code without either is a type error.
const remedies: Record<Code, Remedy> = {
  invalid_request: "none",
  invalid_params: "none",
  unknown_method: "none",
  not_found: "none",
  no_key_link: "none",
  invalid_address: "address",
  account_exists: "address",
  empty_message: "none",
  too_large: "none",
  not_online: "wait",
  server_not_found: "address",
  unreachable: "again",
  timeout: "again",
  certificate_unknown_issuer: "certificate",
  certificate_wrong_name: "certificate",
  certificate_expired: "certificate",
  certificate_invalid: "again",
  certificate_changed: "certificate",
  proxy_failed: "connection",
  proxy_refused: "connection",
  tls_failed: "again",
  tls_unavailable: "connection",
  wrong_password: "password",
  account_disabled: "again",
  login_weakened: "weaker_login",
  plain_only: "weaker_login",
  login_unsupported: "again",
  server_untrustworthy: "again",
  conflict: "again",
  policy_violation: "again",
  server_shutdown: "again",
  server_busy: "again",
  stream_failed: "again",
  disconnected: "again",
  rejected: "none",
  not_supported: "none",
  no_devices: "check",
  no_trusted_devices: "check",
  devices_forbidden: "check",
  not_agreed: "none",
  profile_in_use: "none",
  passphrase_needed: "none",
  wrong_passphrase: "none",
  keychain_unavailable: "none",
  key_missing: "none",
  database_damaged: "none",
  database_newer: "none",
  disk_full: "none",
  storage: "none",
  internal: "none",
};

/** All codes there are. */
export const codes = Object.keys(remedies) as Code[];

/** A fault in two or three words. */
export function faultTitle(fault: Fault): string {
  return t(`fault.${known(fault)}.title`);
}

/** A fault in plain words: what it means, and what one can do. */
export function faultText(fault: Fault): string {
  return t(`fault.${known(fault)}`);
}

/** What can be done about it. */
export function remedy(fault: Fault): Remedy {
  return remedies[known(fault)];
}

/** Why an account is not online, in plain words; what mends itself says so. */
export function causeText(account: Account): string | null {
  if (account.error === null) return null;
  const text = faultText(account.error);
  return account.state === "connecting" && !comesBack.has(account.error.code)
    ? `${text} ${t("account.trying")}`
    : text;
}

// Their words say it already.
const comesBack: ReadonlySet<Code> = new Set<Code>(["server_shutdown", "server_busy"]);

function known(fault: Fault): Code {
  return fault.code in remedies ? fault.code : "internal";
}

/** Whatever was thrown, as a fault. */
export function asFault(thrown: unknown): Fault {
  if (typeof thrown === "object" && thrown !== null && "code" in thrown && "text" in thrown) {
    const { code, text } = thrown;
    if (typeof code === "string" && code in remedies && typeof text === "string")
      return { code: code as Code, text };
  }
  return { code: "internal", text: thrown instanceof Error ? thrown.message : String(thrown) };
}
