//! Sessions with one remote device in one generation.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::codec::{Reader, Writer};
use crate::entropy::pick;
use crate::ratchet::{self, MAX_STORED_KEYS, Session};
use crate::wire::{self, RatchetMessage};
use crate::{
    Bundle, DecryptError, DeviceId, EncryptError, Entropy, IdentityKey, IdentityKeyPair, Malformed, PreKey,
    PreKeyId, Profile, SignedPreKey,
};

/// How many replaced sessions a record keeps for late messages.
pub const MAX_ARCHIVED: usize = 40;
/// How many chain steps one message may cost over all sessions of a record.
pub const MAX_STEPS_PER_MESSAGE: u32 = 4_000;

/// A session in place of another one waits for its first answer while so many messages come in the ones before, counted from
/// when more than an empty message was sent in it. Whoever writes on that long cannot take it up.
pub const MAX_PASSED_OVER: u32 = 10;

/// The version of the stored form. Version 1 did not know up to where keys were given up, version 2 not which messages were
/// opened last, version 3 not how often a session without an answer was passed over.
const RECORD_VERSION: u8 = 4;

/// All sessions with one remote device in one generation, and the identity key they are pinned to. Stored by
/// (remote address, device, profile). Cloning is cheap.
#[derive(Clone)]
pub struct SessionRecord {
    profile: Profile,
    identity: IdentityKey,
    /// The one in use first, then the replaced ones, newest first; never empty.
    sessions: Vec<Arc<Session>>,
}

impl SessionRecord {
    /// The bytes to store; secret.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Writer::new();
        out.byte(RECORD_VERSION);
        out.byte(self.profile.tag());
        self.identity.write(&mut out);
        out.count(self.sessions.len());
        self.sessions.iter().for_each(|session| session.write(&mut out));
        out.finish()
    }

    /// From storage, also as earlier versions stored it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let wrong = Malformed("session record");
        let mut input = Reader(bytes);
        let version = input.byte()?;
        if !(1..=RECORD_VERSION).contains(&version) {
            return Err(Malformed("session record version"));
        }
        let profile = Profile::from_tag(input.byte()?).ok_or(wrong)?;
        let identity = IdentityKey::read(&mut input)?;
        let count = input.count(MAX_ARCHIVED + 1)?;
        let sessions = (0..count)
            .map(|_| Session::read(version, &mut input).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        input.end()?;
        if sessions.is_empty() || sessions.iter().any(|session| session.remote != identity) {
            return Err(wrong);
        }
        Ok(Self {
            profile,
            identity,
            sessions,
        })
    }

    /// The generation spoken.
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// The identity key of the remote device that this record is pinned to.
    pub const fn identity(&self) -> &IdentityKey {
        &self.identity
    }

    /// Whether the session in use still waits for its first answer (so messages repeat the key exchange).
    pub fn is_unanswered(&self) -> bool {
        self.sessions
            .first()
            .is_some_and(|session| session.is_unanswered())
    }

    /// How many replaced sessions are kept.
    pub fn archived(&self) -> usize {
        self.sessions.len().saturating_sub(1)
    }

    /// This record with `session` in use; it takes the place of the one at `at`, or is a new one.
    fn with_current(&self, session: Session, at: Option<usize>) -> Self {
        let others = self
            .sessions
            .iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != at);
        self.with(
            std::iter::once(Arc::new(session))
                .chain(others.map(|(_, other)| Arc::clone(other)))
                .take(MAX_ARCHIVED + 1)
                .collect(),
        )
    }

    /// This record after a message was opened in the session at `at`, which became `session`. That one is used from now on,
    /// unless a newer one of ours still waits for its first answer: the other side wrote before it could know of that, or takes
    /// no notice of empty messages, and what made us begin it goes on. If the other side shows again and again that it cannot
    /// take the newer one up, the old one is better than nothing; not so one in which it `went_back`, and opens nothing.
    fn with_opened(&self, session: Session, at: usize, went_back: bool) -> Self {
        let waiting = self
            .sessions
            .first()
            .filter(|first| at > 0 && first.is_unanswered());
        let Some(waiting) = waiting else {
            return self.with_current(session, Some(at));
        };
        let mut waiting = Session::clone(waiting);
        if !went_back && waiting.pass_over() >= MAX_PASSED_OVER {
            return self.with_current(session, Some(at));
        }
        let mut sessions = self.sessions.clone();
        for (place, changed) in [(0, waiting), (at, session)] {
            if let Some(kept) = sessions.get_mut(place) {
                *kept = Arc::new(changed);
            }
        }
        self.with(sessions)
    }

    /// This record with these sessions, the one in use first.
    fn with(&self, mut sessions: Vec<Arc<Session>>) -> Self {
        // The session in use has the first claim on what may be stored.
        let mut room = MAX_STORED_KEYS;
        for session in &mut sessions {
            if session.stored_keys() > room {
                Arc::make_mut(session).forget_keys(room);
            }
            room -= session.stored_keys();
        }
        Self {
            profile: self.profile,
            identity: self.identity,
            sessions,
        }
    }
}

/// One `<key>` element's content, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyElement {
    /// The bytes that travel in Base64.
    pub bytes: Vec<u8>,
    /// Whether they hold a key exchange (`prekey='true'` in legacy, `kex='true'` in omemo:2).
    pub is_prekey: bool,
}

/// What a key exchange names, to load the right keys before opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreKeyIds {
    /// The signed prekey.
    pub signed: PreKeyId,
    /// The one-time prekey; exchanges without one are refused.
    pub one_time: Option<PreKeyId>,
    /// The sender's device id as the exchange tells it (legacy's registration id, unauthenticated).
    pub registration: Option<u32>,
    /// The sender's identity key.
    pub identity: IdentityKey,
    /// The exchange's ephemeral key: the same in every repetition of it.
    pub base_key: [u8; 32],
}

/// Our own prekeys: all of them, or just those that [`prekey_ids`] named.
#[derive(Clone, Copy, Default)]
pub struct LocalPreKeys<'a> {
    /// The signed prekeys still kept.
    pub signed: &'a [SignedPreKey],
    /// The one-time prekeys still kept.
    pub one_time: &'a [PreKey],
}

/// What opening a key element gave.
pub struct Decrypted {
    /// The record to store in place of the old one.
    pub record: SessionRecord,
    /// For [`crate::open_payload`].
    pub key_material: Zeroizing<Vec<u8>>,
    /// The sender's identity key, to be pinned if none was.
    pub identity: IdentityKey,
    /// What else is to be done.
    pub effects: Effects,
}

/// What is to be done after a message was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Remove this one-time prekey, in the same transaction, and republish the bundle with a new one. During
    /// catch-up of an archive hide it instead and remove it at the end.
    pub consumed_prekey: Option<PreKeyId>,
    /// The peer started this session: answer with an empty message, so that it stops repeating the exchange.
    pub new_session: bool,
    /// The peer sent long without an answer: send an empty message. Reported once per ratchet key.
    pub heartbeat_wanted: bool,
    /// The peer sent on a chain that it had left behind: unless this message was overtaken on its way, the peer's disk was
    /// set back and it cannot open what we send. A new session helps, if the message is live and certainly no replay.
    pub peer_went_back: bool,
}

/// Starts a session as the active side (X3DH) with a randomly picked prekey. An older record's sessions are kept
/// as archived ones, unless they belong to another identity key than the bundle's. Refused: a bundle without
/// one-time prekeys (its owner would refuse the exchange, and replays of it would go unnoticed), and one whose
/// identity key is not the pinned one.
pub fn start_session(
    record: Option<&SessionRecord>,
    identity: &IdentityKeyPair,
    own_device: DeviceId,
    bundle: &Bundle,
    pinned: Option<&IdentityKey>,
    rng: &mut impl Entropy,
) -> Result<SessionRecord, EncryptError> {
    let remote = *bundle.identity();
    if pinned
        .or(record.map(SessionRecord::identity))
        .is_some_and(|pinned| *pinned != remote)
    {
        return Err(EncryptError::IdentityChanged);
    }
    let prekey = pick(bundle.prekeys().len(), rng)
        .and_then(|at| bundle.prekeys().get(at))
        .ok_or(EncryptError::NoOneTimePreKey)?;
    let session = ratchet::start(identity, own_device.get(), bundle, prekey, rng)?;
    Ok(record
        .filter(|record| record.identity == remote && record.profile == bundle.profile())
        .unwrap_or(&empty_record(bundle.profile(), remote))
        .with_current(session, None))
}

const fn empty_record(profile: Profile, identity: IdentityKey) -> SessionRecord {
    SessionRecord {
        profile,
        identity,
        sessions: Vec::new(),
    }
}

/// Encrypts key material for the device of this record. Store the new record before anything is sent.
pub fn encrypt_key(
    record: &SessionRecord,
    identity: &IdentityKeyPair,
    key_material: &[u8],
) -> Result<(SessionRecord, KeyElement), EncryptError> {
    let mut session = record
        .sessions
        .first()
        .map(|session| Session::clone(session))
        .ok_or(EncryptError::Exhausted)?;
    let (bytes, is_prekey) = session.send(record.profile, identity, key_material)?;
    Ok((
        record.with_current(session, Some(0)),
        KeyElement { bytes, is_prekey },
    ))
}

/// What a key exchange names. Only for elements with `is_prekey`.
pub fn prekey_ids(profile: Profile, bytes: &[u8]) -> Result<PreKeyIds, DecryptError> {
    wire::read_exchange(profile, bytes).map(|exchange| exchange.ids)
}

/// Opens a key element. `pinned` is the identity key that storage holds for the sending device, if any; a record of
/// another identity key is as good as none. On an error nothing changed: the given record stays the valid one.
pub fn decrypt_key(
    profile: Profile,
    record: Option<&SessionRecord>,
    identity: &IdentityKeyPair,
    prekeys: LocalPreKeys<'_>,
    key: &KeyElement,
    pinned: Option<&IdentityKey>,
    rng: &mut impl Entropy,
) -> Result<Decrypted, DecryptError> {
    let record = record.filter(|record| record.profile == profile);
    let pinned = pinned.or(record.map(SessionRecord::identity));
    let record = record.filter(|record| pinned.is_none_or(|pinned| *pinned == record.identity));
    let mut inbound = Inbound {
        profile,
        identity,
        budget: MAX_STEPS_PER_MESSAGE,
    };
    if !key.is_prekey {
        let message = wire::read_message(profile, &key.bytes)?;
        let record = record.ok_or(DecryptError::NoSession)?;
        return inbound.open_in_record(record, &message, rng);
    }
    let exchange = wire::read_exchange(profile, &key.bytes)?;
    let message = wire::read_message(profile, exchange.message)?;
    if pinned.is_some_and(|pinned| *pinned != exchange.ids.identity) {
        return Err(DecryptError::IdentityChanged);
    }
    // The exchange is repeated until our first answer arrives: that is still the one session.
    let repeated = record.and_then(|record| {
        let fits = |session: &Arc<Session>| session.was_started_by_peer_with(&exchange.ids.base_key);
        record.sessions.iter().position(fits).map(|at| (record, at))
    });
    match repeated {
        Some((record, at)) => inbound.open_in_session(record, at, &message, rng),
        None => inbound.open_in_new_session(record, prekeys, &exchange.ids, &message, rng),
    }
}

/// What stays the same over all attempts to open one element.
struct Inbound<'a> {
    profile: Profile,
    identity: &'a IdentityKeyPair,
    /// Chain steps left for this element.
    budget: u32,
}

impl Inbound<'_> {
    /// A message without a key exchange: the session that knows its ratchet key opens it or none does; if none
    /// knows it, each is tried, newest first.
    fn open_in_record(
        &mut self,
        record: &SessionRecord,
        message: &RatchetMessage<'_>,
        rng: &mut impl Entropy,
    ) -> Result<Decrypted, DecryptError> {
        if let Some(at) = record
            .sessions
            .iter()
            .position(|session| session.knows(&message.ratchet_key))
        {
            return self.open_in_session(record, at, message, rng);
        }
        let mut worst = DecryptError::BadMac;
        for at in 0..record.sessions.len() {
            match self.open_in_session(record, at, message, rng) {
                Err(DecryptError::BadMac) => {}
                Err(error) => worst = error,
                opened => return opened,
            }
        }
        Err(worst)
    }

    fn open_in_session(
        &mut self,
        record: &SessionRecord,
        at: usize,
        message: &RatchetMessage<'_>,
        rng: &mut impl Entropy,
    ) -> Result<Decrypted, DecryptError> {
        let mut session = record
            .sessions
            .get(at)
            .map(|session| Session::clone(session))
            .ok_or(DecryptError::NoSession)?;
        let received = session.receive(self.profile, self.identity, message, &mut self.budget, rng)?;
        Ok(Decrypted {
            identity: record.identity,
            record: record.with_opened(session, at, received.peer_went_back),
            key_material: received.plaintext,
            effects: Effects {
                heartbeat_wanted: received.heartbeat_wanted,
                peer_went_back: received.peer_went_back,
                ..Effects::default()
            },
        })
    }

    fn open_in_new_session(
        &mut self,
        record: Option<&SessionRecord>,
        prekeys: LocalPreKeys<'_>,
        ids: &PreKeyIds,
        message: &RatchetMessage<'_>,
        rng: &mut impl Entropy,
    ) -> Result<Decrypted, DecryptError> {
        let one_time = ids.one_time.ok_or(DecryptError::NoOneTimePreKey)?;
        let signed = prekeys.signed.iter().find(|key| key.id() == ids.signed);
        let signed = signed.ok_or(DecryptError::UnknownSignedPreKey)?;
        let prekey = prekeys.one_time.iter().find(|key| key.id() == one_time);
        let prekey = prekey.ok_or(DecryptError::UnknownPreKey)?;
        let mut session = ratchet::answer(self.profile, self.identity, signed, prekey, ids)?;
        let received = session.receive(self.profile, self.identity, message, &mut self.budget, rng)?;
        let fresh = empty_record(self.profile, ids.identity);
        Ok(Decrypted {
            identity: ids.identity,
            record: record.unwrap_or(&fresh).with_current(session, None),
            key_material: received.plaintext,
            effects: Effects {
                consumed_prekey: Some(one_time),
                new_session: true,
                heartbeat_wanted: received.heartbeat_wanted,
                peer_went_back: false,
            },
        })
    }
}
