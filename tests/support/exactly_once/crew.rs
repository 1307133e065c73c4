//! The programs, each behind a proxy of its own.

use serde_json::{Value, json};

use super::check::Row;
use super::plan::Plan;
use crate::{Headless, Profile, Prosody, Proxy, Tls, items};

/// At most so many messages of a chat are asked for at once.
const PAGE: usize = 1_000;

/// One program with its profile and its network.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) proxy: Proxy,
    pub(super) profile: Profile,
    /// None while it is away.
    app: Option<Headless>,
    accounts: Vec<Value>,
    /// By their place among the talks.
    pub(super) chats: Vec<Value>,
    pub(super) begun_again: usize,
}

impl Member {
    /// Signs in to the accounts.
    pub(super) async fn sign_in(name: &'static str, server: &Prosody, addresses: &[&str]) -> Self {
        let proxy = Proxy::to(server.direct_tls_port).await;
        let profile = Profile::trusting(server);
        let mut app = profile.start().await;
        let mut accounts = Vec::new();
        for address in addresses {
            accounts.push(app.sign_in_at(address, proxy.port, Tls::Direct).await);
        }
        Self {
            name,
            proxy,
            profile,
            app: Some(app),
            accounts,
            chats: Vec::new(),
            begun_again: 0,
        }
    }

    /// Opens the chat for the next talk, by the account of this place.
    pub(super) async fn open_chat(&mut self, account: usize, with: &str, encrypted: bool) {
        let account = self.account(account);
        let chat = if encrypted {
            self.app().open_chat(&account, with).await
        } else {
            self.app().open_plain_chat(&account, with).await
        };
        self.chats.push(chat);
    }

    /// Waits until so many devices of somebody are known with their keys asked for.
    pub(super) async fn knows_devices(&mut self, account: usize, of: &str, count: usize) {
        let params = json!({ "account": self.account(account), "address": of });
        let active = |list: &Value| {
            items(list)
                .iter()
                .filter(|device| device["active"] == true)
                .count()
        };
        let what = format!("{} knows the {count} devices of {of}", self.name);
        self.app()
            .until(&what, "list_devices", params, |list| active(list) >= count)
            .await;
    }

    /// Waits until what is written in the chat will be encrypted.
    pub(super) async fn is_locked(&mut self, talk: usize) {
        let chat = self.chats[talk].clone();
        let locked = |list: &Value| {
            let mut chats = items(list).iter();
            chats.any(|other| other["chat"] == chat && other["lock"] == "encrypted")
        };
        let what = format!("the chat of {} is encrypted", self.name);
        self.app().until(&what, "list_chats", json!({}), locked).await;
    }

    fn account(&self, place: usize) -> Value {
        self.accounts[place].clone()
    }

    /// The running program.
    pub(super) fn app(&mut self) -> &mut Headless {
        self.app.as_mut().expect("it was started before it is spoken to")
    }

    pub(super) fn is_away(&self) -> bool {
        self.app.is_none()
    }

    /// Kills the program, if it runs.
    pub(super) async fn kill(&mut self) {
        if let Some(app) = self.app.take() {
            app.kill().await;
        }
    }

    /// Ends the program in good order, if it runs.
    pub(super) async fn end(&mut self) {
        if let Some(app) = self.app.take() {
            app.stop().await;
        }
    }

    /// Starts the program, if it is away. True if it was.
    pub(super) async fn start_again(&mut self) -> bool {
        let away = self.is_away();
        if away {
            self.app = Some(self.profile.start().await);
            self.begun_again += 1;
        }
        away
    }

    /// Whether all its accounts are online; what is wrong with them, if not.
    pub(super) async fn is_online(&mut self) -> Result<(), String> {
        let accounts = self.app().get("list_accounts", json!({})).await;
        let mut others = items(&accounts)
            .iter()
            .filter(|account| account["state"] != "online");
        others.next().map_or(Ok(()), |account| {
            Err(format!("{} ({})", account["state"], account["error"]))
        })
    }

    /// As if the network had just come back, so that nobody waits out a pause or a dead link.
    pub(super) async fn nudge(&mut self) {
        self.app().get("check_connections", json!({})).await;
    }

    /// Writes a message and waits until it is stored.
    pub(super) async fn write(&mut self, talk: usize, body: &str) {
        let chat = self.chats[talk].clone();
        self.app().forget_events();
        self.app().send(&chat, body).await;
    }

    /// Asks for a message to be written and does not wait for the answer.
    pub(super) async fn begin_to_write(&mut self, talk: usize, body: &str) {
        let params = json!({ "chat": self.chats[talk], "body": body });
        let request = json!({ "jsonrpc": "2.0", "id": 0, "method": "send_text", "params": params });
        self.app().write(&request.to_string()).await;
    }

    /// The newest messages of a chat, oldest first.
    pub(super) async fn newest(&mut self, talk: usize, limit: usize) -> Vec<Value> {
        let params = json!({ "chat": self.chats[talk], "limit": limit });
        self.app().forget_events();
        items(&self.app().get("list_messages", params).await).to_vec()
    }

    /// All messages of a chat, oldest first.
    pub(super) async fn history(&mut self, talk: usize) -> Vec<Value> {
        let mut page = self.newest(talk, PAGE).await;
        let mut pages = Vec::new();
        while page.len() == PAGE {
            let before = page[0]["message"].clone();
            pages.push(page);
            let params = json!({ "chat": self.chats[talk], "limit": PAGE, "before": before });
            page = items(&self.app().get("list_messages", params).await).to_vec();
        }
        pages.push(page);
        pages.into_iter().rev().flatten().collect()
    }
}

/// What a message of the program is in the eyes of the check. `encrypted` says how it has to have come.
pub(super) fn row(plan: &Plan, encrypted: bool, message: &Value) -> Row {
    let id = || format!("row {} from {}", message["message"], message["from"]);
    let Some(body) = message["body"].as_str() else {
        return Row::Unreadable(format!("{}: {}", id(), message["undecryptable"]));
    };
    let Some(number) = plan.number(body) else {
        let text: String = body.chars().take(60).collect();
        return Row::Strange(format!("{}: {text:?}", id()));
    };
    if (message["encryption"] != "none") != encrypted || message["unprotected"] == true {
        return Row::Strange(format!("{}: {number} came as {}", id(), message["encryption"]));
    }
    match message["delivery"].as_str() {
        Some("sent" | "delivered" | "read") => Row::Message(number),
        other => Row::Unsent(number, format!("{} {}", other.unwrap_or("?"), message["error"])),
    }
}
