//! The run itself: everybody writes, everything breaks, everybody comes back.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::crew::Member;
use super::histories::Histories;
use super::outcome::Outcome;
use super::plan::{Line, Options, Plan, Rest, Strike, Stroke, Whom};
use super::{ALICE, FRIENDS, Progress, copy};
use crate::{Fault, Prosody, root};

/// Somebody who is not back by then is told of, and it goes on without them.
const PATIENCE: Duration = Duration::from_mins(1);
/// What has not arrived at the end, while nothing moved for so long, will not arrive: a dead link is noticed and
/// replaced sooner than that.
const STILL: Duration = Duration::from_mins(1);
/// Between two looks at something that sends no event.
const GLANCE: Duration = Duration::from_millis(50);
/// Between two nudges of somebody who does not come online.
const NUDGE: Duration = Duration::from_secs(3);

pub(super) struct Scene<'a> {
    options: &'a Options,
    plan: &'a Plan,
    encrypted: &'static [bool],
    server: Prosody,
    /// Alice, Bob and Alice's second device.
    crew: [Member; 3],
    /// Before the message of this number the server is started again.
    server_back: Option<usize>,
    /// Before the message of this number they are started again.
    back: [Option<usize>; 3],
    /// The message whose writer was killed while it was being written.
    in_midst: Option<usize>,
    /// All up to here is written.
    written: usize,
    faults: BTreeMap<&'static str, usize>,
    kills: usize,
    /// What was waited for in vain.
    troubles: Vec<String>,
    begun: Instant,
    /// What happened when, for whoever looks into a failure.
    story: String,
    /// Nothing is to be kept any more, or all of it was.
    pub(super) over: bool,
}

impl<'a> Scene<'a> {
    pub(super) async fn set(options: &'a Options, plan: &'a Plan) -> Self {
        let encrypted = options.encryption.talks();
        let friends = &FRIENDS[..encrypted.len()];
        let everybody: Vec<&str> = std::iter::once(ALICE).chain(friends.iter().copied()).collect();
        let server = Prosody::for_long_talks(options.modern, &everybody).await;
        let mut alice = Member::sign_in("alice", &server, &[ALICE]).await;
        let mut third = Member::sign_in("third", &server, &[ALICE]).await;
        let mut bob = Member::sign_in("bob", &server, friends).await;
        for ((talk, friend), encrypted) in friends.iter().enumerate().zip(encrypted.iter().copied()) {
            alice.open_chat(0, friend, encrypted).await;
            third.open_chat(0, friend, encrypted).await;
            bob.open_chat(talk, ALICE, encrypted).await;
            if encrypted {
                alice.knows_devices(0, ALICE, 2).await;
                bob.knows_devices(talk, ALICE, 2).await;
                alice.is_locked(talk).await;
                bob.is_locked(talk).await;
            }
        }
        Self {
            options,
            plan,
            encrypted,
            server,
            crew: [alice, bob, third],
            server_back: None,
            back: [None; 3],
            in_midst: None,
            written: 0,
            faults: BTreeMap::new(),
            kills: 0,
            troubles: Vec::new(),
            begun: Instant::now(),
            story: String::new(),
            over: false,
        }
    }

    fn member(&mut self, whom: Whom) -> &mut Member {
        &mut self.crew[whom.place()]
    }

    fn note(&mut self, what: &str) {
        let now = std::time::SystemTime::now();
        let clock = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        writeln!(
            self.story,
            "{:.3} +{:.3} message {}: {what}",
            clock.as_secs_f64(),
            self.begun.elapsed().as_secs_f64(),
            self.written
        )
        .expect("text can be written to");
    }

    /// All messages and all strikes.
    pub(super) async fn play(&mut self, tell: &mut impl FnMut(Progress)) {
        let mut strokes = self.plan.strokes.iter().peekable();
        let mut struck = 0;
        for number in 0..self.plan.lines.len() {
            if let Some(stroke) = strokes.peek().filter(|stroke| stroke.rest_at == number) {
                self.rest(stroke).await;
            }
            self.write(number).await;
            while let Some(stroke) = strokes.next_if(|stroke| stroke.at == number) {
                self.strike(stroke.strike, number).await;
                struck += 1;
            }
            tell(Progress {
                messages: self.written,
                faults: struck,
                elapsed: self.begun.elapsed(),
            });
        }
    }

    /// Writes the message of this number, if it was not yet, after all have come back who are due.
    async fn write(&mut self, number: usize) {
        if self.server_back.is_some_and(|back| back <= number) {
            self.server_comes_back().await;
        }
        for whom in Whom::ALL {
            if self.back[whom.place()].is_some_and(|back| back <= number) {
                self.comes_back(whom).await;
            }
        }
        let line = &self.plan.lines[number];
        self.comes_back(line.writer).await;
        if number >= self.written {
            self.member(line.writer).write(line.talk, &line.body).await;
            self.written = number + 1;
        }
    }

    async fn server_comes_back(&mut self) {
        if self.server_back.take().is_some() {
            self.server.start_again().await;
            self.note("the server is back");
        }
    }

    async fn comes_back(&mut self, whom: Whom) {
        self.back[whom.place()] = None;
        if !self.member(whom).start_again().await {
            return;
        }
        self.note(&format!("{whom:?} is back"));
        let midst = self
            .in_midst
            .filter(|number| self.plan.lines[*number].writer == whom);
        if let Some(number) = midst {
            self.in_midst = None;
            let line = &self.plan.lines[number];
            // Nobody was told that it was written, so it need not be; but if it is, it is.
            let newest = self.member(whom).newest(line.talk, 50).await;
            let stored = newest.iter().any(|message| message["body"] == line.body.as_str());
            self.note(&format!(
                "the message {number} {}",
                if stored { "was stored" } else { "was not stored" }
            ));
            if stored {
                self.written = self.written.max(number + 1);
            }
        }
    }

    async fn strike(&mut self, strike: Strike, number: usize) {
        if strike.is_of_server() {
            self.server_comes_back().await;
        }
        self.note(&strike.to_string());
        *self.faults.entry(strike.kind()).or_default() += 1;
        self.kills += usize::from(strike.is_kill());
        let back = |away: usize| Some(number + 1 + away);
        match strike {
            Strike::Network(whom, fault, millis) => {
                let duration = Duration::from_millis(millis);
                self.member(whom).proxy.set_for(fault, duration);
            }
            Strike::Kill(whom, away) => {
                self.comes_back(whom).await;
                self.member(whom).kill().await;
                self.back[whom.place()] = back(away);
            }
            Strike::KillInMidst(whom, millis) => {
                self.comes_back(whom).await;
                self.begin_next(whom, number + 1).await;
                // Some milliseconds are anywhere between nothing and the first byte on the wire.
                tokio::time::sleep(Duration::from_millis(millis)).await;
                self.member(whom).kill().await;
                self.back[whom.place()] = back(0);
            }
            Strike::End(whom, away) => {
                self.comes_back(whom).await;
                self.member(whom).end().await;
                self.back[whom.place()] = back(away);
            }
            Strike::KillServer(away) => {
                self.server.crash().await;
                self.server_back = back(away);
            }
            Strike::StopServer(away) => {
                self.server.stop().await;
                self.server_back = back(away);
            }
        }
    }

    /// Has the next message written by whom it is of, without waiting for it.
    async fn begin_next(&mut self, whom: Whom, number: usize) {
        let Some(line) = self.plan.lines.get(number).filter(|line| line.writer == whom) else {
            return;
        };
        self.in_midst = Some(number);
        self.member(whom).begin_to_write(line.talk, &line.body).await;
    }

    /// Waits for what is to be waited for before the next stroke.
    async fn rest(&mut self, stroke: &Stroke) {
        if stroke.rest == Rest::None {
            return;
        }
        self.all_are_there().await;
        self.all_online(PATIENCE).await;
        if stroke.rest == Rest::Settled {
            self.settled().await;
        }
    }

    /// Ends what lasts but the faults of networks, which end by themselves.
    async fn all_are_there(&mut self) {
        self.server_comes_back().await;
        for whom in Whom::ALL {
            self.comes_back(whom).await;
        }
    }

    /// Waits until the networks pass and all are online.
    async fn all_online(&mut self, limit: Duration) {
        let until = Instant::now() + limit;
        for place in 0..self.crew.len() {
            let member = &mut self.crew[place];
            let mut nudge = Instant::now();
            let state = loop {
                let passes = member.proxy.fault() == Fault::Pass;
                if passes && nudge <= Instant::now() {
                    member.nudge().await;
                    nudge = Instant::now() + NUDGE;
                }
                match member.is_online().await {
                    Ok(()) if passes => break None,
                    Err(state) if Instant::now() > until => break Some(state),
                    _ => tokio::time::sleep(GLANCE).await,
                }
            };
            if let Some(state) = state {
                let name = member.name;
                let trouble = format!("{name} was not online within {limit:?}: {state}");
                self.note(&trouble);
                self.troubles.push(trouble);
            }
        }
    }

    /// Waits until the last message of each talk and each writer is with everybody.
    async fn settled(&mut self) {
        let until = Instant::now() + PATIENCE;
        let mut nudge = Instant::now();
        loop {
            let Some(missing) = self.missing().await else {
                return;
            };
            if Instant::now() > until {
                let trouble = format!("before the message {}: {missing} for {PATIENCE:?}", self.written);
                self.note(&trouble);
                self.troubles.push(trouble);
                return;
            }
            if nudge <= Instant::now() {
                for member in &mut self.crew {
                    member.nudge().await;
                }
                nudge = Instant::now() + NUDGE;
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Whose message has not arrived where, if there is one.
    async fn missing(&mut self) -> Option<String> {
        for talk in 0..self.encrypted.len() {
            for (writer, reader) in [(Whom::Alice, Whom::Bob), (Whom::Bob, Whom::Alice)] {
                let of = |line: &&Line| line.writer == writer && line.talk == talk;
                let lines = self.plan.lines.get(..self.written).unwrap_or_default();
                let Some(line) = lines.iter().rev().find(of) else {
                    continue;
                };
                for reader in [reader, Whom::Third] {
                    let newest = self.member(reader).newest(talk, 100).await;
                    if !newest.iter().any(|message| message["body"] == line.body.as_str()) {
                        let number = self.plan.number(&line.body).unwrap_or_default();
                        return Some(format!("{reader:?} lacked the message {number} of {writer:?}"));
                    }
                }
            }
        }
        None
    }

    /// Lets everything heal, and holds what there is against what was written.
    pub(super) async fn end(&mut self) -> Outcome {
        self.all_are_there().await;
        for member in &self.crew {
            member.proxy.set(Fault::Pass);
        }
        self.note("the end");
        self.all_online(PATIENCE).await;
        let mut moved = Instant::now();
        let mut rows = 0;
        let mut nudge = Instant::now();
        let histories = loop {
            let histories = Histories::read(self.plan, self.encrypted, &mut self.crew).await;
            let views = histories.views();
            let there = views.iter().map(|view| view.findings.wanted).sum::<usize>()
                - views
                    .iter()
                    .map(|view| view.findings.lost.len() + view.findings.unsent.len())
                    .sum::<usize>();
            if there != rows {
                (rows, moved) = (there, Instant::now());
            }
            if views.iter().all(|view| view.findings.is_clean()) || moved.elapsed() > STILL {
                break histories;
            }
            if nudge <= Instant::now() {
                for member in &mut self.crew {
                    member.nudge().await;
                }
                nudge = Instant::now() + NUDGE;
            }
            tokio::time::sleep(GLANCE).await;
        };
        let mut views = histories.views();
        for member in &mut self.crew {
            member.end().await;
        }
        self.server.stop().await;
        views.extend(histories.archives(&self.server));
        let seconds = self.begun.elapsed().as_secs();
        Outcome {
            options: *self.options,
            faults: self.faults.clone(),
            kills: self.kills,
            seconds,
            views,
            troubles: std::mem::take(&mut self.troubles),
            kept: None,
        }
    }

    /// Copies all profiles, logs and the server's folder. Gives the folder that they are in.
    pub(super) fn keep(&self, report: &str) -> PathBuf {
        let options = self.options;
        let server = if options.modern { "modern" } else { "classic" };
        let name = format!(
            "{:?}-{server}-{}-{}",
            options.encryption, options.messages, options.seed
        )
        .to_lowercase();
        let folder = root().join("target/soak").join(name);
        // Of an earlier run of the same.
        let _ = fs::remove_dir_all(&folder);
        for member in &self.crew {
            copy(member.profile.home(), &folder.join(member.name));
        }
        copy(self.server.directory(), &folder.join("server"));
        let texts = [("story.txt", self.story.as_str()), ("report.txt", report)];
        for (name, text) in texts {
            if let Err(error) = fs::write(folder.join(name), text) {
                eprintln!("{name} could not be kept: {error}");
            }
        }
        folder
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        if !self.over {
            let folder = self.keep("it ended early");
            eprintln!("what is left lies in {}", folder.display());
        }
    }
}
