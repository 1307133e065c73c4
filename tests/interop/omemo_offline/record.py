"""Records conversations between two devices of a foreign implementation as known answers.

    python record.py ../../../src-tauri/crates/omemo/tests/vectors

writes legacy.json, omemo2.json, signatures.json, labels.json and derivations.json anew (not records.json: those are our own records, as
earlier versions stored them). All secrets and all random bytes drawn are in them, so that the crate's
tests can take either side's place and must then produce the same bytes.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import pathlib
import sys

import oracle
import xeddsa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# Of the group that Curve25519's base point makes.
ORDER = 2**252 + 27742317777372353535851937790883648493

# Who sends how many, then in which order they are opened. Letters name devices; "n" before a number means: keep it back.
SCRIPT = [
    ("send", "a", 3), ("open", 0), ("open", 2), ("open", 1),
    ("send", "a", 1),                                   # 3: kept back until two ratchet steps later
    ("send", "b", 3), ("open", 4), ("open", 6), ("open", 5),
    ("send", "a", 2), ("open", 8), ("open", 7), ("open", 3),
    ("send", "b", 1), ("open", 9),
    ("empty", "a", 1), ("open", 10),
    ("send", "b", 12), ("open", 22), ("open", 12), ("open", 11),
    ("send", "a", 1), ("open", 23),
]


async def conversation(profile, sign_bit_of_a):
    devices = {
        "a": await oracle.Device(profile, "alice@example.org", 1001, sign_bit_of_a).set_up(4),
        "b": await oracle.Device(profile, "bob@example.org", 2002).set_up(4),
    }
    record = {
        "a": await devices["a"].secrets() | {"device": 1001, "bundle": await devices["a"].bundle_xml()},
        "b": await devices["b"].secrets() | {"device": 2002, "bundle": await devices["b"].bundle_xml()},
        "steps": [],
    }
    messages = []
    for step in SCRIPT:
        if step[0] == "open":
            record["steps"].append(await open_one(devices, messages, step[1]))
        else:
            for _ in range(step[2]):
                plaintext = f"Message {len(messages)} of {step[1]}".encode() if step[0] == "send" else None
                record["steps"].append(await send_one(devices, messages, step[1], plaintext, record))
    return record


async def send_one(devices, messages, name, plaintext, record):
    sender, receiver = devices[name], devices["b" if name == "a" else "a"]
    oracle.draws()
    content, material = await sender.seal(plaintext)
    sealing = oracle.draws()
    choice = None
    if sender.session is None:
        is_prekey, element = await sender.start(receiver.jid, receiver.id, await receiver.bundle_xml(), material)
        chosen = sender.session.key_exchange.pre_key_id
        choice = [number for number, _ in record["b"]["prekeys"]].index(chosen)
    else:
        is_prekey, element = await sender.send(material)
    step = {
        "op": "send", "from": name, "number": len(messages),
        "plaintext": None if plaintext is None else plaintext.hex(),
        "sealing_entropy": sealing.hex(), "prekey_choice": choice, "entropy": oracle.draws().hex(),
        "material": (material.key + material.auth_tag).hex(),
        "iv": content.initialization_vector.hex() if sender.profile == "legacy" else None,
        "payload": None if content.empty else content.ciphertext.hex(),
        "is_prekey": is_prekey, "key": element.hex(),
    }
    messages.append(step)
    return step


async def open_one(devices, messages, number):
    message = messages[number]
    sender, receiver = devices[message["from"]], devices["b" if message["from"] == "a" else "a"]
    unhex = lambda text: None if text is None else bytes.fromhex(text)
    oracle.draws()
    plaintext = await receiver.open(sender.jid, sender.id, sender.public, message["is_prekey"],
                                    unhex(message["key"]), unhex(message["payload"]), unhex(message["iv"]))
    assert plaintext == unhex(message["plaintext"])
    return {"op": "open", "number": number, "entropy": oracle.draws().hex()}


def signatures():
    """XEdDSA with the nonce given, by keys of both sign bits."""
    recorded = []
    for sign_bit in (0, 1):
        key, nonce = oracle.fresh_identity(sign_bit), bytes(range(64))
        for message in (b"", b"message", bytes(33)):
            # XEdDSA §2.3: the signing key is the one whose Ed25519 form has the sign bit 0, reduced.
            signing = int.from_bytes(xeddsa.priv_force_sign(key, False), "little") % ORDER
            signature = xeddsa.ed25519_priv_sign(signing.to_bytes(32, "little"), message, nonce)
            recorded.append({
                "sign_bit": sign_bit, "secret": key.hex(), "nonce": nonce.hex(), "message": message.hex(),
                "curve": xeddsa.priv_to_curve25519_pub(key).hex(), "signature": signature.hex(),
            })
    return recorded


def labels():
    """A device's name signed by keys of both sign bits, under the very Ed25519 key that OMEMO 2 shows."""
    recorded = []
    for sign_bit in (0, 1):
        secret, label = oracle.fresh_identity(sign_bit), "Balcony"
        signing = int.from_bytes(xeddsa.priv_force_sign(secret, bool(sign_bit)), "little") % ORDER
        signature = xeddsa.ed25519_priv_sign(signing.to_bytes(32, "little"), label.encode(), bytes(range(64)))
        edwards = xeddsa.priv_to_ed25519_pub(secret)
        assert edwards[31] >> 7 == sign_bit and xeddsa.ed25519_verify(signature, edwards, label.encode())
        recorded.append({
            "sign_bit": sign_bit, "curve": xeddsa.priv_to_curve25519_pub(secret).hex(), "edwards": edwards.hex(),
            "label": label, "signature": base64.b64encode(signature).decode(),
        })
    return recorded


# What keeps the derivations of the generations apart: of the agreement, the root chain, a message's keys.
INFOS = {
    "legacy": (b"WhisperText", b"WhisperRatchet", b"WhisperMessageKeys"),
    "omemo2": (b"OMEMO X3DH", b"OMEMO Root Chain", b"OMEMO Message Key Material"),
}


def fixed(name):
    return hashlib.sha256(name.encode()).digest()


def public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def agree(secret, other):
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public(other)))


def hkdf(salt, secret, info, length):
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def derivations():
    """X3DH and the ratchet's steps with fixed keys, computed by nothing but RFC 7748, 5869 and HMAC; and keys in both
    forms."""
    hexed = lambda values: {name: value.hex() for name, value in values.items()}
    names = ("active identity", "base", "passive identity", "signed prekey", "prekey", "ratchet key")
    active, base, passive, signed, prekey, ratchet = secrets = [fixed(name) for name in names]
    recorded = {"secrets": [secret.hex() for secret in secrets], "keys": []}
    for generation, (agreement, root_info, message) in INFOS.items():
        shared = agree(active, signed) + agree(base, passive) + agree(base, signed) + agree(base, prekey)
        root = hkdf(bytes(32), b"\xff" * 32 + shared, agreement, 32)
        both = hkdf(root, agree(ratchet, signed), root_info, 64)
        chain = both[32:]
        seed, next_chain = (hmac.digest(chain, bytes([step]), "sha256") for step in (1, 2))
        keys = hkdf(bytes(32), seed, message, 80)
        recorded[generation] = hexed({"root": root, "next_root": both[:32], "chain": chain, "seed": seed,
                                      "next_chain": next_chain, "keys": keys})
    for sign_bit in (0, 1):
        secret = oracle.fresh_identity(sign_bit)
        curve, edwards = xeddsa.priv_to_curve25519_pub(secret), xeddsa.priv_to_ed25519_pub(secret)
        recorded["keys"].append({"sign_bit": sign_bit} | hexed({"secret": secret, "curve": curve, "edwards": edwards}))
    return recorded


async def main(folder):
    path = pathlib.Path(folder) / "derivations.json"
    path.write_text(json.dumps(derivations(), indent=1) + "\n")
    path = pathlib.Path(folder) / "signatures.json"
    path.write_text(json.dumps(signatures(), indent=1) + "\n")
    path = pathlib.Path(folder) / "labels.json"
    path.write_text(json.dumps(labels(), indent=1) + "\n")
    for profile in oracle.PROFILES:
        # The sign bit of a's identity: 0 as ours always is, and 1 as foreign ones may be.
        recorded = [await conversation(profile, 0), await conversation(profile, 1)]
        path = pathlib.Path(folder) / f"{profile}.json"
        path.write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
