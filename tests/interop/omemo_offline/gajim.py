"""omemo-dr, the engine of Gajim: a port of Signal's own library, in the legacy generation."""

import xml.etree.ElementTree as ET
from base64 import b64decode, b64encode

from talk import US

try:
    from omemo_dr.aes import aes_decrypt, aes_encrypt, get_new_iv, get_new_key
    from omemo_dr.protocol.prekeywhispermessage import PreKeyWhisperMessage
    from omemo_dr.protocol.whispermessage import WhisperMessage
    from omemo_dr.sessionbuilder import SessionBuilder
    from omemo_dr.sessioncipher import SessionCipher
    from omemo_dr.state.prekeybundle import PreKeyBundle
    from omemo_dr.state.sessionrecord import SessionRecord
    from omemo_dr.structs import OMEMOBundle
    from omemo_dr.util.keyhelper import KeyHelper
except ModuleNotFoundError:
    KeyHelper = None

SPACE = "eu.siacs.conversations.axolotl"
PEER = (US, 1)


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
    def __init__(self, _state, store=None):
        self.store = store or Store()
        self.cipher = SessionCipher(self.store, *PEER)

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
        bundle = OMEMOBundle(device_id=PEER[1], ik=decode("identityKey"), namespace=SPACE, otpks=keys,
                             spk={"key": decode("signedPreKeyPublic"), "id": signed_id},
                             spk_signature=decode("signedPreKeySignature"))
        SessionBuilder(self.store, *PEER).process_pre_key_bundle(PreKeyBundle.from_proto(bundle))

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

    def restarted(self):
        """Sessions are read from their stored form each time; nothing else is kept."""
        return Theirs(None, self.store)

    def close(self):
        pass


def devices(_folder):
    yield "omemo-dr", "legacy", Theirs if KeyHelper else None
