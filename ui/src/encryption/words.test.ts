import { describe, expect, test } from "vitest";

import en from "../../locales/en.json";
import { whyUnreadable } from "../conversation/lock";
import type {
  BundleFault,
  Device,
  DeviceReport,
  EncryptionReport,
  Reach,
  UndecryptableReason,
} from "../core/generated/api";
import { choicesFor, reachWords, repairOf, trustWords, verdict } from "./words";

const why = (reason: UndecryptableReason) => whyUnreadable({ reason, method: null, repaired: false });

describe("what is said of encryption that does not work", () => {
  const parts = [
    "undecryptable.",
    "bundle_fault.",
    "reach.",
    "check.",
    "repair.",
    "reset_session.",
    "message.",
  ];
  const sentences = Object.entries(en).filter(([key]) => parts.some((part) => key.startsWith(part)));

  test.each(sentences)("%s is in everyday words", (_, sentence) => {
    expect(sentence).not.toMatch(/key exchange|one-time|pre-?key|session|bundle|handshake|ratchet|JID/iu);
  });

  test("promises nothing of the next message, which mends a session only where there is none", () => {
    expect(why("no_session")).not.toMatch(/write to them|next message/iu);
    expect(why("no_session")).toMatch(/by itself where it can.*reset the encryption/u);
    expect(why("key_gone")).toMatch(/by itself where it can.*send it again/u);
  });

  test("tells apart why a message of an otherwise known device was not opened", () => {
    expect(why("key_reused")).toMatch(/older copy of its data.*by itself where it can.*send it again/u);
    expect(why("too_far_ahead")).toMatch(/never came here.*by itself where it can.*send it again/u);
    expect(why("too_late")).toMatch(/so long after.*send it again/u);
    expect(why("written_here")).toMatch(/You wrote it.*older copy.*have it/u);
  });

  test("sends to the new key, and says where it is shown, when a device has another one", () => {
    expect(why("identity_changed")).toMatch(/encryption check shows the new key.*in person.*remove/u);
    expect(en["bundle_fault.identity_changed"]).toMatch(/new key.*below.*in person.*remove/u);
  });
});

const AN_HOUR = "2026-03-01T10:00:00Z";

function reported(reach: Reach, more: Partial<Device> = {}): DeviceReport {
  const device: Device = {
    device: 7,
    fingerprint: "ab".repeat(32),
    trust: "blind",
    trust_told: false,
    taken_back_by: null,
    protocols: ["omemo1"],
    active: reach !== "inactive" && reach !== "unlisted",
    own: false,
    label: null,
    first_seen: null,
    last_seen: null,
    last_failure: null,
    last_repaired: null,
    reach,
    bundle_fault: null,
    other_key: null,
    ...more,
  };
  return { ours: false, device, protocol: reach === "ready" ? "omemo1" : null, again_at: null };
}

const report = (...devices: DeviceReport[]): EncryptionReport => ({
  chat: 1,
  online: true,
  next: "encrypted",
  lists: [],
  published: [],
  devices,
});

describe("what is said of a device", () => {
  test.each([
    ["no_session", true],
    ["key_gone", true],
    ["key_reused", true],
    ["too_far_ahead", true],
    ["identity_changed", false],
    ["wrong_place", false],
    ["malformed", false],
    ["too_late", false],
    ["unsupported", false],
  ] as const)("after %s a reset is offered as what mends it: %s", (reason, helps) => {
    const device = reported("ready", { last_failure: { reason, at: AN_HOUR } });
    expect(repairOf(device)?.does ?? null).toBe(helps ? "reset" : null);
    // It may be wished for all the same.
    expect(choicesFor(device).some(({ does }) => does === "reset")).toBe(!helps);
  });

  test.each([
    ["ready", true],
    ["no_keys", true],
    ["untrusted", true],
    ["inactive", false],
    ["this_device", false],
  ] as const)("a device of one's own that is %s can be taken off the list: %s", (reach, can) => {
    const device = reported(reach, { own: reach === "this_device" });
    const removes = (one: DeviceReport) => choicesFor(one).some(({ does }) => does === "remove");
    expect(removes({ ...device, ours: true })).toBe(can);
    expect(removes(device)).toBe(false);
  });

  test("keys that could not be had are a failed repair only where one was tried", () => {
    const fault: BundleFault = "missing";
    expect(reachWords(reported("ready"))).not.toMatch(/could not be set up anew/u);
    expect(reachWords(reported("ready", { bundle_fault: fault }))).toMatch(/could not be set up anew/u);
  });

  test("not all is well where a device wrote that gets no answer", () => {
    const all = report(reported("ready"), reported("unlisted"));
    expect(verdict(all, "Bob")).toMatchObject({
      well: false,
      then: en["check.next.missing.one"].replace("{count}", "1"),
    });
    expect(verdict(report(reported("ready"), reported("inactive")), "Bob").well).toBe(true);
    expect(repairOf(reported("unlisted"))).toEqual({ does: "fetch", words: "repair.look" });
    expect(reachWords(reported("unlisted"))).toMatch(/wrote to you lately.*opened once/u);
  });

  test.each(["verified", "untrusted"] as const)(
    "a key that is %s by what another device said is not told as what one decided oneself",
    (trust) => {
      const [own, told] = [false, true].map((trust_told) =>
        trustWords(reported("ready", { trust, trust_told }).device),
      );
      expect(own).toBe(en[`trust.why.${trust}`]);
      expect(told).toMatch(/another device that you verified/iu);
    },
  );

  test("whoever's decision it was, it is not told as the person's own where that is not known", () => {
    expect(reachWords(reported("untrusted"))).not.toMatch(/you do not trust/iu);
    expect(en["check.next.no_trusted_devices"]).not.toMatch(/you do not trust/iu);
  });
});
