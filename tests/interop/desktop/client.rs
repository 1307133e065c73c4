//! Somebody who uses another messenger on a desktop: the program itself, driven by `drive/` as a person would.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command as StdCommand;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use waxwing_tests::process::Lines;
use waxwing_tests::{DOMAIN, LONG, PASSWORD, Prosody, Proxy, root};

/// A server that programs find by the name of its domain alone: at an address of its own and at the standard port.
pub struct Town {
    /// The server.
    pub server: Prosody,
    address: Ipv4Addr,
    /// What listens at the address and passes on to the server.
    _gate: Proxy,
}

impl Town {
    /// Starts the server with these accounts, which are each other's contacts.
    pub async fn of_friends(accounts: &[&str]) -> Self {
        let server = Prosody::start_with_friends(accounts).await;
        // The port is the server's alone, and so is the address that is made of it.
        let [high, low] = server.starttls_port.to_be_bytes();
        let address = Ipv4Addr::new(127, 1, high, low);
        let gate = Proxy::at(SocketAddrV4::new(address, 5222), server.starttls_port).await;
        Self {
            server,
            address,
            _gate: gate,
        }
    }
}

/// A running messenger, signed in to one account.
pub struct Client {
    lines: Lines,
    home: TempDir,
    program: &'static str,
    /// The bare address.
    address: String,
}

impl Client {
    /// Installs the messenger in an empty home, starts it and signs in. It is online with its keys made and published
    /// once others see them.
    pub async fn sign_in(town: &Town, program: &'static str, address: &str) -> Self {
        let home = tempfile::Builder::new()
            .prefix("waxwing-desktop-")
            .tempdir()
            .expect("a temporary directory");
        let mut command = own_world();
        command
            .args(["/usr/bin/python3", "-B"])
            .arg(root().join("tests/interop/desktop/drive/main.py"))
            .arg(program)
            .arg("--home")
            .arg(home.path())
            .args(["--server", &town.address.to_string(), "--domain", DOMAIN])
            .arg("--ca")
            .arg(town.server.ca_file())
            .args(["--address", address, "--password", PASSWORD]);
        let lines = Lines::spawn(program, &mut command, home.path().join("drive.log"));
        let mut client = Self {
            lines,
            home,
            program,
            address: address.to_owned(),
        };
        client.start().await;
        client
    }

    /// Starts the messenger, which must not run.
    pub async fn start(&mut self) {
        self.ask("start", json!({})).await;
    }

    /// Ends the messenger as its menu does.
    pub async fn stop(&mut self) {
        self.ask("stop", json!({})).await;
    }

    /// Ends and starts the messenger.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    /// Makes the list of the account's devices if the messenger does not do so by itself.
    pub async fn announce(&mut self) {
        self.ask("announce", json!({})).await;
    }

    /// Waits until the messenger knows how to encrypt for these devices.
    pub async fn knows(&mut self, address: &str, devices: &[u64]) {
        self.ask("knows", json!({ "address": address, "devices": devices }))
            .await;
    }

    /// Writes a message in an encrypted chat.
    pub async fn say(&mut self, to: &str, body: &str) {
        self.ask("say", json!({ "to": to, "body": body })).await;
        let address = self.address.clone();
        self.reads(&address, body).await;
    }

    /// The same, whatever the messenger stores of earlier times meanwhile.
    pub async fn say_at_last(&mut self, to: &str, body: &str) {
        self.ask("say", json!({ "to": to, "body": body })).await;
        self.stores(body).await;
    }

    /// Waits until the messenger has stored this message, whatever it stores of earlier times before.
    pub async fn stores(&mut self, body: &str) {
        let wanted = |e: &Value| e["event"] == "message" && e["body"] == body;
        if self.lines.take(wanted, LONG).await.is_none() {
            self.lines
                .fail(&format!("did not store {body:?} within {LONG:?}"));
        }
        self.lines.forget_events();
    }

    /// Waits until the messenger has stored its next message, which must be this one, and encrypted.
    pub async fn reads(&mut self, from: &str, body: &str) {
        let Some(message) = self.lines.take(|e| e["event"] == "message", LONG).await else {
            self.ask("picture", json!({})).await;
            self.lines
                .fail(&format!("did not store {body:?} within {LONG:?}"));
        };
        assert_eq!(
            (&message["from"], &message["body"], &message["encrypted"]),
            (&json!(from), &json!(body), &json!(true)),
            "as {} has it",
            self.program
        );
    }

    /// Everything that the messenger has stored and that was not waited for.
    pub fn received(&self) -> Vec<Value> {
        self.lines.events()
    }

    /// Throws away the keys and sessions of the messenger, which must not run.
    pub async fn lose_keys(&mut self) {
        self.ask("lose_keys", json!({})).await;
    }

    /// Keeps a copy of all files of the messenger, which must not run.
    pub async fn back_up(&mut self) {
        self.ask("back_up", json!({})).await;
    }

    /// Goes back to the copy. The messenger must not run.
    pub async fn restore(&mut self) {
        self.ask("restore", json!({})).await;
    }

    async fn ask(&mut self, what: &str, params: Value) {
        let id = self.lines.next_id();
        let mut request = params;
        request["id"] = json!(id);
        request["do"] = json!(what);
        let answer = self.lines.ask(id, &request, LONG * 2).await;
        if let Some(error) = answer.get("error") {
            self.lines.fail(&format!("could not {what}: {error}"));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_picture();
        }
    }
}

impl Client {
    /// Keeps what was on the screen, if a picture was taken.
    fn keep_picture(&self) {
        for name in ["screen.png", "screen.txt"] {
            let folder = root().join("target/interop");
            let kept = folder.join(format!("{}-{name}", self.program));
            let copied =
                fs::create_dir_all(&folder).and_then(|()| fs::copy(self.home.path().join(name), &kept));
            if copied.is_ok() {
                eprintln!("the screen of {}: {}", self.program, kept.display());
            }
        }
    }
}

/// Runs what follows with mounts of its own, as the first of its processes: with it all others end, also when it is
/// killed. Whoever is not root may do so as a user who is root nowhere else.
fn own_world() -> Command {
    let mut command = Command::new("unshare");
    if !is_root() {
        command.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    command.args([
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]);
    command
}

fn is_root() -> bool {
    let answer = StdCommand::new("id")
        .arg("-u")
        .output()
        .expect("every Unix has id");
    answer.stdout.trim_ascii() == b"0"
}
