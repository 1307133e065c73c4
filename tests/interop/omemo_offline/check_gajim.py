"""Sets the crate against omemo-dr, the engine of Gajim, a port of Signal's own library, in the legacy generation.

    pip install omemo-dr
    cargo build -p waxwing-omemo --example lines
    python check_gajim.py <path of that example> [rounds]
"""

import random
import sys
import xml.etree.ElementTree as ET
from base64 import b64decode, b64encode

from check import Ours
from omemo_dr.aes import aes_decrypt, aes_encrypt, get_new_iv, get_new_key
from omemo_dr.protocol.prekeywhispermessage import PreKeyWhisperMessage
from omemo_dr.protocol.whispermessage import WhisperMessage
from omemo_dr.sessionbuilder import SessionBuilder
from omemo_dr.sessioncipher import SessionCipher
from omemo_dr.state.prekeybundle import PreKeyBundle
from omemo_dr.state.sessionrecord import SessionRecord
from omemo_dr.structs import OMEMOBundle
from omemo_dr.util.keyhelper import KeyHelper

SPACE = "eu.siacs.conversations.axolotl"
US = ("us@example.org", 1)


class Store:
    """What the engine wants to have kept, in memory."""

    def __init__(self):
        self.identity = KeyHelper.generate_identity_key_pair()
        self.signed = KeyHelper.generate_signed_pre_key(self.identity, 77)
        self.prekeys = {key.get_id(): key for key in KeyHelper.generate_pre_keys(1, 5)}
        self.session = None

    def get_identity_key_pair(self):
        return self.identity

    def get_our_device_id(self):
        return 4711

    def save_identity(self, *_):
        pass

    def is_trusted_identity(self, *_):
        return True

    def load_pre_key(self, number):
        return self.prekeys[number]

    def remove_pre_key(self, number):
        del self.prekeys[number]

    def load_signed_pre_key(self, number):
        assert number == 77
        return self.signed

    def contains_session(self, *_):
        return self.session is not None

    def load_session(self, *_):
        return SessionRecord(serialized=self.session) if self.session else SessionRecord()

    def store_session(self, _recipient, _device, record):
        self.session = record.serialize()


class Theirs:
    def __init__(self):
        self.store = Store()
        self.cipher = SessionCipher(self.store, *US)

    def bundle_xml(self):
        encode = lambda data: b64encode(data).decode()
        public = lambda record: encode(record.get_key_pair().get_public_key().serialize())
        signed = self.store.signed
        prekeys = "".join(f"<preKeyPublic preKeyId='{number}'>{public(key)}</preKeyPublic>"
                          for number, key in self.store.prekeys.items())
        return (f"<bundle xmlns='{SPACE}'><signedPreKeyPublic signedPreKeyId='77'>{public(signed)}"
                f"</signedPreKeyPublic><signedPreKeySignature>{encode(signed.get_signature())}"
                f"</signedPreKeySignature><identityKey>"
                f"{encode(self.store.identity.get_public_key().serialize())}</identityKey>"
                f"<prekeys>{prekeys}</prekeys></bundle>")

    def start(self, bundle_xml):
        root, space = ET.fromstring(bundle_xml), "{" + SPACE + "}"
        decode = lambda name: b64decode(root.find(space + name).text)
        keys = [{"key": b64decode(key.text), "id": int(key.get("preKeyId"))}
                for key in root.iter(space + "preKeyPublic")]
        signed_id = int(root.find(space + "signedPreKeyPublic").get("signedPreKeyId"))
        bundle = OMEMOBundle(device_id=US[1], ik=decode("identityKey"), namespace=SPACE, otpks=keys,
                             spk={"key": decode("signedPreKeyPublic"), "id": signed_id},
                             spk_signature=decode("signedPreKeySignature"))
        SessionBuilder(self.store, *US).process_pre_key_bundle(PreKeyBundle.from_proto(bundle))

    def send(self, text):
        if text is None:
            material, iv, payload = get_new_key(), get_new_iv(), None
        else:
            sealed = aes_encrypt(text.decode())
            material, iv, payload = sealed.key, sealed.iv, sealed.payload
        message = self.cipher.encrypt(material)
        return isinstance(message, PreKeyWhisperMessage), message.serialize(), iv, payload

    def open(self, is_prekey, key, iv, payload):
        if is_prekey:
            material = self.cipher.decrypt_pkmsg(PreKeyWhisperMessage.from_bytes(key))
        else:
            material = self.cipher.decrypt_msg(WhisperMessage.from_bytes(key))
        return None if payload is None else aes_decrypt(material, iv, payload).encode()


def talk(program, we_start, rounds):
    chance = random.Random(11)
    ours, theirs = Ours(program, "legacy"), Theirs()
    bundle = ours.ask("bundle")
    if we_start:
        ours.ask("start " + theirs.bundle_xml())
    else:
        theirs.start(bundle)
    opened, late = 0, []
    for number in range(rounds):
        we_speak = (number % 2 == 0) == we_start
        speaker, hearer = (ours, theirs) if we_speak else (theirs, ours)
        batch = []
        for each in range(chance.randint(1, 6)):
            is_empty = number and chance.random() < 0.2
            text = None if is_empty else f"{number}/{each} çöß".encode()
            batch.append((text, speaker.send(text)))
        chance.shuffle(batch)
        if number > 1 and len(batch) > 2:
            late.append((number, batch.pop()))
        due = [message for sent, message in late if sent == number - 2]
        for text, message in batch + due:
            got = hearer.open(*message)
            assert got == text, f"{got} is not {text}"
            opened += 1
    ours.close()
    print(f"legacy, {'we start' if we_start else 'they start'}: {opened} messages opened over {rounds} ratchet steps")


if __name__ == "__main__":
    for we_start in (True, False):
        talk(sys.argv[1], we_start, int(sys.argv[2]) if len(sys.argv) > 2 else 40)
