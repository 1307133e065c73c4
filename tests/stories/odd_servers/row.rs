//! One odd server, and how the table is gone through.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use waxwing_scripted::{Act, Authority, Begins, Honest, Point, Server, names_told};
use waxwing_tests::{Headless, Profile, Tls, items, root};

/// Longer than the longest time-out of the program, twice.
const LIMIT: Duration = Duration::from_secs(110);
/// What the friend says behind whatever odd was said.
pub(crate) const STILL: &str = "<message from='{friend}/there' type='chat'><body>still here</body></message>";

/// What the person sees in the end.
pub(crate) enum Sees {
    /// The account has stopped and asks, with this code.
    Asks(&'static str),
    /// The account goes on trying, with this code.
    Tries(&'static str),
    /// The account is online, and the friend's chat holds these texts.
    Online(&'static [&'static str]),
}

/// One odd server.
pub(crate) struct Row {
    name: String,
    sees: Sees,
    /// How many connections it takes; at least so many where the program goes on trying.
    connections: usize,
    /// What it may not have heard inside TLS.
    unheard: Option<&'static str>,
    contacts: Option<&'static [&'static str]>,
    swallowed: u64,
    /// How often the server hears a text inside TLS.
    heard: Vec<(&'static str, usize)>,
    /// The person is told of no trouble but a lost connection.
    quiet: bool,
    /// Attempts stay apart: there are not more than so many.
    most: usize,
    /// What follows when the archive is odd.
    archive: Option<OddArchive>,
    script: Script,
}

/// What else the person sees where the archive is odd. Once the chat holds what the row says, the person writes, is
/// answered, and loses the connection; the next session has the good archive.
#[derive(Clone, Copy)]
pub(crate) struct OddArchive {
    /// So many gaps are left while it is odd, and none afterwards.
    pub(crate) gaps: usize,
    /// So often it is asked on the odd connection, at least and at most.
    pub(crate) asked: (usize, usize),
    /// The chat's texts afterwards, but for what was said live.
    pub(crate) afterwards: &'static [&'static str],
    /// The connection stays, and nothing follows.
    pub(crate) stays: bool,
}

/// How far it has come with an odd archive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The chat is not yet as the row says.
    Odd,
    /// The person wrote and is to be answered.
    Written,
    /// The good archive follows.
    Good,
}

type Script = Box<dyn FnOnce(Honest, &Authority) -> Honest>;

/// Something else than an honest server.
pub(crate) fn row(
    name: impl Into<String>,
    sees: Sees,
    script: impl FnOnce(Honest) -> Honest + 'static,
) -> Row {
    row_by(name, sees, |honest, _| script(honest))
}

/// Something else than an honest server, which needs the authority.
pub(crate) fn row_by(
    name: impl Into<String>,
    sees: Sees,
    script: impl FnOnce(Honest, &Authority) -> Honest + 'static,
) -> Row {
    Row {
        name: name.into(),
        sees,
        connections: 1,
        unheard: None,
        contacts: None,
        swallowed: 0,
        heard: Vec::new(),
        quiet: false,
        most: usize::MAX,
        archive: None,
        script: Box::new(script),
    }
}

/// A server that lets everybody in, says this, and then lets the friend speak.
pub(crate) fn speaks(honest: Honest, odd: impl AsRef<[u8]>) -> Honest {
    honest.at(
        Point::Presence,
        Act::add([odd.as_ref(), STILL.as_bytes()].concat()),
    )
}

impl Row {
    /// The server does this too.
    pub(crate) fn also(mut self, more: impl FnOnce(Honest) -> Honest + 'static) -> Self {
        let script = std::mem::replace(&mut self.script, Box::new(|honest, _| honest));
        self.script = Box::new(move |honest, authority| more(script(honest, authority)));
        self
    }

    /// It takes so many connections to get there.
    pub(crate) fn connections(self, connections: usize) -> Self {
        Self { connections, ..self }
    }

    /// The server must not hear this inside TLS.
    pub(crate) fn unheard(self, text: &'static str) -> Self {
        Self {
            unheard: Some(text),
            ..self
        }
    }

    /// The contact list holds these addresses; `friend` is the friend.
    pub(crate) fn contacts(self, contacts: &'static [&'static str]) -> Self {
        Self {
            contacts: Some(contacts),
            ..self
        }
    }

    /// So many stanzas are thrown away.
    pub(crate) fn swallows(self, swallowed: u64) -> Self {
        Self { swallowed, ..self }
    }

    /// The server hears this so often inside TLS.
    pub(crate) fn hears(mut self, text: &'static str, times: usize) -> Self {
        self.heard.push((text, times));
        self
    }

    /// The person is told of no trouble but a lost connection.
    pub(crate) fn quietly(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// There are at most so many connections while the table is gone through.
    pub(crate) fn at_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// The archive is odd.
    pub(crate) fn archive(self, archive: OddArchive) -> Self {
        Self {
            archive: Some(archive),
            ..self
        }
    }
}

/// A row with its running server and its account.
struct Seat {
    row: Row,
    server: Server,
    domain: String,
    password: String,
    account: Value,
    /// The troubles that the account was ever in.
    codes: BTreeSet<String>,
    /// How far it is with an odd archive.
    stage: Stage,
    /// Settled: the person sees what the row says.
    seen: bool,
}

/// The whole table under way.
pub(crate) struct Table {
    app: Headless,
    seats: Vec<Seat>,
    _profile: Profile,
    _folder: tempfile::TempDir,
}

impl Table {
    /// Starts all servers and signs in to all of them.
    pub(crate) async fn set(rows: Vec<Row>) -> Self {
        let authority = Authority::new("Authority of the odd");
        let folder = tempfile::tempdir().expect("a temporary directory");
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, authority.pem()).expect("the authority's file");
        let profile = Profile::with_ca(Some(ca_file));
        let mut app = profile.start().await;
        let mut seats = Vec::new();
        for (number, mut row) in rows.into_iter().enumerate() {
            let domain = format!("odd{number}.test");
            let password = format!("secret of number {number}.");
            let script = std::mem::replace(&mut row.script, Box::new(|honest, _| honest));
            let honest = Honest::new(&authority, &format!("person{number}@{domain}"), &password);
            let honest = script(honest, &authority);
            let tls = match honest.begins {
                Begins::Direct => Tls::Direct,
                Begins::StartTls => Tls::StartTls,
            };
            let address = format!("{}@{domain}", honest.user);
            let server = Server::start(honest).await;
            let account = app.add_account(&address, &password, server.port, tls).await;
            seats.push(Seat {
                row,
                server,
                domain,
                password,
                account,
                codes: BTreeSet::new(),
                stage: Stage::Odd,
                seen: false,
            });
        }
        Self {
            app,
            seats,
            _profile: profile,
            _folder: folder,
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.seats.len()
    }

    /// Waits until the person has seen all that the rows say, or the limit has passed.
    pub(crate) async fn wait(&mut self) {
        self.wait_for(LIMIT).await;
    }

    /// The same with another limit.
    pub(crate) async fn wait_for(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline && self.seats.iter().any(|seat| !seat.seen) {
            let accounts = self.accounts().await;
            self.take_events();
            for seat in self.seats.iter_mut().filter(|seat| !seat.seen) {
                if seat.complaint(&mut self.app, &accounts).await.is_none() {
                    seat.seen = seat.proceed(&mut self.app).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Ends the test with all that was not as the rows say.
    pub(crate) async fn report(mut self) {
        let accounts = self.accounts().await;
        self.take_events();
        let mut complaints = Vec::new();
        for seat in &self.seats {
            // What was seen once must still be so: nothing may have been tried again meanwhile.
            let mut found: Vec<String> = seat
                .complaint(&mut self.app, &accounts)
                .await
                .into_iter()
                .collect();
            found.extend(seat.manners());
            if found.is_empty() && !seat.seen {
                found.push("it did not come to its end".to_owned());
            }
            complaints.extend(
                found
                    .into_iter()
                    .map(|found| format!("{}: {found}", seat.row.name)),
            );
        }
        complaints.extend(self.leaks());
        complaints.extend(self.wordless());
        if !complaints.is_empty() {
            let text = format!("{} complaints:\n{}\n", complaints.len(), complaints.join("\n"));
            self.app.fail(&text);
        }
        assert!(self.app.lives());
        self.app.stop().await;
    }

    /// Notes the troubles that were told since the last time.
    fn take_events(&mut self) {
        let events = self.app.events();
        self.app.forget_events();
        for event in events.iter().filter(|event| event["type"] == "account_changed") {
            let account = &event["account"];
            if let Some(code) = account["error"]["code"].as_str()
                && let Some(seat) = self
                    .seats
                    .iter_mut()
                    .find(|seat| seat.account == account["account"])
            {
                seat.codes.insert(code.to_owned());
            }
        }
    }

    async fn accounts(&mut self) -> BTreeMap<i64, Value> {
        let list = self.app.get("list_accounts", json!({})).await;
        items(&list)
            .iter()
            .map(|account| (account["account"].as_i64().unwrap_or_default(), account.clone()))
            .collect()
    }

    /// What one account is known by must not come to another one's server.
    fn leaks(&self) -> Vec<String> {
        let heard: Vec<String> = self
            .seats
            .iter()
            .map(|seat| {
                let heard = seat.server.heard();
                heard
                    .into_iter()
                    .map(|heard| heard.clear + &heard.secure)
                    .collect()
            })
            .collect();
        let mut complaints = Vec::new();
        for (number, seat) in self.seats.iter().enumerate() {
            let mut own = vec![format!("@{}", seat.domain), format!("'{}'", seat.domain)];
            own.extend(names_told(&heard[number]));
            for (other, text) in heard.iter().enumerate().filter(|(other, _)| *other != number) {
                for name in own.iter().filter(|name| text.contains(name.as_str())) {
                    complaints.push(format!(
                        "{name:?} of {:?} came to the server of {:?}",
                        seat.row.name, self.seats[other].row.name
                    ));
                }
            }
        }
        complaints
    }

    /// Every code that an account was in has words for the person.
    fn wordless(&self) -> Vec<String> {
        let words = std::fs::read_to_string(root().join("ui/locales/en.json")).expect("the words");
        let words: Value = serde_json::from_str(&words).expect("words in JSON");
        let codes: BTreeSet<&String> = self.seats.iter().flat_map(|seat| &seat.codes).collect();
        codes
            .into_iter()
            .filter(|code| words[format!("fault.{code}")].as_str().is_none_or(str::is_empty))
            .map(|code| format!("there are no words for {code}"))
            .collect()
    }
}

impl Seat {
    /// What is not as the row says.
    async fn complaint(&self, app: &mut Headless, accounts: &BTreeMap<i64, Value>) -> Option<String> {
        let account = &accounts[&self.account.as_i64().unwrap_or_default()];
        let (state, code) = (&account["state"], &account["error"]["code"]);
        let connections = self.server.connections();
        let right = match self.row.sees {
            Sees::Asks(wanted) => state == "failed" && code == wanted && connections == self.row.connections,
            Sees::Tries(wanted) => {
                state != "failed" && self.codes.contains(wanted) && connections >= self.row.connections
            }
            Sees::Online(_) => {
                let good = usize::from(self.stage == Stage::Good);
                state == "online" && code.is_null() && connections == self.row.connections + good
            }
        };
        if !right {
            return Some(format!(
                "{state} with {} after {connections} connections, and before with {:?}",
                account["error"], self.codes
            ));
        }
        if let Some(archive) = self.row.archive {
            let gaps = items(&account["gaps"]).len();
            let wanted = if self.stage == Stage::Good {
                0
            } else {
                archive.gaps
            };
            let asked = self.asked();
            let (least, most) = archive.asked;
            if gaps != wanted || asked < least || asked > most {
                return Some(format!("{gaps} gaps after {asked} questions for the archive"));
            }
        }
        if let Sees::Online(texts) = self.row.sees {
            return self.conversation(app, &self.texts(texts)).await;
        }
        None
    }

    /// How often the archive was asked on the odd connection.
    fn asked(&self) -> usize {
        let heard = self.server.heard();
        let odd = heard.get(self.row.connections - 1);
        odd.map_or(0, |heard| heard.secure.matches("queryid=").count())
    }

    /// What the friend's chat holds now.
    fn texts(&self, texts: &[&'static str]) -> Vec<&'static str> {
        let Some(archive) = self.row.archive else {
            return texts.to_vec();
        };
        let texts = if self.stage == Stage::Good {
            archive.afterwards
        } else {
            texts
        };
        let live: &[&str] = if self.stage == Stage::Odd {
            &["still here"]
        } else {
            &["still here", "echo", "answer to"]
        };
        [texts, live].concat()
    }

    /// Goes on once it is as the row says. Gives whether that was all.
    async fn proceed(&mut self, app: &mut Headless) -> bool {
        let Some(archive) = self.row.archive.filter(|archive| !archive.stays) else {
            return true;
        };
        match self.stage {
            Stage::Odd => {
                let friend = format!("friend@{}", self.domain);
                let chat = app.open_plain_chat(&self.account, &friend).await;
                app.send(&chat, "echo").await;
                self.stage = Stage::Written;
                false
            }
            Stage::Written => {
                self.stage = Stage::Good;
                self.row.archive = Some(OddArchive {
                    asked: (archive.asked.0, usize::MAX),
                    ..archive
                });
                self.server.cut();
                false
            }
            Stage::Good => true,
        }
    }

    async fn conversation(&self, app: &mut Headless, texts: &[&str]) -> Option<String> {
        let friend = format!("friend@{}", self.domain);
        let account = json!({ "account": self.account });
        let chats = app.get("list_chats", account.clone()).await;
        let chat = items(&chats).iter().find(|chat| chat["address"] == friend);
        let Some(chat) = chat else {
            return Some(format!("there is no chat with the friend: {chats}"));
        };
        let messages = app.messages(&chat["chat"]).await;
        let bodies: Vec<&str> = messages.iter().filter_map(|m| m["body"].as_str()).collect();
        if bodies != texts {
            return Some(format!("the friend's chat holds {bodies:?}"));
        }
        let under_way = |m: &&Value| matches!(m["delivery"].as_str(), Some("waiting" | "failed"));
        if let Some(message) = messages.iter().find(under_way) {
            return Some(format!("{} is {}", message["body"], message["delivery"]));
        }
        if let Some(wanted) = self.row.contacts {
            let contacts = app.get("list_contacts", account.clone()).await;
            let mut addresses: Vec<String> = items(&contacts)
                .iter()
                .filter_map(|contact| contact["address"].as_str())
                .map(|address| address.replace(&friend, "friend"))
                .collect();
            addresses.sort();
            if addresses != wanted {
                return Some(format!("the contacts are {addresses:?}"));
            }
        }
        if self.row.swallowed > 0 {
            let report = app.get("connection_report", account).await;
            if report["swallowed"] != self.row.swallowed {
                return Some(format!("{} stanzas were thrown away", report["swallowed"]));
            }
        }
        None
    }

    /// What a server may hear of its own account.
    fn manners(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let user = self.domain.replace("odd", "person").replace(".test", "");
        for (number, heard) in self.server.heard().iter().enumerate() {
            for secret in [user.as_str(), &self.password, "<auth", "Waxwing"] {
                if heard.clear.contains(secret) {
                    complaints.push(format!("connection {number} heard {secret:?} in the clear"));
                }
            }
            for secret in [self.password.clone(), plain(&user, &self.password)] {
                if heard.secure.contains(&secret) {
                    complaints.push(format!("connection {number} heard the password"));
                }
            }
            if let Some(text) = self.row.unheard.filter(|text| heard.secure.contains(text)) {
                complaints.push(format!("connection {number} heard {text:?}"));
            }
        }
        for (text, times) in &self.row.heard {
            let heard = self.server.count(text);
            if heard != *times {
                complaints.push(format!("{text:?} was heard {heard} times"));
            }
        }
        let troubles: Vec<&String> = self.codes.iter().filter(|code| *code != "disconnected").collect();
        if self.row.quiet && !troubles.is_empty() {
            complaints.push(format!("the person was told of {troubles:?}"));
        }
        if self.server.connections() > self.row.most {
            complaints.push(format!("{} connections", self.server.connections()));
        }
        complaints
    }
}

/// The password as the mechanism PLAIN sends it (RFC 4616).
fn plain(user: &str, password: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{password}"))
}
