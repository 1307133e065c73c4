//! What Linux tells about processes.

use std::fs;
use std::time::Duration;

/// `/proc` counts processor time in hundredths of a second (`USER_HZ`).
const TICKS_A_SECOND: f64 = 100.0;

/// The load of the last minute, which tells how far figures can be trusted.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// A process and all that descend from it.
pub fn tree(process: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .expect("Linux has /proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|id: u32| Some((id, stat(id)?.get(1)?.parse().ok()?)))
        .collect();
    let mut tree = vec![process];
    let mut next = 0;
    while let Some(&parent) = tree.get(next) {
        tree.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        next += 1;
    }
    tree
}

/// The fields of `/proc/ID/stat` behind the name: state, parent, …
fn stat(process: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// The memory of a process and its descendants in MiB; what they share is counted once (PSS).
pub fn memory(process: u32) -> f64 {
    let kib = |id: u32| -> Option<f64> {
        let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    tree(process).into_iter().filter_map(kib).sum::<f64>() / 1_024.0
}

/// The most memory that a process has ever had in use, in MiB.
pub fn most_memory(process: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = kib.and_then(|kib| kib.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.expect("a running process has memory") / 1_024.0
}

/// The processor time that a process and its living descendants have used, in seconds.
pub fn processor_time(process: u32) -> f64 {
    let ticks = |id: u32| -> Option<f64> {
        let fields = stat(id)?;
        Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
    };
    tree(process).into_iter().filter_map(ticks).sum::<f64>() / TICKS_A_SECOND
}

/// Waits until the process and its descendants have used less than 2 % of a processor for two seconds on end, at most
/// half a minute.
pub async fn idle(process: u32) {
    const SPAN: Duration = Duration::from_secs(2);
    let mut before = processor_time(process);
    for _ in 0..15 {
        tokio::time::sleep(SPAN).await;
        let now = processor_time(process);
        if now - before < 0.02 * SPAN.as_secs_f64() {
            return;
        }
        before = now;
    }
    eprintln!("the program did not come to rest; its memory is measured all the same");
}
