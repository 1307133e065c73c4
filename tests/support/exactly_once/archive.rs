//! What the server keeps, read from its storage while it does not run.

use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Prosody runs on this and stores in its language.
const LUA: &str = "lua5.4";
const READER: &str = include_str!("../prosody/archive.lua");

/// The origin ids of all messages in an account's archive, in its order.
pub(super) async fn origin_ids(file: &Path) -> Vec<String> {
    let mut child = Command::new(LUA)
        .arg("-")
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("Debian's package prosody brings lua5.4");
    let mut input = child.stdin.take().expect("standard input is a pipe");
    input
        .write_all(READER.as_bytes())
        .await
        .expect("Lua takes its program");
    drop(input);
    let output = child.wait_with_output().await.expect("Lua ends");
    assert!(
        output.status.success(),
        "the archive {} cannot be read: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::to_owned).collect()
}
