//! How fast encryption is.

use tokio::process::Command;
use waxwing_tests::program;

use crate::report::{self, Line};

/// Runs the crate's own measurement and takes over its medians.
pub async fn speed() {
    let output = Command::new(program("examples/speed"))
        .output()
        .await
        .expect("the program starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Line> = text.lines().filter_map(row).flatten().collect();
    assert_eq!(
        lines.len(),
        12,
        "two generations with 1, 5 and 20 devices:\n{text}"
    );
    report::print(
        "omemo",
        "medians of nine runs: whole stanzas encrypted to that many devices, single keys and payloads decrypted, with \
         the records read from and written to their stored bytes",
        &lines,
    );
}

/// A row such as `Legacy 5 1234 5678`.
fn row(text: &str) -> Option<[Line; 2]> {
    let mut words = text.split_whitespace();
    let generation = words.next()?;
    let devices: u32 = words.next()?.parse().ok()?;
    let [encrypted, decrypted] = [words.next()?.parse().ok()?, words.next()?.parse().ok()?];
    let named = |what: &str| format!("{generation}, {devices} devices: {what}");
    Some([
        Line::more(named("encrypted"), "1/s", vec![encrypted]),
        Line::more(named("decrypted"), "1/s", vec![decrypted]),
    ])
}
