//! Many accounts, each with a network of its own that goes away and comes back: when that is noticed, and when the
//! account is online again.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use waxwing_tests::{Draws, Fault, Headless, Profile, Prosody, Proxy, Tls};

use crate::report::{self, Spread};

const ACCOUNTS: usize = 80;
/// With the same seed the outages are the same ones.
const SEED: u64 = 20_240_611;
/// After so long online the program takes the next failure for the first one.
const SETTLED: Duration = Duration::from_secs(62);
/// Within this a link that has not been given up is found to have survived.
const SURVIVED: Duration = Duration::from_secs(15);
/// A figure that takes longer is none.
const HOPELESS: Duration = Duration::from_secs(150);

/// How the network goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// The connection is reset; the network is there.
    Cut,
    /// Connections are reset and refused.
    Refused,
    /// Nothing comes back, and nothing is being sent.
    SilentIdle,
    /// Nothing comes back, and a message is written right after that.
    SilentSent,
    /// Nothing comes back for a few seconds only.
    SilentShort,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Cut,
        Self::Refused,
        Self::SilentIdle,
        Self::SilentSent,
        Self::SilentShort,
    ];

    fn fault(self) -> Fault {
        match self {
            Self::Cut => Fault::Cut,
            Self::Refused => Fault::Refuse,
            Self::SilentIdle | Self::SilentSent | Self::SilentShort => Fault::Silence,
        }
    }

    /// How long the network is away: seconds, any length within the span as likely as twice that length.
    fn lasts(self, draw: f64) -> Duration {
        let (least, most): (f64, f64) = match self {
            Self::Cut => return Duration::ZERO,
            Self::Refused => (0.5, 60.0),
            Self::SilentIdle => (41.0, 60.0),
            Self::SilentSent => (13.0, 60.0),
            Self::SilentShort => (0.5, 12.0),
        };
        Duration::from_secs_f64(least * (most / least).powf(draw))
    }
}

/// What became of one outage.
struct Outage {
    kind: Kind,
    /// From the fault, or from the message that was written, until the program said so.
    noticed: Option<Duration>,
    /// From the return of the network until the account was online; none if it had been all the time.
    back: Option<Duration>,
}

/// An account's change of state.
#[derive(Clone, Copy, Debug)]
struct Change {
    online: bool,
    at: Instant,
}

/// One account and its network.
struct Subject {
    proxy: Proxy,
    changes: mpsc::UnboundedReceiver<Change>,
    chat: Value,
    /// Chats in which somebody writes a message.
    write: mpsc::UnboundedSender<Value>,
    draws: Draws,
}

/// Outages for so many seconds, and a table of them.
pub async fn outages(seconds: u64) {
    let addresses: Vec<String> = (0..ACCOUNTS).map(|n| format!("wren-{n}@waxwing.test")).collect();
    let mut all: Vec<&str> = addresses.iter().map(String::as_str).collect();
    all.push("heron@waxwing.test");
    let server = Prosody::start(&all).await;
    let mut profile = Profile::trusting(&server);
    profile.log_only("error");
    let mut program = profile.start().await;
    let (write, written) = mpsc::unbounded_channel();
    let mut subjects = Vec::new();
    let mut listeners = HashMap::new();
    for (address, number) in addresses.iter().zip(0..) {
        let proxy = Proxy::to(server.direct_tls_port).await;
        let account = program.sign_in_at(address, proxy.port, Tls::Direct).await;
        let chat = program.open_plain_chat(&account, "heron@waxwing.test").await;
        let (listener, changes) = mpsc::unbounded_channel();
        listeners.insert(account.to_string(), listener);
        subjects.push(Subject {
            proxy,
            changes,
            chat,
            write: write.clone(),
            draws: Draws::of(SEED + number),
        });
    }
    program.forget_events();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut suffering = JoinSet::new();
    for subject in subjects {
        suffering.spawn(subject.suffer(end));
    }
    let mut outages = Vec::new();
    let mut telling = Box::pin(tell(program, listeners, written));
    while let Some(done) = tokio::select! {
        done = suffering.join_next() => done,
        () = &mut telling => panic!("the program has ended"),
    } {
        outages.extend(done.expect("a figure for each outage"));
    }
    print(seconds, &outages);
}

/// Passes on what the program says about its accounts, and writes messages.
async fn tell(
    mut program: Headless,
    listeners: HashMap<String, mpsc::UnboundedSender<Change>>,
    mut written: mpsc::UnboundedReceiver<Value>,
) {
    let changed = |event: &Value| event["type"] == "account_changed";
    loop {
        tokio::select! {
            event = program.event_within(changed, HOPELESS * 2) => {
                let Some(event) = event else { return };
                let account = &event["account"];
                if let Some(listener) = listeners.get(&account["account"].to_string()) {
                    let change = Change { online: account["state"] == "online", at: Instant::now() };
                    // Who has had all its outages listens no more.
                    let _ = listener.send(change);
                }
            }
            Some(chat) = written.recv() => {
                program.send(&chat, "is anybody there?").await;
            }
        }
    }
}

impl Subject {
    /// One outage after another until the end, each after a while of peace.
    async fn suffer(mut self, end: Instant) -> Vec<Outage> {
        let mut outages = Vec::new();
        // So that not everybody suffers at the same time.
        sleep(SETTLED.mul_f64(self.draws.unit())).await;
        let first = self.draws.unit();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 4")]
        let first = (first * 5.0) as usize;
        for kind in Kind::ALL.into_iter().cycle().skip(first) {
            let lasts = kind.lasts(self.draws.unit());
            if Instant::now() + lasts > end {
                break;
            }
            outages.push(self.suffer_once(kind, lasts).await);
            sleep(SETTLED).await;
        }
        outages
    }

    async fn suffer_once(&mut self, kind: Kind, lasts: Duration) -> Outage {
        while self.changes.try_recv().is_ok() {}
        self.proxy.set(kind.fault());
        let begun = Instant::now();
        if kind == Kind::SilentSent {
            self.write.send(self.chat.clone()).expect("the program is told");
        }
        let returns = begun + lasts;
        let mut lost = tokio::select! {
            lost = self.becomes(false) => Some(lost),
            () = sleep_until(returns), if kind != Kind::Cut => None,
        };
        let noticed = lost.map(|lost| lost - begun);
        sleep_until(returns).await;
        self.proxy.set(Fault::Pass);
        if lost.is_none() {
            lost = timeout(SURVIVED, self.becomes(false)).await.ok();
        }
        let back = if lost.is_some() {
            let online = timeout(HOPELESS, self.becomes(true)).await;
            Some(online.map_or(HOPELESS, |online| online.saturating_duration_since(returns)))
        } else {
            None
        };
        Outage { kind, noticed, back }
    }

    async fn becomes(&mut self, online: bool) -> Instant {
        loop {
            let change = self.changes.recv().await.expect("the program lives");
            if change.online == online {
                return change.at;
            }
        }
    }
}

fn print(seconds: u64, outages: &[Outage]) {
    let noticed = |kinds: &[Kind]| figures(outages, kinds, |outage| outage.noticed);
    let back = |kinds: &[Kind]| figures(outages, kinds, |outage| outage.back);
    let survived = outages.iter().filter(|outage| outage.back.is_none()).count();
    report::print_spread(
        "connection, outages",
        &format!(
            "{ACCOUNTS} accounts in one program, each behind a network of its own, {} outages within {seconds} s; \
             {survived} were over before anybody noticed",
            outages.len()
        ),
        &[
            Spread::new("noticed: reset", noticed(&[Kind::Cut, Kind::Refused]), None),
            Spread::new(
                "noticed: silence after a message",
                noticed(&[Kind::SilentSent]),
                Some(12.0),
            ),
            Spread::new(
                "noticed: silence while idle",
                noticed(&[Kind::SilentIdle]),
                Some(40.0),
            ),
            Spread::new("back: reset, the network is there", back(&[Kind::Cut]), Some(3.0)),
            Spread::new("back: refused for 0.5 to 60 s", back(&[Kind::Refused]), Some(3.0)),
            Spread::new(
                "back: silent for 0.5 to 60 s",
                back(&[Kind::SilentIdle, Kind::SilentSent, Kind::SilentShort]),
                Some(3.0),
            ),
            Spread::new("back: all", back(&Kind::ALL), Some(3.0)),
        ],
    );
}

fn figures(outages: &[Outage], kinds: &[Kind], of: impl Fn(&Outage) -> Option<Duration>) -> Vec<f64> {
    let outages = outages.iter().filter(|outage| kinds.contains(&outage.kind));
    outages
        .filter_map(of)
        .map(|figure| figure.as_secs_f64())
        .collect()
}
