import type { Account, ProxyKind, SetProxy, TlsMode } from "../core/generated/api";
import { t } from "../lib/text";

/** What a person fills in about the way to a server: while signing in, and later in the settings. */
export class ConnectionForm {
  host = $state("");
  port = $state("");
  tls: TlsMode | "" = $state("");
  proxyKind: ProxyKind | "" = $state("");
  proxyHost = $state("");
  proxyPort = $state("");
  proxyUser = $state("");
  proxyPassword = $state("");
  /** It was sent off once: from then on what is missing is told, too. */
  tried = $state(false);

  constructor(account?: Account) {
    if (!account) return;
    this.host = account.host ?? "";
    this.port = account.port?.toString() ?? "";
    this.tls = account.tls ?? "";
    if (!account.proxy) return;
    this.proxyKind = account.proxy.kind;
    this.proxyHost = account.proxy.host;
    this.proxyPort = account.proxy.port.toString();
    this.proxyUser = account.proxy.user ?? "";
  }

  /** What is wrong, beside which field. */
  readonly errors = $derived.by(() => ({
    host: wrongHost(this.host),
    port: wrongPort(this.port),
    ...(this.proxyKind === "" ? {} : this.#proxyErrors()),
  }));

  readonly valid = $derived(Object.values(this.errors).every((error) => error === undefined));

  /** Notes that it was to be sent off; false if something is wrong. */
  check(): boolean {
    this.tried = true;
    return this.valid;
  }

  /** The server as core wants it. */
  server(): { host?: string; port?: number; tls?: TlsMode } {
    const host = this.host.trim();
    return {
      ...(host === "" ? {} : { host }),
      ...(this.port.trim() === "" ? {} : { port: Number(this.port) }),
      ...(this.tls === "" ? {} : { tls: this.tls }),
    };
  }

  /** The proxy as core wants it; a password that is left empty stays what it was. */
  proxy(): { proxy?: SetProxy } {
    if (this.proxyKind === "") return {};
    const user = this.proxyUser.trim();
    const proxy = { kind: this.proxyKind, host: this.proxyHost.trim(), port: Number(this.proxyPort) };
    const named = user === "" ? {} : { user };
    return {
      proxy: { ...proxy, ...named, ...(this.proxyPassword === "" ? {} : { password: this.proxyPassword }) },
    };
  }

  #proxyErrors() {
    const missing = (text: string) => this.tried && text.trim() === "";
    return {
      proxyHost: missing(this.proxyHost) ? t("connect.proxy_host_missing") : wrongHost(this.proxyHost),
      proxyPort: missing(this.proxyPort) ? t("connect.port_error") : wrongPort(this.proxyPort),
      proxyUser:
        this.proxyUser.trim() === "" && this.proxyPassword !== "" ? t("connect.user_missing") : undefined,
    };
  }
}

function wrongPort(text: string): string | undefined {
  const port = text.trim();
  if (port === "") return undefined;
  const right = /^\d{1,5}$/u.test(port) && Number(port) >= 1 && Number(port) <= 65_535;
  return right ? undefined : t("connect.port_error");
}

function wrongHost(text: string): string | undefined {
  const host = text.trim();
  return host.length > 255 || /[\s/@]/u.test(host) ? t("connect.host_error") : undefined;
}
