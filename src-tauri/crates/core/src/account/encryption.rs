//! Encrypting: which devices, which namespace, and the stanza. Everything happens inside the caller's transaction, so
//! that ratchets and the ready stanza are stored together before the first byte is sent (security.md).

use std::collections::BTreeSet;

use jiff::Timestamp;
use minidom::Element;
use tokio::time::Instant;
use waxwing_omemo::xml::{AddressedKey, Encrypted, write_encrypted};
use waxwing_omemo::{
    DeviceId, EncryptError, OsEntropy, Profile, Sealed, SessionRecord, encrypt_key, sce, seal_empty,
    seal_payload,
};

use super::devices::{Lists, Want};
use super::keys::MOST_DEVICES;
use super::reach::{self, Decision, Route};
use super::vouching;
use crate::error::{Code, Error, Fault, Result};
use crate::fail::{self, Point};
use crate::model::{AccountId, BareJid, BundleFault, Encryption, Trust};
use crate::store::Write;
use crate::store::omemo::{self, Own};
use crate::store::outbox::Encrypt;
use crate::xep::element::{element, text, wrap};
use crate::xep::ns;

/// What clients show that cannot read the message (XEP-0384 §4.5).
const FALLBACK: &str =
    "This message is encrypted with OMEMO, which your client does not support or has switched off.";

/// What a message is made of.
pub(super) struct Outgoing<'a> {
    pub(super) own: &'a BareJid,
    pub(super) to: &'a BareJid,
    pub(super) id: &'a str,
    pub(super) body: &'a str,
    pub(super) encrypt: Encrypt,
}

impl Outgoing<'_> {
    fn route(&self) -> Route<'_> {
        Route {
            own: self.own,
            to: self.to,
            encrypt: self.encrypt,
        }
    }
}

/// What came of making a message ready.
pub(super) enum Prepared {
    Ready {
        stanza: Element,
        encryption: Encryption,
    },
    /// These must be known first.
    Wants(BTreeSet<Want>),
    /// It waits until the person has decided about a new key.
    Undecided,
    Failed(Fault),
}

/// Makes a message ready. Ratchets are advanced in `write`: the stanza must be stored in it too.
pub(super) async fn prepare(
    write: &mut Write,
    account: AccountId,
    outgoing: &Outgoing<'_>,
    lists: &Lists,
    now: Timestamp,
) -> Result<Prepared> {
    let route = outgoing.route();
    let (decision, survey) = match route.decide(lists, Instant::now()) {
        Some(decision) => (decision, None),
        None => {
            let survey = reach::survey(write, account, &route, now).await?;
            let decision = survey.decide(&route, reach::uncertain(lists, outgoing.to));
            (decision, Some(survey))
        }
    };
    match (decision, survey) {
        (Decision::Plain, _) => Ok(plain(outgoing)),
        (Decision::Wants(wants), _) => Ok(Prepared::Wants(wants)),
        (Decision::Undecided, _) => Ok(Prepared::Undecided),
        (Decision::Fails(fault), _) => Ok(Prepared::Failed(fault)),
        (Decision::Encrypted, Some(survey)) => {
            let Some(own) = omemo::own(write, account).await? else {
                return Err(Error::new(Code::Internal, "our own device is missing"));
            };
            let (mut keys, mut damaged) = (Vec::new(), false);
            for (of, device, profile) in survey.reached() {
                match omemo::session(write, account, of, device, profile).await? {
                    Some(record) => keys.push((of.clone(), device, record)),
                    None => {
                        omemo::drop_session(write, account, of, device, profile).await?;
                        damaged = true;
                    }
                }
            }
            if damaged {
                // With those out of the way it is decided anew: new sessions take their place, or it does not go out.
                return Box::pin(prepare(write, account, outgoing, lists, now)).await;
            }
            if outgoing.to != outgoing.own && keys.iter().all(|(of, _, _)| of != outgoing.to) {
                return Err(Error::new(Code::Internal, "it would be encrypted for nobody"));
            }
            seal(write, account, outgoing, &own, keys, survey.preferred, now).await
        }
        (Decision::Encrypted, None) => Err(Error::new(Code::Internal, "nobody's devices were looked at")),
    }
}

async fn seal(
    write: &mut Write,
    account: AccountId,
    outgoing: &Outgoing<'_>,
    own: &Own,
    keys: Vec<(BareJid, DeviceId, SessionRecord)>,
    preferred: Profile,
    now: Timestamp,
) -> Result<Prepared> {
    let mut elements = Vec::new();
    for profile in Profile::ALL {
        let recipients: Vec<_> = keys
            .iter()
            .filter(|(_, _, record)| record.profile() == profile)
            .collect();
        // A note to oneself without other devices is encrypted for nobody.
        if recipients.is_empty() && !(keys.is_empty() && profile == preferred) {
            continue;
        }
        let sealed = match profile {
            Profile::Legacy => seal_payload(profile, outgoing.body.as_bytes(), &mut OsEntropy),
            Profile::Omemo2 => {
                let body = text("body", ns::JABBER_CLIENT, outgoing.body);
                let (from, to) = (outgoing.own.as_str(), outgoing.to.as_str());
                let inside = sce::build(vec![body], from, to, now.as_second(), &mut OsEntropy)
                    .map_err(|error| Error::new(Code::Internal, error.to_string()))?;
                seal_payload(profile, &inside, &mut OsEntropy)
            }
        };
        elements.push(encrypted(write, account, own, profile, &recipients, sealed).await?);
    }
    let mut stanza = message(outgoing.to, outgoing.id);
    for (profile, element) in elements {
        stanza.append_child(element);
        stanza.append_child(eme(profile));
    }
    stanza.append_child(text("body", ns::JABBER_CLIENT, FALLBACK));
    stanza.append_child(Element::bare("store", ns::HINTS));
    let stanza = wrap(stanza, ids(outgoing.id));
    Ok(Prepared::Ready {
        stanza,
        encryption: omemo::encryption(preferred),
    })
}

async fn encrypted(
    write: &mut Write,
    account: AccountId,
    own: &Own,
    profile: Profile,
    recipients: &[&(BareJid, DeviceId, SessionRecord)],
    sealed: Sealed,
) -> Result<(Profile, Element)> {
    let mut keys = Vec::with_capacity(recipients.len());
    for (jid, device, record) in recipients {
        let (record, key) = encrypt_key(record, &own.identity, &sealed.key_material)
            .map_err(|error| Error::new(Code::Internal, format!("encrypting failed: {}", error.code())))?;
        omemo::put_session(write, account, jid, *device, &record).await?;
        fail::at(Point::RatchetEncrypted);
        keys.push(AddressedKey {
            jid: Some(jid.as_str().into()),
            device: *device,
            key,
        });
    }
    let element = write_encrypted(&Encrypted {
        profile,
        sender: own.device,
        keys,
        iv: sealed.iv,
        payload: sealed.payload,
    });
    Ok((profile, element))
}

/// An empty message to one device (XEP-0384 §4.6): it answers a new session, or moves the ratchet on. None if there is
/// no session to send it in.
pub(super) async fn empty_message(
    write: &mut Write,
    account: AccountId,
    to: &BareJid,
    device: DeviceId,
    profile: Profile,
) -> Result<Option<Element>> {
    let Some(own) = omemo::own(write, account).await? else {
        return Ok(None);
    };
    let Some(record) = omemo::session(write, account, to, device, profile).await? else {
        return Ok(None);
    };
    let recipient = (to.clone(), device, record);
    let sealed = seal_empty(profile, &mut OsEntropy);
    let (_, element) = encrypted(write, account, &own, profile, &[&recipient], sealed).await?;
    let id = crate::secret::random_id()?;
    Ok(Some(wrap(
        message(to, &id),
        [element, Element::bare("store", ns::HINTS)],
    )))
}

/// A message without a text, for these devices of somebody only. It bears no note for those who cannot read it: there is
/// nothing for people in it.
pub(super) async fn content_message(
    write: &mut Write,
    account: AccountId,
    (from, to): (&BareJid, &BareJid),
    keys: &[(DeviceId, SessionRecord)],
    content: Element,
    now: Timestamp,
) -> Result<Element> {
    let Some(own) = omemo::own(write, account).await? else {
        return Err(Error::new(Code::Internal, "our own device is missing"));
    };
    let inside = sce::build(
        vec![content],
        from.as_str(),
        to.as_str(),
        now.as_second(),
        &mut OsEntropy,
    )
    .map_err(|error| Error::new(Code::Internal, error.to_string()))?;
    let sealed = seal_payload(Profile::Omemo2, &inside, &mut OsEntropy);
    let recipients: Vec<_> = keys
        .iter()
        .map(|(device, record)| (to.clone(), *device, record.clone()))
        .collect();
    let recipients: Vec<_> = recipients.iter().collect();
    let (_, element) = encrypted(write, account, &own, Profile::Omemo2, &recipients, sealed).await?;
    let id = crate::secret::random_id()?;
    Ok(wrap(
        message(to, &id),
        [element, Element::bare("store", ns::HINTS)],
    ))
}

fn plain(outgoing: &Outgoing<'_>) -> Prepared {
    let stanza = wrap(
        message(outgoing.to, outgoing.id),
        [text("body", ns::JABBER_CLIENT, outgoing.body)]
            .into_iter()
            .chain(ids(outgoing.id)),
    );
    Prepared::Ready {
        stanza,
        encryption: Encryption::None,
    }
}

fn message(to: &BareJid, id: &str) -> Element {
    element(
        "message",
        ns::JABBER_CLIENT,
        &[("to", to.as_str()), ("type", "chat"), ("id", id)],
    )
}

/// A receipt (XEP-0184) and a marker (XEP-0333) are wanted, and the id that stays the same whatever way the message
/// takes (XEP-0359).
fn ids(id: &str) -> [Element; 3] {
    [
        Element::bare("request", ns::RECEIPTS),
        Element::bare("markable", ns::CHAT_MARKERS),
        element("origin-id", ns::SID, &[("id", id)]),
    ]
}

fn eme(profile: Profile) -> Element {
    element(
        "encryption",
        ns::EME,
        &[("namespace", profile.namespace()), ("name", "OMEMO")],
    )
}

/// Takes in a bundle: pins the identity, decides about trust and begins a session. The inner error says why it is of no
/// use.
pub(super) async fn begin_session(
    write: &mut Write,
    account: AccountId,
    of: &BareJid,
    (device, profile): (DeviceId, Profile),
    element: &Element,
    now: Timestamp,
) -> Result<std::result::Result<(), BundleFault>> {
    let bundle = match waxwing_omemo::xml::read_bundle(element) {
        Ok(bundle) if bundle.profile() == profile => bundle,
        Ok(_) => {
            tracing::warn!("a device's bundle is of the other generation");
            return Ok(Err(BundleFault::Malformed));
        }
        Err(error) => {
            tracing::warn!(%error, "a device's bundle is of no use");
            return Ok(Err(BundleFault::Malformed));
        }
    };
    let Some(own) = omemo::own(write, account).await? else {
        return Ok(Err(BundleFault::Unreachable));
    };
    let pinned = omemo::device(write, account, of, device)
        .await?
        .and_then(|row| row.identity);
    if pinned.is_none() && omemo::count_keys(write, account, of).await? >= MOST_DEVICES {
        tracing::warn!("somebody has had too many devices");
        return Ok(Err(BundleFault::TooManyDevices));
    }
    let record = omemo::session(write, account, of, device, profile).await?;
    let started = waxwing_omemo::start_session(
        record.as_ref(),
        &own.identity,
        own.device,
        &bundle,
        pinned.as_ref(),
        &mut OsEntropy,
    );
    match started {
        Ok(record) => {
            omemo::pin_identity(write, account, of, device, bundle.identity(), now).await?;
            let _: Trust = super::keys::trust_in(write, account, of, bundle.identity()).await?;
            omemo::put_session(write, account, of, device, &record).await?;
            fail::at(Point::RatchetBegun);
            Ok(Ok(()))
        }
        Err(error) => {
            tracing::warn!(code = error.code(), "no session could be begun with a device");
            if error == EncryptError::IdentityChanged {
                if vouching::supersede(write, account, of, device, bundle.identity()).await? {
                    return Box::pin(begin_session(write, account, of, (device, profile), element, now))
                        .await;
                }
                omemo::showed_other_key(write, account, of, device, (bundle.identity(), now)).await?;
            }
            Ok(Err(match error {
                EncryptError::NoOneTimePreKey => BundleFault::NoOneTimeKeys,
                EncryptError::IdentityChanged => BundleFault::IdentityChanged,
                EncryptError::Malformed(_) | EncryptError::Exhausted => BundleFault::Malformed,
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use waxwing_omemo::{Bundle, IdentityKeyPair, PreKeyId, SignedPreKey, generate_prekeys, xml};

    use super::super::devices::{ListOutcome, Listed};
    use super::*;
    use crate::store::tests::keys::{damage_sessions, list};
    use crate::store::tests::{Scene, at, scene};

    fn bundle(identity: &IdentityKeyPair) -> Bundle {
        let rng = &mut OsEntropy;
        let signed = SignedPreKey::generate(PreKeyId(1), 0, rng);
        let prekeys = generate_prekeys(PreKeyId(2), 3, rng);
        Bundle::of_own_keys(Profile::Legacy, identity, &signed, &prekeys, rng)
    }

    fn known(people: [&BareJid; 2]) -> Lists {
        let listed = Listed {
            outcome: ListOutcome::Devices,
            at: Instant::now(),
            told: true,
        };
        let each = people
            .into_iter()
            .flat_map(|of| Profile::ALL.map(|profile| (of.clone(), profile)));
        each.map(|of| (of, listed)).collect()
    }

    async fn juliet(write: &mut Write, scene: &Scene) -> (BareJid, DeviceId) {
        super::super::keys::ensure(write, scene.account, at(0))
            .await
            .expect("keys");
        let juliet: BareJid = "juliet@capulet.lit".parse().expect("an address");
        let device = DeviceId::random(&mut OsEntropy);
        list(write, scene, &juliet, [device]).await;
        (juliet, device)
    }

    #[tokio::test]
    async fn nothing_is_encrypted_for_nobody_where_a_session_is_damaged() {
        let scene = scene().await;
        let mut write = scene.store.write().await.expect("a write");
        let (juliet, device) = juliet(&mut write, &scene).await;
        let own: BareJid = "romeo@montague.lit".parse().expect("an address");
        let lists = known([&juliet, &own]);
        let outgoing = Outgoing {
            own: &own,
            to: &juliet,
            id: "one",
            body: "hello",
            encrypt: Encrypt::Must,
        };
        let begun = xml::write_bundle(&bundle(&IdentityKeyPair::generate(&mut OsEntropy)));
        let of_device = (device, Profile::Legacy);
        let session = begin_session(&mut write, scene.account, &juliet, of_device, &begun, at(0)).await;
        assert_eq!(session, Ok(Ok(())));
        let ready = prepare(&mut write, scene.account, &outgoing, &lists, at(0)).await;
        assert!(matches!(ready, Ok(Prepared::Ready { .. })));

        damage_sessions(&mut write).await;
        match prepare(&mut write, scene.account, &outgoing, &lists, at(0)).await {
            Ok(Prepared::Wants(wants)) => {
                let want = Want::Bundle {
                    of: juliet.clone(),
                    device,
                    profile: Profile::Legacy,
                };
                assert_eq!(wants, BTreeSet::from([want]));
            }
            _ => panic!("a new session takes its place first"),
        }
        let fault = Some((BundleFault::Missing, at(0)));
        let noted = omemo::set_bundle_fault(&mut write, scene.account, &juliet, of_device, fault).await;
        assert_eq!(noted, Ok(()));
        match prepare(&mut write, scene.account, &outgoing, &lists, at(0)).await {
            Ok(Prepared::Failed(fault)) => assert_eq!(fault.code, Code::NoDevices),
            _ => panic!("it goes to nobody"),
        }
    }

    #[tokio::test]
    async fn keys_of_new_devices_are_not_pinned_without_end() {
        let scene = scene().await;
        let mut write = scene.store.write().await.expect("a write");
        let (juliet, device) = juliet(&mut write, &scene).await;
        let pair = IdentityKeyPair::generate(&mut OsEntropy);
        for number in 0..u32::try_from(MOST_DEVICES).expect("a number") {
            let device = DeviceId::try_from(1 + number).expect("an id");
            let pinned =
                omemo::pin_identity(&mut write, scene.account, &juliet, device, pair.public(), at(0)).await;
            assert_eq!(pinned, Ok(true));
        }
        let theirs = bundle(&IdentityKeyPair::generate(&mut OsEntropy));
        let more = xml::write_bundle(&theirs);
        let of_device = (device, Profile::Legacy);
        let begun = begin_session(&mut write, scene.account, &juliet, of_device, &more, at(0)).await;
        assert_eq!(begun, Ok(Err(BundleFault::TooManyDevices)));
        let row = omemo::device(&mut write, scene.account, &juliet, device).await;
        assert_eq!(row.expect("asked").expect("listed").identity, None);
        // Those that are known go on.
        let own = bundle(&pair);
        let known = (DeviceId::try_from(1_u32).expect("an id"), Profile::Legacy);
        let more = xml::write_bundle(&own);
        let begun = begin_session(&mut write, scene.account, &juliet, known, &more, at(0)).await;
        assert_eq!(begun, Ok(Ok(())));
    }
}
