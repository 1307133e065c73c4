//! A real Prosody on loopback, in a directory of its own, with a certificate authority of its own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::process::{log_tail, signal, terminate};
use crate::{SHORT, until};
use waxwing_scripted::Authority;

/// The domain of most accounts.
pub const DOMAIN: &str = "waxwing.test";
/// A second domain on the same server.
pub const OTHER_DOMAIN: &str = "heron.test";
/// A domain whose certificate is made out to another name.
pub const MISNAMED_DOMAIN: &str = "misnamed.test";

/// Makes Debian's modules for SASL2, Bind2 and FAST run on Debian's Prosody.
const SHIM: &str = include_str!("prosody/mod_waxwing_sasl2_shim.lua");

/// Lets the server die between two stanzas.
const CRASH: &str = include_str!("prosody/mod_waxwing_crash.lua");

/// Lets the server end all sessions as an administrator would.
const KICK: &str = include_str!("prosody/mod_waxwing_kick.lua");

/// Lets the server announce a limit.
const LIMIT: &str = include_str!("prosody/mod_waxwing_limit.lua");

/// How one signs in at a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Login {
    /// SASL, bind and stream management one after another, as RFC 6120 has it.
    Classic,
    /// All of it at once with SASL2, Bind2 and FAST (XEP-0388, 0386, 0484), or classic as well.
    Modern,
}

/// Where archives are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Archives {
    /// In files, which are read whole for each question.
    Files,
    /// In an SQLite database, for long ones.
    Database,
}

/// A running server. It ends when dropped; what it stored is kept until then, so it can be started again.
pub struct Prosody {
    directory: TempDir,
    child: Option<Child>,
    login: Login,
    archives: Archives,
    /// How often it has run before.
    runs: u16,
    /// Port on 127.0.0.1 that begins with TLS (XEP-0368).
    pub direct_tls_port: u16,
    /// Port on 127.0.0.1 that begins with STARTTLS (RFC 6120 §5).
    pub starttls_port: u16,
}

/// Who sees whose presence, in the words of RFC 6121, for rosters written before the server starts.
#[derive(Clone, Debug)]
pub struct RosterItem {
    /// The contact's address.
    pub address: String,
    /// `both`, `to`, `from` or `none`.
    pub subscription: &'static str,
    /// The contact's name, if it has one.
    pub name: Option<String>,
}

impl RosterItem {
    /// Both see each other.
    pub fn both(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            subscription: "both",
            name: None,
        }
    }
}

impl Prosody {
    /// Starts a server with the accounts, given as addresses; every password is [`crate::PASSWORD`].
    pub async fn start(accounts: &[&str]) -> Self {
        Self::with_login(Login::Classic, accounts).await
    }

    /// Starts a server that also offers SASL2, Bind2, FAST and all that goes inline with them, and channel binding
    /// by tls-exporter to every kind of login (XEP-0388, 0386, 0484, 0198, 0440).
    pub async fn modern(accounts: &[&str]) -> Self {
        Self::with_login(Login::Modern, accounts).await
    }

    /// Starts a server that can keep long archives.
    pub async fn with_long_archives(accounts: &[&str]) -> Self {
        Self::with(Login::Classic, Archives::Database, accounts).await
    }

    async fn with_login(login: Login, accounts: &[&str]) -> Self {
        Self::with(login, Archives::Files, accounts).await
    }

    async fn with(login: Login, archives: Archives, accounts: &[&str]) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("waxwing-prosody-")
            .tempdir()
            .expect("a temporary directory");
        let mut server = Self {
            directory,
            child: None,
            login,
            archives,
            runs: 0,
            direct_tls_port: 0,
            starttls_port: 0,
        };
        server.write_certificates();
        for address in accounts {
            server.add_user(address, crate::PASSWORD);
        }
        server.start_again().await;
        server
    }

    /// Starts a server whose accounts are all in each other's rosters, subscribed both ways.
    pub async fn start_with_friends(accounts: &[&str]) -> Self {
        Self::with_friends(Login::Classic, Archives::Files, accounts).await
    }

    /// The same with all that [`Prosody::modern`] offers.
    pub async fn modern_with_friends(accounts: &[&str]) -> Self {
        Self::with_friends(Login::Modern, Archives::Files, accounts).await
    }

    /// Friends who write a lot to each other, so that their archives get long; the server is modern or not.
    pub async fn for_long_talks(modern: bool, accounts: &[&str]) -> Self {
        let login = if modern { Login::Modern } else { Login::Classic };
        Self::with_friends(login, Archives::Database, accounts).await
    }

    async fn with_friends(login: Login, archives: Archives, accounts: &[&str]) -> Self {
        let mut server = Self::with(login, archives, &[]).await;
        server.stop().await;
        for address in accounts {
            server.add_user(address, crate::PASSWORD);
            let others: Vec<_> = accounts
                .iter()
                .filter(|a| *a != address)
                .map(|a| RosterItem::both(a))
                .collect();
            server.write_roster(address, &others);
        }
        server.start_again().await;
        server
    }

    /// The PEM file with the authority that signed the server's certificates.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// What the server logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("prosody.log")
    }

    /// The folder with all that the server has: configuration, storage, logs.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The file with what the server has stored of an account in one of its stores.
    pub fn stored(&self, address: &str, store: &str, ending: &str) -> PathBuf {
        let (name, domain) = address
            .split_once('@')
            .expect("an address of the form name@domain");
        let folder = self.directory.path().join("data").join(path_encoded(domain));
        folder
            .join(store)
            .join(format!("{}.{ending}", path_encoded(name)))
    }

    /// Whether the server has this text anywhere in what it stored: archives, offline messages, published items.
    pub fn has_stored(&self, text: &str) -> bool {
        contains(&self.directory.path().join("data"), text)
    }

    /// How often the server has logged this text.
    pub fn logged(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }

    /// Adds an account, also while the server runs.
    pub fn add_user(&self, address: &str, password: &str) {
        let text = format!("return {{ [\"password\"] = {}; }};\n", lua_string(password));
        self.write_stored(address, "accounts", &text);
    }

    /// Writes an account's roster. Prosody reads it when the account signs in.
    pub fn write_roster(&self, address: &str, items: &[RosterItem]) {
        let mut text = String::from("return { [false] = { [\"version\"] = 1; };\n");
        for item in items {
            let contact_name = item
                .name
                .as_deref()
                .map_or(String::new(), |n| format!("[\"name\"] = {}; ", lua_string(n)));
            let entry = format!(
                "[{}] = {{ [\"subscription\"] = \"{}\"; {contact_name}[\"groups\"] = {{}}; }};\n",
                lua_string(&item.address),
                item.subscription,
            );
            text.push_str(&entry);
        }
        text.push_str("};\n");
        self.write_stored(address, "roster", &text);
    }

    /// Deletes an account's archive, and what was kept for it while it was away. The server must not run.
    pub fn purge_archive(&self, address: &str) {
        assert!(self.child.is_none(), "the server still runs");
        for (store, ending) in [
            ("archive", "list"),
            ("archive", "xml"),
            ("archive-xml", "list"),
            ("offline", "list"),
        ] {
            // Which of them there are depends on what was kept.
            let _ = fs::remove_file(self.stored(address, store, ending));
        }
    }

    /// Puts messages with running numbers into an account's archive: those of twenty contacts, and answers to them. The
    /// server must not run, must have run before, and keep long archives.
    pub fn fill_archive(&self, address: &str, first: usize, count: usize) {
        assert!(self.child.is_none(), "the server still runs");
        self.of_archive("fill_archive.py", address, &[first, count]);
    }

    /// The origin ids (XEP-0359) of all messages in an account's archive, in its order. The server must not run, and keep
    /// long archives.
    pub fn archived_origin_ids(&self, address: &str) -> Vec<String> {
        assert!(self.child.is_none(), "the server still runs");
        let ids = self.of_archive("origin_ids.py", address, &[]);
        ids.lines().map(str::to_owned).collect()
    }

    /// Runs a script on an account's long archive. Gives what it prints.
    fn of_archive(&self, script: &str, address: &str, numbers: &[usize]) -> String {
        let (name, domain) = address
            .split_once('@')
            .expect("an address of the form name@domain");
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("support/prosody");
        let done = std::process::Command::new("python3")
            .arg(scripts.join(script))
            .arg(self.directory.path().join("archive.sqlite"))
            .args([domain, name])
            .args(numbers.iter().map(ToString::to_string))
            .output()
            .expect("Python is installed");
        let errors = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{script} failed: {errors}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    fn write_stored(&self, address: &str, store: &str, text: &str) {
        let file = self.stored(address, store, "dat");
        let folder = file.parent().expect("it lies in the storage");
        fs::create_dir_all(folder).expect("a folder for the server's storage");
        fs::write(file, text).expect("a file of the server's storage");
    }

    /// From the next login on the server says that it takes no stanza of more bytes (XEP-0478).
    pub fn announce_largest_stanza(&self, bytes: usize) {
        let file = self.directory.path().join("largest_stanza");
        fs::write(file, bytes.to_string()).expect("the limit's file");
    }

    /// Ends the server in good order; sessions get a stream error.
    pub async fn stop(&mut self) {
        if let Some(child) = self.child.take() {
            terminate(child).await;
        }
    }

    /// Ends the server at once, as a power cut would.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("the server can be killed");
        }
    }

    /// Ends all sessions with a stream error of `conflict`, as an administrator can with some servers.
    pub async fn end_sessions(&self) {
        let child = self.child.as_ref().expect("the server runs");
        let id = child.id().expect("the server runs").to_string();
        assert!(signal("-USR2", &id).await, "there is no process {id}");
    }

    /// Ends the server as [`Prosody::kill`] does, but between two stanzas: each is stored for everybody or for nobody.
    pub async fn crash(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let id = child.id().expect("the server runs").to_string();
        assert!(signal("-USR1", &id).await, "there is no process {id}");
        let died = tokio::time::timeout(SHORT, child.wait()).await;
        died.expect("the server dies at once")
            .expect("a child can be waited for");
    }

    /// Starts the server on the same data; on the same ports too, if it has run before.
    pub async fn start_again(&mut self) {
        assert!(self.child.is_none(), "the server still runs");
        let keep_ports = self.direct_tls_port != 0;
        for _ in 0..5 {
            if !keep_ports {
                (self.direct_tls_port, self.starttls_port) = free_ports();
            }
            self.write_configuration();
            if self.launch().await {
                return;
            }
        }
        panic!("Prosody does not start:\n{}", log_tail(&self.log_file()));
    }

    /// Whether the server came up on its ports; it does not if someone took one of them meanwhile.
    async fn launch(&mut self) -> bool {
        self.put_log_aside();
        let output =
            fs::File::create(self.directory.path().join("output.log")).expect("a file for the output");
        let child = Command::new("prosody")
            .arg("-F")
            .arg("--config")
            .arg(self.directory.path().join("prosody.cfg.lua"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle on the output"))
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .expect("Debian's package prosody is installed");
        self.child = Some(child);
        let ready = format!(
            "Activated service 'c2s_direct_tls' on [127.0.0.1]:{}",
            self.direct_tls_port
        );
        let taken = "Failed to open server port";
        until("Prosody has opened its ports or failed to", SHORT, async || {
            let log = self.log();
            (log.contains(taken) || log.contains(&ready)).then_some(())
        })
        .await;
        let log = self.log();
        let open = !log.contains(taken)
            && reachable(self.direct_tls_port).await
            && reachable(self.starttls_port).await;
        if !open {
            self.kill().await;
        }
        open
    }

    /// Each run has a log of its own; those before are kept for whoever looks into a failure.
    fn put_log_aside(&mut self) {
        let aside = format!("prosody-{:03}.log", self.runs);
        if fs::rename(self.log_file(), self.directory.path().join(aside)).is_ok() {
            self.runs += 1;
        }
    }

    fn write_certificates(&self) {
        let directory = self.directory.path();
        let authority = Authority::default();
        fs::write(self.ca_file(), authority.pem()).expect("the authority's file");
        for domain in [DOMAIN, OTHER_DOMAIN, MISNAMED_DOMAIN] {
            let name = if domain == MISNAMED_DOMAIN {
                "somewhere-else.test"
            } else {
                domain
            };
            let (certificate, key) = authority.sign(name);
            fs::write(directory.join(format!("{domain}.crt")), certificate).expect("a certificate's file");
            fs::write(directory.join(format!("{domain}.key")), key).expect("a key's file");
        }
    }

    fn write_configuration(&self) {
        let directory = self.directory.path();
        let text = configuration(
            directory,
            (self.direct_tls_port, self.starttls_port),
            self.login,
            self.archives,
        );
        fs::write(directory.join("mod_waxwing_sasl2_shim.lua"), SHIM).expect("the shim's file");
        fs::write(directory.join("mod_waxwing_crash.lua"), CRASH).expect("the module's file");
        fs::write(directory.join("mod_waxwing_kick.lua"), KICK).expect("the module's file");
        fs::write(directory.join("mod_waxwing_limit.lua"), LIMIT).expect("the module's file");
        fs::write(directory.join("prosody.cfg.lua"), text).expect("the server's configuration");
        fs::create_dir_all(directory.join("data")).expect("the server's storage");
    }
}

impl Drop for Prosody {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{}", log_tail(&self.log_file()));
        }
    }
}

fn configuration(
    directory: &Path,
    (direct_tls_port, starttls_port): (u16, u16),
    login: Login,
    archives: Archives,
) -> String {
    let directory = directory.display();
    let storage = match archives {
        Archives::Files => r#"storage = "internal""#.to_owned(),
        Archives::Database => format!(
            r#"storage = {{ archive = "sql"; default = "internal" }}
sql = {{ driver = "SQLite3", database = "{directory}/archive.sqlite" }}"#
        ),
    };
    let login = match login {
        Login::Classic => "",
        Login::Modern => r#""waxwing_sasl2_shim"; "sasl2"; "sasl2_bind2"; "sasl2_fast"; "sasl2_sm";"#,
    };
    let mut text = format!(
        r#"run_as_root = true
daemonize = false
pidfile = "{directory}/prosody.pid"
data_path = "{directory}/data"
plugin_paths = {{ "{directory}" }}
certificates = "{directory}"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {starttls_port} }}
c2s_direct_tls_ports = {{ {direct_tls_port} }}
c2s_direct_tls_ssl = {{ certificate = "{directory}/{DOMAIN}.crt"; key = "{directory}/{DOMAIN}.key" }}
s2s_ports = {{}}
authentication = "internal_plain"
{storage}
c2s_require_encryption = true
allow_registration = true
-- Hostile stanzas must reach the product, so the server must not be the one that stops them.
c2s_stanza_size_limit = 16 * 1024 * 1024
archive_expires_after = "never"
-- At its usual limit of 10,000 the archive is trimmed with each message, which takes longer than all else.
storage_archive_item_limit = 1000000
default_archive_policy = true
smacks_hibernation_time = 300
log = {{ {{ levels = {{ min = "debug" }}, to = "file", filename = "{directory}/prosody.log" }} }}
modules_enabled = {{
  "roster"; "saslauth"; "tls"; "disco"; "carbons"; "pep"; "smacks"; "mam"; "blocklist"; "ping"; "csi_simple";
  "vcard4"; "vcard_legacy"; "offline"; "private"; "register"; "time"; "version"; "waxwing_crash"; "waxwing_kick";
  "waxwing_limit";
  {login}
}}
modules_disabled = {{ "s2s"; "limits" }}
"#
    );
    for domain in [DOMAIN, OTHER_DOMAIN, MISNAMED_DOMAIN] {
        // Named twice: the general setting for direct TLS above would otherwise decide for every domain.
        let pair =
            format!("{{ certificate = \"{directory}/{domain}.crt\"; key = \"{directory}/{domain}.key\" }}");
        let host = format!("VirtualHost \"{domain}\"\n  ssl = {pair}\n  c2s_direct_tls_ssl = {pair}\n");
        text.push_str(&host);
    }
    text
}

/// Whether a file below the folder holds the text. Prosody quotes what it stores as Lua strings, so the text must
/// be one that needs no quoting.
fn contains(folder: &Path, text: &str) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return contains(&path, text);
        }
        fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
    })
}

async fn reachable(port: u16) -> bool {
    let attempt = tokio::time::timeout(Duration::from_secs(5), TcpStream::connect(("127.0.0.1", port))).await;
    matches!(attempt, Ok(Ok(_)))
}

/// Two ports that were free a moment ago.
fn free_ports() -> (u16, u16) {
    let listeners = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("a free port"));
    let [first, second] = listeners.map(|l| l.local_addr().expect("a bound listener has an address").port());
    (first, second)
}

/// How Prosody's internal storage writes names of hosts and users as file names.
fn path_encoded(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_string()
            } else {
                format!("%{:02x}", u32::from(c))
            }
        })
        .collect()
}

fn lua_string(text: &str) -> String {
    let escaped: Vec<String> = text.bytes().map(|byte| format!("\\{byte:03}")).collect();
    format!("\"{}\"", escaped.concat())
}
