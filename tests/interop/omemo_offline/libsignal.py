"""The C libraries that most clients are built on: libsignal-protocol-c and libomemo-c.

Each is a small program of ours (libsignal.c), compiled into a folder that goes again.
"""

import functools
import pathlib
import subprocess
import xml.etree.ElementTree as ET
from base64 import b64decode, b64encode

import sealing
from talk import Lines

SPACES = {"legacy": "eu.siacs.conversations.axolotl", "omemo2": "urn:xmpp:omemo:2"}
# What parts of a bundle are called: signed prekey, its id, signature, identity, prekey, its id.
NAMES = {
    "legacy": ("signedPreKeyPublic", "signedPreKeyId", "signedPreKeySignature", "identityKey", "preKeyPublic", "preKeyId"),
    "omemo2": ("spk", "id", "spks", "ik", "pk", "id"),
}
LIBRARIES = {"libsignal-protocol-c": ([], ["legacy"]), "libomemo-c": (["-DOMEMO_C"], ["legacy", "omemo2"])}


def compiled(library, folder):
    """The program that speaks with this library, or none if that is not installed."""
    asked = subprocess.run(["pkg-config", "--cflags", "--libs", library, "libcrypto"], capture_output=True, text=True)
    if asked.returncode:
        return None
    source, program = pathlib.Path(__file__).with_name("libsignal.c"), folder / library
    flags, _ = LIBRARIES[library]
    subprocess.run(["gcc", "-std=gnu11", "-O1", "-Wall", "-Werror", *flags, "-o", program, source,
                    *asked.stdout.split()], check=True)
    return program


class Theirs(Lines):
    """The library's device, spoken to in lines as ours is."""

    def bundle_xml(self):
        identity, signed_id, signed, signature, *prekeys = self.ask("bundle").split()
        encode = lambda text: b64encode(bytes.fromhex(text)).decode()
        names = NAMES[self.profile]
        keys = "".join(f"<{names[4]} {names[5]}='{number}'>{encode(key)}</{names[4]}>"
                       for number, key in (each.split(":") for each in prekeys))
        return (f"<bundle xmlns='{SPACES[self.profile]}'><{names[0]} {names[1]}='{signed_id}'>{encode(signed)}</{names[0]}>"
                f"<{names[2]}>{encode(signature)}</{names[2]}><{names[3]}>{encode(identity)}</{names[3]}>"
                f"<prekeys>{keys}</prekeys></bundle>")

    def start(self, bundle_xml):
        root, names = ET.fromstring(bundle_xml), NAMES[self.profile]
        first = lambda name: next(root.iter("{" + SPACES[self.profile] + "}" + name))
        text = lambda name: b64decode(first(name).text).hex()
        self.ask(f"start {text(names[3])} {first(names[0]).get(names[1])} {text(names[0])} {text(names[2])} "
                 f"{first(names[4]).get(names[5])} {text(names[4])}")

    def send(self, text):
        material, iv, payload = sealing.seal(self.profile, text)
        flag, key = self.ask("send " + material.hex()).split()
        return flag == "1", bytes.fromhex(key), iv, payload

    def open(self, is_prekey, key, iv, payload):
        material = bytes.fromhex(self.ask(f"open {int(is_prekey)} {key.hex()}").split()[1])
        return None if payload is None else sealing.open_payload(self.profile, material, iv, payload)


def devices(folder):
    for library, (_, profiles) in LIBRARIES.items():
        program = compiled(library, folder)
        for profile in profiles:
            yield library, profile, functools.partial(Theirs, program, profile) if program else None
