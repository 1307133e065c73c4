//! The headless program, driven as anybody would drive it: JSON-RPC lines on its standard input and output.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::{Lines, brief};
use crate::{Clock, Disk, LONG, PASSWORD, Prosody, SHORT, Tls, root, within_keychain};

/// The passphrase of the test profiles.
pub const PASSPHRASE: &str = "a passphrase for tests";

/// An error answer of the program.
#[derive(Clone, Debug, PartialEq)]
pub struct RpcError {
    /// JSON-RPC's number.
    pub number: i64,
    /// The sentence.
    pub message: String,
    /// The stable code in `data.code`; empty if there is none, which is a mistake of the program.
    pub code: String,
}

/// A profile on disk; the program can be started on it again and again.
pub struct Profile {
    home: TempDir,
    ca_file: Option<PathBuf>,
    downloads: Option<PathBuf>,
    log: &'static str,
    clock: Option<Clock>,
    disk: Option<Disk>,
    /// The folder of the keychain with the key, instead of a passphrase.
    keychain: Option<PathBuf>,
}

impl Profile {
    /// An empty profile that trusts the server's authority.
    pub fn trusting(server: &Prosody) -> Self {
        Self::with_ca(Some(server.ca_file()))
    }

    /// An empty profile that trusts the authority in the file, if any.
    pub fn with_ca(ca_file: Option<PathBuf>) -> Self {
        let home = tempfile::Builder::new()
            .prefix("waxwing-profile-")
            .tempdir()
            .expect("a temporary directory");
        let profile = Self {
            home,
            ca_file,
            downloads: None,
            log: "debug,sqlx=warn",
            clock: None,
            disk: None,
            keychain: None,
        };
        profile.set_passphrase(PASSPHRASE);
        profile
    }

    /// Sets what goes to the log, in the words of `WAXWING_LOG`, instead of all that helps to understand a failure.
    pub fn log_only(&mut self, filter: &'static str) {
        self.log = filter;
    }

    /// Has the key lie in a keychain, which is not in the profile's folder; before the program first runs.
    pub fn use_keychain(&mut self) {
        let folder = self.home.path().join("keychain");
        fs::create_dir(&folder).expect("a folder for the keychain");
        self.keychain = Some(folder);
    }

    /// Keeps a copy of the profile's folder, as a backup does.
    pub fn back_up(&self) {
        copy_folder(&self.directory(), &self.home.path().join("backup"));
    }

    /// Puts the copy back in place of what there is.
    pub fn restore(&self) {
        copy_folder(&self.home.path().join("backup"), &self.directory());
    }

    /// Another profile with the same in it, as somebody has who copied the folder to another computer; or on the same one,
    /// if there is a keychain, which lies in this one's folder.
    #[must_use]
    pub fn copied(&self) -> Self {
        let mut copy = Self::with_ca(self.ca_file.clone());
        copy.keychain.clone_from(&self.keychain);
        copy_folder(&self.directory(), &copy.directory());
        copy
    }

    /// Sets where the program saves files.
    pub fn save_into(&mut self, folder: PathBuf) {
        self.downloads = Some(folder);
    }

    /// Gives the programs that are started from now on a clock that can be set.
    pub fn clock(&mut self) -> &Clock {
        let home = self.home.path();
        self.clock.get_or_insert_with(|| Clock::in_folder(home))
    }

    /// Puts the profile, before the program first runs, on a disk of so many bytes, which can be filled.
    pub async fn use_disk_of(&mut self, bytes: u64) {
        let folder = self.directory();
        fs::create_dir(&folder).expect("a folder for the profile");
        self.disk = Some(Disk::of(bytes, &folder).await);
    }

    /// The disk that the profile is on, if it has one of its own.
    pub fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("the profile has a disk of its own")
    }

    /// Changes what stands in the passphrase file, not what the profile was encrypted with.
    pub fn set_passphrase(&self, passphrase: &str) {
        fs::write(self.passphrase_file(), format!("{passphrase}\n")).expect("the passphrase file");
    }

    /// The folder that `--profile` names.
    pub fn directory(&self) -> PathBuf {
        self.home.path().join("profile")
    }

    /// The folder with all that there is of it: the profile and the log.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Bytes of the database on disk, with what stands beside it.
    pub fn database_size(&self) -> u64 {
        let files = fs::read_dir(self.directory()).into_iter().flatten().flatten();
        let of_database = |file: &fs::DirEntry| file.file_name().to_string_lossy().starts_with("waxwing.db");
        files
            .filter(of_database)
            .filter_map(|file| file.metadata().ok())
            .map(|data| data.len())
            .sum()
    }

    fn passphrase_file(&self) -> PathBuf {
        self.home.path().join("passphrase")
    }

    /// Where the program's standard error goes.
    pub fn log_file(&self) -> PathBuf {
        self.home.path().join("waxwing.log")
    }

    /// The arguments that both programs take: profile, passphrase, authorities.
    pub fn arguments(&self) -> Vec<String> {
        let text = |path: &Path| path.to_str().expect("temporary paths are UTF-8").to_owned();
        let mut arguments = vec!["--profile".to_owned(), text(&self.directory())];
        if self.keychain.is_some() {
            arguments.push("--keychain".to_owned());
        } else {
            arguments.extend(["--passphrase-file".to_owned(), text(&self.passphrase_file())]);
        }
        if let Some(file) = &self.ca_file {
            arguments.extend(["--ca-file".to_owned(), text(file)]);
        }
        if let Some(folder) = &self.downloads {
            arguments.extend(["--downloads".to_owned(), text(folder)]);
        }
        arguments
    }

    /// Starts the program and does not wait for anything.
    pub fn launch(&self) -> Headless {
        self.launch_program("waxwing-headless", "")
    }

    /// Starts one of the programs, which ends at a fail point if `fail` names one and it has them.
    pub fn launch_program(&self, name: &str, fail: &str) -> Headless {
        let mut command = match (&self.keychain, &self.disk) {
            (Some(entries), _) => within_keychain(entries, &program(name)),
            (None, Some(disk)) => disk.give_to(&program(name)),
            (None, None) => Command::new(program(name)),
        };
        command
            .env("WAXWING_FAIL", fail)
            .args(self.arguments())
            .env("WAXWING_LOG", self.log)
            .env("RUST_BACKTRACE", "1");
        if let Some(clock) = &self.clock {
            clock.give_to(&mut command);
        }
        Headless {
            lines: Lines::spawn(name, &mut command, self.log_file()),
        }
    }

    /// Starts the program and waits for its first line, which must be `ready`.
    pub async fn start(&self) -> Headless {
        self.launch().ready().await
    }
}

fn copy_folder(from: &Path, to: &Path) {
    match fs::remove_dir_all(to) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => panic!("the folder that is replaced: {error}"),
    }
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// The running program.
pub struct Headless {
    lines: Lines,
}

impl Headless {
    /// Waits for its first line, which must be `ready`.
    pub async fn ready(self) -> Self {
        let mut headless = self;
        let first = headless.lines.take(|_| true, LONG).await;
        match first {
            Some(line) if line["params"]["type"] == "ready" => headless,
            Some(line) => headless
                .lines
                .fail(&format!("began with {} instead of ready", brief(&line))),
            None => headless.lines.fail("did not say that it is ready"),
        }
    }

    /// Calls a method of a program that may end meanwhile: none if it does. What is answered must be a result.
    pub async fn try_get(&mut self, method: &str, params: Value) -> Option<Value> {
        let id = self.lines.next_id();
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let mut answer = self.lines.try_ask(id, &request, LONG).await?;
        if answer.get("result").is_none() {
            self.lines.fail(&format!("refused {method}: {}", brief(&answer)));
        }
        Some(answer["result"].take())
    }

    /// Calls a method.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, RpcError> {
        let id = self.lines.next_id();
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.ask(id, &request).await
    }

    /// Sends a request as it is, which must bear this id, and gives what is answered.
    pub async fn ask(&mut self, id: u64, request: &Value) -> Result<Value, RpcError> {
        let mut answer = self.lines.ask(id, request, LONG).await;
        if answer["jsonrpc"] != "2.0" {
            self.lines
                .fail(&format!("answered without jsonrpc 2.0: {}", brief(&answer)));
        }
        match answer.get("error") {
            Some(error) => Err(RpcError {
                number: error["code"].as_i64().unwrap_or_default(),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
                code: error["data"]["code"].as_str().unwrap_or_default().to_owned(),
            }),
            None => Ok(answer["result"].take()),
        }
    }

    /// Calls a method that must succeed.
    pub async fn get(&mut self, method: &str, params: Value) -> Value {
        match self.call(method, params.clone()).await {
            Ok(result) => result,
            Err(error) => self
                .lines
                .fail(&format!("refused {method} {}: {error:?}", brief(&params))),
        }
    }

    /// Writes a line that need not be a request at all.
    pub async fn write(&mut self, line: &str) {
        self.lines.write(line).await;
    }

    /// Takes the first error that answers no request of [`Headless::call`], if one comes before the limit.
    pub async fn error_line(&mut self, limit: Duration) -> Option<Value> {
        self.lines.take(|line| line.get("error").is_some(), limit).await
    }

    /// Takes the first event that fits, waiting for it, or ends the test. Gives the event's params.
    pub async fn event(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        match self.event_within(fits, LONG).await {
            Some(event) => event,
            None => self.lines.fail(&format!("did not report {what} within {LONG:?}")),
        }
    }

    /// Takes the first event that fits if one comes before the limit.
    pub async fn event_within(&mut self, fits: impl Fn(&Value) -> bool, limit: Duration) -> Option<Value> {
        let event = self
            .lines
            .take(|line| line["method"] == "event" && fits(&line["params"]), limit)
            .await;
        event.map(|mut line| line["params"].take())
    }

    /// Asks until the answer is as wanted; asks again only when something has happened.
    pub async fn until(
        &mut self,
        what: &str,
        method: &str,
        params: Value,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = tokio::time::Instant::now() + LONG;
        loop {
            let count = self.lines.events_so_far();
            let answer = self.get(method, params.clone()).await;
            if wanted(&answer) {
                return answer;
            }
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if !self.lines.more_events_than(count, left).await {
                self.lines
                    .fail(&format!("{what}: {method} still answers {}", brief(&answer)));
            }
        }
    }

    /// Throws away the events that have come so far.
    pub fn forget_events(&mut self) {
        self.lines.forget_events();
    }

    /// The params of all events that have come and were not taken.
    pub fn events(&self) -> Vec<Value> {
        self.lines
            .events()
            .into_iter()
            .map(|mut line| line["params"].take())
            .collect()
    }

    /// Adds an account over direct TLS and waits until it is online. Gives its id.
    pub async fn sign_in(&mut self, server: &Prosody, address: &str) -> Value {
        self.sign_in_at(address, server.direct_tls_port, Tls::Direct)
            .await
    }

    /// Adds an account at a port of loopback and waits until it is online. Gives its id.
    pub async fn sign_in_at(&mut self, address: &str, port: u16, tls: Tls) -> Value {
        let account = self.add_account(address, PASSWORD, port, tls).await;
        self.online(&account).await;
        account
    }

    /// Adds an account and does not wait for its connection. Gives its id.
    pub async fn add_account(&mut self, address: &str, password: &str, port: u16, tls: Tls) -> Value {
        let added = self
            .get("add_account", json!({
                "address": address, "password": password, "host": "127.0.0.1", "port": port, "tls": tls.word(),
            }))
            .await;
        added["account"].clone()
    }

    /// Waits until the account is online.
    pub async fn online(&mut self, account: &Value) {
        self.account_until(account, "online").await;
    }

    /// Waits until the account is in the state and gives the account.
    pub async fn account_until(&mut self, account: &Value, state: &str) -> Value {
        let found = |list: &Value| {
            items(list)
                .iter()
                .find(|a| a["account"] == *account && a["state"] == state)
                .cloned()
        };
        let list = self
            .until(
                &format!("the account becomes {state}"),
                "list_accounts",
                json!({}),
                |list| found(list).is_some(),
            )
            .await;
        found(&list).unwrap_or_default()
    }

    /// The chat with an address. Gives its id.
    pub async fn open_chat(&mut self, account: &Value, address: &str) -> Value {
        self.get("open_chat", json!({ "account": account, "address": address }))
            .await["chat"]
            .clone()
    }

    /// A chat that is set to plain text.
    pub async fn open_plain_chat(&mut self, account: &Value, address: &str) -> Value {
        let chat = self.open_chat(account, address).await;
        self.get("set_encryption", json!({ "chat": chat, "mode": "none" }))
            .await;
        chat
    }

    /// Writes a message. Gives the message as it was echoed.
    pub async fn send(&mut self, chat: &Value, body: &str) -> Value {
        self.get("send_text", json!({ "chat": chat, "body": body })).await
    }

    /// Waits for a message of this account with this body and gives it.
    pub async fn message(&mut self, account: &Value, body: &str) -> Value {
        self.event(&format!("the message {body:?}"), |e| {
            e["type"] == "message_changed"
                && e["message"]["account"] == *account
                && e["message"]["body"] == body
        })
        .await["message"]
            .take()
    }

    /// Waits until the message has come this far; later stages count too.
    pub async fn delivery(&mut self, message: &Value, stage: &str) -> Value {
        let order = ["waiting", "sent", "delivered", "read"];
        let wanted = order.iter().position(|s| *s == stage).expect("a known stage");
        let id = message["message"].clone();
        let reached = |m: &Value| {
            m["message"] == id
                && order
                    .iter()
                    .position(|s| m["delivery"] == *s)
                    .is_some_and(|position| position >= wanted)
        };
        let chat = message["chat"].clone();
        let list = self
            .until(
                &format!("the message becomes {stage}"),
                "list_messages",
                json!({ "chat": chat, "limit": 1000 }),
                |l| items(l).iter().any(reached),
            )
            .await;
        items(&list)
            .iter()
            .find(|m| reached(m))
            .cloned()
            .unwrap_or_default()
    }

    /// All messages of a chat, oldest first.
    pub async fn messages(&mut self, chat: &Value) -> Vec<Value> {
        items(
            &self
                .get("list_messages", json!({ "chat": chat, "limit": 1000 }))
                .await,
        )
        .to_vec()
    }

    /// The entry of an address in the contact list, once it is as wanted.
    pub async fn contact_until(
        &mut self,
        account: &Value,
        address: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let find = |list: &Value| {
            items(list)
                .iter()
                .find(|c| c["address"] == address && wanted(c))
                .cloned()
        };
        let list = self
            .until(what, "list_contacts", json!({ "account": account }), |list| {
                find(list).is_some()
            })
            .await;
        find(&list).unwrap_or_default()
    }

    /// Whether the process still runs.
    pub fn lives(&mut self) -> bool {
        self.lines.lives()
    }

    /// The process id while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.lines.process_id()
    }

    /// Closes the input and waits for the clean end.
    pub async fn stop(self) {
        let status = self.lines.close(SHORT).await;
        assert!(
            status.success(),
            "the end of the input must be a clean stop, not {status}"
        );
    }

    /// Waits for an end that nobody asked for.
    pub async fn ended(&mut self) -> ExitStatus {
        self.lines.ended(LONG).await
    }

    /// Kills the process at once, as a crash would.
    pub async fn kill(self) {
        self.lines.kill().await;
    }

    /// The same, where another one takes its place.
    pub async fn kill_in_place(&mut self) {
        self.lines.kill_in_place().await;
    }

    /// Ends the test with the program's last words.
    pub fn fail(&self, what: &str) -> ! {
        self.lines.fail(what)
    }
}

/// The items of a JSON array.
pub fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The path of one of the workspace's programs, built before the tests by `./x test`.
pub fn program(name: &str) -> PathBuf {
    let folder =
        std::env::var_os("WAXWING_PROGRAMS").map_or_else(|| root().join("target/debug"), PathBuf::from);
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is not built: run ./x test, or cargo build --workspace --bins",
        path.display()
    );
    path
}
