//! The profile's key in the system's keychain: a real Secret Service on a session bus of its own.

use std::fs;
use std::path::Path;
use std::process::Output;

use tokio::process::Command;
use waxwing_tests::program;

/// Starts a keychain whose entries lie in the folder `entries`, and the program in it with nothing to do.
async fn open_with_keychain(entries: &Path, profile: &Path) -> Output {
    // The daemon goes into the background once it is unlocked, and ends with its bus.
    let script = r#"printf pass | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1 &&
        printf '{"jsonrpc":"2.0","id":1,"method":"list_accounts"}\n' | "$1" --profile "$2" --keychain"#;
    let mut session = Command::new("dbus-run-session");
    session
        .args(["--", "sh", "-c", script, "sh"])
        .arg(program("waxwing-headless"))
        .arg(profile)
        .env("XDG_DATA_HOME", entries)
        .env("XDG_RUNTIME_DIR", entries)
        .kill_on_drop(true);
    tokio::time::timeout(waxwing_tests::LONG, session.output())
        .await
        .expect("the keychain answers in time")
        .expect("dbus-run-session is installed")
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test]
async fn the_key_lies_in_the_keychain_and_only_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let (entries, profile) = (folder.path().join("entries"), folder.path().join("profile"));
    fs::create_dir(&entries).expect("a folder for the keychain");
    for _ in 0..2 {
        let output = open_with_keychain(&entries, &profile).await;
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains(r#""result":[]"#), "{}", said(&output));
    }
    let key_file = fs::read_to_string(profile.join("key.json")).expect("a key file");
    assert!(key_file.contains("keychain"), "{key_file}");
    let digits = key_file
        .split(|c: char| !c.is_ascii_hexdigit())
        .map(str::len)
        .max();
    assert!(digits < Some(64), "a key stands in {key_file}");
    let database = fs::read(profile.join("waxwing.db")).expect("a database");
    assert!(
        !database.starts_with(b"SQLite format 3"),
        "the database is not encrypted"
    );
}

#[tokio::test]
async fn a_lost_keychain_is_told_and_never_taken_for_a_first_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let (entries, other, profile) = (
        folder.path().join("entries"),
        folder.path().join("other"),
        folder.path().join("profile"),
    );
    for keychain in [&entries, &other] {
        fs::create_dir(keychain).expect("a folder for a keychain");
    }
    let first = open_with_keychain(&entries, &profile).await;
    assert!(first.status.success(), "{}", said(&first));
    let before = fs::read(profile.join("waxwing.db")).expect("a database");
    let lost = open_with_keychain(&other, &profile).await;
    assert!(!lost.status.success());
    assert!(said(&lost).contains("key_missing"), "{}", said(&lost));
    assert_eq!(before, fs::read(profile.join("waxwing.db")).expect("still there"));
    let found = open_with_keychain(&entries, &profile).await;
    assert!(found.status.success(), "{}", said(&found));
}
