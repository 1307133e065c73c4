//! The messages on the wire: small protobuf structures (XEP-0384 §5.5.3; in legacy Signal's, with a version byte
//! before and a tag behind), read without recursion and without copying.

use crate::primitives;
use crate::{DecryptError, IdentityKey, Malformed, PreKeyId, PreKeyIds, Profile};

/// Key elements longer than this many bytes are refused; real ones have under 400.
pub(crate) const MAX_KEY_BYTES: usize = 4_096;
/// Signal's message version in the upper, and current version in the lower half.
const VERSION: u8 = 0x33;

const fn tag_length(profile: Profile) -> usize {
    match profile {
        Profile::Legacy => 8,
        Profile::Omemo2 => 16,
    }
}

/// A message of the double ratchet.
pub(crate) struct RatchetMessage<'a> {
    pub(crate) ratchet_key: [u8; 32],
    /// The number of this message in its chain, from 0.
    pub(crate) n: u32,
    /// How many messages the sender says that the chain before had; two C libraries in wide use tell one too few.
    pub(crate) previous: u32,
    pub(crate) ciphertext: &'a [u8],
    /// What the tag covers, besides the associated data.
    pub(crate) authenticated: &'a [u8],
    pub(crate) tag: &'a [u8],
}

/// A key exchange with the first message inside.
pub(crate) struct KeyExchange<'a> {
    pub(crate) ids: PreKeyIds,
    pub(crate) message: &'a [u8],
}

/// What a key exchange repeats until the first answer.
#[derive(Clone, Copy)]
pub(crate) struct Exchange {
    pub(crate) signed: PreKeyId,
    pub(crate) one_time: PreKeyId,
    pub(crate) registration: u32,
    pub(crate) base_key: [u8; 32],
}

/// The protobuf part of a ratchet message: what its tag covers.
pub(crate) fn write_body(profile: Profile, key: &[u8; 32], n: u32, pn: u32, ciphertext: &[u8]) -> Vec<u8> {
    let key = primitives::encode_public_key(profile, key);
    let mut out = Vec::with_capacity(64 + ciphertext.len());
    match profile {
        Profile::Legacy => {
            out.push(VERSION);
            put_bytes(&mut out, 1, &key);
            put_number(&mut out, 2, n);
            put_number(&mut out, 3, pn);
        }
        Profile::Omemo2 => {
            put_number(&mut out, 1, n);
            put_number(&mut out, 2, pn);
            put_bytes(&mut out, 3, &key);
        }
    }
    put_bytes(&mut out, 4, ciphertext);
    out
}

/// Joins body and tag (`mac`, cut to the length of this generation).
pub(crate) fn write_message(profile: Profile, body: &[u8], mac: &[u8; 32]) -> Vec<u8> {
    let tag = mac.get(..tag_length(profile)).unwrap_or(mac);
    match profile {
        Profile::Legacy => [body, tag].concat(),
        Profile::Omemo2 => {
            let mut out = Vec::with_capacity(body.len() + 24);
            put_bytes(&mut out, 1, tag);
            put_bytes(&mut out, 2, body);
            out
        }
    }
}

/// Puts a key exchange around a ratchet message.
pub(crate) fn write_exchange(
    profile: Profile,
    exchange: &Exchange,
    identity: &IdentityKey,
    message: &[u8],
) -> Vec<u8> {
    let identity = identity.encode(profile);
    let base_key = primitives::encode_public_key(profile, &exchange.base_key);
    let mut out = Vec::with_capacity(96 + message.len());
    match profile {
        Profile::Legacy => {
            out.push(VERSION);
            put_number(&mut out, 1, exchange.one_time.0);
            put_bytes(&mut out, 2, &base_key);
            put_bytes(&mut out, 3, &identity);
            put_bytes(&mut out, 4, message);
            put_number(&mut out, 5, exchange.registration);
            put_number(&mut out, 6, exchange.signed.0);
        }
        Profile::Omemo2 => {
            put_number(&mut out, 1, exchange.one_time.0);
            put_number(&mut out, 2, exchange.signed.0);
            put_bytes(&mut out, 3, &identity);
            put_bytes(&mut out, 4, &base_key);
            put_bytes(&mut out, 5, message);
        }
    }
    out
}

/// Reads a ratchet message.
pub(crate) fn read_message(profile: Profile, bytes: &[u8]) -> Result<RatchetMessage<'_>, DecryptError> {
    if bytes.len() > MAX_KEY_BYTES {
        return Err(Malformed("message length").into());
    }
    let (authenticated, body, tag) = match profile {
        Profile::Legacy => {
            let (authenticated, tag) = split_legacy(bytes)?;
            (authenticated, check_version(authenticated)?, tag)
        }
        Profile::Omemo2 => {
            let [tag, body] = fields::<2>(bytes)?;
            let body = body.bytes("message")?;
            (body, body, tag.bytes("tag")?)
        }
    };
    if tag.len() != tag_length(profile) {
        return Err(Malformed("tag").into());
    }
    let [one, two, three, four] = fields::<4>(body)?;
    let (key, n, pn) = match profile {
        Profile::Legacy => (one, two, three),
        Profile::Omemo2 => (three, one, two),
    };
    Ok(RatchetMessage {
        ratchet_key: primitives::read_public_key(key.bytes("ratchet key")?)?,
        n: n.number("counter")?,
        previous: pn.number("previous counter")?,
        ciphertext: four.bytes("ciphertext")?,
        authenticated,
        tag,
    })
}

/// Splits a legacy message into what its tag covers and the tag.
fn split_legacy(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let at = bytes.len().checked_sub(tag_length(Profile::Legacy));
    at.and_then(|at| bytes.split_at_checked(at))
        .ok_or(Malformed("message length"))
}

/// Splits off the version byte of a legacy structure.
fn check_version(bytes: &[u8]) -> Result<&[u8], DecryptError> {
    let (version, rest) = bytes.split_first().ok_or(Malformed("message length"))?;
    if version >> 4 == VERSION >> 4 {
        Ok(rest)
    } else {
        Err(DecryptError::UnsupportedVersion(version >> 4))
    }
}

/// Reads a key exchange.
pub(crate) fn read_exchange(profile: Profile, bytes: &[u8]) -> Result<KeyExchange<'_>, DecryptError> {
    if bytes.len() > MAX_KEY_BYTES {
        return Err(Malformed("message length").into());
    }
    let (one_time, signed, identity, base_key, message, registration) = match profile {
        Profile::Legacy => {
            let [one_time, base_key, identity, message, registration, signed] =
                fields::<6>(check_version(bytes)?)?;
            (one_time, signed, identity, base_key, message, registration)
        }
        Profile::Omemo2 => {
            let [one_time, signed, identity, base_key, message] = fields::<5>(bytes)?;
            (one_time, signed, identity, base_key, message, Field::Absent)
        }
    };
    let ids = PreKeyIds {
        signed: PreKeyId(signed.number("signed prekey id")?),
        one_time: one_time.number_if_there("prekey id")?.map(PreKeyId),
        registration: registration.number_if_there("registration id")?,
        identity: IdentityKey::decode(profile, identity.bytes("identity key")?)?,
        base_key: primitives::read_public_key(base_key.bytes("base key")?)?,
    };
    Ok(KeyExchange {
        ids,
        message: message.bytes("message")?,
    })
}

/// A field of a protobuf structure.
#[derive(Clone, Copy)]
enum Field<'a> {
    Absent,
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn bytes(self, name: &'static str) -> Result<&'a [u8], Malformed> {
        if let Self::Bytes(bytes) = self {
            Ok(bytes)
        } else {
            Err(Malformed(name))
        }
    }

    fn number(self, name: &'static str) -> Result<u32, Malformed> {
        self.number_if_there(name)?.ok_or(Malformed(name))
    }

    fn number_if_there(self, name: &'static str) -> Result<Option<u32>, Malformed> {
        match self {
            Self::Absent => Ok(None),
            Self::Number(number) => u32::try_from(number).map(Some).map_err(|_| Malformed(name)),
            Self::Bytes(_) => Err(Malformed(name)),
        }
    }
}

/// The fields 1 to N; unknown ones are skipped, of repeated ones the last counts.
fn fields<const N: usize>(mut rest: &[u8]) -> Result<[Field<'_>; N], Malformed> {
    let mut found = [Field::Absent; N];
    while !rest.is_empty() {
        let key = take_varint(&mut rest)?;
        let value = match key & 7 {
            0 => Field::Number(take_varint(&mut rest)?),
            1 => take(&mut rest, 8).map(|_| Field::Absent)?,
            2 => {
                let length = take_varint(&mut rest)?;
                Field::Bytes(take(&mut rest, length)?)
            }
            5 => take(&mut rest, 4).map(|_| Field::Absent)?,
            _ => return Err(Malformed("protobuf")),
        };
        let slot = usize::try_from(key >> 3)
            .ok()
            .and_then(|number| number.checked_sub(1));
        if let Some(slot) = slot.and_then(|slot| found.get_mut(slot)) {
            *slot = value;
        }
    }
    Ok(found)
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], Malformed> {
    let (head, tail) = usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length))
        .ok_or(Malformed("protobuf"))?;
    *rest = tail;
    Ok(head)
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first().ok_or(Malformed("protobuf"))?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed("protobuf"))
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn put_number(out: &mut Vec<u8>, field: u8, value: u32) {
    out.push(field << 3);
    put_varint(out, u64::from(value));
}

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
