//! Interruptions, floods and oversized things leave the program as it was: online, honest about itself, and in hand.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use waxwing_tests::process::signal;
use waxwing_tests::{Fault, Peer, Person, Profile, Prosody, Proxy, SHORT, Tls, items, program, until};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";

/// Alice behind a proxy that can break her connection.
async fn alice_behind_a_proxy() -> (Prosody, Proxy, Person) {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let proxy = Proxy::to(server.direct_tls_port).await;
    let alice = Person::sign_in_at(&server, ALICE, proxy.port, Tls::Direct).await;
    (server, proxy, alice)
}

/// Takes the link away, does something meanwhile, and gives it back; the server must have resumed the same session.
async fn resumed(
    server: &Prosody,
    proxy: &Proxy,
    alice: &mut Person,
    meanwhile: impl AsyncFnOnce(&mut Person),
) {
    const RESUMED: &str = "mod_smacks session resumed from";
    let before = server.logged(RESUMED);
    proxy.set(Fault::Refuse);
    let account = alice.account.clone();
    alice.account_until(&account, "connecting").await;
    meanwhile(alice).await;
    proxy.set(Fault::Pass);
    alice.wait_online().await;
    assert_eq!(
        server.logged(RESUMED),
        before + 1,
        "the session was not resumed, so nothing is shown"
    );
}

#[tokio::test]
async fn a_presence_that_was_set_while_the_link_was_away_is_seen_after_the_session_is_resumed() {
    let (server, proxy, mut alice) = alice_behind_a_proxy().await;
    let mut bob = Person::sign_in(&server, BOB).await;
    bob.sees(ALICE, "Alice is there", |c| c["presence"] == "available")
        .await;
    resumed(&server, &proxy, &mut alice, async |alice| {
        let account = alice.account.clone();
        let busy = json!({ "account": account, "show": "dnd", "status": "writing a letter" });
        alice.get("set_presence", busy).await;
    })
    .await;
    bob.sees(ALICE, "Alice is busy", |c| {
        c["presence"] == "dnd" && c["status"] == "writing a letter"
    })
    .await;
}

#[tokio::test]
async fn a_dead_link_that_is_looked_after_is_noticed_in_a_few_seconds_and_a_live_one_stays() {
    // Idle, it would be noticed after 25 seconds at the earliest; looked after, after 11.
    const AT_LATEST: Duration = Duration::from_secs(18);
    const ASKED: &str = "Received ack request";
    let (server, proxy, mut alice) = alice_behind_a_proxy().await;
    let account = alice.account.clone();
    let asked = server.logged(ASKED);
    alice.get("check_connections", json!({})).await;
    until("the server was asked", SHORT, async || {
        (server.logged(ASKED) > asked).then_some(())
    })
    .await;
    proxy.set(Fault::Stall);
    alice.get("check_connections", json!({})).await;
    let since = Instant::now();
    alice.account_until(&account, "connecting").await;
    let noticed = since.elapsed();
    assert!(noticed < AT_LATEST, "{noticed:?}");
    assert_eq!(
        server.logged("mod_smacks session resumed"),
        0,
        "the live link was given up"
    );
    proxy.set(Fault::Cut);
    proxy.set(Fault::Pass);
    alice.wait_online().await;
}

#[tokio::test]
async fn archive_ids_are_believed_before_and_after_a_resumption() {
    let (server, proxy, mut alice) = alice_behind_a_proxy().await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    bob.send(ALICE, "before", "none").await;
    let before = alice.hears("before").await;
    assert!(before["archive_id"].is_string(), "{before}");
    for round in 0..3 {
        resumed(&server, &proxy, &mut alice, async |_| {}).await;
        let body = format!("after {round}");
        bob.send(ALICE, &body, "none").await;
        let after = alice.hears(&body).await;
        assert!(after["archive_id"].is_string(), "{after}");
    }
}

#[tokio::test]
async fn what_is_too_large_for_the_server_fails_alone_and_what_follows_goes_out() {
    let (server, proxy, mut alice) = alice_behind_a_proxy().await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let chat = alice.plain_chat_with(BOB).await;
    // On the wire each of them takes five bytes.
    let sent = alice.send(&chat, &"&".repeat(65_000)).await;
    let next = alice.send(&chat, "of ordinary size").await;
    bob.message("of ordinary size").await;
    alice.delivery(&next, "delivered").await;
    let messages = alice.messages(&chat).await;
    let large = messages.iter().find(|m| m["message"] == sent["message"]);
    let large = large.expect("a failed message does not disappear");
    assert_eq!(
        (&large["delivery"], &large["error"]["code"]),
        (&json!("failed"), &json!("too_large"))
    );
    assert_eq!(proxy.connections(), 1, "the connection was lost");
    let accounts = alice.get("list_accounts", json!({})).await;
    assert_eq!(items(&accounts)[0]["state"], "online");
}

#[tokio::test]
async fn what_is_too_large_only_once_it_is_encrypted_fails_alone_and_what_follows_can_be_read() {
    const LIMIT: usize = 60_000;
    for encryption in ["omemo1", "omemo2"] {
        let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
        server.announce_largest_stanza(LIMIT);
        let mut alice = Person::sign_in(&server, ALICE).await;
        let mut bob = Peer::sign_in_with(&server, BOB, encryption).await;
        let chat = alice.chat_with(BOB).await;
        // It fits as it is, and not in base64.
        let large = "large ".repeat(LIMIT / 7);
        let mut steps = Vec::new();
        // As the first message of a session and in the midst of it.
        for next in ["the first", "the second", "the third"] {
            let refused = alice.send(&chat, &large).await;
            let sent = alice.send(&chat, next).await;
            let heard = bob.next_message().await;
            assert_eq!(
                (&heard["body"], &heard["encryption"]),
                (&json!(next), &json!(encryption)),
                "{}",
                heard["error"]
            );
            steps.push((heard["step"][0].clone(), heard["step"][1].as_u64()));
            alice.delivery(&sent, "delivered").await;
            let messages = alice.messages(&chat).await;
            let refused = messages.iter().find(|m| m["message"] == refused["message"]);
            let refused = refused.expect("a failed message does not disappear");
            assert_eq!(
                (&refused["delivery"], &refused["error"]["code"]),
                (&json!("failed"), &json!("too_large"))
            );
            // The person may try as often as they like.
            let again = json!({ "message": refused["message"] });
            alice.get("retry_message", again).await;
        }
        for pair in steps.windows(2) {
            let ((chain, step), (next_chain, next_step)) = (&pair[0], &pair[1]);
            assert!(
                step.is_some() && (chain != next_chain || step < next_step),
                "a step of the ratchet comes again: {steps:?}"
            );
        }
        let accounts = alice.get("list_accounts", json!({})).await;
        assert_eq!(items(&accounts)[0]["state"], "online");
    }
}

/// The resources of Alice that Bob's client sees.
fn there(bob: &Peer) -> BTreeSet<String> {
    let mut there = BTreeSet::new();
    for event in bob.events() {
        if event["event"] == "presence" && event["from"] == ALICE {
            let resource = event["resource"].to_string();
            if event["presence"] == "offline" {
                there.remove(&resource);
            } else {
                there.insert(resource);
            }
        }
    }
    there
}

#[tokio::test]
async fn an_account_that_is_switched_off_and_on_in_one_breath_has_one_session() {
    const ROUNDS: usize = 5;
    let (server, proxy, mut alice) = alice_behind_a_proxy().await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let account = alice.account.clone();
    for round in 0..ROUNDS {
        for (number, enabled) in [false, true].into_iter().enumerate() {
            // Written without waiting for the answer to the one before.
            let request = json!({
                "jsonrpc": "2.0", "id": format!("switch {round} {number}"), "method": "set_account_enabled",
                "params": { "account": account, "enabled": enabled },
            });
            alice.write(&request.to_string()).await;
        }
    }
    // This is answered behind all of them.
    alice.get("list_accounts", json!({})).await;
    alice.wait_online().await;
    bob.send(ALICE, "are you there?", "none").await;
    alice.hears("are you there?").await;
    // She may have heard it from the archive, before anybody saw her.
    until("Bob sees Alice", SHORT, async || {
        (!there(&bob).is_empty()).then_some(())
    })
    .await;
    bob.ask("ping", json!({})).await;
    let there = there(&bob);
    assert_eq!(there.len(), 1, "Bob sees more or less than one Alice: {there:?}");
    assert_eq!(
        server.logged("Replaced by new connection"),
        0,
        "two sessions of the account fought for the same resource"
    );
    assert!(
        proxy.connections() <= 1 + ROUNDS,
        "{} connections for {ROUNDS} times on",
        proxy.connections()
    );
}

#[tokio::test]
async fn a_search_with_control_characters_is_answered() {
    let profile = Profile::with_ca(None);
    let mut app = profile.start().await;
    let account = app.add_account("alice@waxwing.test", "x", 1, Tls::Direct).await;
    let chat = app.open_plain_chat(&account, BOB).await;
    app.send(&chat, "berries for the waxwing").await;
    for query in [
        "\0",
        "a\0b",
        "é\0",
        "\u{1}",
        "\u{7f}\u{85}",
        "\u{fffe}",
        "\"\0\"",
        "*\0",
        "\t\r\n",
    ] {
        let found = app.get("search", json!({ "query": query })).await;
        assert_eq!(found, json!([]), "{query:?} finds what nobody wrote");
    }
    let found = app.get("search", json!({ "query": "berries" })).await;
    assert_eq!(items(&found).len(), 1, "the search works no more: {found}");
    app.stop().await;
}

#[tokio::test]
async fn a_signal_ends_the_program_even_if_nobody_reads_what_it_says() {
    let profile = Profile::with_ca(None);
    // Its first line is read by nobody either: whether it is ready shows in that it takes requests.
    let mut child = Command::new(program("waxwing-headless"))
        .args(profile.arguments())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("standard input is a pipe");
    let request =
        json!({ "jsonrpc": "2.0", "id": 1, "method": format!("no_such_method_{}", "x".repeat(400)) });
    let request = format!("{request}\n");
    let mut taken = 0;
    // It stops reading once it cannot write: so its output is full.
    while let Ok(written) =
        tokio::time::timeout(Duration::from_secs(3), input.write_all(request.as_bytes())).await
    {
        written.expect("the program lives");
        taken += 1;
        assert!(
            taken < 1_000_000,
            "it takes requests for ever: where does it keep the answers?"
        );
    }
    let id = child.id().expect("it runs").to_string();
    signal("-TERM", &id).await;
    let status = tokio::time::timeout(SHORT, child.wait())
        .await
        .expect("it ends although nobody reads")
        .expect("a child can be waited for");
    assert_eq!(status.code(), Some(0), "after {taken} requests");
}

#[tokio::test]
async fn presence_of_strangers_is_not_told_and_not_kept() {
    let mut server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    server.add_user("carol@waxwing.test", waxwing_tests::PASSWORD);
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let mut carol = Peer::sign_in(&server, "carol@waxwing.test").await;
    let presence =
        format!("<presence to='{ALICE}'><show>away</show><status>from a stranger</status></presence>");
    carol.send_raw(&presence).await;
    bob.send(ALICE, "behind it", "none").await;
    alice.hears("behind it").await;
    let account = alice.account.clone();
    let contacts = alice.get("list_contacts", json!({ "account": account })).await;
    let addresses: Vec<&Value> = items(&contacts).iter().map(|c| &c["address"]).collect();
    assert_eq!(addresses, [BOB]);
    let told = alice
        .events()
        .into_iter()
        .find(|e| e.to_string().contains("carol@waxwing.test"));
    assert_eq!(told, None);
    server.stop().await;
}

/// Cuts the first of the connections that somebody who signs in makes behind so many bytes, so that there is a second one.
async fn first_one_cut<T>(proxy: &mut Proxy, bytes: u64, signs_in: impl Future<Output = T>) -> T {
    let before = proxy.connections();
    proxy.set(Fault::CutAfter(bytes));
    let second_passes = async {
        assert!(
            proxy.more_connections_than(before + 1, waxwing_tests::LONG).await,
            "the first connection outlived {bytes} bytes, or there was no second one"
        );
        proxy.set(Fault::Pass);
    };
    tokio::join!(signs_in, second_passes).0
}

/// Alice and Bob see each other, and what either writes is read by the other.
async fn is_whole(alice: &mut Person, chat: &Value, bob: &mut Peer, bytes: u64) {
    alice
        .sees(BOB, "Bob is there", |c| c["presence"] == "available")
        .await;
    // Only whoever has shown presence gets what is sent to the bare address.
    let body = format!("to you behind {bytes}");
    bob.send(ALICE, &body, "none").await;
    alice.hears(&body).await;
    let body = format!("from you behind {bytes}");
    alice.send(chat, &body).await;
    bob.message(&body).await;
}

#[tokio::test]
async fn a_session_that_breaks_while_it_begins_is_whole_in_the_end() {
    let (server, mut proxy, mut alice) = alice_behind_a_proxy().await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let chat = alice.plain_chat_with(BOB).await;
    let account = alice.account.clone();
    // From within TLS and the login to within the questions that a session begins with.
    for bytes in (900..2_900).step_by(200) {
        // Switched off and on, so that there is no old session to resume.
        let switch = |enabled: bool| json!({ "account": account, "enabled": enabled });
        alice.get("set_account_enabled", switch(false)).await;
        first_one_cut(&mut proxy, bytes, alice.get("set_account_enabled", switch(true))).await;
        alice.wait_online().await;
        is_whole(&mut alice, &chat, &mut bob, bytes).await;
    }
}

#[tokio::test]
async fn a_new_device_whose_first_session_breaks_while_its_keys_are_published_can_be_encrypted_to() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut proxy = Proxy::to(server.direct_tls_port).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    // From before the first bundle to within the second one: both and their lists are about 22,000 bytes.
    for (devices, bytes) in (1..).zip((2_500..20_500).step_by(3_000)) {
        let sign_in = Person::sign_in_at(&server, ALICE, proxy.port, Tls::Direct);
        let mut alice = first_one_cut(&mut proxy, bytes, sign_in).await;
        // One of them for each device: both offer the same one-time keys, and the same one may be picked twice.
        let encryption = ["omemo1", "omemo2"][devices % 2];
        let body = format!("by {encryption} behind {bytes}");
        bob.send(ALICE, &body, encryption).await;
        let heard = alice.hears(&body).await;
        assert_eq!(heard["encryption"], encryption, "{heard}");
        assert_eq!(bob.devices(ALICE).await.len(), devices, "behind {bytes} bytes");
        alice.stop().await;
    }
}

#[tokio::test]
async fn a_clock_that_jumps_by_months_loses_doubles_and_reorders_nothing() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut profile = Profile::trusting(&server);
    profile.clock();
    let mut alice = Person::sign_in_with(profile, ALICE, server.direct_tls_port, Tls::Direct).await;
    let mut bob = Person::sign_in(&server, BOB).await;
    let (hers, his) = (alice.chat_with(BOB).await, bob.chat_with(ALICE).await);
    let mut said = Vec::new();
    for days in [400, -800, 30] {
        // The clock jumps while she is online, talks, and is away.
        alice.profile.clock().set_days_ahead(days);
        let mut lines = Vec::new();
        for number in 0..3 {
            let (of_alice, of_bob) = (format!("{days} alice {number}"), format!("{days} bob {number}"));
            let sent = alice.send(&hers, &of_alice).await;
            bob.hears(&of_alice).await;
            alice.delivery(&sent, "delivered").await;
            let answer = bob.send(&his, &of_bob).await;
            alice.hears(&of_bob).await;
            let (by_hers, by_his) = (sent["sent_at"].as_str(), answer["sent_at"].as_str());
            assert_eq!(
                by_hers.cmp(&by_his),
                days.cmp(&0),
                "the clock does not tell what it is set to"
            );
            lines.extend([of_alice, of_bob]);
        }
        alice.stop().await;
        let missed = format!("{days} missed");
        bob.send(&his, &missed).await;
        alice.start_again().await;
        alice.hears(&missed).await;
        said.extend(lines);
        said.push(missed);
    }
    for (person, chat) in [(&mut alice, &hers), (&mut bob, &his)] {
        let messages = person.messages(chat).await;
        let bodies: Vec<_> = messages
            .iter()
            .map(|m| m["body"].as_str().unwrap_or("(none)"))
            .collect();
        assert_eq!(bodies, said, "{}", person.address);
        assert!(
            messages.iter().all(|m| m["encryption"] == "omemo1"),
            "{}",
            person.address
        );
    }
}

/// Keeps every other process from writing to the database until it is dropped: SQLite's lock of the one writer, a byte
/// of the file beside it (sqlite.org/walformat.html, section 2.3).
async fn hold_the_database(profile: &Profile) -> tokio::process::Child {
    const HOLD: &str = "import fcntl, sys\n\
        with open(sys.argv[1], 'r+b') as file:\n    \
            fcntl.lockf(file, fcntl.LOCK_EX, 1, 120)\n    \
            print(flush=True)\n    \
            sys.stdin.read()";
    let mut holder = Command::new("python3")
        .args(["-c", HOLD])
        .arg(profile.directory().join("waxwing.db-shm"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("Python is installed");
    let mut output = holder.stdout.take().expect("it is a pipe");
    output.read_u8().await.expect("it says when it holds the lock");
    holder
}

#[tokio::test]
async fn a_message_that_could_not_be_stored_is_not_confirmed_to_the_server_and_comes_again() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    // The archive would bring it in any case.
    let never = json!({ "account": alice.account, "default": "never", "always": [], "never": [] });
    alice.get("set_archive_preferences", never).await;
    bob.send(ALICE, "before", "none").await;
    alice.hears("before").await;

    let holder = hold_the_database(&alice.profile).await;
    bob.send(ALICE, "while nothing can be written", "none").await;
    let account = alice.account.clone();
    let state = alice.account_until(&account, "connecting").await;
    assert_eq!(state["error"]["code"], "storage", "{state}");
    drop(holder);

    alice.hears("while nothing can be written").await;
    bob.send(ALICE, "after", "none").await;
    alice.hears("after").await;
    let chat = alice.plain_chat_with(BOB).await;
    let messages = alice.messages(&chat).await;
    let bodies: Vec<_> = messages.iter().map(|m| &m["body"]).collect();
    assert_eq!(bodies, ["before", "while nothing can be written", "after"]);
    assert!(
        messages[1]["archive_id"].is_null(),
        "it came out of the archive: {}",
        messages[1]
    );
}

/// Sends long messages until one is refused since there is no room. Gives what was taken.
async fn send_until_the_disk_is_full(person: &mut Person, chat: &Value) -> Vec<String> {
    let mut taken = Vec::new();
    for number in 0..200 {
        let body = format!("long {number} {}", "x".repeat(20_000));
        match person
            .call("send_text", json!({ "chat": chat, "body": body }))
            .await
        {
            Ok(_) => taken.push(body),
            Err(error) => {
                assert_eq!(error.code, "disk_full", "{error:?}");
                return taken;
            }
        }
    }
    panic!("the disk is never full");
}

#[tokio::test]
async fn on_a_full_disk_it_says_so_and_nothing_is_lost() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut profile = Profile::trusting(&server);
    profile.use_disk_of(6 * 1_048_576).await;
    let mut alice = Person::sign_in_with(profile, ALICE, server.direct_tls_port, Tls::Direct).await;
    let mut bob = Person::sign_in(&server, BOB).await;
    let (hers, his) = (alice.chat_with(BOB).await, bob.chat_with(ALICE).await);
    alice.send(&hers, "before").await;
    bob.hears("before").await;

    alice.profile.disk().fill();
    let mut said = send_until_the_disk_is_full(&mut alice, &hers).await;
    for body in &said {
        bob.hears(body).await;
    }
    said.insert(0, "before".to_owned());
    let account = alice.account.clone();
    let while_full = format!("while it is full {}", "y".repeat(50_000));
    bob.send(&his, &while_full).await;
    let state = alice.account_until(&account, "connecting").await;
    assert_eq!(state["error"]["code"], "disk_full", "{state}");
    alice.kill().await;
    let missed = format!("while she is away {}", "z".repeat(50_000));
    bob.send(&his, &missed).await;
    // It starts on a full disk, and shows what there is.
    alice.start_again().await;
    let shown = alice.messages(&hers).await;
    assert_eq!(bodies(&shown), said);
    alice.kill().await;

    alice.profile.disk().make_room();
    alice.start_again().await;
    alice.send(&hers, "and on").await;
    bob.hears("and on").await;
    alice.hears(&missed).await;
    said.extend([while_full, missed]);
    let (mut here, mut there) = (
        bodies(&alice.messages(&hers).await),
        bodies(&bob.messages(&his).await),
    );
    // What she writes before what she missed has come stands before or behind it, here and there.
    for list in [&mut here, &mut there] {
        let lines = list.len();
        list.retain(|body| body != "and on");
        assert_eq!((lines - list.len(), &*list), (1, &said));
    }
}

fn bodies(messages: &[Value]) -> Vec<String> {
    messages
        .iter()
        .map(|message| message["body"].as_str().unwrap_or("(none)").to_owned())
        .collect()
}
