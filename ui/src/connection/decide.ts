import type { Account } from "../core/generated/api";
import type { Key } from "../lib/text";
import type { Ask } from "../state/app.svelte";
import { remedy } from "../state/faults";

/** A decision that only the person can take before the account connects: the words on the button, and the dialog. */
export function decision(account: Account): { words: Key; ask: Ask } | null {
  if (!account.error) return null;
  const { account: id } = account;
  switch (remedy(account.error)) {
    case "password":
      return { words: "account.enter_password", ask: { kind: "change_password", account: id } };
    case "certificate":
      if (!account.refused_certificate) return null;
      return { words: "account.show_certificate", ask: { kind: "certificate", account: id } };
    case "weaker_login":
      return { words: "account.decide", ask: { kind: "weaker_login", account: id } };
    default:
      return null;
  }
}
