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
    let lines: Vec<Line> = text.lines().flat_map(row).collect();
    assert_eq!(
        lines.len(),
        16,
        "two generations: sessions, the dearest message, and both ways with 1, 5 and 20 devices:\n{text}"
    );
    report::print(
        "omemo",
        "medians of nine runs: sessions begun and accepted, whole stanzas encrypted to that many devices, single keys \
         and payloads decrypted, with the records read from and written to their stored bytes; and the most that one \
         hostile message costs",
        &lines,
    );
}

/// A row such as `Legacy 5 1234 5678`, or `Legacy sessions a second: 1234`.
fn row(text: &str) -> Vec<Line> {
    let generation = text.split_whitespace().next().unwrap_or_default();
    let numbers: Vec<f64> = text
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    match numbers.as_slice() {
        [rate] if text.contains("sessions") => {
            vec![Line::more(format!("{generation}: sessions"), "1/s", vec![*rate])]
        }
        [time] => vec![Line::less(
            format!("{generation}: the dearest message"),
            "ms",
            vec![*time],
            Vec::new(),
        )],
        [devices, encrypted, decrypted] => vec![
            Line::more(
                format!("{generation}, {devices} devices: encrypted"),
                "1/s",
                vec![*encrypted],
            ),
            Line::more(
                format!("{generation}, {devices} devices: decrypted"),
                "1/s",
                vec![*decrypted],
            ),
        ],
        _ => Vec::new(),
    }
}
