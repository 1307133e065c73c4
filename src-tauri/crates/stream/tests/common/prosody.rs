//! A real Prosody in a folder of its own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{DOMAIN, LIMIT, PASSWORD};
use waxwing_scripted::Authority;

const CONFIGURATION: &str = "prosody.cfg.lua";
const LOG: &str = "log";

pub(crate) struct Prosody {
    child: Child,
    folder: tempfile::TempDir,
    pub(crate) starttls: u16,
    pub(crate) direct: u16,
}

impl Prosody {
    /// Serves [`DOMAIN`] with a certificate for `name` and the accounts `alice` and `bob`.
    pub(crate) fn start(authority: &Authority, name: &str) -> Self {
        let mut folder = tempfile::tempdir().unwrap();
        let (certificate, key) = authority.sign(name);
        std::fs::write(folder.path().join("server.crt"), certificate).unwrap();
        std::fs::write(folder.path().join("server.key"), key).unwrap();
        accounts(folder.path());
        for _ in 0..5 {
            let (starttls, direct) = free_ports();
            let config = configuration(folder.path(), starttls, direct);
            std::fs::write(folder.path().join(CONFIGURATION), config).unwrap();
            let child = spawn(folder.path());
            let mut prosody = Self {
                child,
                folder,
                starttls,
                direct,
            };
            if prosody.has_its_ports() {
                return prosody;
            }
            prosody.stop();
            folder = std::mem::replace(&mut prosody.folder, tempfile::tempdir().unwrap());
        }
        panic!("each time somebody else took Prosody's ports");
    }

    /// As after a crash: what it held in memory is gone.
    pub(crate) fn kill_and_start_again(&mut self) {
        self.stop();
        self.child = spawn(self.folder.path());
        assert!(self.has_its_ports(), "somebody else took Prosody's ports");
    }

    /// Waits until it listens. False if one of its ports was taken meanwhile, where another server may answer.
    fn has_its_ports(&mut self) -> bool {
        let deadline = Instant::now() + LIMIT;
        loop {
            let log = std::fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default();
            let opened = |service: &str, port| {
                log.contains(&format!("Activated service '{service}' on [127.0.0.1]:{port}"))
            };
            if opened("c2s", self.starttls) && opened("c2s_direct_tls", self.direct) {
                return true;
            }
            if log.contains("Failed to open server port") {
                return false;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "Prosody ended:\n{log}");
            assert!(Instant::now() < deadline, "Prosody does not answer:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::fs::remove_file(self.folder.path().join(LOG)).ok();
    }
}

impl Drop for Prosody {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(folder: &Path) -> Child {
    Command::new("prosody")
        .args(["-F", "--config"])
        .arg(folder.join(CONFIGURATION))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("these tests need the program `prosody` (Debian package prosody) on the PATH")
}

/// Two ports that were free a moment ago.
fn free_ports() -> (u16, u16) {
    let listeners = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    let [first, second] = listeners.map(|listener| listener.local_addr().unwrap().port());
    (first, second)
}

fn accounts(folder: &Path) {
    let accounts = folder
        .join("data")
        .join(DOMAIN.replace('.', "%2e"))
        .join("accounts");
    std::fs::create_dir_all(&accounts).unwrap();
    for user in ["alice", "bob"] {
        let account = format!("return {{ [\"password\"] = \"{PASSWORD}\" }};");
        std::fs::write(accounts.join(format!("{user}.dat")), account).unwrap();
    }
}

fn configuration(folder: &Path, starttls: u16, direct: u16) -> String {
    let folder = folder.display();
    format!(
        r#"
        run_as_root = true
        daemonize = false
        pidfile = "{folder}/pid"
        data_path = "{folder}/data"
        interfaces = {{ "127.0.0.1" }}
        c2s_ports = {{ {starttls} }}
        c2s_direct_tls_ports = {{ {direct} }}
        modules_enabled = {{ "roster", "saslauth", "tls", "disco", "ping", "smacks" }}
        modules_disabled = {{ "s2s" }}
        authentication = "internal_plain"
        c2s_require_encryption = true
        ssl = {{ key = "{folder}/server.key", certificate = "{folder}/server.crt" }}
        log = {{ debug = "{folder}/{LOG}" }}
        VirtualHost "{DOMAIN}"
        "#
    )
}
