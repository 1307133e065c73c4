//! The double ratchet and the key agreement before it (X3DH), for both generations.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::codec::{Reader, Writer};
use crate::primitives::{self, SealingKeys};
use crate::wire::{self, Exchange, RatchetMessage};
use crate::{
    Bundle, DecryptError, EncryptError, Entropy, IdentityKey, IdentityKeyPair, Malformed, PreKey, PreKeyId,
    PreKeyIds, Profile, RemotePreKey, SignedPreKey, wipe,
};

/// How many messages of a chain may be missing before the one being opened.
pub const MAX_SKIP: u32 = 1_000;
/// How many keys of missing messages one record keeps over all its sessions; the oldest are given up first.
pub const MAX_STORED_KEYS: usize = 2_000;
/// How many receiving chains of one session are kept.
pub const MAX_CHAINS: usize = 5;
/// Of how many messages of a chain that were opened last it is known which they were.
pub const MAX_OPENED: usize = 64;
/// From this receive counter on a heartbeat is wanted, once per ratchet key of the peer (XEP-0384 §6).
pub const HEARTBEAT_AFTER: u32 = 53;

/// The constants that keep the derivations of the two generations apart.
struct Constants {
    agreement: &'static [u8],
    root: &'static [u8],
    message: &'static [u8],
}

const fn constants(profile: Profile) -> Constants {
    match profile {
        Profile::Legacy => Constants {
            agreement: b"WhisperText",
            root: b"WhisperRatchet",
            message: b"WhisperMessageKeys",
        },
        Profile::Omemo2 => Constants {
            agreement: b"OMEMO X3DH",
            root: b"OMEMO Root Chain",
            message: b"OMEMO Message Key Material",
        },
    }
}

/// One session. Advance a copy of it and keep the copy only if all went well.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Session {
    #[zeroize(skip)]
    pub(crate) remote: IdentityKey,
    initiator: bool,
    base_key: [u8; 32],
    root: [u8; 32],
    sending: SendingChain,
    /// How many messages our sending chain before this one had.
    previous: u32,
    /// The newest is last.
    receiving: Vec<ReceivingChain>,
    /// The key exchange to repeat until the first answer; only the active side has one.
    #[zeroize(skip)]
    unanswered: Option<Exchange>,
    /// How many messages came in older sessions since more than one was sent in this one without an answer.
    passed_over: u32,
}

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct SendingChain {
    secret: [u8; 32],
    public: [u8; 32],
    chain: [u8; 32],
    n: u32,
}

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct ReceivingChain {
    ratchet_key: [u8; 32],
    chain: [u8; 32],
    n: u32,
    heartbeat_reported: bool,
    /// Keys of missing messages were given up, all below this number; what was opened there is not known any more.
    given_up: u32,
    /// Rising.
    skipped: Vec<SkippedKey>,
    /// How many messages it has, as the peer said when the next chain began. Two C libraries tell one too few, so nothing
    /// is given up for it; a message beyond what such a peer can mean is a sign that its disk was set back.
    end: Option<u32>,
    /// The messages that were opened last.
    #[zeroize(skip)]
    opened: Vec<OpenedMessage>,
}

/// What tells a message that came again from another one under the same key.
#[derive(Clone, Copy)]
struct OpenedMessage {
    n: u32,
    /// The beginning of its tag.
    tag: [u8; 8],
}

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct SkippedKey {
    n: u32,
    seed: [u8; 32],
}

/// An opened key element.
pub(crate) struct Received {
    pub(crate) plaintext: Zeroizing<Vec<u8>>,
    pub(crate) heartbeat_wanted: bool,
    /// The peer sends on a chain that it had left behind.
    pub(crate) peer_went_back: bool,
}

/// The active side's session (X3DH §3.3).
pub(crate) fn start(
    identity: &IdentityKeyPair,
    registration: u32,
    bundle: &Bundle,
    prekey: &RemotePreKey,
    rng: &mut impl Entropy,
) -> Result<Session, EncryptError> {
    let profile = bundle.profile();
    let base = fresh_secret(rng);
    let signed = &bundle.signed_prekey().public;
    let root = agreement(
        profile,
        &[
            primitives::agree(identity.secret(), signed)?,
            primitives::agree(&base, bundle.identity().curve())?,
            primitives::agree(&base, signed)?,
            primitives::agree(&base, &prekey.public)?,
        ],
    );
    let base_key = primitives::public_key(&base);
    let secret = fresh_secret(rng);
    let (root, chain) = root_step(profile, &root, &secret, signed)?;
    Ok(Session {
        remote: *bundle.identity(),
        initiator: true,
        base_key,
        root: *root,
        sending: SendingChain::new(&secret, &chain),
        previous: 0,
        receiving: Vec::new(),
        unanswered: Some(Exchange {
            signed: bundle.signed_prekey().id,
            one_time: prekey.id,
            registration,
            base_key,
        }),
        passed_over: 0,
    })
}

/// The passive side's session (X3DH §3.4); its first [`Session::receive`] gives it its chains.
pub(crate) fn answer(
    profile: Profile,
    identity: &IdentityKeyPair,
    signed: &SignedPreKey,
    one_time: &PreKey,
    exchange: &PreKeyIds,
) -> Result<Session, Malformed> {
    let base_key = &exchange.base_key;
    let root = agreement(
        profile,
        &[
            primitives::agree(signed.secret(), exchange.identity.curve())?,
            primitives::agree(identity.secret(), base_key)?,
            primitives::agree(signed.secret(), base_key)?,
            primitives::agree(one_time.secret(), base_key)?,
        ],
    );
    Ok(Session {
        remote: exchange.identity,
        initiator: false,
        base_key: *base_key,
        root: *root,
        // The signed prekey serves as our first ratchet key. Nothing is ever sent on this chain: the first message
        // received replaces it before the session is stored.
        sending: SendingChain::new(signed.secret(), &[0; 32]),
        previous: 0,
        receiving: Vec::new(),
        unanswered: None,
        passed_over: 0,
    })
}

fn fresh_secret(rng: &mut impl Entropy) -> Zeroizing<[u8; 32]> {
    let mut secret = Zeroizing::new([0; 32]);
    rng.fill(secret.as_mut_slice());
    Zeroizing::new(primitives::clamp(*secret))
}

/// Joins the four agreements into the first root key.
fn agreement(profile: Profile, parts: &[Zeroizing<[u8; 32]>; 4]) -> Zeroizing<[u8; 32]> {
    let mut joined = Zeroizing::new([0xff; 160]);
    for (part, slot) in parts.iter().zip(joined.chunks_exact_mut(32).skip(1)) {
        slot.copy_from_slice(part.as_slice());
    }
    primitives::hkdf(&[0; 32], joined.as_slice(), constants(profile).agreement)
}

type Keys = (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>);

/// A step of the root chain: the next root key, and the first key of the new chain.
fn root_step(
    profile: Profile,
    root: &[u8; 32],
    secret: &[u8; 32],
    ratchet_key: &[u8; 32],
) -> Result<Keys, Malformed> {
    let shared = primitives::agree(secret, ratchet_key)?;
    let both = primitives::hkdf::<64>(root, shared.as_slice(), constants(profile).root);
    let (mut next, mut chain) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    let (first, second) = both.split_at(32);
    next.copy_from_slice(first);
    chain.copy_from_slice(second);
    Ok((next, chain))
}

/// A step of a message chain: leaves the next chain key behind and gives the seed of the message's keys.
fn chain_step(chain: &mut [u8; 32]) -> Zeroizing<[u8; 32]> {
    let seed = primitives::hmac(chain, &[&[1]]);
    let next = primitives::hmac(chain, &[&[2]]);
    chain.copy_from_slice(next.as_slice());
    seed
}

impl SendingChain {
    fn new(secret: &[u8; 32], chain: &[u8; 32]) -> Self {
        Self {
            secret: *secret,
            public: primitives::public_key(secret),
            chain: *chain,
            n: 0,
        }
    }
}

impl ReceivingChain {
    const fn new(ratchet_key: &[u8; 32], chain: &[u8; 32]) -> Self {
        Self {
            ratchet_key: *ratchet_key,
            chain: *chain,
            n: 0,
            heartbeat_reported: false,
            given_up: 0,
            skipped: Vec::new(),
            end: None,
            opened: Vec::new(),
        }
    }

    /// The seed of message `n`, with the keys skipped on the way kept. `budget` bounds the steps.
    fn seed(&mut self, n: u32, budget: &mut u32) -> Result<Zeroizing<[u8; 32]>, DecryptError> {
        let Some(missing) = n.checked_sub(self.n) else {
            return self.skipped_seed(n);
        };
        let next = n.checked_add(1).ok_or(DecryptError::TooManySkipped)?;
        if missing > MAX_SKIP || missing >= *budget {
            return Err(DecryptError::TooManySkipped);
        }
        *budget -= missing + 1;
        wipe::reserve(&mut self.skipped, missing as usize);
        for n in self.n..n {
            self.skipped.push(SkippedKey {
                n,
                seed: *chain_step(&mut self.chain),
            });
        }
        self.n = next;
        Ok(chain_step(&mut self.chain))
    }

    /// The seed of a message that was missing when a later one was opened.
    fn skipped_seed(&mut self, n: u32) -> Result<Zeroizing<[u8; 32]>, DecryptError> {
        match self.skipped.binary_search_by_key(&n, |key| key.n) {
            Ok(at) => Ok(Zeroizing::new(self.skipped.remove(at).seed)),
            Err(_) if n < self.given_up => Err(DecryptError::GivenUp),
            Err(_) => Err(DecryptError::Duplicate),
        }
    }

    /// Whether an error says that another message was opened with this one's key.
    fn used_otherwise(&self, message: &RatchetMessage<'_>) -> bool {
        let opened = self.opened.iter().find(|opened| opened.n == message.n);
        opened.is_some_and(|opened| !message.tag.starts_with(&opened.tag))
    }

    /// Whether more messages were opened than it is known of which they were, and this one is none of those.
    fn has_forgotten(&self, n: u32) -> bool {
        self.opened.len() >= MAX_OPENED && self.opened.iter().all(|opened| opened.n != n)
    }

    /// Notes which message was opened.
    fn note(&mut self, message: &RatchetMessage<'_>) {
        if let Some(tag) = message.tag.first_chunk() {
            self.opened.push(OpenedMessage {
                n: message.n,
                tag: *tag,
            });
        }
        let surplus = self.opened.len().saturating_sub(MAX_OPENED);
        self.opened.drain(..surplus);
    }

    /// Gives up the oldest `count` keys of missing messages.
    fn give_up(&mut self, count: usize) {
        if let Some(newest) = self.skipped.drain(..count).next_back() {
            self.given_up = newest.n + 1;
        }
    }
}

impl Session {
    /// Whether this session came from that key exchange of the peer.
    pub(crate) fn was_started_by_peer_with(&self, base_key: &[u8; 32]) -> bool {
        !self.initiator && self.base_key == *base_key
    }

    /// Whether the peer sent on this ratchet key before.
    pub(crate) fn knows(&self, ratchet_key: &[u8; 32]) -> bool {
        self.receiving
            .iter()
            .any(|chain| chain.ratchet_key == *ratchet_key)
    }

    pub(crate) const fn is_unanswered(&self) -> bool {
        self.unanswered.is_some()
    }

    /// A message came in an older session. Gives how many did since more than one message, which may have been an empty one,
    /// was sent in this one.
    pub(crate) const fn pass_over(&mut self) -> u32 {
        if self.sending.n > 1 {
            self.passed_over = self.passed_over.saturating_add(1);
        }
        self.passed_over
    }

    /// What tags cover besides the message: both identity keys, sender's first (legacy) or the active side's
    /// first (omemo:2).
    fn associated(&self, profile: Profile, identity: &IdentityKeyPair, sending: bool) -> Vec<u8> {
        let own_first = match profile {
            Profile::Legacy => sending,
            Profile::Omemo2 => self.initiator,
        };
        let (own, remote) = (identity.public().encode(profile), self.remote.encode(profile));
        if own_first {
            [own, remote].concat()
        } else {
            [remote, own].concat()
        }
    }

    /// Encrypts on this session and advances it: the element's bytes, and whether they hold the key exchange.
    pub(crate) fn send(
        &mut self,
        profile: Profile,
        identity: &IdentityKeyPair,
        plaintext: &[u8],
    ) -> Result<(Vec<u8>, bool), EncryptError> {
        let n = self.sending.n;
        self.sending.n = n.checked_add(1).ok_or(EncryptError::Exhausted)?;
        let seed = chain_step(&mut self.sending.chain);
        let keys = SealingKeys::derive(seed.as_slice(), constants(profile).message);
        let ciphertext = keys.encrypt(plaintext);
        let body = wire::write_body(profile, &self.sending.public, n, self.previous, &ciphertext);
        let mac = keys.mac(&[&self.associated(profile, identity, true), &body]);
        let message = wire::write_message(profile, &body, &mac);
        Ok(match &self.unanswered {
            None => (message, false),
            Some(exchange) => (
                wire::write_exchange(profile, exchange, identity.public(), &message),
                true,
            ),
        })
    }

    /// Opens a message and advances this session; on an error the session is spoilt, so work on a copy.
    pub(crate) fn receive(
        &mut self,
        profile: Profile,
        identity: &IdentityKeyPair,
        message: &RatchetMessage<'_>,
        budget: &mut u32,
        rng: &mut impl Entropy,
    ) -> Result<Received, DecryptError> {
        let known = self
            .receiving
            .iter()
            .position(|chain| chain.ratchet_key == message.ratchet_key);
        if known.is_none() {
            if let Some(before) = self.receiving.last_mut() {
                before.end = Some(message.previous);
            }
            self.open_receiving_chain(profile, &message.ratchet_key)?;
        }
        let newest = self.receiving.len().saturating_sub(1);
        let at = known.unwrap_or(newest);
        let one_too_few = self.tells_one_too_few(at);
        let associated = self.associated(profile, identity, false);
        let chain = self.receiving.get_mut(at).ok_or(DecryptError::NoSession)?;
        let seed = match chain.seed(message.n, budget) {
            Err(DecryptError::Duplicate) if chain.used_otherwise(message) => {
                return Err(DecryptError::KeyReused);
            }
            Err(DecryptError::Duplicate) if chain.has_forgotten(message.n) => {
                return Err(DecryptError::LongAgo);
            }
            seed => seed?,
        };
        let keys = SealingKeys::derive(seed.as_slice(), constants(profile).message);
        if !keys.tag_fits(&[&associated, message.authenticated], message.tag) {
            return Err(if known.is_some() {
                DecryptError::Altered
            } else {
                DecryptError::BadMac
            });
        }
        let plaintext = keys.decrypt(message.ciphertext).ok_or(Malformed("ciphertext"))?;
        let heartbeat_wanted = at == newest && message.n >= HEARTBEAT_AFTER && !chain.heartbeat_reported;
        chain.heartbeat_reported |= heartbeat_wanted;
        let peer_went_back = chain
            .end
            .is_some_and(|end| message.n >= end.saturating_add(u32::from(one_too_few)));
        chain.note(message);
        if known.is_none() {
            self.open_sending_chain(profile, &message.ratchet_key, rng)?;
        }
        self.forget_chains();
        (self.unanswered, self.passed_over) = (None, 0);
        Ok(Received {
            plaintext,
            heartbeat_wanted,
            peer_went_back,
        })
    }

    /// Whether the peer is known to announce one message too few for its chains, by those that ended beside the one at `at`.
    fn tells_one_too_few(&self, at: usize) -> bool {
        let others = self
            .receiving
            .iter()
            .enumerate()
            .filter(|(place, _)| *place != at);
        let mut ended = others.filter_map(|(_, chain)| Some((chain.n, chain.end?)));
        ended.any(|(n, end)| n == end.saturating_add(1))
    }

    fn open_receiving_chain(&mut self, profile: Profile, ratchet_key: &[u8; 32]) -> Result<(), Malformed> {
        let (root, chain) = root_step(profile, &self.root, &self.sending.secret, ratchet_key)?;
        self.root = *root;
        wipe::reserve(&mut self.receiving, 1);
        self.receiving.push(ReceivingChain::new(ratchet_key, &chain));
        Ok(())
    }

    fn open_sending_chain(
        &mut self,
        profile: Profile,
        ratchet_key: &[u8; 32],
        rng: &mut impl Entropy,
    ) -> Result<(), Malformed> {
        let secret = fresh_secret(rng);
        let (root, chain) = root_step(profile, &self.root, &secret, ratchet_key)?;
        self.root = *root;
        self.previous = self.sending.n;
        self.sending = SendingChain::new(&secret, &chain);
        Ok(())
    }

    /// Gives up the oldest chains beyond the limit.
    fn forget_chains(&mut self) {
        let surplus = self.receiving.len().saturating_sub(MAX_CHAINS);
        self.receiving.drain(..surplus);
    }

    /// How many keys of missing messages this session keeps.
    pub(crate) fn stored_keys(&self) -> usize {
        self.receiving.iter().map(|chain| chain.skipped.len()).sum()
    }

    /// Gives up the oldest keys of missing messages beyond `limit`.
    pub(crate) fn forget_keys(&mut self, limit: usize) {
        let mut surplus = self.stored_keys().saturating_sub(limit);
        for chain in &mut self.receiving {
            let given_up = surplus.min(chain.skipped.len());
            chain.give_up(given_up);
            surplus -= given_up;
        }
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        self.remote.write(out);
        out.byte(u8::from(self.initiator));
        out.bytes(&self.base_key);
        out.bytes(&self.root);
        out.bytes(&self.sending.secret);
        out.bytes(&self.sending.public);
        out.bytes(&self.sending.chain);
        out.number(self.sending.n);
        out.number(self.previous);
        out.byte(u8::from(self.unanswered.is_some()));
        if let Some(exchange) = &self.unanswered {
            out.number(exchange.signed.0);
            out.number(exchange.one_time.0);
            out.number(exchange.registration);
            out.number(self.passed_over);
        }
        out.count(self.receiving.len());
        for chain in &self.receiving {
            out.bytes(&chain.ratchet_key);
            out.bytes(&chain.chain);
            out.number(chain.n);
            out.byte(u8::from(chain.heartbeat_reported));
            out.number(chain.given_up);
            out.count(chain.skipped.len());
            for key in &chain.skipped {
                out.number(key.n);
                out.bytes(&key.seed);
            }
            out.byte(u8::from(chain.end.is_some()));
            chain.end.into_iter().for_each(|end| out.number(end));
            out.count(chain.opened.len());
            for opened in &chain.opened {
                out.number(opened.n);
                out.bytes(&opened.tag);
            }
        }
    }

    /// Reads what [`Session::write`] wrote, also in earlier versions of the stored form.
    pub(crate) fn read(version: u8, input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let remote = IdentityKey::read(input)?;
        let initiator = input.flag()?;
        let base_key = input.array()?;
        let root = input.array()?;
        let sending = SendingChain {
            secret: input.array()?,
            public: input.array()?,
            chain: input.array()?,
            n: input.number()?,
        };
        let previous = input.number()?;
        let (mut unanswered, mut passed_over) = (None, 0);
        if input.flag()? {
            let (signed, one_time) = (PreKeyId(input.number()?), PreKeyId(input.number()?));
            unanswered = Some(Exchange {
                signed,
                one_time,
                registration: input.number()?,
                base_key,
            });
            if version >= 4 {
                passed_over = input.number()?;
            }
        }
        let chains = input.count(MAX_CHAINS)?;
        let receiving = wipe::collect(chains, || ReceivingChain::read(version, input))?;
        Ok(Self {
            remote,
            initiator,
            base_key,
            root,
            sending,
            previous,
            receiving,
            unanswered,
            passed_over,
        })
    }
}

impl ReceivingChain {
    fn read(version: u8, input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (ratchet_key, chain) = (input.array()?, input.array()?);
        let n = input.number()?;
        let heartbeat_reported = input.flag()?;
        let given_up = if version == 1 { 0 } else { input.number()? };
        let count = input.count(MAX_STORED_KEYS)?;
        let skipped = wipe::collect(count, || {
            let (n, seed) = (input.number()?, input.array()?);
            Ok::<_, Malformed>(SkippedKey { n, seed })
        })?;
        let (mut end, mut opened) = (None, Vec::new());
        if version >= 3 {
            end = input.flag()?.then(|| input.number()).transpose()?;
            for _ in 0..input.count(MAX_OPENED)? {
                let (n, tag) = (input.number()?, input.array()?);
                opened.push(OpenedMessage { n, tag });
            }
        }
        Ok(Self {
            ratchet_key,
            chain,
            n,
            heartbeat_reported,
            given_up,
            skipped,
            end,
            opened,
        })
    }
}

#[cfg(test)]
mod tests;
