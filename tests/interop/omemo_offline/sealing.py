"""What a message carries besides keys, sealed and opened apart from the crate: for engines that know only of keys."""

import hmac
import os

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def seal(profile, text):
    """Key material, initialisation vector and payload; without text an empty message."""
    if profile == "legacy":
        key, iv = os.urandom(16), os.urandom(12)
        if text is None:
            return key, iv, None
        sealed = AESGCM(key).encrypt(iv, text, None)
        return key + sealed[-16:], iv, sealed[:-16]
    if text is None:
        return bytes(32), None, None
    key = os.urandom(32)
    cipher, mac_key = drawn(key)
    pad, encryptor = padding.PKCS7(128).padder(), cipher.encryptor()
    payload = encryptor.update(pad.update(text) + pad.finalize()) + encryptor.finalize()
    return key + tag(mac_key, payload), None, payload


def open_payload(profile, material, iv, payload):
    if profile == "legacy":
        return AESGCM(material[:16]).decrypt(iv, payload + material[16:], None)
    cipher, mac_key = drawn(material[:32])
    assert hmac.compare_digest(tag(mac_key, payload), material[32:])
    pad, decryptor = padding.PKCS7(128).unpadder(), cipher.decryptor()
    return pad.update(decryptor.update(payload) + decryptor.finalize()) + pad.finalize()


def drawn(key):
    """XEP-0384 §4.4: AES key, HMAC key and vector out of one key."""
    secrets = HKDF(hashes.SHA256(), 80, bytes(32), b"OMEMO Payload").derive(key)
    return Cipher(algorithms.AES(secrets[:32]), modes.CBC(secrets[64:])), secrets[32:64]


def tag(key, payload):
    return hmac.digest(key, payload, "sha256")[:16]
