//! One of two programs that write to each other ends at a fail point, as if it were killed, and is started again; then
//! both histories are held against what was written. `./x soak fail-points` is the long run of it.

use std::fmt::{self, Display, Formatter};
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::archived::{not_once, origin_ids};
use crate::exactly_once::{Findings, Row, check};
use crate::{DOMAIN, Headless, LONG, PASSWORD, Person, Profile, Prosody, RosterItem, items, program};

/// The program with fail points.
const FAILING: &str = "waxwing-failing";
/// So many trials go on at once.
const AT_ONCE: usize = 8;
/// Between two looks at histories that are not whole yet.
const GLANCE: Duration = Duration::from_millis(30);
/// The signal of a program that ends itself at once.
const ABORTED: i32 = 6;
/// Places that are surely reached once in each trial: when the other side's one device is met, when keys are published,
/// and when the first session has caught up; later ones may be over before.
const ONCE: [&str; 4] = [
    "ratchet: session begun",
    "ratchet: new session answered",
    "publish: ",
    "catch-up: caught up",
];
/// Places that are reached when the other side begins the encrypted session.
const THEY_BEGIN: [&str; 2] = ["ratchet: new session answered", "publish: prekeys replaced"];
/// Written before the program signs in for the first time.
const BEFORE: usize = 9;
/// Written while the account is switched off.
const MISSED: usize = 10;

/// What is tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The fail point.
    pub point: String,
    /// At which time that it is reached the program ends.
    pub time: usize,
    /// Whether the chat is encrypted.
    pub encrypted: bool,
}

impl Display for Trial {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let chat = if self.encrypted { "encrypted" } else { "plain" };
        write!(f, "{} ({chat}, time {})", self.point, self.time)
    }
}

/// The names of all fail points, as the program says them.
pub async fn points() -> Vec<String> {
    let mut command = Command::new(program(FAILING));
    let output = command.env("WAXWING_FAIL", "list").output().await;
    let text = output.expect("the program starts").stdout;
    String::from_utf8_lossy(&text)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Every point, so many times each, in plain and in encrypted chats where both make a difference; if it is to be
/// `quick`, in one of them.
pub async fn trials(times: usize, quick: bool) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (place, point) in points().await.into_iter().enumerate() {
        let kinds: &[bool] = match point.split(':').next() {
            Some("send" | "receive" | "catch-up") if !quick => &[false, true],
            Some("send" | "receive" | "catch-up") if place % 2 == 0 => &[false],
            _ => &[true],
        };
        for encrypted in kinds {
            trials.extend((1..=times).map(|time| Trial {
                point: point.clone(),
                time: if ONCE.iter().any(|once| point.starts_with(once)) {
                    1
                } else {
                    time
                },
                encrypted: *encrypted,
            }));
        }
    }
    trials
}

/// Does all trials. Gives what went wrong in which.
pub async fn run(trials: Vec<Trial>, mut tell: impl FnMut(usize)) -> Vec<(Trial, String)> {
    let server = Arc::new(Prosody::with_long_archives(&[]).await);
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (number, trial) in trials.into_iter().enumerate() {
        let (server, turns) = (Arc::clone(&server), Arc::clone(&turns));
        running.spawn(async move {
            let _turn = turns.acquire().await.expect("nobody closes it");
            let outcome = Scene::set(&server, number, &trial).await.play().await;
            (number, trial, outcome)
        });
    }
    let (mut wrong, mut good) = (Vec::new(), Vec::new());
    let mut done = 0;
    while let Some(outcome) = running.join_next().await {
        done += 1;
        tell(done);
        match outcome {
            Ok((number, trial, Ok(ids))) => good.push((number, trial, ids)),
            Ok((_, trial, Err(what))) => wrong.push((trial, what)),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    let mut server = Arc::into_inner(server).expect("all trials are over");
    server.stop().await;
    for (number, trial, ids) in good {
        for address in addresses(number) {
            let times = not_once(&server, &address, &ids);
            if !times.is_empty() {
                wrong.push((
                    trial.clone(),
                    format!("not once in the server's archive: {times:?}"),
                ));
            }
        }
    }
    wrong
}

/// Who takes part in a trial: the one whose program ends, and the friend.
fn addresses(number: usize) -> [String; 2] {
    ["alice", "bob"].map(|name| format!("{name}{number}@{DOMAIN}"))
}

/// Whether only a session that outlived the process reaches the point: each start of the program does so once.
fn resumes(trial: &Trial) -> bool {
    trial.point.starts_with("session: resumed")
}

fn launch(profile: &Profile, trial: &Trial, arm: bool) -> Headless {
    let time = if resumes(trial) { 1 } else { trial.time };
    let wish = if arm {
        format!("{time}@{}", trial.point)
    } else {
        String::new()
    };
    profile.launch_program(FAILING, &wish)
}

fn body(number: usize) -> String {
    format!("line {number}")
}

/// The two programs and all that they wrote.
struct Scene<'a> {
    trial: &'a Trial,
    address: String,
    port: u16,
    profile: Profile,
    /// The program that ends.
    app: Headless,
    account: Value,
    chat: Value,
    friend: Person,
    friends_chat: Value,
    /// The program has ended at the point.
    ended: bool,
    /// The program is started so that it will end.
    armed: bool,
    /// What each has written; numbers go through.
    mine: Vec<usize>,
    theirs: Vec<usize>,
    written: usize,
}

impl<'a> Scene<'a> {
    async fn set(server: &Prosody, number: usize, trial: &'a Trial) -> Self {
        let [address, friend] = addresses(number);
        for (who, other) in [(&address, &friend), (&friend, &address)] {
            server.add_user(who, PASSWORD);
            server.write_roster(who, &[RosterItem::both(other)]);
        }
        let profile = Profile::trusting(server);
        let mut friend = Person::sign_in(server, &friend).await;
        let friends_chat = friend.plain_chat_with(&address).await;
        if !trial.encrypted {
            for number in 0..BEFORE {
                friend.send(&friends_chat, &body(number)).await;
            }
        }
        let before = if trial.encrypted { 0 } else { BEFORE };
        let armed = !resumes(trial);
        let app = launch(&profile, trial, armed);
        let mut scene = Self {
            trial,
            address,
            port: server.direct_tls_port,
            profile,
            app,
            account: Value::Null,
            chat: Value::Null,
            friend,
            friends_chat,
            ended: false,
            armed,
            mine: Vec::new(),
            theirs: (0..before).collect(),
            written: before,
        };
        scene.sign_in().await;
        scene
    }

    /// Starts the program anew; with `arm` it will end at the point.
    fn start(&mut self, arm: bool) {
        self.armed = arm;
        self.app = launch(&self.profile, self.trial, arm);
    }

    async fn sign_in(&mut self) {
        let friend = self.friend.address.clone();
        let params = json!({
            "address": self.address, "password": PASSWORD, "host": "127.0.0.1", "port": self.port, "tls": "direct",
        });
        while self.account.is_null() {
            let accounts = self.ask("list_accounts", json!({})).await;
            self.account = match items(&accounts).first() {
                Some(account) => account["account"].clone(),
                None => self.ask("add_account", params.clone()).await["account"].clone(),
            };
        }
        let params = json!({ "account": self.account, "address": friend });
        self.chat = self.ask("open_chat", params).await["chat"].clone();
        if self.trial.encrypted {
            let params = json!({ "chat": self.friends_chat, "mode": "omemo" });
            self.friend.get("set_encryption", params).await;
        }
        let mode = if self.trial.encrypted { "omemo" } else { "none" };
        self.ask("set_encryption", json!({ "chat": self.chat, "mode": mode }))
            .await;
        self.online().await;
        if self.trial.encrypted {
            self.devices_known().await;
        }
    }

    /// Whoever writes without knowing the other's device would have their message fail.
    async fn devices_known(&mut self) {
        let params = json!({ "account": self.friend.account, "address": self.address });
        let known = |list: &Value| items(list).iter().any(|device| device["active"] == true);
        let friends = params.clone();
        self.friend
            .until("the device is known", "list_devices", friends, known)
            .await;
        let params = json!({ "account": self.account, "address": self.friend.address });
        self.until("the friend's device is known", "list_devices", params, known)
            .await;
    }

    /// Asks the program that may end meanwhile, and asks again if it did.
    async fn ask(&mut self, method: &str, params: Value) -> Value {
        loop {
            match self.app.try_get(method, params.clone()).await {
                Some(answer) => return answer,
                None => self.revive().await,
            }
        }
    }

    /// The program has ended, as it had to, and is started again.
    async fn revive(&mut self) {
        let status = self.app.ended().await;
        if !self.armed || status.signal() != Some(ABORTED) {
            self.app.fail(&format!("ended with {status} in {}", self.trial));
        }
        self.ended = true;
        self.start(false);
    }

    async fn until(&mut self, what: &str, method: &str, params: Value, wanted: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + LONG;
        loop {
            let answer = self.ask(method, params.clone()).await;
            if wanted(&answer) {
                return;
            }
            if Instant::now() > deadline {
                self.app
                    .fail(&format!("{}: not until {what}: {answer}", self.trial));
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    async fn online(&mut self) {
        let online = |list: &Value| items(list).iter().any(|account| account["state"] == "online");
        self.until("it is online", "list_accounts", json!({}), online)
            .await;
    }

    fn next_body(&mut self) -> (usize, String) {
        let number = self.written;
        self.written += 1;
        (number, body(number))
    }

    async fn they_write(&mut self, count: usize) {
        for _ in 0..count {
            let (number, body) = self.next_body();
            self.theirs.push(number);
            self.friend.send(&self.friends_chat, &body).await;
        }
    }

    async fn i_write(&mut self, count: usize) {
        for _ in 0..count {
            let (number, body) = self.next_body();
            self.mine.push(number);
            self.write(&body).await;
        }
    }

    /// Writes a message, and once more if the program ended before it was stored.
    async fn write(&mut self, body: &str) {
        let params = json!({ "chat": self.chat, "body": body });
        while self.app.try_get("send_text", params.clone()).await.is_none() {
            self.revive().await;
            let messages = self.history().await;
            let stored = messages.iter().any(|message| message["body"] == body);
            let must = match self.trial.point.as_str() {
                "send: written, not stored" => Some(false),
                "send: stored, outbox not woken" => Some(true),
                _ => None,
            };
            assert!(
                must.is_none_or(|must| must == stored),
                "{}: stored: {stored}",
                self.trial
            );
            if stored {
                return;
            }
        }
    }

    async fn history(&mut self) -> Vec<Value> {
        let params = json!({ "chat": self.chat, "limit": 1000 });
        items(&self.ask("list_messages", params).await).to_vec()
    }

    /// Writes and is away in turns until the program has ended, and once more. Gives the ids of what was written, or what
    /// went wrong.
    async fn play(mut self) -> Result<Vec<String>, String> {
        for round in 1..=self.trial.time + 1 {
            let last = self.ended;
            if let Some(wrong) = self.round(round).await {
                return Err(wrong);
            }
            if last {
                break;
            }
        }
        if !self.ended {
            return Err("was not reached".to_owned());
        }
        let ids = origin_ids(&self.history().await);
        self.friend.stop().await;
        self.app.stop().await;
        Ok(ids)
    }

    async fn round(&mut self, round: usize) -> Option<String> {
        if THEY_BEGIN.iter().any(|point| self.trial.point.starts_with(point)) {
            self.they_write(1).await;
            let begun = self.settled().await;
            if begun.is_some() {
                return begun;
            }
        }
        self.i_write(2).await;
        self.they_write(2).await;
        let live = self.settled().await;
        if live.is_some() {
            return live;
        }
        if resumes(self.trial) {
            self.app.kill_in_place().await;
            self.they_write(2).await;
            self.start(round == self.trial.time);
            self.i_write(2).await;
            return self.settled().await;
        }
        self.switch(false).await;
        self.they_write(MISSED).await;
        self.i_write(3).await;
        self.switch(true).await;
        let all = self.settled().await;
        if all.is_none() {
            self.caught_up().await;
        }
        all
    }

    /// Waits until the archive has been read: what was missed may have come from offline storage before.
    async fn caught_up(&mut self) {
        let read = |list: &Value| {
            let mut accounts = items(list).iter();
            accounts.any(|account| account["state"] == "online" && items(&account["gaps"]).is_empty())
        };
        self.until("the archive has been read", "list_accounts", json!({}), read)
            .await;
    }

    async fn switch(&mut self, on: bool) {
        let params = json!({ "account": self.account, "enabled": on });
        self.ask("set_account_enabled", params).await;
    }

    /// Waits until both histories are whole. Gives what is wrong with them if they do not become so.
    async fn settled(&mut self) -> Option<String> {
        let deadline = Instant::now() + LONG;
        loop {
            let here: Vec<Row> = self.history().await.iter().map(|m| self.row(m)).collect();
            let there = self.friend.messages(&self.friends_chat).await;
            self.friend.forget_events();
            self.app.forget_events();
            let there: Vec<Row> = there.iter().map(|m| self.row(m)).collect();
            let mut found = Findings::default();
            for history in [&here, &there] {
                found.add(&check(&self.mine, history));
                found.add(&check(&self.theirs, history));
            }
            if found.is_clean() {
                return None;
            }
            if Instant::now() > deadline {
                let tail = crate::process::log_tail(&self.profile.log_file());
                return Some(format!("\n{found}--- the log ---\n{tail}"));
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    fn row(&self, message: &Value) -> Row {
        let Some(body) = message["body"].as_str() else {
            return Row::Unreadable(message["undecryptable"].to_string());
        };
        let Some(number) = body.strip_prefix("line ").and_then(|number| number.parse().ok()) else {
            return Row::Strange(body.to_owned());
        };
        if (message["encryption"] != "none") != self.trial.encrypted || message["unprotected"] == true {
            return Row::Strange(format!("{number} came as {}", message["encryption"]));
        }
        // Whoever signs in for the first time gives no receipts for what lies in the archive.
        let before = !self.trial.encrypted && number < BEFORE;
        match message["delivery"].as_str() {
            Some("delivered" | "read") => Row::Message(number),
            Some("sent") if before => Row::Message(number),
            other => Row::Unsent(number, format!("{} {}", other.unwrap_or("?"), message["error"])),
        }
    }
}
