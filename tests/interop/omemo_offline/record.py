"""Records conversations between two devices of a foreign implementation as known answers.

    python record.py ../../../src-tauri/crates/omemo/tests/vectors

writes legacy.json, omemo2.json and signatures.json anew. All secrets and all random bytes drawn are in them, so that the crate's
tests can take either side's place and must then produce the same bytes.
"""

import asyncio
import json
import pathlib
import sys

import oracle
import xeddsa

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


async def main(folder):
    path = pathlib.Path(folder) / "signatures.json"
    path.write_text(json.dumps(signatures(), indent=1) + "\n")
    for profile in oracle.PROFILES:
        # The sign bit of a's identity: 0 as ours always is, and 1 as foreign ones may be.
        recorded = [await conversation(profile, 0), await conversation(profile, 1)]
        path = pathlib.Path(folder) / f"{profile}.json"
        path.write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
