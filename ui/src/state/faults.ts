import type { Code, Fault } from "../core/generated/api";
import { type Key, t } from "../lib/text";

/** What a person can do about a fault of an account. */
export type Remedy = "password" | "again" | "server" | "address" | "wait" | "none";

type Told = { text: Key; remedy: Remedy };

// Every code has words and a way on; a new code without them is a type error.
const told: Record<Code, Told> = {
  invalid_request: { text: "fault.invalid_request", remedy: "none" },
  invalid_params: { text: "fault.invalid_params", remedy: "none" },
  unknown_method: { text: "fault.unknown_method", remedy: "none" },
  not_found: { text: "fault.not_found", remedy: "none" },
  invalid_address: { text: "fault.invalid_address", remedy: "address" },
  account_exists: { text: "fault.account_exists", remedy: "address" },
  empty_message: { text: "fault.empty_message", remedy: "none" },
  too_large: { text: "fault.too_large", remedy: "none" },
  not_online: { text: "fault.not_online", remedy: "wait" },
  server_not_found: { text: "fault.server_not_found", remedy: "address" },
  unreachable: { text: "fault.unreachable", remedy: "again" },
  timeout: { text: "fault.timeout", remedy: "again" },
  certificate_unknown_issuer: { text: "fault.certificate_unknown_issuer", remedy: "again" },
  certificate_wrong_name: { text: "fault.certificate_wrong_name", remedy: "again" },
  certificate_expired: { text: "fault.certificate_expired", remedy: "again" },
  certificate_invalid: { text: "fault.certificate_invalid", remedy: "again" },
  tls_failed: { text: "fault.tls_failed", remedy: "again" },
  tls_unavailable: { text: "fault.tls_unavailable", remedy: "server" },
  wrong_password: { text: "fault.wrong_password", remedy: "password" },
  account_disabled: { text: "fault.account_disabled", remedy: "again" },
  login_weakened: { text: "fault.login_weakened", remedy: "again" },
  login_unsupported: { text: "fault.login_unsupported", remedy: "again" },
  server_untrustworthy: { text: "fault.server_untrustworthy", remedy: "again" },
  conflict: { text: "fault.conflict", remedy: "again" },
  policy_violation: { text: "fault.policy_violation", remedy: "again" },
  server_shutdown: { text: "fault.server_shutdown", remedy: "again" },
  stream_failed: { text: "fault.stream_failed", remedy: "again" },
  disconnected: { text: "fault.disconnected", remedy: "again" },
  rejected: { text: "fault.rejected", remedy: "none" },
  no_devices: { text: "fault.no_devices", remedy: "none" },
  no_trusted_devices: { text: "fault.no_trusted_devices", remedy: "none" },
  profile_in_use: { text: "fault.profile_in_use", remedy: "none" },
  passphrase_needed: { text: "fault.passphrase_needed", remedy: "none" },
  wrong_passphrase: { text: "fault.wrong_passphrase", remedy: "none" },
  keychain_unavailable: { text: "fault.keychain_unavailable", remedy: "none" },
  key_missing: { text: "fault.key_missing", remedy: "none" },
  database_damaged: { text: "fault.database_damaged", remedy: "none" },
  database_newer: { text: "fault.database_newer", remedy: "none" },
  disk_full: { text: "fault.disk_full", remedy: "none" },
  storage: { text: "fault.storage", remedy: "none" },
  internal: { text: "fault.internal", remedy: "none" },
};

/** A fault in plain words. */
export function faultText(fault: Fault): string {
  return t((told[fault.code] ?? told.internal).text);
}

/** What can be done about it. */
export function remedy(fault: Fault): Remedy {
  return (told[fault.code] ?? told.internal).remedy;
}

/** Whatever was thrown, as a fault. */
export function asFault(thrown: unknown): Fault {
  if (typeof thrown === "object" && thrown !== null && "code" in thrown && "text" in thrown) {
    const { code, text } = thrown;
    if (typeof code === "string" && code in told && typeof text === "string")
      return { code: code as Code, text };
  }
  return { code: "internal", text: thrown instanceof Error ? thrown.message : String(thrown) };
}
