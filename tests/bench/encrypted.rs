//! A foreign device that encrypts beforehand, so that its speed is no part of what is measured.

use minidom::Element;
use waxwing_omemo::xml::{self, AddressedKey, Encrypted};
use waxwing_omemo::{
    Bundle, DeviceId, IdentityKeyPair, OsEntropy, PreKeyId, Profile, SessionRecord, SignedPreKey,
    encrypt_key, generate_prekeys, seal_payload, start_session,
};
use waxwing_tests::{LONG, until};

use crate::sender::Sender;

const GENERATION: Profile = Profile::Legacy;

/// A device of the legacy generation with a session to one device of somebody.
pub struct Device {
    identity: IdentityKeyPair,
    own: DeviceId,
    other: DeviceId,
    record: SessionRecord,
}

impl Device {
    /// Publishes its keys and begins a session with the first device of the address, once that is published.
    pub async fn acquainted_with(sender: &mut Sender, address: &str) -> Self {
        let rng = &mut OsEntropy;
        let identity = IdentityKeyPair::generate(rng);
        let own = DeviceId::random(rng);
        let signed = SignedPreKey::generate(PreKeyId(1), 0, rng);
        let prekeys = generate_prekeys(PreKeyId(1), 100, rng);
        let bundle = Bundle::of_own_keys(GENERATION, &identity, &signed, &prekeys, rng);
        publish(sender, &GENERATION.bundle_node(own), &xml::write_bundle(&bundle)).await;
        let device = xml::Device {
            id: own,
            label: None,
            label_signature: None,
        };
        publish(
            sender,
            GENERATION.device_list_node(),
            &xml::write_devices(GENERATION, &[device]),
        )
        .await;

        let list = item(sender, address, GENERATION.device_list_node(), "list").await;
        let (_, devices) = xml::read_devices(&list).expect("a device list");
        let other = devices.first().expect("Waxwing has published a device").id;
        let bundle = item(sender, address, &GENERATION.bundle_node(other), "bundle").await;
        let bundle = xml::read_bundle(&bundle).expect("a bundle");
        let record = start_session(None, &identity, own, &bundle, None, rng).expect("the bundle is whole");
        Self {
            identity,
            own,
            other,
            record,
        }
    }

    /// An `<encrypted/>` with the text.
    pub fn encrypt(&mut self, text: &str) -> String {
        let sealed = seal_payload(GENERATION, text.as_bytes(), &mut OsEntropy);
        let (record, key) =
            encrypt_key(&self.record, &self.identity, &sealed.key_material).expect("the session is whole");
        self.record = record;
        String::from(&xml::write_encrypted(&Encrypted {
            profile: GENERATION,
            sender: self.own,
            keys: vec![AddressedKey {
                jid: None,
                device: self.other,
                key,
            }],
            iv: sealed.iv,
            payload: sealed.payload,
        }))
    }
}

async fn publish(sender: &mut Sender, node: &str, item: &Element) {
    let content = format!(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'><item id='current'>{}</item>\
         </publish></pubsub>",
        String::from(item)
    );
    let answer = sender.ask(None, "set", &content).await;
    assert!(
        answer.contains("type='result'"),
        "the server refused {node}: {answer}"
    );
}

/// The element of the newest item of a node, waited for.
async fn item(sender: &mut Sender, of: &str, node: &str, name: &str) -> Element {
    let content = format!(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{node}' max_items='1'/></pubsub>"
    );
    until(&format!("{node} is published"), LONG, async || {
        let answer = sender.ask(Some(of), "get", &content).await;
        let from = answer.find(&format!("<{name} "))?;
        let end = format!("</{name}>");
        let to = answer.find(&end)? + end.len();
        answer[from..to].parse().ok()
    })
    .await
}
