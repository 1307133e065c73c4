//! A keychain of a test's own: a real Secret Service on a session bus that ends with the program that runs in it.

use std::path::Path;

use tokio::process::Command;

/// The program, to be run where there is a keychain whose entries lie in the folder.
pub fn within_keychain(entries: &Path, program: &Path) -> Command {
    // The daemon goes into the background once it is unlocked, and ends with its bus.
    let script =
        r#"printf pass | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1 && exec "$@""#;
    let mut session = Command::new("dbus-run-session");
    session
        .args(["--", "sh", "-c", script, "sh"])
        .arg(program)
        .env("XDG_DATA_HOME", entries)
        .env("XDG_RUNTIME_DIR", entries);
    session
}
