//! A real Prosody in a folder of its own.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{DOMAIN, LIMIT, PASSWORD};
use waxwing_scripted::Authority;

pub(crate) struct Prosody {
    child: Child,
    folder: tempfile::TempDir,
    pub(crate) starttls: u16,
    pub(crate) direct: u16,
}

impl Prosody {
    /// Serves [`DOMAIN`] with a certificate for `name` and the accounts `alice` and `bob`.
    pub(crate) fn start(authority: &Authority, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = authority.sign(name);
        std::fs::write(folder.path().join("server.crt"), certificate).unwrap();
        std::fs::write(folder.path().join("server.key"), key).unwrap();
        let (starttls, direct) = (free_port(), free_port());
        accounts(folder.path());
        let config = folder.path().join("prosody.cfg.lua");
        std::fs::write(&config, configuration(folder.path(), starttls, direct)).unwrap();
        let child = spawn(&config);
        let mut prosody = Self {
            child,
            folder,
            starttls,
            direct,
        };
        prosody.wait();
        prosody
    }

    /// As after a crash: what it held in memory is gone.
    pub(crate) fn kill_and_start_again(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.folder.path().join("prosody.cfg.lua"));
        self.wait();
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + LIMIT;
        for port in [self.starttls, self.direct] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                assert!(self.child.try_wait().unwrap().is_none(), "Prosody ended:\n{log}");
                assert!(Instant::now() < deadline, "Prosody does not answer:\n{log}");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

impl Drop for Prosody {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(config: &Path) -> Child {
    Command::new("prosody")
        .args(["-F", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("these tests need the program `prosody` (Debian package prosody) on the PATH")
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
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
        log = {{ debug = "{folder}/log" }}
        VirtualHost "{DOMAIN}"
        "#
    )
}
