//! A foreign XMPP person: `peer.py` on slixmpp and slixmpp-omemo, driven from here.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::{Lines, brief};
use crate::{LONG, Prosody, root};

/// How the connection is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// With the first byte.
    Direct,
    /// After `<starttls/>`.
    StartTls,
}

impl Tls {
    /// The word of the method `add_account`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::StartTls => "starttls",
        }
    }
}

/// A foreign person who is signed in. Their encryption keys outlive [`Peer::restart`].
pub struct Peer {
    lines: Option<Lines>,
    home: TempDir,
    /// The bare address.
    pub address: String,
    port: u16,
    tls: Tls,
    protocols: &'static str,
    ca_file: PathBuf,
}

impl Peer {
    /// Signs in over direct TLS.
    pub async fn sign_in(server: &Prosody, address: &str) -> Self {
        Self::sign_in_over(server, address, Tls::Direct, "both").await
    }

    /// Signs in as somebody whose program knows these generations of OMEMO only: `omemo1`, `omemo2` or `both`.
    pub async fn sign_in_with(server: &Prosody, address: &str, protocols: &'static str) -> Self {
        Self::sign_in_over(server, address, Tls::Direct, protocols).await
    }

    /// Signs in and waits until the encryption keys are published.
    pub async fn sign_in_over(server: &Prosody, address: &str, tls: Tls, protocols: &'static str) -> Self {
        let port = if tls == Tls::Direct {
            server.direct_tls_port
        } else {
            server.starttls_port
        };
        let home = tempfile::Builder::new()
            .prefix("waxwing-peer-")
            .tempdir()
            .expect("a temporary directory");
        let mut peer = Self {
            lines: None,
            home,
            address: address.to_owned(),
            port,
            tls,
            protocols,
            ca_file: server.ca_file(),
        };
        peer.start().await;
        peer
    }

    async fn start(&mut self) {
        let mut command = Command::new(python());
        command
            .arg(root().join("tests/support/peer.py"))
            .arg("--state")
            .arg(self.home.path().join("omemo.json"))
            .args(["--protocols", self.protocols]);
        if std::env::var_os("WAXWING_PEER_VERBOSE").is_some() {
            command.arg("--verbose");
        }
        let name = format!("the peer {}", self.address);
        self.lines = Some(Lines::spawn(
            &name,
            &mut command,
            self.home.path().join("peer.log"),
        ));
        self.ask(
            "connect",
            json!({
                "address": self.address, "password": crate::PASSWORD, "host": "127.0.0.1", "port": self.port,
                "ca": self.ca_file, "direct_tls": self.tls == Tls::Direct,
            }),
        )
        .await;
    }

    /// Ends the program, leaving its keys.
    pub async fn stop(&mut self) {
        if let Some(lines) = self.lines.take() {
            lines.close(LONG).await;
        }
    }

    /// Ends the program and starts it again with the same keys.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    /// Starts the program again after [`Peer::stop`].
    pub async fn start_again(&mut self) {
        assert!(self.lines.is_none(), "the peer still runs");
        self.start().await;
    }

    /// Where the program, while it does not run, keeps its keys: they can be copied, put back and deleted.
    pub fn state_file(&self) -> PathBuf {
        assert!(self.lines.is_none(), "the peer still runs");
        self.home.path().join("omemo.json")
    }

    fn lines(&mut self) -> &mut Lines {
        self.lines.as_mut().expect("the peer is started")
    }

    /// Runs a command of `peer.py`; a failure ends the test.
    pub async fn ask(&mut self, command: &str, params: Value) -> Value {
        let lines = self.lines();
        let id = lines.next_id();
        let mut request = params;
        request["id"] = json!(id);
        request["do"] = json!(command);
        let mut answer = lines.ask(id, &request, LONG).await;
        if let Some(error) = answer.get("error") {
            lines.fail(&format!("could not {command}: {}", brief(error)));
        }
        answer["result"].take()
    }

    /// Sends text; `encryption` is `none`, `omemo1`, `omemo2` or `both`. Gives the stanza's id.
    pub async fn send(&mut self, to: &str, body: &str, encryption: &str) -> String {
        let sent = self
            .ask(
                "send",
                json!({ "to": to, "body": body, "encryption": encryption }),
            )
            .await;
        sent["id"].as_str().expect("an id").to_owned()
    }

    /// Sends plain text and wants to know when it was read (XEP-0333). Gives the stanza's id.
    pub async fn send_markable(&mut self, to: &str, body: &str) -> String {
        let sent = self
            .ask("send", json!({ "to": to, "body": body, "markable": true }))
            .await;
        sent["id"].as_str().expect("an id").to_owned()
    }

    /// The ids of the messages that were marked as read and have not been waited for.
    pub fn markers(&self) -> Vec<String> {
        let ids = self.events().into_iter().filter(|e| e["event"] == "marker");
        ids.map(|e| e["id"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Sends a stanza as it is and waits until the server has read it.
    pub async fn send_raw(&mut self, xml: &str) {
        self.ask("raw", json!({ "xml": xml })).await;
        self.ask("ping", json!({})).await;
    }

    /// Waits for a message whose body is this text, or ends the test.
    pub async fn message(&mut self, body: &str) -> Value {
        self.event(&format!("the message {body:?}"), |e| {
            e["event"] == "message" && e["body"] == body
        })
        .await
    }

    /// Waits for the next message with a body, or ends the test.
    pub async fn next_message(&mut self) -> Value {
        self.event("a message", |e| e["event"] == "message").await
    }

    /// Waits for an event that fits, or ends the test.
    pub async fn event(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let lines = self.lines();
        match lines.take(fits, LONG).await {
            Some(event) => event,
            None => lines.fail(&format!("did not see {what} within {LONG:?}")),
        }
    }

    /// What has been seen and not been waited for.
    pub fn events(&self) -> Vec<Value> {
        self.lines.as_ref().map(Lines::events).unwrap_or_default()
    }

    /// Publishes one item that everybody may read.
    pub async fn publish(&mut self, node: &str, item: &str, payload: &str) {
        let options = "<publish-options><x xmlns='jabber:x:data' type='submit'>\
            <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
            <field var='pubsub#access_model'><value>open</value></field></x></publish-options>";
        let stanza = format!(
            "<iq type='set' id='publish'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'>\
             <item id='{item}'>{payload}</item></publish>{options}</pubsub></iq>"
        );
        self.send_raw(&stanza).await;
    }

    /// The devices of somebody as this person sees them.
    pub async fn devices(&mut self, address: &str) -> Vec<Value> {
        self.ask("devices", json!({ "address": address }))
            .await
            .as_array()
            .cloned()
            .unwrap_or_default()
    }
}

/// The Python of the pinned environment that `./x setup` makes.
fn python() -> PathBuf {
    let python = root().join("target/venv/bin/python");
    assert!(
        Path::new(&python).exists(),
        "the foreign peer needs target/venv: run ./x setup"
    );
    python
}
