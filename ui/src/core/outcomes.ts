import type { Account, Certificate, Code } from "./generated/api";
import { certificate } from "./samples";

/** What a sign-in with such an address comes to, by the part before the @. */
const failing: Readonly<Record<string, Code>> = {
  wrong: "wrong_password",
  unknown: "server_not_found",
  down: "unreachable",
  slow: "timeout",
  cert: "certificate_wrong_name",
  issuer: "certificate_unknown_issuer",
  expired: "certificate_expired",
  revoked: "certificate_invalid",
  changed: "certificate_changed",
  weak: "login_weakened",
  plain: "plain_only",
  proxy: "proxy_failed",
  busy: "server_busy",
};

/** What this account's sign-in comes to; nothing if it succeeds. */
export function outcomeOf(account: Account): Code | undefined {
  return failing[account.address.slice(0, account.address.indexOf("@"))];
}

/** The certificate that a refused sign-in shows. */
export function refusedOf(account: Account, code: Code | undefined): Certificate | null {
  const domain = domainOf(account);
  const own = { issuer: domain, self_signed: true };
  switch (code) {
    case "certificate_unknown_issuer":
      return certificate(domain, own);
    case "certificate_changed":
      return certificate(domain, { ...own, fingerprint: certificate(`new.${domain}`).fingerprint });
    case "certificate_wrong_name":
      return certificate(domain, { names: ["shop.elsewhere.example", "*.elsewhere.example"] });
    case "certificate_expired":
      return certificate(domain, { not_before: "2025-03-01T00:00:00Z", not_after: "2025-05-30T23:59:59Z" });
    default:
      return null;
  }
}

/** What may mend itself is tried again. */
export function stateAfter(code: Code): Account["state"] {
  return code === "proxy_failed" || code === "server_busy" ? "connecting" : "failed";
}

/** The part of its address behind the @. */
export function domainOf(account: Account): string {
  return account.address.slice(account.address.indexOf("@") + 1);
}
