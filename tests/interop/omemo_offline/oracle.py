"""One device of a foreign implementation (oldmemo or twomemo), driven below its session layer.

Install into an environment of its own: pip install oldmemo[xml] twomemo[xml]
"""

import secrets
import xml.etree.ElementTree as ET

import oldmemo.etree
import twomemo.etree
import xeddsa
from doubleratchet.recommended import diffie_hellman_ratchet_curve25519 as dh
from oldmemo import oldmemo as old
from omemo.session import Initiation
from omemo.storage import Just, Maybe, Nothing, Storage
from twomemo import twomemo as new

PROFILES = {"legacy": (old, old.Oldmemo, oldmemo.etree), "omemo2": (new, new.Twomemo, twomemo.etree)}

_draws: list[bytes] = []
_token_bytes = secrets.token_bytes


def _logged(length=32):
    drawn = _token_bytes(length)
    _draws.append(drawn)
    return drawn


secrets.token_bytes = _logged
dh.DiffieHellmanRatchet._generate_priv = staticmethod(lambda: secrets.token_bytes(32))


def draws():
    """All random bytes drawn since the last call."""
    taken = b"".join(_draws)
    _draws.clear()
    return taken


class Memory(Storage):
    def __init__(self):
        super().__init__(disable_cache=True)
        self.rows = {}

    async def _load(self, key) -> Maybe:
        return Just(self.rows[key]) if key in self.rows else Nothing()

    async def _store(self, key, value):
        self.rows[key] = value

    async def _delete(self, key):
        self.rows.pop(key, None)


def fresh_identity(sign_bit):
    """A Curve25519 secret whose Ed25519 form has the wanted sign bit."""
    while True:
        secret = bytearray(_token_bytes(32))
        secret[0] &= 248
        secret[31] = secret[31] & 63 | 64
        if xeddsa.priv_to_ed25519_pub(bytes(secret))[31] >> 7 == sign_bit:
            return bytes(secret)


class Device:
    def __init__(self, profile, jid, device_id, sign_bit=0):
        self.profile, self.jid, self.id = profile, jid, device_id
        self.module, backend, self.etree = PROFILES[profile]
        self.secret = fresh_identity(sign_bit)
        self.public = xeddsa.priv_to_ed25519_pub(self.secret)
        self.storage = Memory()
        self.backend = backend(self.storage)
        self.session = None

    async def set_up(self, prekeys):
        await self.storage.store("/ikp/is_seed", False)
        await self.storage.store_bytes("/ikp/key", self.secret)
        await self.backend.generate_pre_keys(prekeys)
        return self

    async def bundle(self):
        return await self.backend.get_bundle(self.jid, self.id)

    async def bundle_xml(self):
        return ET.tostring(self.etree.serialize_bundle(await self.bundle()), encoding="unicode")

    async def secrets(self):
        """Every private key with its id, the prekeys in rising order of ids."""
        state = (await self.storage.load(f"/{self.backend.namespace}/x3dh")).from_just()
        bundle = await self.bundle()
        as_bytes = lambda text: bytes(map(ord, text))
        signed = as_bytes(state["signed_pre_key"]["priv"])
        prekeys = [(bundle.pre_key_ids[xeddsa.priv_to_curve25519_pub(key)], key)
                   for key in map(as_bytes, state["pre_keys"])]
        return {
            "identity": self.secret.hex(),
            "signed_prekey": [bundle.signed_pre_key_id, signed.hex()],
            "prekeys": [[number, key.hex()] for number, key in sorted(prekeys)],
        }

    async def seal(self, plaintext):
        """Payload, initialisation vector and key material; without plaintext an empty message."""
        if plaintext is None:
            content, material = await self.backend.encrypt_empty()
        else:
            content, material = await self.backend.encrypt_plaintext(plaintext)
        return content, material

    async def start(self, peer_jid, peer_id, bundle_xml, material):
        bundle = self.etree.parse_bundle(ET.fromstring(bundle_xml), peer_jid, peer_id)
        self.session, key = await self.backend.build_session_active(peer_jid, peer_id, bundle, material)
        return self._element(key)

    async def send(self, material):
        return self._element(await self.backend.encrypt_key_material(self.session, material))

    def _element(self, key):
        message = key.serialize()
        if self.session.initiation is Initiation.ACTIVE and not self.session.confirmed:
            exchange = self.session.key_exchange.serialize(message)
            return True, exchange[0] if isinstance(exchange, tuple) else exchange
        return False, message

    async def restart(self, peer_jid, peer_id):
        """Stores the session and reads it back with a backend that knows nothing yet."""
        await self.backend.store_session(self.session)
        self.backend = type(self.backend)(self.storage)
        self.session = await self.backend.load_session(peer_jid, peer_id)
        assert self.session

    async def open(self, peer_jid, peer_id, peer_public, is_prekey, element, payload, iv):
        exchange = None
        if is_prekey:
            parse = self.module.KeyExchangeImpl.parse
            # Our keys have no sign bit, and so have those of a recorded peer that is not named.
            sign = (bool(peer_public and peer_public[31] >> 7),) if self.profile == "legacy" else ()
            exchange, element = parse(element, *sign)
            assert peer_public in (None, exchange.identity_key)
        key = self.module.EncryptedKeyMaterialImpl.parse(element, peer_jid, peer_id)
        if self.session is None or (exchange and not self.session.key_exchange.builds_same_session(exchange)):
            self.session, material = await self.backend.build_session_passive(peer_jid, peer_id, exchange, key)
        else:
            material = await self.backend.decrypt_key_material(self.session, key)
        if payload is None:
            return None
        content = self.module.ContentImpl(*((payload, iv) if self.profile == "legacy" else (payload,)))
        return await self.backend.decrypt_plaintext(content, material)
