//! Automatic trust management (XEP-0450): what the person decides about a key is told to devices that are verified, and
//! what verified devices say about keys counts here. Over omemo:2 only, which says for certain who speaks.

use std::collections::BTreeSet;

use jiff::Timestamp;
use waxwing_omemo::{DeviceId, IdentityKey, Profile};

use super::devices::Want;
use super::encryption::content_message;
use super::online::{Online, Stop};
use super::reach;
use crate::error::{Error, Result};
use crate::model::{AccountId, BareJid, Trust};
use crate::store::omemo::{self, Decided, Hearsay, Telling};
use crate::store::{Write, accounts, outbox};
use crate::xep::trust_message::{self, Word};

/// Of what one device says before its key is verified, so much is remembered.
const HEARSAY: u32 = 200;
/// So much is said in one message.
const AT_ONCE: usize = 200;
/// So many messages are made in one go.
const MESSAGES: u32 = 8;

/// Whether a device may say something about somebody's keys (XEP-0450 §4): one of ours about everybody's, one of somebody
/// else's about its owner's.
fn may_say(own: &BareJid, speaker: &BareJid, owner: &BareJid) -> bool {
    speaker == own || speaker == owner
}

/// What becomes of a key by the word of a verified device; none if it stays what it is. What the person refused here stays
/// refused.
fn after_word(now: Option<(Trust, Decided)>, trusted: bool) -> Option<Trust> {
    match (now, trusted) {
        (Some((Trust::Untrusted, Decided::Person) | (Trust::Verified, _)), true)
        | (Some((Trust::Untrusted, _)), false) => None,
        (_, true) => Some(Trust::Verified),
        (_, false) => Some(Trust::Untrusted),
    }
}

/// Of a key that was seen in its older form only, the sign of the other form is not known; both are one person's.
fn names(key: &IdentityKey, name: &[u8; 32]) -> bool {
    let edwards = [false, true].map(|sign| key.with_sign(sign).to_edwards());
    key.to_bytes() == *name || edwards.contains(name)
}

/// What is told to whom.
#[derive(Debug, PartialEq, Eq)]
struct Tale {
    to: BareJid,
    /// Only the device with this key.
    only: Option<IdentityKey>,
    words: Vec<Word>,
}

/// What verified devices are told of a decision of the person (XEP-0450 §4). `verified` are all verified keys but this
/// device's own.
fn tales(
    own: &BareJid,
    (of, key): (&BareJid, &IdentityKey),
    trusted: bool,
    verified: &[(BareJid, IdentityKey)],
) -> Vec<Tale> {
    let others: Vec<_> = verified.iter().filter(|(_, other)| other != key).collect();
    let word = |of: &BareJid, key: &IdentityKey, trusted| Word {
        owner: of.clone(),
        key: key.to_edwards(),
        trusted,
    };
    let mut listeners: BTreeSet<&BareJid> = others.iter().map(|(owner, _)| owner).collect();
    if of != own {
        // Contacts learn nothing about each other.
        listeners.retain(|listener| *listener == own);
    }
    let mut tales: Vec<Tale> = listeners
        .into_iter()
        .map(|to| Tale {
            to: to.clone(),
            only: None,
            words: vec![word(of, key, trusted)],
        })
        .collect();
    // Whoever is verified now learns whom it may believe: a contact our devices, a device of ours everybody.
    let told = others.iter().filter(|(owner, _)| of == own || owner == own);
    let words: Vec<Word> = told.map(|(owner, other)| word(owner, other, true)).collect();
    if trusted {
        tales.extend(words.chunks(AT_ONCE).map(|words| Tale {
            to: of.clone(),
            only: Some(*key),
            words: words.to_vec(),
        }));
    }
    tales
}

/// The person decides about a key. Gives whose keys are trusted otherwise than before. Another key that was refused in the
/// name of a device with this one is shown no more: they have seen it, and decided which one is right.
pub(crate) async fn decide(
    write: &mut Write,
    account: AccountId,
    of: &BareJid,
    key: &IdentityKey,
    trust: Trust,
) -> Result<BTreeSet<BareJid>> {
    omemo::put_trust(write, account, of, key, (trust, Decided::Person)).await?;
    omemo::forget_other_keys(write, account, of, key).await?;
    let mut changed = BTreeSet::from([of.clone()]);
    if matches!(trust, Trust::Verified | Trust::Untrusted) {
        let own = accounts::get(write, account).await?.address.0;
        let verified = omemo::verified(write, account).await?;
        for tale in tales(&own, (of, key), trust == Trust::Verified, &verified) {
            let content = String::from(&trust_message::write(&tale.words));
            omemo::put_telling(write, account, &tale.to, tale.only.as_ref(), &content, None).await?;
        }
    }
    if trust == Trust::Verified {
        changed.extend(believe(write, account, of, key).await?);
    }
    Ok(changed)
}

/// The person decides about a key that was not seen yet, by its fingerprint.
pub(crate) async fn expect(
    write: &mut Write,
    account: AccountId,
    of: &BareJid,
    key: &[u8; 32],
    trust: Trust,
) -> Result<()> {
    omemo::put_expected(write, account, of, key, (trust, Decided::Person)).await
}

/// A device shows this key in place of the one that it is known by. If the person has compared it, it takes that one's place;
/// says whether it did.
pub(super) async fn supersede(
    write: &mut Write,
    account: AccountId,
    of: &BareJid,
    device: DeviceId,
    key: &IdentityKey,
) -> Result<bool> {
    if !omemo::is_expected(write, account, of, key).await? {
        return Ok(false);
    }
    super::keys::trust_in(write, account, of, key).await?;
    omemo::replace_identity(write, account, of, device, key).await?;
    Ok(true)
}

/// A device says something about keys. Gives whose keys are trusted otherwise than before.
pub(super) async fn hear(
    write: &mut Write,
    account: AccountId,
    speaker: &BareJid,
    speaker_key: &IdentityKey,
    words: &[Word],
) -> Result<BTreeSet<BareJid>> {
    let mut changed = BTreeSet::new();
    if words.is_empty() {
        return Ok(changed);
    }
    let own = accounts::get(write, account).await?.address.0;
    let known = omemo::trusts(write, account, speaker).await?;
    let verified = known
        .iter()
        .any(|row| row.key == *speaker_key && row.trust == Trust::Verified);
    for word in words.iter().filter(|word| may_say(&own, speaker, &word.owner)) {
        let said = Hearsay {
            address: word.owner.clone(),
            key: word.key,
            trusted: word.trusted,
        };
        if !verified {
            omemo::put_hearsay(write, account, (speaker, speaker_key), &said, HEARSAY).await?;
            continue;
        }
        let (news, known) = heed(write, account, &own, (speaker, speaker_key), &said).await?;
        if news {
            changed.insert(said.address.clone());
        }
        if let Some(key) = known {
            changed.extend(believe(write, account, &said.address, &key).await?);
        }
    }
    Ok(changed)
}

/// A key is verified now: what its device has said so far counts, and what those say whom it vouches for.
pub(super) async fn believe(
    write: &mut Write,
    account: AccountId,
    speaker: &BareJid,
    key: &IdentityKey,
) -> Result<BTreeSet<BareJid>> {
    let own = accounts::get(write, account).await?.address.0;
    let mut changed = BTreeSet::new();
    let mut speakers = vec![(speaker.clone(), *key)];
    // It ends, since what was said is taken out.
    while let Some((speaker, key)) = speakers.pop() {
        for said in omemo::take_hearsay(write, account, &speaker, &key).await? {
            let (news, known) = heed(write, account, &own, (&speaker, &key), &said).await?;
            if news {
                changed.insert(said.address.clone());
            }
            speakers.extend(known.map(|key| (said.address, key)));
        }
    }
    Ok(changed)
}

/// A verified device's word counts. Says whether it changed something, and gives the key that is verified by it. What one of
/// our own devices says is the person's decision; that a device of somebody else took trust back is for the person to see.
async fn heed(
    write: &mut Write,
    account: AccountId,
    own: &BareJid,
    (speaker, speaker_key): (&BareJid, &IdentityKey),
    said: &Hearsay,
) -> Result<(bool, Option<IdentityKey>)> {
    if let Some(this) = omemo::own(write, account).await?
        && said.address == *own
        && names(this.identity.public(), &said.key)
    {
        // Nobody tells us what to think of ourselves.
        return Ok((false, None));
    }
    let known = omemo::trusts(write, account, &said.address).await?;
    let Some(row) = known.iter().find(|row| names(&row.key, &said.key)) else {
        if let Some(trust) = after_word(None, said.trusted) {
            let decision = (trust, Decided::Device);
            omemo::put_expected(write, account, &said.address, &said.key, decision).await?;
        }
        return Ok((false, None));
    };
    let Some(trust) = after_word(Some((row.trust, row.decided)), said.trusted) else {
        let seen = speaker == own
            && !said.trusted
            && omemo::saw_taken_back(write, account, &said.address, &row.key).await?;
        return Ok((seen, None));
    };
    omemo::put_trust(write, account, &said.address, &row.key, (trust, Decided::Device)).await?;
    if trust == Trust::Untrusted && speaker != own {
        omemo::taken_back(write, account, &said.address, &row.key, speaker_key).await?;
    }
    Ok((true, Some(row.key).filter(|_| trust == Trust::Verified)))
}

impl Online<'_> {
    /// Makes messages of what verified devices are still to be told, and puts them into the outbox; not with sessions
    /// that are about to be dropped.
    pub(super) async fn tell_trust(&mut self) -> std::result::Result<(), Stop> {
        if !self.session.may_encrypt() {
            return Ok(());
        }
        let mut db = self.core.store.read().await?;
        let now = Timestamp::now();
        let tellings = omemo::tellings(&mut db, self.account, (now, reach::BUNDLE_RETRY), MESSAGES).await?;
        drop(db);
        if tellings.is_empty() {
            return Ok(());
        }
        let mut write = self.core.store.write().await?;
        let mut wants = BTreeSet::new();
        for telling in &tellings {
            wants.extend(tell(&mut write, self.account, &self.own, telling, now).await?);
        }
        write.commit().await.map_err(Error::from)?;
        self.ask_for(wants).await
    }
}

/// Makes a message, unless keys of devices must be known first: it names those. Devices whose keys cannot be had just now
/// are told later.
async fn tell(
    write: &mut Write,
    account: AccountId,
    own: &BareJid,
    telling: &Telling,
    now: Timestamp,
) -> Result<BTreeSet<Want>> {
    let profile = Profile::Omemo2;
    let (mut wants, mut later) = (BTreeSet::new(), Vec::new());
    let mut keys: Vec<(DeviceId, _)> = Vec::new();
    for row in omemo::devices(write, account, &telling.address).await? {
        let meant = telling.only_key.is_none_or(|only| row.identity == Some(only));
        if !meant || !row.listed(profile) || row.trust != Some(Trust::Verified) {
            continue;
        }
        match omemo::session(write, account, &telling.address, row.device, profile).await? {
            Some(record) => keys.push((row.device, record)),
            None if reach::may_ask(&row, profile, now) => {
                let (of, device) = (telling.address.clone(), row.device);
                wants.insert(Want::Bundle { of, device, profile });
            }
            None => later.extend(row.identity),
        }
    }
    if !wants.is_empty() {
        return Ok(wants);
    }
    omemo::take_telling(write, telling.id).await?;
    let (to, again) = (&telling.address, now + reach::BUNDLE_RETRY);
    for key in later {
        omemo::put_telling(write, account, to, Some(&key), &telling.content, Some(again)).await?;
    }
    if let (false, Ok(content)) = (keys.is_empty(), telling.content.parse()) {
        let message = content_message(write, account, (own, to), &keys, content, now).await?;
        let stanza = String::from(&message);
        outbox::push_stanza(write, account, stanza.as_bytes()).await?;
    }
    Ok(wants)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BundleFault, Reach};
    use crate::store::chats;
    use crate::store::tests::{Scene, at, scene};
    use waxwing_omemo::{IdentityKeyPair, OsEntropy, xml};

    fn jid(text: &str) -> BareJid {
        text.parse().expect("an address")
    }

    fn key() -> IdentityKey {
        *IdentityKeyPair::generate(&mut OsEntropy).public()
    }

    #[test]
    fn our_devices_speak_of_everybody_and_others_of_themselves() {
        let (own, juliet, nurse) = (jid("romeo@a.lit"), jid("juliet@b.lit"), jid("nurse@b.lit"));
        for (speaker, owner, may) in [
            (&own, &own, true),
            (&own, &juliet, true),
            (&juliet, &juliet, true),
            (&juliet, &own, false),
            (&juliet, &nurse, false),
        ] {
            assert_eq!(may_say(&own, speaker, owner), may, "{speaker} about {owner}");
        }
    }

    #[test]
    fn a_word_counts_but_against_what_the_person_refused() {
        use Decided::{Device, Itself, Person};
        for (now, trusted, then) in [
            (None, true, Some(Trust::Verified)),
            (None, false, Some(Trust::Untrusted)),
            (Some((Trust::Blind, Itself)), true, Some(Trust::Verified)),
            (Some((Trust::Undecided, Itself)), true, Some(Trust::Verified)),
            (Some((Trust::Blind, Person)), true, Some(Trust::Verified)),
            (Some((Trust::Verified, Device)), true, None),
            (Some((Trust::Untrusted, Device)), true, Some(Trust::Verified)),
            (Some((Trust::Untrusted, Person)), true, None),
            (Some((Trust::Blind, Itself)), false, Some(Trust::Untrusted)),
            (Some((Trust::Verified, Person)), false, Some(Trust::Untrusted)),
            (Some((Trust::Untrusted, Person)), false, None),
        ] {
            assert_eq!(after_word(now, trusted), then, "{now:?} {trusted}");
        }
    }

    #[test]
    fn a_decision_is_told_to_those_whom_it_concerns() {
        let (own, juliet, nurse) = (jid("romeo@a.lit"), jid("juliet@b.lit"), jid("nurse@b.lit"));
        let (desk, phone, hers, other) = (key(), key(), key(), key());
        let verified = [
            (juliet.clone(), hers),
            (nurse.clone(), other),
            (own.clone(), desk),
            (own.clone(), phone),
        ];
        let told = |tales: &[Tale]| -> Vec<(BareJid, bool, Vec<BareJid>)> {
            let words = |tale: &Tale| tale.words.iter().map(|word| word.owner.clone()).collect();
            let shown = tales
                .iter()
                .map(|tale| (tale.to.clone(), tale.only.is_some(), words(tale)));
            shown.collect()
        };
        assert_eq!(
            told(&tales(&own, (&juliet, &hers), true, &verified)),
            [
                (own.clone(), false, vec![juliet.clone()]),
                (juliet.clone(), true, vec![own.clone(), own.clone()]),
            ],
            "a contact's key: our devices learn it, and its device learns ours"
        );
        assert_eq!(
            told(&tales(&own, (&juliet, &hers), false, &verified)),
            [(own.clone(), false, vec![juliet.clone()])],
            "a contact's key is refused: our devices learn it"
        );
        assert_eq!(
            told(&tales(&own, (&own, &phone), true, &verified)),
            [
                (juliet.clone(), false, vec![own.clone()]),
                (nurse.clone(), false, vec![own.clone()]),
                (own.clone(), false, vec![own.clone()]),
                (
                    own.clone(),
                    true,
                    vec![juliet.clone(), nurse.clone(), own.clone()]
                ),
            ],
            "a key of ours: everybody learns it, and it learns everybody"
        );
        assert_eq!(
            told(&tales(&own, (&own, &phone), false, &verified)),
            [
                (juliet.clone(), false, vec![own.clone()]),
                (nurse, false, vec![own.clone()]),
                (own.clone(), false, vec![own.clone()]),
            ],
            "a key of ours is refused: everybody learns it"
        );
        assert_eq!(
            tales(&own, (&juliet, &hers), true, &[(juliet.clone(), hers)]),
            [],
            "there is nobody to tell"
        );
    }

    /// How a device's key is told: how far it is trusted, whether another device said so, and which one took its trust back
    /// so that the person shall see it; and whether the chat says that there is such a one.
    type Told = (Trust, bool, Option<u32>, bool);

    async fn told(write: &mut Write, scene: &Scene, of: &BareJid, device: DeviceId) -> Told {
        let row = omemo::device(write, scene.account, of, device).await;
        let shown = row.expect("asked").expect("known").show(Reach::Untrusted, None);
        let chat = chats::get(write, scene.chat, 0).await.expect("the chat");
        (
            shown.trust,
            shown.trust_told,
            shown.taken_back_by,
            chat.trust_taken_back,
        )
    }

    #[tokio::test]
    async fn what_a_device_says_of_a_key_is_told_as_that_and_taken_back_trust_until_the_person_decides() {
        let scene = scene().await;
        let (account, own, juliet) = (
            scene.account,
            jid("romeo@montague.lit"),
            jid("juliet@capulet.lit"),
        );
        let mut write = scene.store.write().await.expect("a write");
        let write = &mut write;
        let [phone, tablet, watch, laptop] =
            [1_u32, 2, 3, 4].map(|id| DeviceId::try_from(id).expect("an id"));
        let [phones, tablets, watches, laptops] = [(); 4].map(|()| key());
        for (of, device, key, decision) in [
            (&juliet, phone, &phones, (Trust::Verified, Decided::Person)),
            (&juliet, tablet, &tablets, (Trust::Blind, Decided::Itself)),
            (&juliet, watch, &watches, (Trust::Verified, Decided::Person)),
            (&own, laptop, &laptops, (Trust::Verified, Decided::Person)),
        ] {
            let pinned = omemo::pin_identity(write, account, of, device, key, at(0)).await;
            assert_eq!(pinned, Ok(true));
            let trusted = omemo::put_trust(write, account, of, key, decision).await;
            assert_eq!(trusted, Ok(()));
        }
        let of_tablet = |trusted| Word {
            owner: juliet.clone(),
            key: tablets.to_edwards(),
            trusted,
        };
        let news = Ok(BTreeSet::from([juliet.clone()]));
        let blind = (Trust::Blind, false, None, false);
        assert_eq!(told(write, &scene, &juliet, tablet).await, blind);

        let heard = hear(write, account, &juliet, &phones, &[of_tablet(false)]).await;
        assert_eq!(heard, news);
        let taken_back = (Trust::Untrusted, true, Some(phone.get()), true);
        assert_eq!(told(write, &scene, &juliet, tablet).await, taken_back);
        // The person has decided so on their laptop.
        let heard = hear(write, account, &own, &laptops, &[of_tablet(false)]).await;
        assert_eq!(heard, news);
        let seen = (Trust::Untrusted, true, None, false);
        assert_eq!(told(write, &scene, &juliet, tablet).await, seen);
        let heard = hear(write, account, &own, &laptops, &[of_tablet(false)]).await;
        assert_eq!(heard, Ok(BTreeSet::new()));

        let heard = hear(write, account, &juliet, &phones, &[of_tablet(true)]).await;
        assert_eq!(heard, news);
        let vouched = (Trust::Verified, true, None, false);
        assert_eq!(told(write, &scene, &juliet, tablet).await, vouched);
        let heard = hear(write, account, &juliet, &phones, &[of_tablet(false)]).await;
        assert_eq!(heard, news);
        assert_eq!(told(write, &scene, &juliet, tablet).await, taken_back);
        let decided = decide(write, account, &juliet, &tablets, Trust::Untrusted).await;
        assert_eq!(decided, news);
        let refused = (Trust::Untrusted, false, None, false);
        assert_eq!(told(write, &scene, &juliet, tablet).await, refused);

        let of_watch = Word {
            owner: juliet.clone(),
            key: watches.to_edwards(),
            trusted: false,
        };
        let heard = hear(write, account, &own, &laptops, &[of_watch]).await;
        assert_eq!(heard, news);
        assert_eq!(told(write, &scene, &juliet, watch).await, seen);
    }

    #[tokio::test]
    async fn what_was_said_before_its_speaker_was_verified_takes_trust_back_as_soon_as_it_is() {
        let scene = scene().await;
        let (account, juliet) = (scene.account, jid("juliet@capulet.lit"));
        let mut write = scene.store.write().await.expect("a write");
        let write = &mut write;
        let [phone, tablet] = [1_u32, 2].map(|id| DeviceId::try_from(id).expect("an id"));
        let (phones, tablets) = (key(), key());
        for (device, key) in [(phone, &phones), (tablet, &tablets)] {
            let pinned = omemo::pin_identity(write, account, &juliet, device, key, at(0)).await;
            assert_eq!(pinned, Ok(true));
            let blind = (Trust::Blind, Decided::Itself);
            let trusted = omemo::put_trust(write, account, &juliet, key, blind).await;
            assert_eq!(trusted, Ok(()));
        }
        let word = Word {
            owner: juliet.clone(),
            key: tablets.to_edwards(),
            trusted: false,
        };
        let heard = hear(write, account, &juliet, &phones, &[word]).await;
        assert_eq!(heard, Ok(BTreeSet::new()));
        let blind = (Trust::Blind, false, None, false);
        assert_eq!(told(write, &scene, &juliet, tablet).await, blind);
        let decided = decide(write, account, &juliet, &phones, Trust::Verified).await;
        assert_eq!(decided, Ok(BTreeSet::from([juliet.clone()])));
        let taken_back = (Trust::Untrusted, true, Some(phone.get()), true);
        assert_eq!(told(write, &scene, &juliet, tablet).await, taken_back);
    }

    #[tokio::test]
    async fn a_device_whose_keys_cannot_be_had_is_told_later_as_long_as_it_is_listed() {
        let scene = scene().await;
        let (account, own, juliet) = (
            scene.account,
            jid("romeo@montague.lit"),
            jid("juliet@capulet.lit"),
        );
        let (device, hers) = (DeviceId::random(&mut OsEntropy), key());
        let listed = |listed: bool| -> Vec<xml::Device> {
            let all = listed.then_some(xml::Device {
                id: device,
                label: None,
                label_signature: None,
            });
            all.into_iter().collect()
        };
        let mut write = scene.store.write().await.expect("a write");
        let write = &mut write;
        let list = omemo::put_list(write, account, &juliet, Profile::Omemo2, &listed(true), at(0)).await;
        assert_eq!(list, Ok(()));
        let pinned = omemo::pin_identity(write, account, &juliet, device, &hers, at(0)).await;
        assert_eq!(pinned, Ok(true));
        let verified = (Trust::Verified, Decided::Person);
        let trusted = omemo::put_trust(write, account, &juliet, &hers, verified).await;
        assert_eq!(trusted, Ok(()));
        let queued = omemo::put_telling(write, account, &juliet, None, "<a xmlns='b'/>", None).await;
        assert_eq!(queued, Ok(()));
        let pending = async |write: &mut Write, now: Timestamp| {
            let all = omemo::tellings(write, account, (now, reach::BUNDLE_RETRY), 10).await;
            all.expect("tellings")
        };
        let first = pending(write, at(0)).await;

        let wants = tell(write, account, &own, &first[0], at(0)).await.expect("told");
        assert_eq!(wants.len(), 1, "its keys are asked for");
        assert_eq!(pending(write, at(0)).await.len(), 1);
        let fault = Some((BundleFault::Unreachable, at(0)));
        let of_device = (device, Profile::Omemo2);
        let noted = omemo::set_bundle_fault(write, account, &juliet, of_device, fault).await;
        assert_eq!(noted, Ok(()));
        let wants = tell(write, account, &own, &first[0], at(1)).await.expect("told");
        assert!(wants.is_empty(), "they cannot be had just now: {wants:?}");
        assert_eq!(
            pending(write, at(2)).await.len(),
            0,
            "it is not tried again and again"
        );
        let later = pending(write, at(700)).await;
        assert_eq!(
            later.iter().map(|telling| telling.only_key).collect::<Vec<_>>(),
            [Some(hers)]
        );
        assert_eq!(pending(write, at(-700)).await.len(), 1, "the clock was set back");
        let wants = tell(write, account, &own, &later[0], at(700))
            .await
            .expect("told");
        assert_eq!(wants.len(), 1, "its keys are asked for again");
        let list = omemo::put_list(write, account, &juliet, Profile::Omemo2, &listed(false), at(0)).await;
        assert_eq!(list, Ok(()));
        let wants = tell(write, account, &own, &later[0], at(700))
            .await
            .expect("told");
        assert!(wants.is_empty(), "it is gone: {wants:?}");
        assert_eq!(pending(write, at(9_000)).await.len(), 0);
    }
}
