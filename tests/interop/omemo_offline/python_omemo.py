"""oldmemo and twomemo, which slixmpp's clients are built on."""

import asyncio
import functools

from talk import THEM, US

try:
    import oracle
except ModuleNotFoundError:
    oracle = None

LIBRARIES = {"legacy": "oldmemo", "omemo2": "twomemo"}


class Theirs:
    def __init__(self, profile, sign_bit, _state):
        self.profile = profile
        self.device = self.wait(oracle.Device(profile, THEM, 4711, sign_bit).set_up(10))
        self.our_public = None

    @staticmethod
    def wait(step):
        return asyncio.run(step)

    def bundle_xml(self):
        return self.wait(self.device.bundle_xml())

    def start(self, bundle_xml):
        """Begins with the first message, which the library wants to know at once."""
        self.bundle = bundle_xml

    def send(self, text):
        content, material = self.wait(self.device.seal(text))
        if self.device.session is None:
            is_prekey, key = self.wait(self.device.start(US, 1, self.bundle, material))
        else:
            is_prekey, key = self.wait(self.device.send(material))
        iv = content.initialization_vector if self.profile == "legacy" else None
        return is_prekey, key, iv, None if content.empty else content.ciphertext

    def open(self, is_prekey, key, iv, payload):
        return self.wait(self.device.open(US, 1, self.our_public, is_prekey, key, payload, iv))

    def restarted(self):
        self.wait(self.device.restart(US, 1))
        return self

    def close(self):
        pass


def devices(_folder):
    for profile, library in LIBRARIES.items():
        for sign_bit in (0, 1):
            make = functools.partial(Theirs, profile, sign_bit) if oracle else None
            yield f"{library} with sign bit {sign_bit}", profile, make
