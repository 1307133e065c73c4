//! A program that was killed goes on with its session (XEP-0198 §5): nothing is lost, nothing comes twice, and its
//! contacts never saw it leave.

use serde_json::{Value, json};
use waxwing_tests::{Fault, LONG, Peer, Person, Prosody, Proxy, Tls, items};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";
/// What Prosody logs of each session that goes on.
const RESUMED: &str = "resuming existing session";

/// Alice behind a proxy that can stall, and Bob, a foreign client among her contacts.
struct Scene {
    server: Prosody,
    proxy: Proxy,
    alice: Person,
    bob: Peer,
    chat: Value,
}

impl Scene {
    async fn set() -> Self {
        let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
        let proxy = Proxy::to(server.direct_tls_port).await;
        let mut alice = Person::sign_in_at(&server, ALICE, proxy.port, Tls::Direct).await;
        let bob = Peer::sign_in(&server, BOB).await;
        let chat = alice.plain_chat_with(BOB).await;
        alice
            .sees(BOB, "Bob online", |c| c["presence"] == "available")
            .await;
        Self {
            server,
            proxy,
            alice,
            bob,
            chat,
        }
    }

    /// What the program tells of its connection.
    async fn connection(&mut self) -> Value {
        let account = self.alice.account.clone();
        let report = self
            .alice
            .get("connection_report", json!({ "account": account }))
            .await;
        report["connection"].clone()
    }

    /// Waits until the server answers in a session: Prosody is deaf in one that it took up after a kill that cut a stanza
    /// in two, and then there will be a new one.
    async fn answered(&mut self) {
        let account = json!({ "account": self.alice.account });
        self.alice
            .until("the server answers", "connection_report", account, |report| {
                !items(&report["features"]).is_empty()
            })
            .await;
    }

    /// How often Bob's client has seen Alice go.
    fn departures(&self) -> usize {
        let gone = |e: &&Value| e["event"] == "presence" && e["from"] == ALICE && e["presence"] == "offline";
        self.bob.events().iter().filter(gone).count()
    }

    async fn bodies(&mut self) -> Vec<String> {
        let chat = self.chat.clone();
        let messages = self.alice.messages(&chat).await;
        messages
            .iter()
            .map(|m| m["body"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn a_killed_program_goes_on_with_its_session_and_nobody_sees_it_leave() {
    let mut scene = Scene::set().await;
    let before = scene.connection().await;
    assert_eq!(
        (&before["resumed"], &before["resumable"]),
        (&json!(false), &json!(true))
    );
    for round in 0..3 {
        scene.alice.kill().await;
        let meanwhile = format!("written while Alice was away, {round}");
        scene.bob.send(ALICE, &meanwhile, "none").await;
        scene.alice.start_again().await;
        scene.alice.wait_online().await;
        scene.alice.hears(&meanwhile).await;
        let after = scene.connection().await;
        assert_eq!(after["resumed"], json!(true), "round {round}");
        assert_eq!(after["resource"], before["resource"]);
        // The server does not say again who is there.
        scene
            .alice
            .sees(BOB, "Bob online", |c| c["presence"] == "available")
            .await;
        let answer = format!("answer {round}");
        let chat = scene.chat.clone();
        scene.alice.send(&chat, &answer).await;
        scene.bob.message(&answer).await;
    }
    assert_eq!(scene.departures(), 0);
    let mut expected = Vec::new();
    for round in 0..3 {
        expected.push(format!("written while Alice was away, {round}"));
        expected.push(format!("answer {round}"));
    }
    assert_eq!(scene.bodies().await, expected);
}

#[tokio::test]
async fn what_was_sent_and_not_acknowledged_goes_out_once_after_the_program_was_killed() {
    let mut scene = Scene::set().await;
    let chat = scene.chat.clone();
    let mut written = Vec::new();
    for (round, fault) in [
        Fault::Stall,
        Fault::CutAfter(700),
        Fault::CutAfter(2_500),
        Fault::Pass,
    ]
    .into_iter()
    .enumerate()
    {
        scene.proxy.set(fault);
        for line in 0..6 {
            let body = format!("round {round}, line {line}");
            scene.alice.send(&chat, &body).await;
            written.push(body);
        }
        scene.alice.kill().await;
        scene.proxy.set(Fault::Cut);
        scene.proxy.set(Fault::Pass);
        scene.alice.start_again().await;
        scene.alice.wait_online().await;
        assert_eq!(scene.connection().await["resumed"], json!(true), "round {round}");
        for body in written.iter().skip(round * 6) {
            assert_eq!(scene.bob.next_message().await["body"], json!(body), "in order");
        }
    }
    // Whatever came twice came before this.
    scene.alice.send(&chat, "the end").await;
    assert_eq!(
        scene.bob.next_message().await["body"],
        json!("the end"),
        "each once"
    );
    written.push("the end".to_owned());
    assert_eq!(scene.bodies().await, written);
}

#[tokio::test]
async fn a_program_that_ended_in_order_begins_anew() {
    let mut scene = Scene::set().await;
    scene.alice.restart().await;
    assert_eq!(scene.connection().await["resumed"], json!(false));
    scene
        .bob
        .event("Alice leaving", |e| {
            e["event"] == "presence" && e["from"] == ALICE && e["presence"] == "offline"
        })
        .await;
}

#[tokio::test]
async fn a_session_that_the_server_lost_begins_anew_and_loses_nothing() {
    let mut scene = Scene::set().await;
    let chat = scene.chat.clone();
    scene.proxy.set(Fault::Stall);
    for line in 0..5 {
        scene.alice.send(&chat, &format!("line {line}")).await;
    }
    scene.alice.kill().await;
    scene.server.kill().await;
    scene.proxy.set(Fault::Cut);
    scene.proxy.set(Fault::Pass);
    scene.server.start_again().await;
    scene.bob.restart().await;
    scene.alice.start_again().await;
    scene.alice.wait_online().await;
    assert_eq!(scene.connection().await["resumed"], json!(false));
    for line in 0..5 {
        let heard = scene.bob.next_message().await;
        assert_eq!(heard["body"], json!(format!("line {line}")));
    }
}

#[tokio::test]
async fn a_server_that_no_longer_hears_in_a_resumed_session_gets_a_new_one_and_nothing_is_lost_or_doubled() {
    let mut scene = Scene::set().await;
    let chat = scene.chat.clone();
    // Two records of TLS and a bit: Prosody gets the beginning, and takes all that comes in the resumed session for
    // its continuation.
    let long = format!("long {}", "x".repeat(40_000));
    let connections = scene.proxy.connections();
    scene.proxy.set(Fault::CutAfter(20_000));
    scene.alice.send(&chat, &long).await;
    assert!(scene.proxy.more_connections_than(connections, LONG).await);
    scene.proxy.set(Fault::Pass);
    scene.bob.send(ALICE, "into the deaf session", "none").await;
    scene.alice.hears("into the deaf session").await;
    assert_eq!(scene.server.logged(RESUMED), 1, "what this is about");
    assert_eq!(scene.bob.next_message().await["body"], json!(long));
    let report = scene.connection().await;
    assert_eq!(report["resumed"], json!(false));
    // The cut one, the deaf one, the new one.
    assert_eq!(scene.proxy.connections(), connections + 2);
    scene.bob.send(ALICE, "do you hear me", "none").await;
    scene.alice.hears("do you hear me").await;
    scene.alice.send(&chat, "yes").await;
    assert_eq!(scene.bob.next_message().await["body"], json!("yes"), "each once");
    let bodies = scene.bodies().await;
    // Shortened, for whoever reads that this fails.
    let bodies: Vec<&str> = bodies.iter().map(|body| &body[..body.len().min(30)]).collect();
    assert_eq!(
        bodies,
        [&long[..30], "into the deaf session", "do you hear me", "yes"]
    );
}

#[tokio::test]
async fn killed_in_the_midst_of_a_stream_of_messages_it_has_each_of_them_once() {
    const MESSAGES: usize = 40;
    let mut scene = Scene::set().await;
    let mut written = Vec::new();
    for round in 0..3 {
        scene.answered().await;
        for number in 0..MESSAGES {
            let body = format!("round {round}, line {number}");
            scene.bob.send(ALICE, &body, "none").await;
            written.push(body);
        }
        // Some are stored by now and some are on their way.
        scene.alice.kill().await;
        scene.alice.start_again().await;
        scene.alice.wait_online().await;
        // What is told of the connection may be of a later one.
        assert!(scene.server.logged(RESUMED) > round, "round {round}");
    }
    scene.bob.send(ALICE, "the end", "none").await;
    written.push("the end".to_owned());
    scene.alice.hears("the end").await;
    assert_eq!(scene.bodies().await, written);
}
