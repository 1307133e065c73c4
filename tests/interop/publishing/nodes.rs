//! Servers that let contacts only read what is published, and what they do when they are told otherwise.

use serde_json::{Value, json};
use waxwing_scripted::{Act, Archive, Honest, Kept, Nodes};
use waxwing_tests::{LONG, Scripted, items, until};

use super::{BUNDLES, LISTS, nodes_published};

/// Whose nodes they are.
const WREN: &str = "wren@scripted.test";

/// Signs in at a server with these nodes.
async fn sign_in(nodes: &Nodes) -> Scripted {
    let of_server = Some(nodes.clone());
    let mut scene = Scripted::sign_in(|honest| Honest {
        nodes: of_server,
        ..honest
    })
    .await;
    let account = scene.account.clone();
    scene.app.online(&account).await;
    scene
}

/// Waits until both generations' lists and bundles are there and can be read by everybody.
async fn all_are_open(nodes: &Nodes) {
    until("all four nodes are open", LONG, async || {
        let all = nodes.all();
        (all.len() == 4 && all.iter().all(|(_, open)| *open)).then_some(())
    })
    .await;
}

/// How often each node was published into, and how often the server was asked about it.
fn counts(scene: &Scripted, nodes: &Nodes) -> Vec<(usize, usize)> {
    let published = nodes_published(scene);
    let heard: String = scene
        .server
        .heard()
        .into_iter()
        .map(|heard| heard.secure)
        .collect();
    let heard = heard.replace('"', "'");
    let of_node = |(name, _): (String, bool)| {
        let asked = heard.matches(&format!("<configure node='{name}'/>")).count();
        (published.iter().filter(|node| **node == name).count(), asked)
    };
    nodes.all().into_iter().map(of_node).collect()
}

/// Writes to the friend and waits for the answer: what was sent before has been answered.
async fn talk(scene: &mut Scripted, body: &str) {
    let (account, friend) = (scene.account.clone(), scene.friend.clone());
    let chat = scene.app.open_plain_chat(&account, &friend).await;
    scene.app.send(&chat, body).await;
    scene
        .app
        .message(&account, &body.replace("echo", "answer to"))
        .await;
}

/// Waits until each node was published into once more and looked at again, and makes sure that this is all.
async fn each_was_opened_once(scene: &mut Scripted, nodes: &Nodes) {
    until("each was published once more, and looked at", LONG, async || {
        (counts(scene, nodes) == [(2, 2); 4]).then_some(())
    })
    .await;
    talk(scene, "echo").await;
    assert_eq!(counts(scene, nodes), [(2, 2); 4]);
}

/// Who can read the keys, as the person is told for each generation: false if it is everybody.
async fn told_closed(scene: &mut Scripted, wanted: bool) {
    let (account, friend) = (scene.account.clone(), scene.friend.clone());
    let chat = scene.app.open_plain_chat(&account, &friend).await;
    let all = |report: &Value| {
        let published = items(&report["published"]);
        published.len() == 2 && published.iter().all(|keys| keys["closed"] == wanted)
    };
    let params = json!({ "chat": chat });
    scene
        .app
        .until("who can read the keys is told", "encryption_report", params, all)
        .await;
}

/// XEP-0060 §7.1.5: a server that does not name the feature takes the publication and no notice of its options.
#[tokio::test]
async fn what_a_server_takes_without_its_options_is_opened_in_the_same_session_and_asked_for_no_more() {
    let nodes = Nodes {
        ignores_options: true,
        ..Nodes::default()
    };
    let mut scene = sign_in(&nodes).await;
    all_are_open(&nodes).await;
    each_was_opened_once(&mut scene, &nodes).await;
    told_closed(&mut scene, false).await;

    // Whatever is published in this session afterwards, it is known who can read it.
    let (list, empty) = LISTS[0];
    let others = empty.replace("{}", "<device id='4711'/>");
    nodes.put(list, "current", &others);
    scene.server.deliver(nodes.event(WREN, list).expect("the list"));
    until("the list was repaired", LONG, async || {
        let list = nodes.item(list, "current").filter(|list| *list != others);
        list.filter(|list| list.contains("4711"))
    })
    .await;
    talk(&mut scene, "echo once more").await;
    let mut now = counts(&scene, &nodes);
    now.sort_unstable();
    assert_eq!(now, [(2, 2), (2, 2), (2, 2), (3, 2)]);

    // In the next session they are open, and nothing is to be published.
    let before = nodes_published(&scene).len();
    let mut scene = scene.restart().await;
    let account = scene.account.clone();
    scene.app.online(&account).await;
    until("the server was asked again", LONG, async || {
        counts(&scene, &nodes)
            .iter()
            .all(|(_, asked)| *asked == 3)
            .then_some(())
    })
    .await;
    talk(&mut scene, "echo at last").await;
    assert_eq!(nodes_published(&scene).len(), before);
}

/// Nothing may be said of who can read it in a publication; it may in the node's settings.
#[tokio::test]
async fn what_a_server_takes_only_without_options_is_opened_afterwards_and_told_as_open() {
    let nodes = Nodes {
        refuses_options: true,
        ..Nodes::default()
    };
    let mut scene = sign_in(&nodes).await;
    all_are_open(&nodes).await;
    told_closed(&mut scene, false).await;
}

#[tokio::test]
async fn what_a_server_says_to_have_opened_and_has_not_is_told_as_closed_and_not_opened_for_ever() {
    let nodes = Nodes {
        ignores_options: true,
        stays_closed: true,
        ..Nodes::default()
    };
    let mut scene = sign_in(&nodes).await;
    told_closed(&mut scene, true).await;
    each_was_opened_once(&mut scene, &nodes).await;
}

/// Another client has closed the node that all bundles share, and the server does not know how many `max` is.
#[tokio::test]
async fn a_closed_node_of_many_bundles_is_opened_with_a_number_where_the_server_does_not_know_max() {
    for ignores_options in [false, true] {
        let nodes = Nodes {
            ignores_options,
            without_max: true,
            ..Nodes::default()
        };
        nodes.put(BUNDLES, "4711", "<bundle xmlns='urn:xmpp:omemo:2'/>");
        let mut scene = sign_in(&nodes).await;
        all_are_open(&nodes).await;
        told_closed(&mut scene, false).await;
        assert!(
            nodes.item(BUNDLES, "4711").is_some(),
            "another device's bundle is gone"
        );
    }
}

/// What comes of a list when a connection has broken, or is slow, may be older than what is there.
#[tokio::test]
async fn a_list_that_is_sent_without_our_device_is_read_again_before_it_is_published_with_it() {
    let nodes = Nodes::default();
    let mut scene = sign_in(&nodes).await;
    let params = json!({ "account": scene.account.clone(), "address": WREN });
    let devices = scene.app.get("list_devices", params).await;
    let own = items(&devices).iter().find(|device| device["own"] == true);
    let own = own.expect("her own")["device"].to_string();
    for (list, empty) in LISTS {
        let listing = |ids: &[&str]| {
            let devices: Vec<String> = ids.iter().map(|id| format!("<device id='{id}'/>")).collect();
            empty.replace("{}", &devices.concat())
        };
        let newest = listing(&["4711", "4712"]);
        nodes.put(list, "current", &listing(&["4711"]));
        let older = nodes.event(WREN, list).expect("the older list");
        nodes.put(list, "current", &newest);
        scene.server.deliver(older);
        let repaired = until("the list names the device again", LONG, async || {
            nodes.item(list, "current").filter(|list| *list != newest)
        })
        .await;
        for id in ["4711", "4712", &own] {
            assert!(repaired.contains(id), "{id} is missing: {repaired}");
        }
    }
}

/// Reads what the friend wrote, comes back to the server, and writes: whatever there is to be published has been. Gives
/// the nodes that are there.
async fn after_reading(nodes: &Nodes) -> Vec<(String, bool)> {
    let of_server = Some(nodes.clone());
    let mut scene = Scripted::sign_in(|honest| {
        let kept = Kept::message("one", "2026-01-01T00:00:00Z", ("{friend}/there", "{bare}"), "one");
        let archive = Archive::answering(vec![kept], |question, kept| Act::say(question.honestly(kept)));
        Honest {
            nodes: of_server,
            archive: Some(archive),
            ..honest
        }
    })
    .await;
    let account = scene.account.clone();
    scene.app.online(&account).await;
    let chats = scene
        .app
        .until("the message is there", "list_chats", json!({}), |chats| {
            items(chats).iter().any(|chat| chat["last"]["body"] == "one")
        })
        .await;
    let chat = items(&chats)[0]["chat"].clone();
    scene.app.get("mark_read", json!({ "chat": chat })).await;
    let mut scene = scene.restart().await;
    scene.app.online(&account).await;
    scene
        .app
        .event("the archive has been read", |event| event["type"] == "caught_up")
        .await;
    talk(&mut scene, "echo").await;
    nodes.all()
}

/// XEP-0490 §3.1: with whom we talk is for our own devices.
#[tokio::test]
async fn what_was_read_is_published_only_where_the_server_heeds_who_may_read_it() {
    let is_there =
        |nodes: &[(String, bool)]| nodes.iter().any(|(name, _)| name == "urn:xmpp:mds:displayed:0");
    let heeds = after_reading(&Nodes::default()).await;
    assert!(is_there(&heeds), "{heeds:?}");
    let ignores = after_reading(&Nodes {
        ignores_options: true,
        ..Nodes::default()
    })
    .await;
    assert!(!is_there(&ignores), "{ignores:?}");
}
