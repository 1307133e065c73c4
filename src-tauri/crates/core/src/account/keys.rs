//! Our own keys, and opening what was encrypted for us. Ratchet, keys and plaintext belong to one transaction, which
//! the caller commits.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use waxwing_omemo::xml::Encrypted;
use waxwing_omemo::{
    DecryptError, Decrypted, DeviceId, Effects, IdentityKey, IdentityKeyPair, KeyElement, LocalPreKeys,
    OsEntropy, PREKEY_COUNT, PREKEY_REFILL_BELOW, Profile, SignedPreKey, decrypt_key, generate_prekeys,
    open_payload, prekey_ids, sce, trust_for_new_key,
};

use super::receive::{STRANGERS_DEVICES, has_to_do_with};
use super::vouching;
use crate::error::Result;
use crate::inbound::Inside;
use crate::model::{AccountId, BareJid, Encryption, Trust, UndecryptableReason};
use crate::store::omemo::Decided;
use crate::store::{Write, omemo};

/// The same device id can occur twice among the recipients, so several keys may be for us; each costs work.
const KEYS: usize = 4;

/// So many devices of one person are known at most, those of the past with them; more than a list can name.
pub(super) const MOST_DEVICES: usize = 1_000;

/// What became of an encrypted message.
pub(super) enum Opened {
    Content {
        inside: Inside,
        encryption: Encryption,
        device: DeviceId,
        trust: Trust,
    },
    /// Opened, and nothing was said: an empty message (XEP-0384 §4.6).
    Nothing,
    /// It came before.
    Duplicate,
    Undecryptable {
        encryption: Encryption,
        device: DeviceId,
        reason: UndecryptableReason,
    },
}

/// What the opening asks for besides.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// The device is to be answered with an empty message.
    pub(super) answer: Option<(DeviceId, Profile)>,
    /// The device cannot open what it is sent in the session that there is.
    pub(super) heal: Option<(DeviceId, Profile)>,
    /// A prekey is gone that was offered in this generation.
    pub(super) bundle_behind: Option<Profile>,
    /// The device is on no list of its owner's, as they were read last.
    pub(super) unlisted: Option<DeviceId>,
    /// Whose keys are trusted otherwise than before, by what the device said.
    pub(super) trust_of: BTreeSet<BareJid>,
}

impl Wanted {
    /// No more of each than one message asks for.
    fn or(self, earlier: &Self) -> Self {
        Self {
            answer: self.answer.or(earlier.answer),
            heal: self.heal.or(earlier.heal),
            bundle_behind: self.bundle_behind.or(earlier.bundle_behind),
            unlisted: self.unlisted.or(earlier.unlisted),
            trust_of: self.trust_of,
        }
    }
}

/// How a message got here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) now: Timestamp,
    /// When it was sent.
    pub(super) sent_at: Timestamp,
    /// Prekeys that were used still count: messages of the time before may have used the same one (XEP-0384 §4.4).
    pub(super) catching_up: bool,
}

/// A used prekey is kept no longer than this, even if the archive can never be read to its end.
const USED_PREKEYS: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Our own device, made if there is none, with enough prekeys and a fresh signed prekey.
pub(super) async fn ensure(write: &mut Write, account: AccountId, now: Timestamp) -> Result<()> {
    if omemo::own(write, account).await?.is_none() {
        let device = DeviceId::random(&mut OsEntropy);
        omemo::put_own(write, account, device, &IdentityKeyPair::generate(&mut OsEntropy)).await?;
    }
    for profile in Profile::ALL {
        let left = omemo::prekeys(write, account, profile).await?.len();
        if left < PREKEY_REFILL_BELOW {
            let count = PREKEY_COUNT.saturating_sub(left);
            let first = omemo::reserve_prekeys(write, account, count).await?;
            let keys = generate_prekeys(first, count, &mut OsEntropy);
            omemo::put_prekeys(write, account, profile, &keys).await?;
        }
    }
    omemo::delete_used_prekeys(write, account, now - USED_PREKEYS).await?;
    let seconds = now.as_second();
    let signed = omemo::signed_prekeys(write, account).await?;
    for (next, old) in signed.iter().zip(signed.iter().skip(1)) {
        if old.deletion_due(next, seconds) {
            omemo::delete_signed_prekey(write, account, old.id()).await?;
        }
    }
    if signed.first().is_none_or(|newest| newest.rotation_due(seconds)) {
        let id = omemo::reserve_signed_prekey(write, account).await?;
        let key = SignedPreKey::generate(id, seconds, &mut OsEntropy);
        omemo::put_signed_prekey(write, account, &key).await?;
    }
    Ok(())
}

/// Whether our device was on our own list when it was last read.
pub(super) async fn listed_before(write: &mut Write, account: AccountId, address: &BareJid) -> Result<bool> {
    let Some(own) = omemo::own(write, account).await? else {
        return Ok(false);
    };
    Ok(omemo::device(write, account, address, own.device)
        .await?
        .is_some_and(|row| row.active()))
}

/// Who wrote to whom, as the stanza says.
pub(super) struct Envelope<'a> {
    pub(super) own: &'a BareJid,
    pub(super) from: &'a BareJid,
    pub(super) to: &'a BareJid,
}

/// Opens the first of the encrypted elements that can be opened.
pub(super) async fn open(
    write: &mut Write,
    account: AccountId,
    envelope: &Envelope<'_>,
    encrypted: &[Encrypted],
    arrival: Arrival,
) -> Result<(Opened, Wanted)> {
    let mut failed = None;
    let mut wanted = Wanted::default();
    for element in encrypted {
        let (opened, of_this) = open_one(write, account, envelope, element, arrival).await?;
        // Its key may have been opened although its content was not: a prekey is used then, and a session begun.
        wanted = of_this.or(&wanted);
        match opened {
            // Without a payload nothing was said (XEP-0384 §4.6): an answer to another device of ours.
            Opened::Undecryptable { .. } if element.payload.is_none() => {}
            Opened::Undecryptable {
                encryption,
                device,
                reason,
            } => {
                // Of two failures the one that says more is kept; what is for other devices is words in the older
                // generation, and may be nothing for people in version 2.
                let says = |reason, encryption| {
                    let here = reason != UndecryptableReason::NotForThisDevice;
                    (here, encryption == Encryption::Omemo1)
                };
                let kept = failed.map(|(_, reason, encryption)| says(reason, encryption));
                if kept.is_none_or(|kept| kept < says(reason, encryption)) {
                    failed = Some((device, reason, encryption));
                }
            }
            opened => return Ok((opened, wanted)),
        }
    }
    let failed = failed.map_or(Opened::Nothing, |(device, reason, encryption)| {
        Opened::Undecryptable {
            encryption,
            device,
            reason,
        }
    });
    Ok((failed, wanted))
}

async fn open_one(
    write: &mut Write,
    account: AccountId,
    envelope: &Envelope<'_>,
    element: &Encrypted,
    arrival: Arrival,
) -> Result<(Opened, Wanted)> {
    let encryption = omemo::encryption(element.profile);
    let undecryptable = |reason| Opened::Undecryptable {
        encryption,
        device: element.sender,
        reason,
    };
    let Some(own) = omemo::own(write, account).await? else {
        return Ok((
            undecryptable(UndecryptableReason::NotForThisDevice),
            Wanted::default(),
        ));
    };
    let keys = element.keys_for(envelope.own.as_str(), own.device).take(KEYS);
    let mut error = DecryptError::NotForThisDevice;
    for key in keys {
        let used = arrival.catching_up;
        let from = envelope.from;
        let mut outcome = open_key(write, account, &own.identity, from, (element, key), used).await?;
        if let Some(other) = outcome
            .as_ref()
            .err()
            .and_then(|error| other_key(*error, element.profile, key))
            && vouching::supersede(write, account, from, element.sender, &other).await?
        {
            outcome = open_key(write, account, &own.identity, from, (element, key), used).await?;
        }
        match outcome {
            Ok(decrypted) => {
                let (opened, wanted) = accept(write, account, envelope, element, decrypted, arrival).await?;
                return Ok((opened, wanted));
            }
            // What came before is no failure, whatever the other keys are.
            Err(_) if error == DecryptError::Duplicate => {}
            Err(failure) => {
                if let Some(other) = other_key(failure, element.profile, key) {
                    let shown = (&other, arrival.sent_at);
                    omemo::showed_other_key(write, account, envelope.from, element.sender, shown).await?;
                }
                error = failure;
            }
        }
    }
    tracing::warn!(code = error.code(), "a message could not be decrypted");
    Ok(match reason(error) {
        None => (Opened::Duplicate, Wanted::default()),
        Some(reason) => (undecryptable(reason), Wanted::default()),
    })
}

/// The identity key that a key exchange was refused for.
fn other_key(failure: DecryptError, profile: Profile, key: &KeyElement) -> Option<IdentityKey> {
    let refused = failure == DecryptError::IdentityChanged && key.is_prekey;
    let ids = refused.then(|| prekey_ids(profile, &key.bytes));
    Some(ids?.ok()?.identity)
}

async fn open_key(
    write: &mut Write,
    account: AccountId,
    identity: &IdentityKeyPair,
    from: &BareJid,
    (element, key): (&Encrypted, &KeyElement),
    used: bool,
) -> Result<std::result::Result<Decrypted, DecryptError>> {
    let record = omemo::session(write, account, from, element.sender, element.profile).await?;
    let pinned = omemo::device(write, account, from, element.sender)
        .await?
        .and_then(|row| row.identity);
    let (mut signed, mut one_time) = (Vec::new(), Vec::new());
    if key.is_prekey {
        let ids = match prekey_ids(element.profile, &key.bytes) {
            Ok(ids) => ids,
            Err(error) => return Ok(Err(error)),
        };
        signed = omemo::signed_prekeys(write, account).await?;
        signed.retain(|key| key.id() == ids.signed);
        if let Some(id) = ids.one_time {
            one_time.extend(omemo::one_prekey(write, account, id, used).await?);
        }
    }
    let prekeys = LocalPreKeys {
        signed: &signed,
        one_time: &one_time,
    };
    Ok(decrypt_key(
        element.profile,
        record.as_ref(),
        identity,
        prekeys,
        key,
        pinned.as_ref(),
        &mut OsEntropy,
    ))
}

/// Keeps what the ratchet became and reads the content.
async fn accept(
    write: &mut Write,
    account: AccountId,
    envelope: &Envelope<'_>,
    element: &Encrypted,
    decrypted: Decrypted,
    arrival: Arrival,
) -> Result<(Opened, Wanted)> {
    let now = arrival.now;
    let encryption = omemo::encryption(element.profile);
    let (from, device) = (envelope.from, element.sender);
    let undecryptable = |reason| Opened::Undecryptable {
        encryption,
        device,
        reason,
    };
    if decrypted.effects.new_session && !has_room_for(write, account, envelope, device).await? {
        return Ok((
            undecryptable(UndecryptableReason::TooManyDevices),
            Wanted::default(),
        ));
    }
    if !omemo::pin_identity(write, account, from, device, &decrypted.identity, now).await? {
        return Ok((
            undecryptable(UndecryptableReason::IdentityChanged),
            Wanted::default(),
        ));
    }
    let trust = trust_in(write, account, envelope.from, &decrypted.identity).await?;
    omemo::put_session(write, account, envelope.from, device, &decrypted.record).await?;
    if decrypted.effects.new_session {
        // Its keys are not needed any more.
        let of_device = (device, element.profile);
        omemo::set_bundle_fault(write, account, envelope.from, of_device, None).await?;
    }
    let live = !arrival.catching_up;
    let listed = omemo::seen(write, account, envelope.from, device, (arrival.sent_at, live)).await?;
    let mut wanted = after(write, account, element, decrypted.effects, now).await?;
    // What the archive tells of an earlier time says nothing about today's lists.
    wanted.unlisted = (live && !listed).then_some(device);
    let Some(payload) = &element.payload else {
        return Ok((Opened::Nothing, wanted));
    };
    let opened = match open_payload(
        element.profile,
        &decrypted.key_material,
        element.iv.as_deref(),
        payload,
    ) {
        Ok(plaintext) => match content(element.profile, &plaintext, envelope) {
            Ok(inside) => {
                wanted.trust_of =
                    vouching::hear(write, account, envelope.from, &decrypted.identity, inside.words())
                        .await?;
                Opened::Content {
                    inside,
                    encryption,
                    device,
                    trust,
                }
            }
            Err(reason) => undecryptable(reason),
        },
        Err(error) => {
            tracing::warn!(code = error.code(), "a payload could not be decrypted");
            undecryptable(UndecryptableReason::Malformed)
        }
    };
    Ok((opened, wanted))
}

/// Whether a device is known, or may become so: anybody can make devices up, one in each key exchange.
async fn has_room_for(
    write: &mut Write,
    account: AccountId,
    envelope: &Envelope<'_>,
    device: DeviceId,
) -> Result<bool> {
    let (own, from) = (envelope.own, envelope.from);
    if omemo::device(write, account, from, device).await?.is_some() {
        return Ok(true);
    }
    let known = omemo::count_devices(write, account, from).await?;
    Ok(known < STRANGERS_DEVICES
        || (known < MOST_DEVICES && has_to_do_with(write, account, own, from).await?))
}

async fn after(
    write: &mut Write,
    account: AccountId,
    element: &Encrypted,
    effects: Effects,
    now: Timestamp,
) -> Result<Wanted> {
    let mut bundle_behind = None;
    if let Some(id) = effects.consumed_prekey {
        bundle_behind = omemo::hide_prekey(write, account, id, now).await?;
    }
    Ok(Wanted {
        answer: (effects.new_session || effects.heartbeat_wanted)
            .then_some((element.sender, element.profile)),
        heal: effects
            .peer_went_back
            .then_some((element.sender, element.profile)),
        bundle_behind,
        unlisted: None,
        trust_of: BTreeSet::new(),
    })
}

/// The trust in a key; a key seen for the first time is trusted blindly as long as no other of that person is verified.
pub(super) async fn trust_in(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    key: &IdentityKey,
) -> Result<Trust> {
    let known = omemo::trusts(write, account, address).await?;
    if let Some(row) = known.iter().find(|row| row.key == *key) {
        return Ok(row.trust);
    }
    // It may have been decided about before anybody saw it.
    let (trust, decided) = match omemo::take_expected(write, account, address, key).await? {
        Some(expected) => expected,
        None => {
            let others: Vec<waxwing_omemo::Trust> = known.iter().map(|row| row.trust.into()).collect();
            (Trust::from(trust_for_new_key(&others)), Decided::Itself)
        }
    };
    omemo::put_trust(write, account, address, key, (trust, decided)).await?;
    if trust == Trust::Verified {
        vouching::believe(write, account, address, key).await?;
    }
    Ok(trust)
}

/// What stands in an opened payload: of the older generation a text, of version 2 an envelope (XEP-0420).
fn content(
    profile: Profile,
    plaintext: &[u8],
    envelope: &Envelope<'_>,
) -> std::result::Result<Inside, UndecryptableReason> {
    match profile {
        Profile::Legacy => String::from_utf8(plaintext.to_vec())
            .map(Inside::text)
            .map_err(|_| UndecryptableReason::Malformed),
        Profile::Omemo2 => sce::parse(plaintext, envelope.from.as_str(), envelope.to.as_str())
            .map(|envelope| Inside::read(&envelope))
            .map_err(|error| match error {
                sce::SceError::Malformed(_) => UndecryptableReason::Malformed,
                sce::SceError::WrongFrom | sce::SceError::WrongTo => UndecryptableReason::WrongPlace,
            }),
    }
}

/// What a failure is for the person; none for a message that came before.
fn reason(error: DecryptError) -> Option<UndecryptableReason> {
    Some(match error {
        DecryptError::Duplicate => return None,
        DecryptError::NotForThisDevice => UndecryptableReason::NotForThisDevice,
        DecryptError::NoSession | DecryptError::BadMac => UndecryptableReason::NoSession,
        DecryptError::KeyReused => UndecryptableReason::KeyReused,
        DecryptError::TooManySkipped => UndecryptableReason::TooFarAhead,
        DecryptError::GivenUp | DecryptError::LongAgo => UndecryptableReason::TooLate,
        DecryptError::UnknownPreKey | DecryptError::UnknownSignedPreKey => UndecryptableReason::KeyGone,
        DecryptError::IdentityChanged => UndecryptableReason::IdentityChanged,
        DecryptError::NoOneTimePreKey | DecryptError::Altered | DecryptError::Malformed(_) => {
            UndecryptableReason::Malformed
        }
        DecryptError::UnsupportedVersion(_) => UndecryptableReason::Unsupported,
    })
}

#[cfg(test)]
mod tests;
