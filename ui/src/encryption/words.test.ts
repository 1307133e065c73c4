import { describe, expect, test } from "vitest";

import en from "../../locales/en.json";
import { whyUnreadable } from "../conversation/lock";
import type { UndecryptableReason } from "../core/generated/api";

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
