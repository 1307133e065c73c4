//! What of a key element anybody on the way can read. Written a second time, apart from the crate that is checked.

use waxwing_omemo::{KeyElement, Profile};

/// The open part of a key element.
pub(crate) struct Visible {
    pub(crate) ratchet_key: [u8; 32],
    /// The number in the chain.
    pub(crate) n: u64,
    /// All plaintexts here begin alike, so two messages have the same first block only under the same message key.
    pub(crate) first_block: [u8; 16],
}

pub(crate) fn read(profile: Profile, key: &KeyElement) -> Visible {
    let bytes = key.bytes.as_slice();
    let body = match profile {
        Profile::Legacy => {
            let message = if key.is_prekey {
                field(&bytes[1..], 4).bytes()
            } else {
                bytes
            };
            &message[1..message.len() - 8]
        }
        Profile::Omemo2 => {
            let message = if key.is_prekey {
                field(bytes, 5).bytes()
            } else {
                bytes
            };
            field(message, 2).bytes()
        }
    };
    let (ratchet_key, n) = match profile {
        Profile::Legacy => (&field(body, 1).bytes()[1..], field(body, 2)),
        Profile::Omemo2 => (field(body, 3).bytes(), field(body, 1)),
    };
    Visible {
        ratchet_key: ratchet_key.try_into().expect("32 bytes"),
        n: n.number(),
        first_block: field(body, 4).bytes()[..16].try_into().expect("a block"),
    }
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(number) => panic!("bytes are wanted, not {number}"),
        }
    }

    fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Bytes(bytes) => panic!("a number is wanted, not {bytes:?}"),
        }
    }
}

/// One field of a protobuf structure of numbers and bytes.
fn field(mut rest: &[u8], wanted: u64) -> Field<'_> {
    loop {
        let key = varint(&mut rest);
        let value = varint(&mut rest);
        let found = if key.is_multiple_of(8) {
            Field::Number(value)
        } else {
            let (head, tail) = rest.split_at(usize::try_from(value).expect("a length"));
            rest = tail;
            Field::Bytes(head)
        };
        if key >> 3 == wanted {
            return found;
        }
    }
}

fn varint(rest: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, tail) = rest.split_first().expect("the field is there");
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
        shift += 7;
    }
}
