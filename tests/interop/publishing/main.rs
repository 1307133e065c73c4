//! Our own keys and device lists on a real server: readable by everybody, kept beside those of our other devices, and there
//! again when the server lost them.

mod nodes;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use waxwing_scripted::{Act, Authority, Honest, Nodes, Point, Server};
use waxwing_tests::{LONG, Peer, Person, Profile, Prosody, Scripted, Tls, items, until};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";

const LISTS: [(&str, &str); 2] = [
    (
        "eu.siacs.conversations.axolotl.devicelist",
        "<list xmlns='eu.siacs.conversations.axolotl'>{}</list>",
    ),
    (
        "urn:xmpp:omemo:2:devices",
        "<devices xmlns='urn:xmpp:omemo:2'>{}</devices>",
    ),
];
const BUNDLES: &str = "urn:xmpp:omemo:2:bundles";

/// Does something with a node of one's own account.
async fn owner(who: &mut Peer, action: &str) {
    let stanza = format!(
        "<iq type='set' id='owner'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>{action}</pubsub></iq>"
    );
    who.send_raw(&stanza).await;
}

/// Closes a node to everybody.
async fn close(who: &mut Peer, node: &str) {
    let action = format!(
        "<configure node='{node}'><x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#node_config</value></field>\
         <field var='pubsub#access_model'><value>whitelist</value></field></x></configure>"
    );
    owner(who, &action).await;
}

/// Publishes a list with these devices only.
async fn publish_list(who: &mut Peer, (node, list): (&str, &str), devices: &[&Value]) {
    let devices: Vec<String> = devices.iter().map(|id| format!("<device id='{id}'/>")).collect();
    let list = list.replace("{}", &devices.concat());
    let stanza = format!(
        "<iq type='set' id='publish'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'>\
         <item id='current'>{list}</item></publish></pubsub></iq>"
    );
    who.send_raw(&stanza).await;
}

/// Shows from now on what goes over Alice's wire.
async fn watch(alice: &mut Person) {
    let console = json!({ "account": alice.account.clone(), "on": true });
    alice.get("set_console", console).await;
}

/// Alice publishes both lists with these devices on them, whatever those do themselves.
async fn publishes(alice: &mut Person, wanted: &[&Value]) {
    let of_account = json!({ "account": alice.account.clone() });
    for (node, _) in LISTS {
        let publication = format!("<publish node='{node}'");
        let list = until("Alice publishes her list", LONG, async || {
            let entries = alice.get("list_console", of_account.clone()).await;
            let mut out = items(&entries).iter().filter(|entry| entry["way"] == "out");
            let xml = |entry: &Value| entry["xml"].as_str().unwrap_or_default().replace('"', "'");
            out.find_map(|entry| Some(xml(entry)).filter(|xml| xml.contains(&publication)))
        })
        .await;
        for id in wanted {
            assert!(list.contains(&format!("id='{id}'")), "{id} is missing: {list}");
        }
    }
}

/// Waits until somebody sees these devices of Alice's in both generations.
async fn sees(who: &mut Peer, wanted: &[&Value]) {
    until(
        "Alice's devices are listed in both generations",
        LONG,
        async || {
            let devices = who.devices(ALICE).await;
            let mut active = devices
                .iter()
                .filter(|d| d["active"] == json!(["omemo1", "omemo2"]))
                .map(|d| &d["device"])
                .collect::<Vec<_>>();
            active.sort_by_key(|id| id.as_u64());
            let mut wanted = wanted.to_vec();
            wanted.sort_by_key(|id| id.as_u64());
            (active == wanted).then_some(())
        },
    )
    .await;
}

/// Alice's device as she sees it.
async fn own_device(alice: &mut Person) -> Value {
    let of_alice = json!({ "account": alice.account.clone(), "address": ALICE });
    let list = alice.get("list_devices", of_alice).await;
    let devices = list.as_array().cloned().unwrap_or_default();
    devices.into_iter().find(|d| d["own"] == true).expect("her own")
}

/// Bob, who is a stranger, can write to Alice in either generation.
async fn can_be_written_to(bob: &mut Peer, alice: &mut Person, when: &str) {
    for encryption in ["omemo1", "omemo2"] {
        let body = format!("{when}, in {encryption}");
        bob.send(ALICE, &body, encryption).await;
        assert_eq!(alice.hears(&body).await["encryption"], encryption);
    }
}

#[tokio::test]
async fn nodes_that_others_may_not_read_are_opened_when_keys_are_published() {
    let server = Prosody::start(&[ALICE, BOB]).await;
    let mut phone = Peer::sign_in(&server, ALICE).await;
    let hers = phone.devices(ALICE).await[0]["device"].clone();
    for node in [LISTS[0].0, LISTS[1].0, BUNDLES] {
        close(&mut phone, node).await;
    }
    let mut bob = Peer::sign_in(&server, BOB).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let own = own_device(&mut alice).await;
    sees(&mut bob, &[&hers, &own["device"]]).await;
    let list = json!({ "of": ALICE, "node": LISTS[1].0 });
    let list = bob.ask("published", list).await;
    let list = list.as_str().unwrap_or_default();
    assert!(
        list.contains("label=\"Waxwing (") && list.contains("labelsig="),
        "{list}"
    );
    can_be_written_to(&mut bob, &mut alice, "at first").await;

    // Later they are closed again, and the person has them published anew.
    let legacy = format!("eu.siacs.conversations.axolotl.bundles:{}", own["device"]);
    for node in [LISTS[0].0, LISTS[1].0, BUNDLES, &legacy] {
        close(&mut phone, node).await;
    }
    let of_account = json!({ "account": alice.account.clone() });
    alice.get("republish_keys", of_account).await;
    let carol = "carol@waxwing.test";
    server.add_user(carol, waxwing_tests::PASSWORD);
    let mut carol = Peer::sign_in(&server, carol).await;
    sees(&mut carol, &[&hers, &own["device"]]).await;
    can_be_written_to(&mut carol, &mut alice, "afterwards").await;
}

/// Another client of hers, or the server, closed them while she was away: nothing is to be published, and they are opened.
#[tokio::test]
async fn nodes_that_were_closed_meanwhile_are_opened_when_one_signs_in() {
    const CAROL: &str = "carol@waxwing.test";
    let server = Prosody::start(&[ALICE, BOB, CAROL]).await;
    let mut phone = Peer::sign_in(&server, ALICE).await;
    let hers = phone.devices(ALICE).await[0]["device"].clone();
    let mut bob = Peer::sign_in(&server, BOB).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let own = own_device(&mut alice).await["device"].clone();
    sees(&mut bob, &[&hers, &own]).await;
    alice.stop().await;
    let legacy = format!("eu.siacs.conversations.axolotl.bundles:{own}");
    for node in [LISTS[0].0, LISTS[1].0, BUNDLES, &legacy] {
        close(&mut phone, node).await;
    }
    phone.ask("ping", json!({})).await;
    assert!(server.has_stored("whitelist"), "nothing was closed");
    alice.start_again().await;
    until("everything is open", LONG, async || {
        (!server.has_stored("whitelist")).then_some(())
    })
    .await;
    let mut carol = Peer::sign_in(&server, CAROL).await;
    sees(&mut carol, &[&hers, &own]).await;
    can_be_written_to(&mut carol, &mut alice, "afterwards").await;
}

/// Which of these devices of Alice's the server lists, in each generation.
async fn listed<'a>(who: &mut Peer, devices: &[&'a Value]) -> Vec<Vec<&'a Value>> {
    let mut lists = Vec::new();
    for (node, _) in LISTS {
        let list = who.ask("published", json!({ "of": ALICE, "node": node })).await;
        let list = list.as_str().unwrap_or_default();
        let is_on_it = |id: &&&Value| list.contains(&format!("id=\"{id}\""));
        lists.push(devices.iter().filter(is_on_it).copied().collect());
    }
    lists
}

/// Alice, her phone with another client, Bob who looks, and her devices: the phone's and Waxwing's, each on both lists.
async fn beside_her_phone() -> (Prosody, Peer, Person, Peer, [Value; 2]) {
    let server = Prosody::start(&[ALICE, BOB]).await;
    let mut phone = Peer::sign_in(&server, ALICE).await;
    let hers = phone.devices(ALICE).await[0]["device"].clone();
    let mut bob = Peer::sign_in(&server, BOB).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let own = own_device(&mut alice).await["device"].clone();
    // She is online, so she is on the lists; and her phone is still there.
    let both = [&hers, &own];
    assert_eq!(listed(&mut bob, &both).await, [both, both]);
    (server, phone, alice, bob, [hers, own])
}

#[tokio::test]
async fn whoever_takes_our_device_off_the_lists_finds_it_beside_the_others_again() {
    let (_server, mut phone, mut alice, mut bob, [hers, own]) = beside_her_phone().await;
    let strange = json!(4711);
    let all = [&hers, &strange, &own];
    watch(&mut alice).await;
    for list in LISTS {
        publish_list(&mut phone, list, &[&hers, &strange]).await;
    }
    publishes(&mut alice, &all).await;
    until("all three are listed", LONG, async || {
        (listed(&mut bob, &all).await == [all, all]).then_some(())
    })
    .await;
}

/// A server has forgotten the lists, or somebody's client was careless with them.
#[tokio::test]
async fn empty_lists_of_ours_take_none_of_our_other_devices_off() {
    let (_server, mut phone, mut alice, mut bob, [hers, own]) = beside_her_phone().await;
    let both = [&hers, &own];
    watch(&mut alice).await;
    for list in LISTS {
        publish_list(&mut phone, list, &[]).await;
    }
    publishes(&mut alice, &both).await;
    until("both are listed", LONG, async || {
        (listed(&mut bob, &both).await == [both, both]).then_some(())
    })
    .await;
}

/// Her other client does not know this one and takes it off whenever it comes back: neither goes on with that for ever.
#[tokio::test]
async fn whoever_takes_our_device_off_the_lists_again_and_again_is_left_to_it_and_the_device_is_shown_as_not_listed()
 {
    let (_server, mut phone, mut alice, mut bob, [hers, own]) = beside_her_phone().await;
    let both = [&hers, &own];
    for time in 1..=3 {
        publish_list(&mut phone, LISTS[0], &[&hers]).await;
        until(&format!("it is listed again for time {time}"), LONG, async || {
            (listed(&mut bob, &both).await == [both, both]).then_some(())
        })
        .await;
    }
    for list in LISTS {
        publish_list(&mut phone, list, &[&hers]).await;
    }
    let of_alice = json!({ "account": alice.account.clone(), "address": ALICE });
    let off = |d: &Value| d["own"] == true && d["active"] == false && d["protocols"] == json!([]);
    let shown = |list: &Value| items(list).iter().any(off);
    alice
        .until(
            "her device is shown as not listed",
            "list_devices",
            of_alice,
            shown,
        )
        .await;
    // What she publishes goes out before what she writes.
    let chat = alice.plain_chat_with(BOB).await;
    alice.send(&chat, "afterwards").await;
    bob.message("afterwards").await;
    assert_eq!(listed(&mut bob, &both).await, [[&hers], [&hers]], "it goes on");

    // The person can have it put there all the same.
    let of_account = json!({ "account": alice.account.clone() });
    alice.get("republish_keys", of_account).await;
    until("it is listed once more", LONG, async || {
        (listed(&mut bob, &both).await == [both, both]).then_some(())
    })
    .await;
    can_be_written_to(&mut bob, &mut alice, "at last").await;
}

/// The bundles of a device of Alice's in both generations: node, item, and what is in it.
async fn bundles(who: &mut Peer, device: &Value) -> Vec<(String, String, String)> {
    let legacy = format!("eu.siacs.conversations.axolotl.bundles:{device}");
    let mut bundles = Vec::new();
    for (node, item) in [
        (legacy, "current".to_owned()),
        (BUNDLES.to_owned(), device.to_string()),
    ] {
        let params = json!({ "of": ALICE, "node": node, "item": item });
        let bundle = who.ask("published", params).await;
        bundles.push((node, item, bundle.as_str().expect("XML").to_owned()));
    }
    bundles
}

/// The ids of their signed prekeys.
fn signed_prekeys(bundles: &[(String, String, String)]) -> Vec<String> {
    let names = [":signedPreKeyPublic signedPreKeyId=\"", ":spk id=\""];
    let ids = bundles.iter().zip(names).map(|((_, _, bundle), name)| {
        let id = bundle.split(name).nth(1).and_then(|rest| rest.split('"').next());
        id.expect("a signed prekey").to_owned()
    });
    ids.collect()
}

#[tokio::test]
async fn a_signed_prekey_is_replaced_on_the_server_after_a_week_and_who_has_not_noticed_can_write_for_a_month()
 {
    const CAROL: &str = "carol@waxwing.test";
    let server = Prosody::start(&[ALICE, BOB, CAROL]).await;
    let mut profile = Profile::trusting(&server);
    profile.clock();
    let mut alice = Person::sign_in_with(profile, ALICE, server.direct_tls_port, Tls::Direct).await;
    let mut phone = Peer::sign_in(&server, ALICE).await;
    let own = own_device(&mut alice).await["device"].clone();
    let at_first = bundles(&mut phone, &own).await;
    let mut before = signed_prekeys(&at_first);
    for (days, replaced) in [(6, false), (8, true), (36, true)] {
        alice.profile.clock().set_days_ahead(days);
        alice.restart().await;
        let what = format!("after {days} days they were replaced, or were not");
        before = until(&what, LONG, async || {
            let now = signed_prekeys(&bundles(&mut phone, &own).await);
            let all = now
                .iter()
                .zip(&before)
                .all(|(now, before)| (now != before) == replaced);
            all.then_some(now)
        })
        .await;
    }
    // Bob sees what was on offer before it was replaced, 28 days ago.
    for (node, item, bundle) in &at_first {
        phone.publish(node, item, bundle).await;
    }
    let mut bob = Peer::sign_in(&server, BOB).await;
    assert_eq!(
        bundles(&mut bob, &own).await,
        at_first,
        "the old ones are not there"
    );
    can_be_written_to(&mut bob, &mut alice, "with the first key").await;
    // As soon as one-time keys were used, what there is by now is on offer again.
    until("the newest ones are there", LONG, async || {
        (signed_prekeys(&bundles(&mut phone, &own).await) == before).then_some(())
    })
    .await;
    let mut carol = Peer::sign_in(&server, CAROL).await;
    can_be_written_to(&mut carol, &mut alice, "with the newest key").await;
    phone.stop().await;
}

/// Deletes all that the server keeps of personal eventing.
fn forget_pep(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() && entry.file_name().to_string_lossy().starts_with("pep") {
            fs::remove_dir_all(&path).expect("it can be deleted");
        } else if path.is_dir() {
            forget_pep(&path);
        }
    }
}

#[tokio::test]
async fn keys_that_the_server_has_lost_are_published_again() {
    let mut server = Prosody::start(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let own = own_device(&mut alice).await["device"].clone();
    server.stop().await;
    let listed = LISTS[0].0;
    assert!(server.has_stored(listed), "there is nothing to be lost");
    forget_pep(&server.directory().join("data"));
    assert!(!server.has_stored(listed), "nothing was lost");
    server.start_again().await;
    until("the server has her lists again", LONG, async || {
        let all = LISTS.iter().all(|(node, ..)| server.has_stored(node));
        all.then_some(())
    })
    .await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    sees(&mut bob, &[&own]).await;
    can_be_written_to(&mut bob, &mut alice, "afterwards").await;
}

/// A server that cannot open nodes, so that only contacts can read what is in them: the person is told.
#[tokio::test]
async fn keys_that_the_server_does_not_open_to_everybody_are_told_so() {
    let authority = Authority::new("Authority of a closed server");
    let files = tempfile::tempdir().expect("a temporary directory");
    let ca_file = files.path().join("authority.pem");
    std::fs::write(&ca_file, authority.pem()).expect("the authority's file");
    for closed_to_strangers in [false, true] {
        let secret = waxwing_tests::PASSWORD;
        let nodes = Nodes {
            refuses_options: closed_to_strangers,
            stays_closed: closed_to_strangers,
            ..Nodes::default()
        };
        let honest = Honest {
            nodes: Some(nodes),
            ..Honest::new(&authority, "alice@closed.test", secret)
        };
        let friend = honest.friend();
        let server = Server::start(honest).await;
        let profile = Profile::with_ca(Some(ca_file.clone()));
        let mut app = profile.start().await;
        let address = "alice@closed.test";
        let account = app.add_account(address, secret, server.port, Tls::Direct).await;
        app.online(&account).await;
        let chat = app.open_plain_chat(&account, &friend).await;
        let closed = |report: &Value| {
            let published = items(&report["published"]).iter();
            published.map(|keys| keys["closed"] == true).collect::<Vec<_>>()
        };
        let all = |report: &Value| {
            let taken = items(&report["published"])
                .iter()
                .all(|keys| !keys["at"].is_null());
            taken && closed(report) == [closed_to_strangers; 2]
        };
        app.until(
            "what is published is told",
            "encryption_report",
            json!({ "chat": chat }),
            all,
        )
        .await;
    }
}

/// What the program has published so far at a scripted server, in this order: the nodes.
fn nodes_published(scene: &Scripted) -> Vec<String> {
    let heard = scene.server.heard();
    let told: String = heard.iter().map(|heard| heard.secure.replace('"', "'")).collect();
    let nodes = told.split("<publish node='").skip(1);
    nodes
        .filter_map(|rest| rest.split('\'').next().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn the_keys_of_a_new_device_go_out_before_the_list_that_names_it_in_both_generations() {
    let mut scene = Scripted::sign_in(|honest| honest).await;
    let account = scene.account.clone();
    scene.app.online(&account).await;
    let nodes = nodes_published(&scene);
    let place = |name: &str| nodes.iter().position(|node| node.starts_with(name));
    for (bundle, (list, _)) in ["eu.siacs.conversations.axolotl.bundles:", BUNDLES]
        .into_iter()
        .zip(LISTS)
    {
        let (bundle, list) = (place(bundle), place(list));
        assert!(bundle.is_some() && bundle < list, "{nodes:?}");
    }
}

/// Whoever finds a device on a list, and no keys, cannot write to it.
#[tokio::test]
async fn a_device_whose_keys_the_server_does_not_take_is_put_on_no_list() {
    let refusal = "<iq type='error' id='{id}'><error type='cancel'>\
                   <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>";
    let mut scene = Scripted::sign_in(|honest| honest.at(Point::Personal, Act::say(refusal))).await;
    let account = scene.account.clone();
    scene.app.online(&account).await;
    let nodes = nodes_published(&scene);
    for bundle in ["eu.siacs.conversations.axolotl.bundles:", BUNDLES] {
        assert!(nodes.iter().any(|node| node.starts_with(bundle)), "{nodes:?}");
    }
    for (list, _) in LISTS {
        assert!(!nodes.iter().any(|node| node == list), "{nodes:?}");
    }
}
