//! The headless program as people run it: without debug logs.

use serde_json::{Value, json};
use tokio::process::Command;
use waxwing_tests::process::{Lines, brief};
use waxwing_tests::{LONG, PASSWORD, Profile, SHORT, items, program};

use crate::started::now;

/// The running program.
pub struct Headless {
    lines: Lines,
}

impl Headless {
    /// Starts it on the profile and waits until it is ready.
    pub async fn start(profile: &Profile) -> Self {
        let mut command = Command::new(program("waxwing-headless"));
        command.args(profile.arguments()).env("WAXWING_LOG", "warn");
        let mut lines = Lines::spawn("waxwing-headless", &mut command, profile.log_file());
        if lines
            .take(|line| line["params"]["type"] == "ready", LONG)
            .await
            .is_none()
        {
            lines.fail("did not say that it is ready");
        }
        Self { lines }
    }

    /// Calls a method that must succeed.
    pub async fn get(&mut self, method: &str, params: Value) -> Value {
        let id = self.lines.next_id();
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let mut answer = self.lines.ask(id, &request, LONG).await;
        if answer.get("error").is_some() {
            self.lines
                .fail(&format!("refused {}: {}", brief(&request), brief(&answer)));
        }
        answer["result"].take()
    }

    /// Asks until the answer is as wanted, every fiftieth of a second. What is measured meanwhile holds the answers too.
    pub async fn until(&mut self, method: &str, params: Value, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + LONG * 4;
        loop {
            let answer = self.get(method, params.clone()).await;
            if wanted(&answer) {
                return answer;
            }
            if tokio::time::Instant::now() > deadline {
                self.lines
                    .fail(&format!("{method} still answers {}", brief(&answer)));
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Adds an account over direct TLS at a port of loopback and waits until it is online. Gives its id.
    pub async fn sign_in(&mut self, address: &str, port: u16) -> Value {
        let added = self
            .get("add_account", json!({
                "address": address, "password": PASSWORD, "host": "127.0.0.1", "port": port, "tls": "direct",
            }))
            .await;
        let account = added["account"].clone();
        self.until("list_accounts", json!({}), |list| {
            items(list)
                .iter()
                .any(|a| a["account"] == account && a["state"] == "online")
        })
        .await;
        account
    }

    /// Waits until it tells of something, without asking: that would cost more than what is measured.
    pub async fn tells(&mut self, what: &str, fits: impl Fn(&Value) -> bool) {
        let told = self.lines.take(|line| fits(&line["params"]), LONG * 4).await;
        if told.is_none() {
            self.lines.fail(&format!("has not told that {what}"));
        }
    }

    /// Waits until what the archive holds has been read, but for the past of a new device.
    pub async fn caught_up(&mut self) {
        self.tells("it has caught up", |event| event["type"] == "caught_up")
            .await;
    }

    /// Waits until so many are unread in a chat. Gives the time (Unix, milliseconds) at which that was told.
    pub async fn unread(&mut self, chat: &Value, count: usize) -> f64 {
        self.tells("all are unread", |event| {
            let told = &event["chat"];
            told["chat"] == *chat && told["unread"].as_u64() >= Some(count as u64)
        })
        .await;
        now()
    }

    /// Throws away what was told so far.
    pub fn forget(&mut self) {
        self.lines.forget_events();
    }

    /// So many of the newest messages of a chat, oldest first.
    pub async fn newest(&mut self, chat: &Value, count: usize) -> Vec<Value> {
        let mut newest_first: Vec<Value> = Vec::new();
        while newest_first.len() < count {
            let mut params = json!({ "chat": chat, "limit": 1_000 });
            if let Some(last) = newest_first.last() {
                params["before"] = last["message"].clone();
            }
            let page = self.get("list_messages", params).await;
            if items(&page).is_empty() {
                break;
            }
            newest_first.extend(items(&page).iter().rev().cloned());
        }
        newest_first.truncate(count);
        newest_first.reverse();
        newest_first
    }

    /// The process.
    pub fn process(&self) -> u32 {
        self.lines.process_id().expect("the program runs")
    }

    /// Ends it in good order.
    pub async fn stop(self) {
        self.lines.close(SHORT).await;
    }
}
