//! One device of the model: what it has stored, and its bookkeeping beside it.

use std::collections::HashMap;

use waxwing_omemo::{
    Bundle, DecryptError, Decrypted, DeviceId, IdentityKey, IdentityKeyPair, KeyElement, LocalPreKeys,
    PreKey, PreKeyId, Profile, SessionRecord, SignedPreKey, decrypt_key, encrypt_key, generate_prekeys,
    start_session,
};

use super::foresee::Record;
use crate::support::Repeatable;

/// So few prekeys that two devices pick the same now and then.
const PREKEYS: usize = 20;
/// Signed prekeys that are kept.
const SIGNED: usize = 3;

/// Sessions are with a device, by its place in the world, in one generation.
pub(crate) type Peer = (usize, Profile);

/// All that lies on the disk, as bytes.
#[derive(Clone)]
pub(crate) struct Stored {
    identity: [u8; 32],
    prekeys: Vec<(PreKeyId, [u8; 32])>,
    /// The newest first.
    signed: Vec<(PreKeyId, [u8; 32])>,
    next_prekey: PreKeyId,
    records: HashMap<Peer, Vec<u8>>,
    pinned: HashMap<usize, [u8; 32]>,
}

/// A copy of the disk, with the bookkeeping that belongs to it.
#[derive(Clone)]
struct Snapshot {
    stored: Stored,
    records: HashMap<Peer, Record>,
    used: Vec<PreKeyId>,
}

pub(crate) struct Device {
    pub(crate) id: DeviceId,
    stored: Stored,
    /// Records that were not read from the disk again since they were made.
    live: HashMap<Peer, SessionRecord>,
    snapshot: Option<Snapshot>,
    /// An old disk came back: when that is noticed.
    pub(crate) notices_at: Option<u64>,
    /// Its program takes no notice of empty messages, nor of an old disk, and mends nothing.
    pub(crate) careless: bool,
    /// What was opened since the copy was made, by number and by the first block.
    pub(crate) opened_since: Vec<(u64, [u8; 16])>,
    /// While the archive is read, used prekeys are kept (XEP-0384 §5.5.2).
    catching_up: bool,
    used: Vec<PreKeyId>,
    pub(crate) records: HashMap<Peer, Record>,
    pub(crate) healed_at: HashMap<Peer, u64>,
    rng: Repeatable,
}

impl Device {
    pub(crate) fn new(seed: u64, careless: bool) -> Self {
        let mut rng = Repeatable::new(seed);
        let mut device = Self {
            id: DeviceId::random(&mut rng),
            stored: Stored {
                identity: *IdentityKeyPair::generate(&mut rng).to_bytes(),
                prekeys: Vec::new(),
                signed: Vec::new(),
                next_prekey: PreKeyId(1),
                records: HashMap::new(),
                pinned: HashMap::new(),
            },
            live: HashMap::new(),
            snapshot: None,
            notices_at: None,
            careless,
            opened_since: Vec::new(),
            catching_up: false,
            used: Vec::new(),
            records: HashMap::new(),
            healed_at: HashMap::new(),
            rng,
        };
        device.rotate();
        device
    }

    fn identity(&self) -> IdentityKeyPair {
        IdentityKeyPair::from_bytes(&self.stored.identity)
    }

    fn fresh_id(&mut self) -> PreKeyId {
        let id = self.stored.next_prekey;
        self.stored.next_prekey = id.next();
        id
    }

    /// A new signed prekey; old ones are kept for a while.
    pub(crate) fn rotate(&mut self) {
        let id = self.fresh_id();
        let key = SignedPreKey::generate(id, 0, &mut self.rng);
        self.stored.signed.insert(0, (id, *key.to_bytes()));
        self.stored.signed.truncate(SIGNED);
    }

    /// Fills up the prekeys and gives the bundles of both generations: the same keys in both.
    pub(crate) fn publish(&mut self) -> [(Profile, Bundle); 2] {
        let offered = self.stored.prekeys.len() - self.used.len();
        for _ in offered..PREKEYS {
            let id = self.fresh_id();
            let key = &generate_prekeys(id, 1, &mut self.rng)[0];
            self.stored.prekeys.push((id, *key.to_bytes()));
        }
        let (identity, signed) = (self.identity(), self.signed());
        let prekeys: Vec<_> = self
            .prekeys()
            .into_iter()
            .filter(|key| !self.used.contains(&key.id()))
            .collect();
        let rng = &mut self.rng;
        Profile::ALL.map(|profile| {
            (
                profile,
                Bundle::of_own_keys(profile, &identity, &signed[0], &prekeys, rng),
            )
        })
    }

    fn prekeys(&self) -> Vec<PreKey> {
        let read = |(id, secret): &(PreKeyId, [u8; 32])| PreKey::from_bytes(*id, secret).unwrap();
        self.stored.prekeys.iter().map(read).collect()
    }

    fn signed(&self) -> Vec<SignedPreKey> {
        let read = |(id, secret): &(PreKeyId, [u8; 32])| SignedPreKey::from_bytes(*id, 0, secret).unwrap();
        self.stored.signed.iter().map(read).collect()
    }

    /// What a key exchange with these keys meets.
    pub(crate) fn exchange(
        &self,
        signed: PreKeyId,
        one_time: PreKeyId,
    ) -> Result<(), &'static [DecryptError]> {
        if self.stored.signed.iter().all(|(id, _)| *id != signed) {
            Err(&[DecryptError::UnknownSignedPreKey])
        } else if self.stored.prekeys.iter().all(|(id, _)| *id != one_time) {
            Err(&[DecryptError::UnknownPreKey])
        } else {
            Ok(())
        }
    }

    /// Everything is read from the disk again.
    pub(crate) fn restart(&mut self) {
        self.live.clear();
    }

    /// Begins or ends the reading of an archive.
    pub(crate) fn turn_archive(&mut self) {
        self.catching_up = !self.catching_up;
        if !self.catching_up {
            self.forget_used();
        }
    }

    fn forget_used(&mut self) {
        let used = std::mem::take(&mut self.used);
        self.stored.prekeys.retain(|(id, _)| !used.contains(id));
    }

    pub(crate) fn is_catching_up(&self) -> bool {
        self.catching_up
    }

    /// A copy of the disk is made.
    pub(crate) fn back_up(&mut self) {
        self.opened_since.clear();
        self.snapshot = Some(Snapshot {
            stored: self.stored.clone(),
            records: self.records.clone(),
            used: self.used.clone(),
        });
    }

    /// The old disk comes back. Gives what was opened since; none if there is no copy.
    pub(crate) fn go_back(&mut self) -> Option<Vec<(u64, [u8; 16])>> {
        let snapshot = self.snapshot.clone()?;
        self.stored = snapshot.stored;
        self.records = snapshot.records;
        self.used = snapshot.used;
        if self.careless {
            // Those who count their keys on from where they were are noticed; others give them numbers at random.
            self.stored.next_prekey = PreKeyId(DeviceId::random(&mut self.rng).get());
        }
        self.live.clear();
        if !self.catching_up {
            self.forget_used();
        }
        Some(std::mem::take(&mut self.opened_since))
    }

    /// It is noticed that an old disk came back: no session and no prekey of it may be used again, nor any id.
    pub(crate) fn begin_anew(&mut self) {
        self.notices_at = None;
        self.stored.records.clear();
        self.stored.prekeys.clear();
        self.stored.signed.clear();
        self.stored.next_prekey = PreKeyId(DeviceId::random(&mut self.rng).get());
        self.live.clear();
        self.records.clear();
        self.used.clear();
        self.rotate();
    }

    /// Something was sent in the session in use.
    pub(crate) fn sent(&mut self, peer: Peer, ratchet_key: [u8; 32]) {
        let Some(record) = self.records.get_mut(&peer) else {
            return;
        };
        record.sent(ratchet_key);
        let snapshot = self.snapshot.as_mut();
        if let Some(copied) = snapshot.and_then(|snapshot| snapshot.records.get_mut(&peer)) {
            copied.holds_what_was_sent(record, ratchet_key);
        }
    }

    pub(crate) fn has_session(&self, peer: Peer) -> bool {
        self.stored.records.contains_key(&peer)
    }

    fn record(&self, peer: Peer) -> Option<SessionRecord> {
        self.live.get(&peer).cloned().or_else(|| {
            let stored = self.stored.records.get(&peer)?;
            Some(SessionRecord::from_bytes(stored).expect("what was stored can be read"))
        })
    }

    fn keep(&mut self, peer: Peer, record: SessionRecord) {
        self.stored.records.insert(peer, record.to_bytes().to_vec());
        self.stored.pinned.insert(peer.0, record.identity().to_bytes());
        self.live.insert(peer, record);
    }

    fn pinned(&self, peer: Peer) -> Option<IdentityKey> {
        let pinned = self.stored.pinned.get(&peer.0)?;
        Some(IdentityKey::from_curve(pinned).expect("what was pinned can be read"))
    }

    pub(crate) fn start(&mut self, peer: Peer, bundle: &Bundle) -> Result<(), String> {
        let (record, pinned) = (self.record(peer), self.pinned(peer));
        let identity = self.identity();
        let record = start_session(
            record.as_ref(),
            &identity,
            self.id,
            bundle,
            pinned.as_ref(),
            &mut self.rng,
        )
        .map_err(|error| format!("no session begins: {error}"))?;
        self.keep(peer, record);
        Ok(())
    }

    pub(crate) fn encrypt(&mut self, peer: Peer, material: &[u8]) -> Result<KeyElement, String> {
        let record = self.record(peer).ok_or("there is no session to send in")?;
        let (record, key) =
            encrypt_key(&record, &self.identity(), material).map_err(|error| format!("sending: {error}"))?;
        self.keep(peer, record);
        Ok(key)
    }

    pub(crate) fn open(&mut self, peer: Peer, key: &KeyElement) -> Result<Decrypted, DecryptError> {
        let (signed, one_time) = (self.signed(), self.prekeys());
        let local = LocalPreKeys {
            signed: &signed,
            one_time: &one_time,
        };
        let (record, pinned) = (self.record(peer), self.pinned(peer));
        let identity = self.identity();
        let opened = decrypt_key(
            peer.1,
            record.as_ref(),
            &identity,
            local,
            key,
            pinned.as_ref(),
            &mut self.rng,
        )?;
        self.keep(peer, opened.record.clone());
        if let Some(id) = opened.effects.consumed_prekey {
            if !self.catching_up {
                self.stored.prekeys.retain(|(kept, _)| *kept != id);
            } else if !self.used.contains(&id) {
                self.used.push(id);
            }
        }
        Ok(opened)
    }

    /// How many bytes the largest record has.
    pub(crate) fn largest_record(&self) -> usize {
        self.stored.records.values().map(Vec::len).max().unwrap_or(0)
    }

    pub(crate) fn prekey_count(&self) -> usize {
        self.stored.prekeys.len()
    }
}
