//! A program that loses its connection and comes back, again and again, and what it holds meanwhile.

use std::fs;

use serde_json::json;

use crate::{Fault, Person, Profile, Prosody, Proxy, Tls, items};

const ME: &str = "wren@waxwing.test";
const FRIEND: &str = "heron@waxwing.test";
/// With so many messages the database is larger than what SQLite keeps of it in memory: 2 MiB for each connection.
const MORE_THAN_CACHES: usize = 5_000;

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Footprint {
    /// Its own memory in MiB: what it shares with others, such as its code, changes when others of its kind end.
    pub memory: f64,
    /// Open files, sockets among them.
    pub files: usize,
}

impl Footprint {
    /// What the process holds now, as Linux tells.
    pub fn of(process: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).expect("the process lives");
        let kilobytes: f64 = text
            .lines()
            .find_map(|line| line.strip_prefix("Pss_Anon:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok())
            .expect("Linux tells the proportional set size of what no file stands behind");
        let files = fs::read_dir(format!("/proc/{process}/fd"))
            .expect("the process lives")
            .count();
        Self {
            memory: kilobytes / 1024.0,
            files,
        }
    }
}

/// Signs in and comes back so many times, and gives what the program held after each of the marks (rising numbers of
/// rounds, the last one the end). Most rounds are a connection that is reset and a session that is resumed; in one of
/// ten a message is written while the connection is away, and one of ten is a new session after the account was
/// switched off and on. Before, the store gets as many messages as there are rounds, or as fill its caches: what is
/// written on the way makes no difference then.
pub async fn come_back(marks: &[usize], mut tell: impl FnMut(usize, Footprint)) {
    let rounds = marks.last().copied().unwrap_or_default();
    let mut server = Prosody::with_long_archives(&[ME, FRIEND]).await;
    let proxy = Proxy::to(server.direct_tls_port).await;
    let mut profile = Profile::trusting(&server);
    profile.log_only("error");
    let mut me = Person::sign_in_with(profile, ME, proxy.port, Tls::Direct).await;
    me.stop().await;
    server.stop().await;
    server.fill_archive(ME, 0, rounds.min(MORE_THAN_CACHES));
    server.start_again().await;
    me.start_again().await;
    me.wait_online().await;
    me.until(
        "nothing of the archive is missing",
        "list_accounts",
        json!({}),
        |list| {
            items(list)
                .iter()
                .all(|account| items(&account["gaps"]).is_empty())
        },
    )
    .await;
    let chat = me.plain_chat_with(FRIEND).await;
    let (mut cuts, mut written) = (0, Vec::new());
    for round in 1..=rounds {
        me.forget_events();
        match round % 10 {
            3 => switch_off_and_on(&mut me).await,
            7 => {
                cut(&proxy, &mut me).await;
                let body = format!("written while round {round} was away");
                written.push(me.send(&chat, &body).await);
                cuts += 1;
                back(&mut me).await;
            }
            _ => {
                cut(&proxy, &mut me).await;
                cuts += 1;
                back(&mut me).await;
            }
        }
        if marks.contains(&round) {
            tell(round, at_rest(&mut me).await);
        }
    }
    let account = me.account.clone();
    let report = me.get("connection_report", json!({ "account": account })).await;
    assert_eq!(
        report["lost"], cuts,
        "the connection was lost more or less often than it was cut"
    );
    for message in written.iter().rev().take(100) {
        me.delivery(message, "sent").await;
    }
    me.stop().await;
}

async fn cut(proxy: &Proxy, me: &mut Person) {
    let account = me.account.clone();
    // Events that are older than this answer may still be on their way.
    let before = me.account_until(&account, "online").await["rev"].as_u64();
    proxy.set(Fault::Cut);
    me.event("that the connection is lost", |event| {
        event["type"] == "account_changed"
            && event["account"]["state"] == "connecting"
            && event["account"]["rev"].as_u64() > before
    })
    .await;
}

/// As if the network had just returned, so that nobody waits out the pause before the next attempt.
async fn back(me: &mut Person) {
    me.get("check_connections", json!({})).await;
    me.wait_online().await;
}

async fn switch_off_and_on(me: &mut Person) {
    let account = me.account.clone();
    for enabled in [false, true] {
        let params = json!({ "account": account, "enabled": enabled });
        me.get("set_account_enabled", params).await;
    }
    me.wait_online().await;
}

/// What the program holds when it has nothing to do: the server has answered a question that came last.
async fn at_rest(me: &mut Person) -> Footprint {
    let account = me.account.clone();
    let report = me.get("connection_report", json!({ "account": account })).await;
    assert!(
        !items(&report["features"]).is_empty(),
        "there is no connection: {report}"
    );
    Footprint::of(me.process_id().expect("the program runs"))
}
