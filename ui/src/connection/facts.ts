import type { Certificate, ConnectionFacts, ConnectionReport } from "../core/generated/api";
import type { Fact } from "../lib/Facts.svelte";
import { counted, t } from "../lib/text";
import { dateOf } from "../lib/time";

/** A certificate in lines. */
export function certificateFacts(certificate: Certificate): Fact[] {
  const { names, issuer, self_signed, not_before, not_after, fingerprint } = certificate;
  return [
    { term: t("certificate.names"), text: names.join(", ") || t("certificate.no_names") },
    { term: t("certificate.issuer"), text: self_signed ? t("certificate.itself") : issuer },
    {
      term: t("certificate.valid"),
      text: t("certificate.from_to", { from: dateOf(not_before), to: dateOf(not_after) }),
    },
    { term: t("certificate.fingerprint"), text: fingerprint, kind: "fingerprint" },
  ];
}

/** A connection in lines, for those who run servers. */
export function connectionFacts(connection: ConnectionFacts): Fact[] {
  const { certificate, software, ping_ms } = connection;
  const tls = t(connection.tls === "direct" ? "facts.tls_direct" : "facts.tls_starttls");
  return [
    { term: t("facts.target"), text: `${connection.host}:${connection.port}`, kind: "code" },
    {
      term: t(connection.proxied ? "facts.peer_proxy" : "facts.peer"),
      text: connection.peer,
      kind: "code",
    },
    { term: t("facts.tls"), text: `${tlsVersion(connection.tls_version)}, ${tls}` },
    { term: t("facts.cipher"), text: connection.cipher, kind: "code" },
    ...(certificate ? certificateFacts(certificate) : []),
    { term: t("facts.trust"), text: t(connection.pinned ? "facts.trust_person" : "facts.trust_authority") },
    { term: t("facts.mechanism"), text: connection.mechanism, kind: "code" },
    { term: t("facts.binding"), text: connection.channel_binding ?? t("facts.none"), kind: "code" },
    { term: t("facts.sasl2"), text: yes(connection.sasl2) },
    { term: t("facts.bind2"), text: yes(connection.bind2) },
    { term: t("facts.session"), text: t(connection.resumed ? "facts.resumed" : "facts.fresh") },
    { term: t("facts.resumable"), text: yes(connection.resumable) },
    { term: t("facts.round_trips"), text: String(connection.round_trips) },
    { term: t("facts.took"), text: t("facts.ms", { ms: connection.took_ms }) },
    { term: t("facts.ping"), text: ping_ms === null ? t("facts.unknown") : t("facts.ms", { ms: ping_ms }) },
    { term: t("facts.resource"), text: connection.resource, kind: "code" },
    { term: t("facts.software"), text: software ?? t("facts.unknown") },
  ];
}

/** What happened since the program was started. */
export function countedFacts(report: ConnectionReport): Fact[] {
  return [
    { term: t("facts.lost"), text: counted("facts.times", report.lost) },
    { term: t("facts.swallowed"), text: counted("facts.oversized", report.swallowed) },
  ];
}

function yes(is: boolean): string {
  return t(is ? "facts.yes" : "facts.no");
}

function tlsVersion(version: string): string {
  return version.replace(/^TLSv(\d)_(\d)$/u, "TLS $1.$2");
}
