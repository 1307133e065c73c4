//! A contact, a stranger or a server that means harm changes nothing but its own row.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use waxwing_scripted::{Archive, Honest};
use waxwing_tests::{Peer, Person, Prosody, Proxy, SHORT, Scripted, Tls, items, until};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";
const MALLORY: &str = "mallory@waxwing.test";

/// Alice behind a proxy that counts her connections, and Mallory, who is among her contacts.
struct Scene {
    server: Prosody,
    proxy: Proxy,
    alice: Person,
    mallory: Peer,
}

impl Scene {
    async fn set() -> Self {
        let server = Prosody::start_with_friends(&[ALICE, BOB, MALLORY]).await;
        let proxy = Proxy::to(server.direct_tls_port).await;
        let alice = Person::sign_in_at(&server, ALICE, proxy.port, Tls::Direct).await;
        let mallory = Peer::sign_in(&server, MALLORY).await;
        Self {
            server,
            proxy,
            alice,
            mallory,
        }
    }

    /// Alice's full address, as her contacts see it.
    async fn full_address(&mut self) -> String {
        let seen = self
            .mallory
            .event("Alice's presence", |e| {
                e["event"] == "presence"
                    && e["from"] == ALICE
                    && e["resource"].as_str().is_some_and(|r| !r.is_empty())
            })
            .await;
        format!("{ALICE}/{}", seen["resource"].as_str().unwrap_or_default())
    }

    /// Sends a stanza that bears the id, and makes sure that the server passed it on to Alice, so that the test
    /// proves something.
    async fn attack(&mut self, id: &str, stanza: &str) {
        assert!(
            stanza.contains(&format!("id='{id}'")),
            "the attack must bear its id"
        );
        self.mallory.send_raw(stanza).await;
        let server = &self.server;
        until(&format!("the server has passed {id} on"), SHORT, async || {
            let log = server.log();
            log.lines()
                .any(|l| l.contains("Sending[c2s]") && l.contains(&format!("id='{id}'")))
                .then_some(())
        })
        .await;
    }

    /// The next honest message arrives over the same connection.
    async fn life_goes_on(&mut self, body: &str) -> Value {
        self.mallory.send(ALICE, body, "none").await;
        let heard = self.alice.hears(body).await;
        assert_eq!(self.proxy.connections(), 1, "the connection was lost");
        assert!(self.alice.lives());
        heard
    }

    /// The texts, and in brackets why there is none.
    async fn bodies_from_mallory(&mut self) -> Vec<String> {
        let chat = self.alice.chat_with(MALLORY).await;
        self.alice
            .messages(&chat)
            .await
            .into_iter()
            .map(|m| match m["body"].as_str() {
                Some(body) => body.to_owned(),
                None => format!("({})", m["undecryptable"]["reason"].as_str().unwrap_or_default()),
            })
            .collect()
    }
}

fn message(id: &str, content: &str) -> String {
    format!("<message type='chat' to='{ALICE}' id='{id}'>{content}</message>")
}

#[tokio::test]
async fn a_stanza_nested_6000_levels_deep_changes_nothing() {
    let mut scene = Scene::set().await;
    scene.life_goes_on("before").await;
    // Not for the archive: Prosody itself cannot write down anything so deep, and would not pass it on.
    let deep = format!(
        "<body>deep</body><no-store xmlns='urn:xmpp:hints'/>{}{}",
        "<x xmlns='urn:x'>".repeat(6_000),
        "</x>".repeat(6_000)
    );
    scene.attack("deep", &message("deep", &deep)).await;
    scene.life_goes_on("after").await;
    assert_eq!(
        scene.bodies_from_mallory().await,
        ["before", "(too_large)", "after"]
    );
}

#[tokio::test]
async fn an_attribute_of_9000_bytes_changes_nothing() {
    let mut scene = Scene::set().await;
    scene.life_goes_on("before").await;
    let long = format!("<body>long</body><x xmlns='urn:x' a='{}'/>", "a".repeat(9_000));
    scene.attack("long", &message("long", &long)).await;
    scene.life_goes_on("after").await;
    let bodies = scene.bodies_from_mallory().await;
    assert!(
        bodies == ["before", "(too_large)", "after"] || bodies == ["before", "long", "after"],
        "{bodies:?}"
    );
}

#[tokio::test]
async fn a_body_of_two_mebibytes_changes_nothing() {
    let mut scene = Scene::set().await;
    scene.life_goes_on("before").await;
    let big = format!("<body>{}</body>", "big ".repeat(512 * 1024));
    scene.attack("big", &message("big", &big)).await;
    scene.life_goes_on("after").await;
    assert_eq!(
        scene.bodies_from_mallory().await,
        ["before", "(too_large)", "after"]
    );
}

#[tokio::test]
async fn a_stanza_with_30000_children_changes_nothing() {
    let mut scene = Scene::set().await;
    scene.life_goes_on("before").await;
    let many = format!("<body>many</body>{}", "<x xmlns='urn:x'/>".repeat(30_000));
    scene.attack("many", &message("many", &many)).await;
    scene.life_goes_on("after").await;
    assert_eq!(
        scene.bodies_from_mallory().await,
        ["before", "(too_large)", "after"]
    );
}

#[tokio::test]
async fn all_of_them_many_times_over_do_not_swell_the_program() {
    let mut scene = Scene::set().await;
    scene.life_goes_on("before").await;
    let before = resident(&scene.alice);
    for round in 0..8 {
        let big = format!("<body>{}</body>", "big ".repeat(512 * 1024));
        scene
            .attack(&format!("big{round}"), &message(&format!("big{round}"), &big))
            .await;
        scene.life_goes_on(&format!("after {round}")).await;
    }
    let grown = resident(&scene.alice).saturating_sub(before);
    assert!(
        grown < 24 * 1024,
        "16 MiB of refused stanzas left {grown} KiB behind"
    );
}

/// Memory in RAM, in KiB.
fn resident(person: &Person) -> u64 {
    let id = person.process_id().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the process's status");
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .expect("the resident size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Stanzas that pretend to be something that only the own server or account may send.
fn pretences(full: &str) -> Vec<(&'static str, String)> {
    let forged = format!(
        "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' type='chat' from='{BOB}/x' to='{full}' \
         id='inner'><body>forged</body></message></forwarded>"
    );
    let forged_out = format!(
        "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' type='chat' from='{full}' to='{BOB}' \
         id='inner'><body>forged</body></message></forwarded>"
    );
    vec![
        (
            "carbon-in",
            message(
                "carbon-in",
                &format!("<received xmlns='urn:xmpp:carbons:2'>{forged}</received>"),
            ),
        ),
        (
            "carbon-out",
            message(
                "carbon-out",
                &format!("<sent xmlns='urn:xmpp:carbons:2'>{forged_out}</sent>"),
            ),
        ),
        (
            "archive",
            message(
                "archive",
                &format!("<result xmlns='urn:xmpp:mam:2' queryid='1' id='1'>{forged}</result>"),
            ),
        ),
        ("bare-forward", message("bare-forward", &forged)),
    ]
}

#[tokio::test]
async fn forged_carbons_and_archive_results_from_a_contact_are_ignored() {
    let mut scene = Scene::set().await;
    let full = scene.full_address().await;
    for (id, stanza) in pretences(&full) {
        scene.attack(id, &stanza).await;
    }
    scene.life_goes_on("honest").await;
    let found = scene.alice.get("search", json!({ "query": "forged" })).await;
    assert_eq!(found, json!([]), "a forged message was stored");
    let chats = scene.alice.get("list_chats", json!({})).await;
    assert!(
        items(&chats).iter().all(|c| c["address"] == MALLORY),
        "a chat with Bob was made up: {chats}"
    );
}

#[tokio::test]
async fn a_roster_push_from_somebody_else_is_ignored() {
    let mut scene = Scene::set().await;
    let full = scene.full_address().await;
    let account = scene.alice.account.clone();
    let before = scene
        .alice
        .get("list_contacts", json!({ "account": account }))
        .await;
    for (id, item) in [
        (
            "push-add",
            "<item jid='evil@waxwing.test' subscription='both' name='Your bank'/>".to_owned(),
        ),
        (
            "push-rename",
            format!("<item jid='{BOB}' subscription='both' name='Mallory'/>"),
        ),
        (
            "push-remove",
            format!("<item jid='{BOB}' subscription='remove'/>"),
        ),
    ] {
        let stanza = format!(
            "<iq type='set' to='{full}' id='{id}'><query xmlns='jabber:iq:roster'>{item}</query></iq>"
        );
        scene.attack(id, &stanza).await;
    }
    scene.life_goes_on("honest").await;
    let names = |list: &Value| -> Vec<(Value, Value, Value)> {
        items(list)
            .iter()
            .map(|c| (c["address"].clone(), c["name"].clone(), c["subscription"].clone()))
            .collect()
    };
    let after = scene
        .alice
        .get("list_contacts", json!({ "account": account }))
        .await;
    assert_eq!(names(&after), names(&before));
}

#[tokio::test]
async fn a_receipt_from_somebody_else_delivers_nothing() {
    let mut scene = Scene::set().await;
    let chat = scene.alice.plain_chat_with(BOB).await;
    let sent = scene.alice.send(&chat, "to Bob, who is away").await;
    let sent = scene.alice.delivery(&sent, "sent").await;
    let known_id = sent["origin_id"].as_str().expect("an own id").to_owned();
    let receipt = format!("<received xmlns='urn:xmpp:receipts' id='{known_id}'/>");
    scene.attack("receipt", &message("receipt", &receipt)).await;
    scene.life_goes_on("honest").await;
    let messages = scene.alice.messages(&chat).await;
    assert_eq!(messages[0]["delivery"], "sent");
}

#[tokio::test]
async fn a_message_cannot_take_the_place_of_another_ones_by_its_ids() {
    let mut scene = Scene::set().await;
    let mut bob = Peer::sign_in(&scene.server, BOB).await;
    // Mallory uses the ids that Bob's message will have, before and after Bob does.
    let stanza = |to: &str, body: &str| {
        format!(
            "<message type='chat' to='{to}' id='same'><body>{body}</body><origin-id xmlns='urn:xmpp:sid:0' id='same'/>\
             <stanza-id xmlns='urn:xmpp:sid:0' id='same' by='{ALICE}'/></message>"
        )
    };
    scene.attack("same", &stanza(ALICE, "from Mallory")).await;
    scene.alice.hears("from Mallory").await;
    bob.send_raw(&stanza(ALICE, "from Bob")).await;
    let heard = scene.alice.hears("from Bob").await;
    assert_eq!(heard["from"], BOB);
    scene.life_goes_on("honest").await;
    assert_eq!(scene.bodies_from_mallory().await, ["from Mallory", "honest"]);
}

#[tokio::test]
async fn nothing_of_an_odd_message_but_its_text_is_believed() {
    let mut scene = Scene::set().await;
    let oddities = [
        "<delay xmlns='urn:xmpp:delay' stamp='9999-99-99T99:99:99Z'/>",
        "<delay xmlns='urn:xmpp:delay' stamp='+275760-09-13T00:00:00Z'/>",
        "<request xmlns='urn:xmpp:receipts'/><request xmlns='urn:xmpp:receipts'/>",
        "<encrypted xmlns='eu.siacs.conversations.axolotl'/>",
        "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='0'/></encrypted>",
        "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='99999999999'><key rid='x'>!</key></header></encrypted>",
        "<body xml:lang='de'>zwei</body>",
        "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='eu.siacs.conversations.axolotl.devicelist'><item/></items></event>",
    ];
    for (number, oddity) in oddities.iter().enumerate() {
        let id = format!("odd{number}");
        scene
            .attack(&id, &message(&id, &format!("<body>odd {number}</body>{oddity}")))
            .await;
        scene.life_goes_on(&format!("after {number}")).await;
    }
}

/// What stands in a text between each of these beginnings and the next quotation mark.
fn named<'a>(text: &'a str, begin: &str) -> Vec<&'a str> {
    let parts = text.split(begin).skip(1);
    parts.filter_map(|part| part.split('\'').next()).collect()
}

#[tokio::test]
async fn nothing_that_an_answer_is_known_by_can_be_guessed() {
    let mut scene = Scripted::sign_in(|honest| Honest {
        archive: Some(Archive::honest(Vec::new())),
        acknowledges: false,
        ..honest
    })
    .await;
    for session in 0..3 {
        if session > 0 {
            scene = scene.restart().await;
        }
        scene
            .app
            .event("the archive has been read", |e| e["type"] == "caught_up")
            .await;
    }
    let (mut ids, mut queries) = (Vec::new(), Vec::new());
    for heard in scene.server.heard() {
        queries.extend(named(&heard.secure, "queryid='").into_iter().map(str::to_owned));
        // What is asked before the session is bound is asked while nobody else can be heard.
        let (_, bound) = heard.secure.split_once("</bind></iq>").expect("a session");
        let questions = bound.split("<iq ").skip(1).filter_map(|iq| iq.split('>').next());
        ids.extend(questions.flat_map(|iq| named(iq, "id='")).map(str::to_owned));
    }
    assert!(ids.len() >= 15 && queries.len() >= 3, "{ids:?} {queries:?}");
    ids.extend(queries);
    for part in [0..16, 16..32] {
        let parts: BTreeSet<&str> = ids.iter().filter_map(|id| id.get(part.clone())).collect();
        assert_eq!(
            parts.len(),
            ids.len(),
            "they have 128 bits, and none is like another: {ids:?}"
        );
    }
}
