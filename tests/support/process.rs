//! Child processes: ended in good order, spoken to in lines of JSON, their last words kept.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{oneshot, watch};

/// The end of a log, for failure messages.
pub fn log_tail(path: &Path) -> String {
    let text = fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(60)..)
        .unwrap_or_default()
        .join("\n")
}

/// Asks the process to end (SIGTERM), and kills it if it has not done so after ten seconds.
pub async fn terminate(mut child: Child) -> Option<ExitStatus> {
    if let Some(id) = child.id() {
        signal("-TERM", &id.to_string()).await;
    }
    if let Ok(status) = tokio::time::timeout(Duration::from_secs(10), child.wait()).await {
        return status.ok();
    }
    let _ = child.kill().await;
    None
}

/// Sends a signal to a process, or with a leading `-` to a process group. False if there is none.
pub async fn signal(name: &str, target: &str) -> bool {
    let mut kill = Command::new("kill");
    kill.arg(name)
        .arg("--")
        .arg(target)
        .stderr(std::process::Stdio::null());
    kill.status().await.is_ok_and(|status| status.success())
}

/// What the reader of a child's output has seen.
#[derive(Default)]
struct Seen {
    /// Lines that nobody asked for, in the order in which they came; taken ones leave a gap.
    events: Vec<Option<Value>>,
    /// How many have come, those that were thrown away among them.
    total: usize,
    /// Who waits for the answer to which request.
    waiting: HashMap<u64, oneshot::Sender<Value>>,
}

/// A child that answers requests and reports events, one JSON object a line.
pub struct Lines {
    child: Child,
    input: Option<ChildStdin>,
    seen: Arc<Mutex<Seen>>,
    /// How many events have come; closed when the output has ended.
    count: watch::Receiver<usize>,
    next_id: u64,
    log_file: PathBuf,
    name: String,
}

impl Lines {
    /// Starts the command; its standard error goes to the file.
    pub fn spawn(name: &str, command: &mut Command, log_file: PathBuf) -> Self {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_file)
            .expect("a log file");
        let mut child = command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start ({command:?}): {error}"));
        let input = child.stdin.take();
        let output = child.stdout.take().expect("standard output is a pipe");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (counter, count) = watch::channel(0);
        tokio::spawn(read_lines(BufReader::new(output), Arc::clone(&seen), counter));
        Self {
            child,
            input,
            seen,
            count,
            next_id: 1,
            log_file,
            name: name.to_owned(),
        }
    }

    /// The id for the next request.
    pub fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Writes a line as it is.
    pub async fn write(&mut self, line: &str) {
        if let Err(error) = self.try_write(line).await {
            self.fail(&format!("does not take a line: {error}"));
        }
    }

    async fn try_write(&mut self, line: &str) -> std::io::Result<()> {
        let input = self
            .input
            .as_mut()
            .expect("the input is open until it is closed on purpose");
        input.write_all(line.as_bytes()).await?;
        input.write_all(b"\n").await?;
        input.flush().await
    }

    /// Sends a request and waits for the line that answers it.
    pub async fn ask(&mut self, id: u64, request: &Value, limit: Duration) -> Value {
        match self.try_ask(id, request, limit).await {
            Some(line) => line,
            None => self.fail(&format!("ended while it was asked {}", brief(request))),
        }
    }

    /// Sends a request and waits for the line that answers it. None if the process ends before.
    pub async fn try_ask(&mut self, id: u64, request: &Value, limit: Duration) -> Option<Value> {
        let (answer, answered) = oneshot::channel();
        self.lock().waiting.insert(id, answer);
        self.try_write(&request.to_string()).await.ok()?;
        // Its end of the output may have been read before the answer was waited for.
        if self.count.has_changed().is_err() {
            return None;
        }
        match tokio::time::timeout(limit, answered).await {
            Ok(line) => line.ok(),
            Err(_) => self.fail(&format!("did not answer {} within {limit:?}", brief(request))),
        }
    }

    /// How many events have come so far.
    pub fn events_so_far(&self) -> usize {
        self.lock().total
    }

    /// Waits until more events have come than `count`. False if the limit passed or the output ended.
    pub async fn more_events_than(&mut self, count: usize, limit: Duration) -> bool {
        let grown = self.count.wait_for(|seen| *seen > count);
        matches!(tokio::time::timeout(limit, grown).await, Ok(Ok(_)))
    }

    /// Takes the first event that fits, waiting for it if need be. Events that do not fit stay.
    pub async fn take(&mut self, fits: impl Fn(&Value) -> bool, limit: Duration) -> Option<Value> {
        let deadline = tokio::time::Instant::now() + limit;
        let mut looked_at = 0;
        loop {
            let count = self.events_so_far();
            if let Some(event) = self.take_seen(&fits, &mut looked_at) {
                return Some(event);
            }
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if !self.more_events_than(count, left).await {
                return self.take_seen(&fits, &mut looked_at);
            }
        }
    }

    /// Takes the first event that fits behind those that were looked at.
    fn take_seen(&self, fits: &impl Fn(&Value) -> bool, looked_at: &mut usize) -> Option<Value> {
        let mut seen = self.lock();
        let new = seen.events.iter_mut().skip(*looked_at);
        let found = new
            .filter(|slot| slot.as_ref().is_some_and(fits))
            .find_map(Option::take);
        *looked_at = seen.events.len();
        found
    }

    /// All events that have come and were not taken.
    pub fn events(&self) -> Vec<Value> {
        self.lock().events.iter().flatten().cloned().collect()
    }

    /// Throws away the events that have come so far.
    pub fn forget_events(&mut self) {
        self.lock().events.clear();
    }

    /// Closes the input and waits for the end.
    pub async fn close(mut self, limit: Duration) -> ExitStatus {
        drop(self.input.take());
        self.ended(limit).await
    }

    /// Waits for the end.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => status.expect("a child can be waited for"),
            Err(_) => self.fail(&format!("did not end within {limit:?}")),
        }
    }

    /// Whether the process still runs.
    pub fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The process id while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills the process at once.
    pub async fn kill(mut self) {
        self.kill_in_place().await;
    }

    /// The same, where another one takes its place.
    pub async fn kill_in_place(&mut self) {
        let _ = self.child.kill().await;
    }

    /// Ends the test with the process's last words.
    pub fn fail(&self, what: &str) -> ! {
        let events: Vec<String> = self.events().iter().rev().take(12).rev().map(brief).collect();
        panic!(
            "{} {what}\n--- its last events ---\n{}\n--- its log ---\n{}",
            self.name,
            events.join("\n"),
            log_tail(&self.log_file)
        )
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panics while holding this lock")
    }
}

/// A value as text, cut to what a reader can take in.
pub fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 600 {
        text
    } else {
        text.chars().take(600).chain("…".chars()).collect()
    }
}

async fn read_lines(
    mut output: BufReader<tokio::process::ChildStdout>,
    seen: Arc<Mutex<Seen>>,
    counter: watch::Sender<usize>,
) {
    let mut line = String::new();
    while matches!(output.read_line(&mut line).await, Ok(length) if length > 0) {
        let value = serde_json::from_str::<Value>(line.trim_end())
            .unwrap_or_else(|_| Value::String(format!("not JSON: {}", line.trim_end())));
        line.clear();
        let mut state = seen.lock().expect("nobody panics while holding this lock");
        let waiting = value
            .get("id")
            .and_then(Value::as_u64)
            .and_then(|id| state.waiting.remove(&id));
        if let Some(answer) = waiting {
            // The receiver may have given up; its test has failed by then.
            let _ = answer.send(value);
        } else {
            state.events.push(Some(value));
            state.total += 1;
            let count = state.total;
            drop(state);
            counter.send_replace(count);
        }
    }
    // Nobody can be answered any more: dropping the senders tells them, and the counter's end those who come later.
    drop(counter);
    seen.lock()
        .expect("nobody panics while holding this lock")
        .waiting
        .clear();
}
