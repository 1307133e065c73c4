//! Who may say what: everything that a contact, a stranger, another device or somebody in another chat claims without
//! the right to, each in a sentence, and nothing that the person sees is changed by it.

use serde_json::{Value, json};
use waxwing_tests::{LONG, Peer, Person, Prosody, SHORT, Tls, items, until};

use By::{Bob, Eve, Mallory, Phone};

const ALICE: &str = "alice@waxwing.test";
/// Another account in Alice's program.
const SECOND: &str = "alice@heron.test";
const BOB: &str = "bob@waxwing.test";
/// Among Alice's contacts.
const MALLORY: &str = "mallory@waxwing.test";
/// A stranger.
const EVE: &str = "eve@waxwing.test";

const RECEIPTS: &str = "urn:xmpp:receipts";
const MARKERS: &str = "urn:xmpp:chat-markers:0";
const CARBONS: &str = "urn:xmpp:carbons:2";
const MAM: &str = "urn:xmpp:mam:2";
const DEVICES: &str = "eu.siacs.conversations.axolotl.devicelist";

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Mallory,
    Eve,
    Bob,
    /// Another device of Alice's, which is not her account itself.
    Phone,
}

/// What is known to whoever spoofs: the worst that they could have found out.
struct Known {
    /// Alice's full address.
    full: String,
    /// The id of Alice's message to Bob.
    to_bob: String,
    /// The id of her message to Mallory.
    to_mallory: String,
    /// The id of her second account's message to Bob.
    second_to_bob: String,
    /// The id of Bob's message to Alice.
    from_bob: String,
    /// Its id in Alice's archive.
    archived: String,
}

struct Spoof {
    what: String,
    by: By,
    stanza: String,
}

/// Somebody does something, in a sentence, by this stanza.
fn spoof(by: By, does: &str, stanza: String) -> Spoof {
    let who = match by {
        Mallory => "A contact",
        Eve => "A stranger",
        Bob => "Bob",
        Phone => "Another device",
    };
    let what = format!("{who} {does}");
    Spoof { what, by, stanza }
}

fn message(to: &str, content: &str) -> String {
    format!("<message type='chat' to='{to}' id='{{id}}'>{content}</message>")
}

fn iq(known: &Known, kind: &str, content: &str) -> String {
    format!("<iq type='{kind}' to='{}' id='{{id}}'>{content}</iq>", known.full)
}

fn forwarded(from: &str, to: &str, content: &str) -> String {
    format!(
        "<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>\
         <message xmlns='jabber:client' type='chat' from='{from}' to='{to}' id='inner'>{content}</message></forwarded>"
    )
}

fn wrapped(name: &str, namespace: &str, attributes: &str, content: &str) -> String {
    format!("<{name} xmlns='{namespace}' {attributes}>{content}</{name}>")
}

fn event(node: &str, item: &str) -> String {
    format!(
        "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='{node}'>{item}</items></event>"
    )
}

fn copies(known: &Known) -> Vec<Spoof> {
    let full = &known.full;
    let body = "<body>forged</body>";
    let of_bob = forwarded(&format!("{BOB}/x"), full, body);
    let of_alice = forwarded(&format!("{ALICE}/x"), BOB, body);
    let received = wrapped("received", CARBONS, "", &of_bob);
    let twice = wrapped("received", CARBONS, "", &forwarded(ALICE, full, &received));
    let result = |query: &str, content: &str| wrapped("result", MAM, &format!("{query} id='1'"), content);
    let in_carbon = forwarded(ALICE, full, &result("queryid='1'", &of_bob));
    let in_carbon = wrapped("received", CARBONS, "", &in_carbon);
    let fin = wrapped("fin", MAM, "complete='true'", "");
    let copy = [Mallory, Eve, Phone].map(|by| {
        spoof(
            by,
            "sends a copy of what Bob never wrote",
            message(full, &received),
        )
    });
    let says = |does: &str, content: &str| spoof(Mallory, does, message(full, content));
    let guessed = result("queryid='1'", &of_bob);
    let sent = wrapped("sent", CARBONS, "", &of_alice);
    let mut spoofs = Vec::from(copy);
    spoofs.extend([
        says("sends a copy of what Alice never wrote", &sent),
        says("sends a copy within a copy", &twice),
        says("forwards a message without any frame", &of_bob),
        says(
            "sends a result of the archive without a question",
            &result("", &of_bob),
        ),
        says("sends a result of the archive for a guessed question", &guessed),
        spoof(Phone, "sends a result of the archive", message(full, &guessed)),
        says("sends a result of the archive within a copy", &in_carbon),
        spoof(Mallory, "ends a page of the archive", iq(known, "result", &fin)),
    ]);
    spoofs
}

fn lists(known: &Known) -> Vec<Spoof> {
    let roster = |item: &str| wrapped("query", "jabber:iq:roster", "", item);
    let evil = "<item jid='evil@waxwing.test' subscription='both' name='Your bank'/>";
    let rename = format!("<item jid='{BOB}' subscription='both' name='Mallory'/>");
    let remove = format!("<item jid='{BOB}' subscription='remove'/>");
    let block = format!("<block xmlns='urn:xmpp:blocking'><item jid='{BOB}'/></block>");
    let list = |ids: &str| {
        event(
            DEVICES,
            &format!("<item id='current'><list xmlns='eu.siacs.conversations.axolotl'>{ids}</list></item>"),
        )
    };
    let list_2 = event(
        "urn:xmpp:omemo:2:devices",
        "<item id='current'><devices xmlns='urn:xmpp:omemo:2'><device id='666'/></devices></item>",
    );
    let read = format!(
        "<item id='{BOB}'><displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' by='{ALICE}' \
         id='{}'/></displayed></item>",
        known.archived
    );
    let nick = |name: &str| wrapped("nick", "http://jabber.org/protocol/nick", "", name);
    let of_bob = list("<device id='666'/>").replacen("<items ", &format!("<items publisher='{BOB}' "), 1);
    let picture = "<item id='a1'><metadata xmlns='urn:xmpp:avatar:metadata'><info id='a1' bytes='1' type='image/png'/>\
                   </metadata></item>";
    let bookmark =
        "<item id='room@rooms.test'><conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'/></item>";
    let add = [Mallory, Eve, Phone].map(|by| spoof(by, "adds a contact", iq(known, "set", &roster(evil))));
    let asks = |does: &str, content: &str| spoof(Mallory, does, iq(known, "set", content));
    let tells = |by: By, does: &str, content: &str| spoof(by, does, message(&known.full, content));
    let mut spoofs = Vec::from(add);
    spoofs.extend([
        asks("gives Bob another name", &roster(&rename)),
        asks("removes Bob", &roster(&remove)),
        spoof(
            Mallory,
            "answers the question for the contact list",
            iq(known, "result", &roster(evil)),
        ),
        asks("blocks Bob", &block),
        tells(Eve, "names devices of its own", &list("<device id='666'/>")),
        tells(
            Bob,
            "names devices, and is a program and not the account",
            &list("<device id='666'/>"),
        ),
        tells(
            Bob,
            "names devices of version 2, and is a program and not the account",
            &list_2,
        ),
        tells(Phone, "names devices of Alice's in her account's name", &list_2),
        tells(Mallory, "names devices, and says that they are Bob's", &of_bob),
        spoof(
            Mallory,
            "calls itself by Bob's address",
            message(ALICE, &nick(BOB)),
        ),
        spoof(
            Eve,
            "calls itself by Bob's address, turned round",
            message(ALICE, &nick("\u{202e}tset.gniwxaw@bob\u{200b}")),
        ),
        tells(
            Mallory,
            "publishes a name that looks like Bob's",
            &event(
                "http://jabber.org/protocol/nick",
                &format!("<item>{}</item>", nick("b\u{43e}b@waxwing.test")),
            ),
        ),
        tells(
            Mallory,
            "publishes a picture",
            &event("urn:xmpp:avatar:metadata", picture),
        ),
        tells(
            Mallory,
            "says which messages Alice has read",
            &event("urn:xmpp:mds:displayed:0", &read),
        ),
        tells(
            Phone,
            "says in the account's name which messages Alice has read",
            &event("urn:xmpp:mds:displayed:0", &read),
        ),
        tells(
            Mallory,
            "adds a bookmark",
            &event("urn:xmpp:bookmarks:1", bookmark),
        ),
    ]);
    spoofs
}

fn of_messages(known: &Known) -> Vec<Spoof> {
    let named = |name: &str, namespace: &str, id: &str| wrapped(name, namespace, &format!("id='{id}'"), "");
    let receipt = |id: &str| named("received", RECEIPTS, id);
    let seen = |id: &str| named("displayed", MARKERS, id);
    let bounce = |to: &str, id: &str| {
        format!(
            "<message type='error' to='{to}' id='{id}'><error type='cancel'>\
             <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        )
    };
    let stanza_id =
        |by: &str, id: &str| wrapped("stanza-id", "urn:xmpp:sid:0", &format!("by='{by}' id='{id}'"), "");
    let (to_bob, to_mallory) = (known.to_bob.as_str(), known.to_mallory.as_str());
    let retract = |id: &str| named("retract", "urn:xmpp:message-retract:1", id);
    let react = |id: &str| {
        let id = format!("id='{id}'");
        wrapped("reactions", "urn:xmpp:reactions:0", &id, "<reaction>!</reaction>")
    };
    let from_bob = known.from_bob.as_str();
    let mut spoofs = Vec::new();
    for by in [Mallory, Eve, Phone] {
        let says = |does: &str, content: &str| spoof(by, does, message(ALICE, content));
        spoofs.extend([
            says("has received what went to Bob", &receipt(to_bob)),
            says("has seen what went to Bob", &seen(to_bob)),
            spoof(by, "sends back what went to Bob", bounce(&known.full, to_bob)),
            says("takes back what Bob wrote", &retract(from_bob)),
            says("reacts in the chat with Bob", &react(from_bob)),
        ]);
    }
    // Its own chat may hold them: what begins with a fence is left out there.
    let writes = |does: &str, content: &str| {
        let content = format!("<body>fence of a spoof</body>{content}");
        spoof(Mallory, does, message(ALICE, &content))
    };
    let correct = |id: &str| named("replace", "urn:xmpp:message-correct:0", id);
    let origin = named("origin-id", "urn:xmpp:sid:0", &known.from_bob);
    spoofs.extend([
        writes("corrects what Bob wrote", &correct(&known.from_bob)),
        writes("corrects what Alice wrote to Bob", &correct(to_bob)),
        writes("uses the origin id of what Bob wrote", &origin),
        writes(
            "uses the archive id of what Bob wrote, as the account's",
            &stanza_id(ALICE, &known.archived),
        ),
        writes(
            "uses the archive id of what Bob wrote, as Bob's",
            &stanza_id(BOB, &known.archived),
        ),
    ]);
    let says = |does: &str, to: &str, content: &str| spoof(Bob, does, message(to, content));
    let other = receipt(&known.second_to_bob);
    spoofs.extend([
        says("has received what went to Mallory", ALICE, &receipt(to_mallory)),
        says("has seen what went to Mallory", ALICE, &seen(to_mallory)),
        says("has received what is Bob's own", ALICE, &receipt(from_bob)),
        says("has seen what is Bob's own", ALICE, &seen(from_bob)),
        spoof(Bob, "sends back what is Bob's own", bounce(&known.full, from_bob)),
        says("takes back what Alice wrote", ALICE, &retract(to_bob)),
        says(
            "reacts to what Alice wrote at the other account",
            ALICE,
            &react(&known.second_to_bob),
        ),
        spoof(
            Bob,
            "sends back what went to Mallory",
            bounce(&known.full, to_mallory),
        ),
        says("has received at one account what the other sent", ALICE, &other),
        says(
            "has received at the other account what the one sent",
            SECOND,
            &receipt(to_bob),
        ),
        spoof(
            Bob,
            "sends back at the other account what the one sent",
            bounce(SECOND, to_bob),
        ),
    ]);
    spoofs
}

struct Scene {
    server: Prosody,
    alice: Person,
    second: Value,
    peers: [Peer; 4],
    known: Known,
}

impl Scene {
    async fn set() -> Self {
        let server = Prosody::start_with_friends(&[ALICE, SECOND, BOB, MALLORY]).await;
        server.add_user(EVE, waxwing_tests::PASSWORD);
        let (mut alice, mut bob, mut mallory, eve) = tokio::join!(
            Person::sign_in(&server, ALICE),
            Peer::sign_in(&server, BOB),
            Peer::sign_in(&server, MALLORY),
            Peer::sign_in(&server, EVE),
        );
        let second = alice
            .sign_in_at(SECOND, server.direct_tls_port, Tls::Direct)
            .await;
        bob.ask("receipts", json!({ "automatic": false })).await;
        // Before another device of hers shows itself.
        let seen = mallory
            .event("Alice's presence", |e| {
                e["event"] == "presence"
                    && e["from"] == ALICE
                    && e["resource"].as_str().is_some_and(|r| !r.is_empty())
            })
            .await;
        let mut peers = [mallory, eve, bob, Peer::sign_in(&server, ALICE).await];
        peers[0].ask("receipts", json!({ "automatic": false })).await;
        let account = alice.account.clone();
        let mut ids = Vec::new();
        for (account, with) in [(&account, BOB), (&account, MALLORY), (&second, BOB)] {
            let chat = alice.open_plain_chat(account, with).await;
            let sent = alice.send(&chat, "honest").await;
            let sent = alice.delivery(&sent, "sent").await;
            ids.push(sent["origin_id"].as_str().expect("an id").to_owned());
        }
        let from_bob = peers[2].send(ALICE, "honest, and unread", "none").await;
        let heard = alice.hears("honest, and unread").await;
        let archived = heard["archive_id"].as_str().expect("it is archived").to_owned();
        let [to_bob, to_mallory, second_to_bob] = ids.try_into().expect("three");
        let full = format!("{ALICE}/{}", seen["resource"].as_str().unwrap_or_default());
        Self {
            server,
            alice,
            second,
            peers,
            known: Known {
                full,
                to_bob,
                to_mallory,
                second_to_bob,
                from_bob,
                archived,
            },
        }
    }

    /// All that the person can see, but for the fences that follow each spoof and the numbers that only ever rise.
    async fn seen(&mut self) -> Value {
        let mut seen = Vec::new();
        for account in [self.alice.account.clone(), self.second.clone()] {
            let of_account = json!({ "account": account });
            seen.push(self.alice.get("list_contacts", of_account.clone()).await);
            seen.push(self.alice.get("list_requests", of_account.clone()).await);
            for address in [ALICE, SECOND, BOB, EVE] {
                let params = json!({ "account": account, "address": address });
                seen.push(self.alice.get("list_devices", params).await);
            }
            let chats = self.alice.get("list_chats", of_account).await;
            for chat in items(&chats) {
                let messages = self.alice.messages(&chat["chat"]).await;
                let messages: Vec<Value> = messages
                    .into_iter()
                    .filter(|m| !m["body"].as_str().is_some_and(|body| body.starts_with("fence")))
                    .collect();
                if chat["address"] != MALLORY {
                    seen.push(chat.clone());
                }
                seen.push(json!({ "with": chat["address"], "messages": messages }));
            }
        }
        without_rev(json!(seen))
    }

    /// Says it, waits until it has reached Alice's program, and gives what it has done, if anything.
    async fn strike(&mut self, number: usize, spoof: &Spoof, before: &mut Value) -> Option<String> {
        let id = format!("spoof-{number}");
        let stanza = spoof.stanza.replace("{id}", &id);
        let passed = self.server.logged("Sending[c2s]");
        self.peers[spoof.by as usize].send_raw(&stanza).await;
        let server = &self.server;
        until("the server has passed it on", SHORT, async || {
            (server.logged("Sending[c2s]") > passed).then_some(())
        })
        .await;
        // What comes behind it over the same connections has come, so it has, too.
        let fence = format!("fence {number}");
        self.peers[Mallory as usize].send(ALICE, &fence, "none").await;
        self.alice.hears(&fence).await;
        let fence = format!("fence at the other {number}");
        self.peers[Mallory as usize].send(SECOND, &fence, "none").await;
        let second = self.second.clone();
        self.alice.message(&second, &fence).await;
        let after = self.seen().await;
        // The next one is held against this, so that each answers for itself.
        let before = std::mem::replace(before, after.clone());
        (after != before).then(|| format!("{}:\n  {before}\n  {after}", spoof.what))
    }
}

fn without_rev(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(without_rev).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(name, _)| name != "rev")
            .map(|(name, value)| (name, without_rev(value)))
            .collect(),
        other => other,
    }
}

#[tokio::test]
async fn what_is_claimed_without_the_right_to_changes_nothing_that_the_person_sees() {
    let mut scene = Scene::set().await;
    let spoofs: Vec<Spoof> = [
        copies(&scene.known),
        lists(&scene.known),
        of_messages(&scene.known),
    ]
    .into_iter()
    .flatten()
    .collect();
    // The chats with Mallory are there before.
    scene
        .strike(
            1_000,
            &spoof(Mallory, "says nothing", message(ALICE, "")),
            &mut Value::Null,
        )
        .await;
    let mut before = settled(&mut scene).await;
    let mut complaints = Vec::new();
    for (number, spoof) in spoofs.iter().enumerate() {
        complaints.extend(scene.strike(number, spoof, &mut before).await);
    }
    assert!(
        complaints.is_empty(),
        "{} of {}:\n{}",
        complaints.len(),
        spoofs.len(),
        complaints.join("\n")
    );
    // Else all of this would prove nothing.
    let receipt = format!("<received xmlns='{RECEIPTS}' id='{}'/>", scene.known.to_bob);
    let honest = spoof(Bob, "has received what went to Bob", message(ALICE, &receipt));
    assert!(
        scene.strike(2_000, &honest, &mut before).await.is_some(),
        "the right receipt changes nothing"
    );
}

/// A time that a live message claims, and who is said to vouch for it.
const CLAIMED: [(&str, &str); 6] = [
    ("1999-01-02T03:04:05Z", "from='waxwing.test'"),
    ("2001-09-09T01:46:40Z", "from='alice@waxwing.test'"),
    ("2020-02-29T12:00:00Z", ""),
    ("2099-12-31T23:59:59Z", "from='waxwing.test'"),
    ("2099-12-31T23:59:59Z", "from='alice@waxwing.test'"),
    ("9999-12-31T23:59:59Z", ""),
];

#[tokio::test]
async fn a_time_that_a_live_message_claims_neither_moves_it_nor_hides_it() {
    let server = Prosody::start_with_friends(&[ALICE, MALLORY]).await;
    server.add_user(EVE, waxwing_tests::PASSWORD);
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut peers = [
        Peer::sign_in(&server, MALLORY).await,
        Peer::sign_in(&server, EVE).await,
    ];
    let mut expected = Vec::new();
    for peer in &mut peers {
        let from = peer.address.clone();
        peer.send(ALICE, &format!("honest words of {from}"), "none").await;
        let first = alice.hears(&format!("honest words of {from}")).await;
        let chat = first["chat"].clone();
        let mut bodies = vec![first["body"].clone()];
        for (number, (stamp, by)) in CLAIMED.iter().enumerate() {
            let body = format!("{number} of {from}");
            let delay = format!("<delay xmlns='urn:xmpp:delay' {by} stamp='{stamp}'/>");
            let content = format!("<body>{body}</body>{delay}");
            let stanza = message(ALICE, &content).replace("{id}", &body);
            peer.send_raw(&stanza).await;
            let heard = alice.hears(&body).await;
            bodies.push(json!(body));
            let shown: Vec<Value> = alice.messages(&chat).await;
            let shown: Vec<Value> = shown.iter().map(|m| m["body"].clone()).collect();
            assert_eq!(shown, bodies, "in the order in which they came: {stamp} {by}");
            let chats = alice.get("list_chats", json!({})).await;
            let listed = &items(&chats)[0];
            assert_eq!(
                (&listed["chat"], &listed["last"]["body"], &listed["unread"]),
                (&chat, &json!(body), &json!(bodies.len())),
                "first in the list, last in the chat, and unread: {stamp} {by}"
            );
            let year = heard["sent_at"].as_str().and_then(|at| at.split('-').next());
            assert!(year < Some("2090"), "it is never of the future: {heard}");
        }
        expected.push((chat, bodies));
    }
    // Neither does the archive, which has the server's own time.
    alice.restart().await;
    alice
        .event("the archive has been read", |e| e["type"] == "caught_up")
        .await;
    for (chat, bodies) in expected {
        let shown: Vec<Value> = alice.messages(&chat).await;
        let shown: Vec<Value> = shown.iter().map(|m| m["body"].clone()).collect();
        assert_eq!(shown, bodies);
        let chats = alice.get("list_chats", json!({})).await;
        let listed = items(&chats).iter().find(|c| c["chat"] == chat);
        assert_eq!(listed.map(|c| &c["unread"]), Some(&json!(bodies.len())));
        // What was read stays read, and what comes next does not hide behind it.
        alice.get("mark_read", json!({ "chat": chat })).await;
        let chats = alice.get("list_chats", json!({})).await;
        let listed = items(&chats).iter().find(|c| c["chat"] == chat);
        assert_eq!(listed.map(|c| &c["unread"]), Some(&json!(0)));
    }
    for peer in &mut peers {
        let body = format!("unread of {}", peer.address);
        let past = "<delay xmlns='urn:xmpp:delay' from='waxwing.test' stamp='1999-01-02T03:04:05Z'/>";
        let content = format!("<body>{body}</body>{past}");
        let stanza = message(ALICE, &content).replace("{id}", "behind what was read");
        peer.send_raw(&stanza).await;
        let chat = alice.hears(&body).await["chat"].clone();
        let chats = alice.get("list_chats", json!({})).await;
        let listed = items(&chats).iter().find(|c| c["chat"] == chat);
        assert_eq!(listed.map(|c| &c["unread"]), Some(&json!(1)), "{body}");
    }
}

/// What the person sees once nothing moves any more.
async fn settled(scene: &mut Scene) -> Value {
    let begun = tokio::time::Instant::now();
    let mut before = scene.seen().await;
    while begun.elapsed() < LONG {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let now = scene.seen().await;
        if now == before {
            return now;
        }
        before = now;
    }
    panic!("it never settles")
}
