//! How fast messages are received: until they are stored, and until the sender has been told.

use serde_json::{Value, json};
use waxwing_tests::{Profile, Prosody};

use crate::encrypted::Device;
use crate::program::Headless;
use crate::report::{Against, Line};
use crate::sender::Sender;
use crate::{machine, report};

const ME: &str = "wren@waxwing.test";
const FRIEND: &str = "heron@waxwing.test";
const ENCRYPTING_FRIEND: &str = "egret@waxwing.test";
/// An account that counts what it gets and does nothing else.
const COUNTER: &str = "counter@waxwing.test";
/// How many encrypted messages at most.
const ENCRYPTED: usize = 300;
const ROUNDS: usize = 3;

/// What one round took, in seconds from just before the first byte was sent.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// Until the last message was in the store.
    stored: f64,
    /// Until the last receipt was at the sender.
    acknowledged: f64,
    /// Processor time of the program.
    processor: f64,
}

/// Plain messages, and encrypted ones.
pub async fn receive(messages: usize) {
    let server = Prosody::start_with_friends(&[ME, FRIEND, ENCRYPTING_FRIEND, COUNTER]).await;
    let profile = Profile::trusting(&server);
    let mut headless = Headless::start(&profile).await;
    let account = headless.sign_in(ME, server.direct_tls_port).await;
    let mut friend = Sender::sign_in(&server, FRIEND).await;
    let mut secretive = Sender::sign_in(&server, ENCRYPTING_FRIEND).await;
    let mut counter = Sender::sign_in(&server, COUNTER).await;
    let mut device = Device::acquainted_with(&mut secretive, ME).await;

    let (mut floor, mut plain, mut encrypted) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..ROUNDS {
        let bodies = bodies("plain", number, messages);
        let stanzas = bodies
            .iter()
            .enumerate()
            .map(|(id, body)| stanza(COUNTER, number, id, &format!("<body>{body}</body>")));
        floor.push(counted(&mut friend, &mut counter, stanzas.collect()).await);
        let stanzas = bodies
            .iter()
            .enumerate()
            .map(|(id, body)| stanza(ME, number, id, &format!("<body>{body}</body>")));
        let stanzas = stanzas.collect();
        plain.push(
            round(
                &mut headless,
                &account,
                (&mut friend, FRIEND),
                stanzas,
                &bodies,
                "none",
            )
            .await,
        );

        let bodies = self::bodies("encrypted", number, messages.min(ENCRYPTED));
        let stanzas = bodies
            .iter()
            .enumerate()
            .map(|(id, body)| stanza(ME, number, id, &device.encrypt(body)));
        let stanzas = stanzas.collect();
        let sender = (&mut secretive, ENCRYPTING_FRIEND);
        encrypted.push(round(&mut headless, &account, sender, stanzas, &bodies, "omemo1").await);
    }
    headless.stop().await;
    print(messages, &floor, &plain, &encrypted);
}

#[allow(clippy::cast_precision_loss, reason = "a few thousand messages")]
fn print(messages: usize, floor: &[f64], plain: &[Round], encrypted: &[Round]) {
    let column = |rounds: &[Round], of: fn(&Round) -> f64| rounds.iter().map(of).collect::<Vec<f64>>();
    let scaled = |dino: f64, gajim: f64, share: f64| {
        vec![
            Against::peer("Dino", dino * share),
            Against::peer("Gajim", gajim * share),
        ]
    };
    let secret = messages.min(ENCRYPTED);
    let share = messages as f64 / 5_000.0;
    let secret_share = secret as f64 / 300.0;
    let rate = column(plain, |r| r.stored)
        .into_iter()
        .map(|seconds| messages as f64 / seconds);
    let counter = Against {
        who: "a client that only counts".to_owned(),
        figure: report::median(floor),
        allowance: 0.0,
    };
    let mut stored = scaled(28.7, 8.0, share);
    stored.push(counter);
    report::print(
        "receive",
        "live messages from one contact through a Prosody that archives them, from the first byte sent to the last \
         message in the list of the headless program, and to the last receipt at the sender",
        &[
            Line::less(
                format!("{messages} plain: stored"),
                "s",
                column(plain, |r| r.stored),
                stored,
            ),
            Line::less(
                format!("{messages} plain: stored and acknowledged"),
                "s",
                column(plain, |r| r.acknowledged),
                scaled(28.7, 8.0, share),
            ),
            Line::more("plain: stored a second", "1/s", rate.collect()),
            Line::less(
                format!("{messages} plain: processor time"),
                "s",
                column(plain, |r| r.processor),
                scaled(30.0, 5.8, share),
            ),
            Line::less(
                format!("{secret} encrypted (legacy): stored"),
                "s",
                column(encrypted, |r| r.stored),
                scaled(10.0, 5.2, secret_share),
            ),
            Line::less(
                format!("{secret} encrypted (legacy): acknowledged"),
                "s",
                column(encrypted, |r| r.acknowledged),
                scaled(10.0, 5.2, secret_share),
            ),
            Line::less(
                format!("{secret} encrypted (legacy): processor time"),
                "s",
                column(encrypted, |r| r.processor),
                scaled(12.7, 3.5, secret_share),
            ),
        ],
    );
}

/// What somebody says in a round.
pub fn bodies(kind: &str, round: usize, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{kind} message {number} of round {round}"))
        .collect()
}

/// A message that asks for a receipt.
pub fn stanza(to: &str, round: usize, number: usize, content: &str) -> String {
    let id = format!("m-{round}-{number}");
    format!(
        "<message to='{to}' type='chat' id='{id}'>{content}<request xmlns='urn:xmpp:receipts'/>\
         <origin-id xmlns='urn:xmpp:sid:0' id='{id}'/></message>"
    )
}

/// Seconds until an account that does nothing else has got the stanzas: what the server needs.
async fn counted(friend: &mut Sender, counter: &mut Sender, stanzas: Vec<String>) -> f64 {
    counter.skip();
    let count = stanzas.len();
    let begun = friend.write_all(stanzas).await;
    (counter.expect_all("<body>", count).await - begun) / 1_000.0
}

/// Sends the stanzas and waits until they are stored and acknowledged.
async fn round(
    headless: &mut Headless,
    account: &Value,
    (friend, address): (&mut Sender, &str),
    stanzas: Vec<String>,
    bodies: &[String],
    encryption: &str,
) -> Round {
    let chat = headless
        .get("open_chat", json!({ "account": account, "address": address }))
        .await["chat"]
        .clone();
    headless.get("mark_read", json!({ "chat": chat })).await;
    headless.forget();
    friend.skip();
    let before = machine::processor_time(headless.process());
    let begun = friend.write_all(stanzas).await;
    let stored = headless.unread(&chat, bodies.len()).await;
    let acknowledged = friend.expect_all("urn:xmpp:receipts", bodies.len()).await;
    let processor = machine::processor_time(headless.process()) - before;
    let found = headless.newest(&chat, bodies.len()).await;
    for (message, body) in found.iter().zip(bodies) {
        assert!(
            message["body"] == *body && message["encryption"] == encryption,
            "instead of {body:?} there is {message}"
        );
    }
    assert_eq!(found.len(), bodies.len(), "messages are missing");
    Round {
        stored: (stored - begun) / 1_000.0,
        acknowledged: (acknowledged - begun) / 1_000.0,
        processor,
    }
}
