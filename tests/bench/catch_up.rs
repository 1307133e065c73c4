//! How fast what was missed is read from the server's archive.

use serde_json::{Value, json};
use waxwing_tests::{Profile, Prosody, items};

use crate::program::Headless;
use crate::report::{Against, Line};
use crate::sender::Sender;
use crate::started::now;
use crate::{machine, report};

const ME: &str = "wren@waxwing.test";
/// Reads the archive page by page and does nothing else.
const COUNTER: &str = "counter@waxwing.test";

/// What one run took.
#[derive(Default)]
struct Runs {
    seconds: Vec<f64>,
    processor: Vec<f64>,
    opening: Vec<f64>,
    memory: Vec<f64>,
    database: Vec<f64>,
    first: Vec<f64>,
    floor: Vec<f64>,
}

/// A device that was away, and a new one, each with so many messages in the archive.
#[allow(clippy::cast_precision_loss, reason = "at most some millions of messages")]
pub async fn catch_up(runs: usize, counts: &[usize]) {
    for &count in counts {
        let (mut away, mut new) = (Runs::default(), Runs::default());
        for _ in 0..runs {
            run(count, &mut away, &mut new).await;
        }
        let share = count as f64 / 10_000.0;
        let counter = |of: &Runs| Against {
            who: "a client that only counts".to_owned(),
            figure: report::median(&of.floor),
            allowance: 0.0,
        };
        let rate = away
            .seconds
            .iter()
            .map(|seconds| count as f64 / seconds)
            .collect();
        report::print(
            "catch-up",
            &format!(
                "{count} messages of twenty contacts in the archive of a Prosody (SQLite), from the start of the headless \
                 program until all are in its database; the new device until the newest page is, and until all are"
            ),
            &[
                Line::less(
                    "a device that was away",
                    "s",
                    away.seconds.clone(),
                    vec![Against::peer("Gajim", 12.6 * share), counter(&away)],
                ),
                Line::more("messages a second", "1/s", rate),
                Line::less(
                    "processor time",
                    "s",
                    away.processor,
                    vec![Against::peer("Gajim", 4.1 * share)],
                ),
                Line::less("of that, until the profile is open", "s", away.opening, vec![]),
                Line::less("most memory", "MiB", away.memory, vec![]),
                Line::less("size of the database", "MiB", away.database, vec![]),
                Line::less("a new device: newest page", "s", new.first, vec![]),
                Line::less("a new device: everything", "s", new.seconds, vec![]),
                Line::less("a new device: processor time", "s", new.processor, vec![]),
                Line::less("a new device: most memory", "MiB", new.memory, vec![]),
            ],
        );
    }
}

async fn run(count: usize, away: &mut Runs, new: &mut Runs) {
    let mut server = Prosody::with_long_archives(&[ME, COUNTER]).await;
    let profile = Profile::trusting(&server);
    let mut headless = Headless::start(&profile).await;
    let account = headless.sign_in(ME, server.direct_tls_port).await;
    headless.stop().await;
    // The newest message that the device knows.
    refill(&mut server, &[(ME, 0, 1)]).await;
    let mut headless = Headless::start(&profile).await;
    headless.has_read_all(&account).await;
    headless.stop().await;

    refill(&mut server, &[(ME, 1, count), (COUNTER, 0, count)]).await;
    let begun = now();
    let mut headless = Headless::start(&profile).await;
    away.opening.push(machine::processor_time(headless.process()));
    headless.has_read_all(&account).await;
    away.add(begun, &headless);
    headless.has_all(&account, count + 1).await;
    headless.stop().await;
    #[allow(clippy::cast_precision_loss, reason = "some hundred megabytes")]
    away.database.push(profile.database_size() as f64 / 1_048_576.0);
    let mut counter = Sender::sign_in(&server, COUNTER).await;
    away.floor.push(counter.read_archive().await);

    let profile = Profile::trusting(&server);
    let begun = now();
    let mut headless = Headless::start(&profile).await;
    let account = headless.sign_in(ME, server.direct_tls_port).await;
    headless.caught_up().await;
    new.first.push((now() - begun) / 1_000.0);
    headless.has_read_all(&account).await;
    new.add(begun, &headless);
    headless.has_all(&account, count + 1).await;
    headless.stop().await;
}

async fn refill(server: &mut Prosody, fills: &[(&str, usize, usize)]) {
    server.stop().await;
    for (address, first, count) in fills {
        server.fill_archive(address, *first, *count);
    }
    server.start_again().await;
}

impl Runs {
    fn add(&mut self, begun: f64, headless: &Headless) {
        self.seconds.push((now() - begun) / 1_000.0);
        self.processor.push(machine::processor_time(headless.process()));
        self.memory.push(machine::most_memory(headless.process()));
    }
}

impl Headless {
    /// Waits until nothing of the archive is missing.
    async fn has_read_all(&mut self, account: &Value) {
        let whole = |account: &Value, told: &Value| {
            told["account"] == *account && told["state"] == "online" && items(&told["gaps"]).is_empty()
        };
        self.forget();
        let accounts = self.get("list_accounts", json!({})).await;
        if items(&accounts).iter().any(|told| whole(account, told)) {
            return;
        }
        self.tells("nothing is missing", |event| whole(account, &event["account"]))
            .await;
    }

    /// So many messages are there, in all chats together.
    async fn has_all(&mut self, account: &Value, count: usize) {
        let mut there = 0;
        let chats = self.get("list_chats", json!({ "account": account })).await;
        for chat in items(&chats) {
            there += self.newest(&chat["chat"], count).await.len();
        }
        assert_eq!(there, count, "messages are missing");
    }
}
