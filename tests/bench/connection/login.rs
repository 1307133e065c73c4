//! Round trips and time from the first attempt until the program can send, as it tells itself.

use std::time::Duration;

use serde_json::{Value, json};
use waxwing_tests::{Fault, LONG, PASSWORD, Profile, Prosody, Proxy, items, until};

use crate::program::Headless;
use crate::report::{self, Against, Line};

const ME: &str = "wren@waxwing.test";
const ROUND_TRIP: Duration = Duration::from_millis(100);
/// What the same classic login took with the XMPP library that Waxwing stands on, over the same way.
const CLASSIC_MS: f64 = 933.0;

/// A way to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// SASL, bind and stream management one after another, with the password.
    Classic,
    /// SASL2 with the password.
    Fresh,
    /// SASL2 with a token and a new session.
    Token,
    /// SASL2 with a token, and the session goes on.
    Resumed,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Classic, Self::Fresh, Self::Token, Self::Resumed];

    fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Fresh => "SASL2, fresh",
            Self::Token => "FAST",
            Self::Resumed => "FAST with resumption",
        }
    }

    /// What it shall not exceed.
    fn round_trips(self) -> Option<f64> {
        match self {
            Self::Classic => None,
            Self::Fresh => Some(4.0),
            Self::Token | Self::Resumed => Some(2.0),
        }
    }

    /// Whether a login was of this kind.
    fn is(self, facts: &Value) -> bool {
        let token = facts["mechanism"]
            .as_str()
            .is_some_and(|name| name.starts_with("HT-"));
        let found = (&facts["sasl2"], token, &facts["resumed"]);
        match self {
            Self::Classic => found == (&json!(false), false, &json!(false)),
            Self::Fresh => found == (&json!(true), false, &json!(false)),
            Self::Token => found == (&json!(true), true, &json!(false)),
            Self::Resumed => found == (&json!(true), true, &json!(true)),
        }
    }
}

/// What the logins of one kind took.
#[derive(Default)]
struct Taken {
    round_trips: Vec<f64>,
    milliseconds: Vec<f64>,
    how: String,
}

impl Taken {
    fn add(&mut self, kind: Kind, facts: &Value) {
        assert!(kind.is(facts), "this login is not {}: {facts}", kind.name());
        let figure = |name: &str| facts[name].as_f64().expect("a number");
        self.round_trips.push(figure("round_trips"));
        self.milliseconds.push(figure("took_ms"));
        let binding = facts["channel_binding"].as_str().unwrap_or("not bound");
        self.how = format!("{}, {binding}", facts["mechanism"].as_str().unwrap_or_default());
    }
}

/// Each kind of login so many times, and a table of it.
pub async fn logins(runs: usize) {
    let classic = Prosody::start(&[ME]).await;
    let modern = Prosody::modern(&[ME]).await;
    let mut taken: [Taken; 4] = Default::default();
    let [of_classic, of_fresh, of_token, of_resumed] = &mut taken;
    for (server, is_modern) in [(&classic, false), (&modern, true)] {
        let proxy = Proxy::slow(server.direct_tls_port, ROUND_TRIP).await;
        let profile = Profile::trusting(server);
        let mut program = Headless::start(&profile).await;
        let account = program.sign_in(ME, proxy.port).await;
        // A cut in the midst of a large stanza is another matter: this Prosody goes deaf by it.
        until("the own devices are published", LONG, async || {
            let published = |node| server.has_stored(node);
            let both = published("axolotl.devicelist") && published("omemo:2:devices");
            both.then_some(())
        })
        .await;
        for _ in 0..runs {
            switch(&mut program, &account, false).await;
            let password = json!({ "account": account, "password": PASSWORD });
            // A new password takes the token of the old one away, also if it is the same one.
            program.get("set_password", password).await;
            switch(&mut program, &account, true).await;
            if !is_modern {
                of_classic.add(Kind::Classic, &facts(&mut program, &account).await);
                continue;
            }
            of_fresh.add(Kind::Fresh, &facts(&mut program, &account).await);
            switch(&mut program, &account, false).await;
            switch(&mut program, &account, true).await;
            of_token.add(Kind::Token, &facts(&mut program, &account).await);
            proxy.set(Fault::Cut);
            state(&mut program, &account, "connecting").await;
            program.get("check_connections", json!({})).await;
            state(&mut program, &account, "online").await;
            of_resumed.add(Kind::Resumed, &facts(&mut program, &account).await);
        }
        program.stop().await;
    }
    let lines: Vec<Line> = Kind::ALL
        .into_iter()
        .zip(taken)
        .flat_map(|(kind, taken)| lines(kind, taken))
        .collect();
    report::print(
        "connection, login",
        "over a way of 100 ms there and back, direct TLS 1.3: waits for an answer from the opening of the stream until \
         messages can be sent, and milliseconds of all of it with TCP and TLS",
        &lines,
    );
}

fn lines(kind: Kind, taken: Taken) -> [Line; 2] {
    let target = |figure| Against {
        who: "no more than".to_owned(),
        figure,
        allowance: 0.0,
    };
    let name = kind.name();
    [
        Line::less(
            format!("{name}: round trips"),
            "",
            taken.round_trips,
            kind.round_trips().map(target).into_iter().collect(),
        ),
        Line::less(
            format!("{name} ({})", taken.how),
            "ms",
            taken.milliseconds,
            vec![Against::peer("tokio-xmpp, classic", CLASSIC_MS)],
        ),
    ]
}

async fn switch(program: &mut Headless, account: &Value, enabled: bool) {
    let params = json!({ "account": account, "enabled": enabled });
    program.get("set_account_enabled", params).await;
    let wanted = if enabled { "online" } else { "offline" };
    state(program, account, wanted).await;
}

async fn facts(program: &mut Headless, account: &Value) -> Value {
    let mut report = program
        .get("connection_report", json!({ "account": account }))
        .await;
    report["connection"].take()
}

async fn state(program: &mut Headless, account: &Value, state: &str) {
    program
        .until("list_accounts", json!({}), |list| {
            items(list)
                .iter()
                .any(|a| a["account"] == *account && a["state"] == state)
        })
        .await;
}
