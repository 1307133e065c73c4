//! Contacts, who may see whose presence, and presence itself.

use serde_json::{Value, json};
use waxwing_tests::{Person, Prosody, RosterItem, SHORT, items, until};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@heron.test";

async fn strangers() -> (Prosody, Person, Person) {
    let server = Prosody::start(&[ALICE, BOB]).await;
    let alice = Person::sign_in(&server, ALICE).await;
    let bob = Person::sign_in(&server, BOB).await;
    (server, alice, bob)
}

async fn friends() -> (Prosody, Person, Person) {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let alice = Person::sign_in(&server, ALICE).await;
    let bob = Person::sign_in(&server, BOB).await;
    (server, alice, bob)
}

async fn ask(asker: &mut Person, asked: &mut Person) {
    let params = json!({ "account": asker.account, "address": asked.address });
    asker.get("add_contact", params).await;
    let (account, address) = (asked.account.clone(), asker.address.clone());
    asked
        .event("the request", |e| {
            e["type"] == "request_received" && e["address"] == address.as_str() && e["account"] == account
        })
        .await;
}

async fn answer(asked: &mut Person, asker: &str, accept: bool) {
    let params = json!({ "account": asked.account, "address": asker, "accept": accept });
    asked.get("answer_request", params).await;
}

#[tokio::test]
async fn an_accepted_request_lets_both_see_each_other() {
    let (_server, mut alice, mut bob) = strangers().await;
    ask(&mut alice, &mut bob).await;
    let waiting = alice
        .sees(BOB, "Alice's request is shown as open", |c| c["asked"] == true)
        .await;
    assert_eq!(waiting["subscription"], "none");
    assert_eq!(
        waiting["presence"], "offline",
        "nothing may be seen before the answer"
    );
    let requests = bob.get("list_requests", json!({})).await;
    assert_eq!(
        items(&requests).iter().map(|r| &r["address"]).collect::<Vec<_>>(),
        vec![ALICE]
    );

    answer(&mut bob, ALICE, true).await;
    // Who accepts asks in turn, and who asked first has already said yes.
    let mutual =
        |c: &Value| c["subscription"] == "both" && c["asked"] == false && c["presence"] == "available";
    alice.sees(BOB, "Alice sees Bob", mutual).await;
    bob.sees(ALICE, "Bob sees Alice", mutual).await;
    for person in [&mut alice, &mut bob] {
        let left = person.get("list_requests", json!({})).await;
        assert_eq!(left, json!([]), "an answered request must be gone");
    }
}

#[tokio::test]
async fn a_declined_request_lets_nothing_be_seen() {
    let (_server, mut alice, mut bob) = strangers().await;
    ask(&mut alice, &mut bob).await;
    answer(&mut bob, ALICE, false).await;
    let contact = alice
        .sees(BOB, "the request is no longer open", |c| c["asked"] == false)
        .await;
    assert_eq!(contact["subscription"], "none");
    assert_eq!(contact["presence"], "offline");
    assert_eq!(bob.get("list_requests", json!({})).await, json!([]));
}

#[tokio::test]
async fn a_request_that_came_while_away_is_shown_at_the_next_start() {
    let (_server, mut alice, mut bob) = strangers().await;
    bob.stop().await;
    let params = json!({ "account": alice.account, "address": BOB });
    alice.get("add_contact", params).await;
    alice
        .sees(BOB, "the request is out", |c| c["asked"] == true)
        .await;
    bob.start_again().await;
    bob.until("the request is listed", "list_requests", json!({}), |list| {
        items(list).iter().any(|r| r["address"] == ALICE)
    })
    .await;
}

#[tokio::test]
async fn every_presence_with_its_status_is_seen_by_the_other() {
    let (_server, mut alice, mut bob) = friends().await;
    alice
        .sees(BOB, "Bob is there", |c| c["presence"] == "available")
        .await;
    let shows = ["chat", "away", "xa", "dnd", "available"];
    for (number, show) in shows.into_iter().enumerate() {
        let status = format!("Ich bin {show} – 状态 {number} 🐦");
        let params = json!({ "account": bob.account, "show": show, "status": status });
        bob.get("set_presence", params).await;
        alice
            .sees(BOB, &format!("Bob is {show}"), |c| {
                c["presence"] == show && c["status"] == status.as_str()
            })
            .await;
    }
    let params = json!({ "account": bob.account, "show": "available" });
    bob.get("set_presence", params).await;
    alice
        .sees(BOB, "the status text is gone", |c| {
            c["presence"] == "available" && c["status"] == Value::Null
        })
        .await;
    let params = json!({ "account": bob.account, "enabled": false });
    bob.get("set_account_enabled", params).await;
    alice
        .sees(BOB, "Bob is offline", |c| {
            c["presence"] == "offline" && c["status"] == Value::Null
        })
        .await;
}

#[tokio::test]
async fn the_chosen_presence_outlives_a_restart() {
    let (_server, mut alice, mut bob) = friends().await;
    let params = json!({ "account": bob.account, "show": "dnd", "status": "reading" });
    bob.get("set_presence", params).await;
    alice
        .sees(BOB, "Bob is not to be disturbed", |c| c["presence"] == "dnd")
        .await;
    bob.stop().await;
    alice
        .sees(BOB, "Bob is offline", |c| c["presence"] == "offline")
        .await;
    bob.start_again().await;
    alice
        .sees(BOB, "Bob is as before", |c| {
            c["presence"] == "dnd" && c["status"] == "reading"
        })
        .await;
}

#[tokio::test]
async fn names_and_groups_are_kept_by_the_server() {
    let (_server, mut alice, _bob) = strangers().await;
    let params = json!({
        "account": alice.account, "address": BOB, "name": "Bob ‹the heron›", "groups": ["Birds", "Böse & Gute"],
    });
    alice.get("add_contact", params).await;
    let as_wanted = |c: &Value| {
        c["name"] == "Bob ‹the heron›"
            && items(&c["groups"]).len() == 2
            && items(&c["groups"]).contains(&json!("Birds"))
    };
    alice.sees(BOB, "name and groups are there", as_wanted).await;
    let params = json!({ "account": alice.account, "address": BOB, "name": "Robert" });
    alice.get("add_contact", params).await;
    let renamed = alice
        .sees(BOB, "the new name is there", |c| c["name"] == "Robert")
        .await;
    assert_eq!(
        items(&renamed["groups"]).len(),
        2,
        "groups that were not given stay as they are"
    );
    alice.restart().await;
    alice
        .sees(BOB, "all is there after a restart", |c| {
            c["name"] == "Robert" && items(&c["groups"]).len() == 2
        })
        .await;
}

#[tokio::test]
async fn a_removed_contact_is_gone_on_both_sides() {
    let (_server, mut alice, mut bob) = friends().await;
    bob.sees(ALICE, "Alice is there", |c| c["presence"] == "available")
        .await;
    let params = json!({ "account": alice.account, "address": BOB });
    alice.get("remove_contact", params).await;
    let account = alice.account.clone();
    alice
        .until(
            "Bob is no longer listed",
            "list_contacts",
            json!({ "account": account }),
            |list| items(list).is_empty(),
        )
        .await;
    bob.sees(ALICE, "Bob sees nothing of Alice", |c| {
        c["presence"] == "offline" && c["subscription"] == "none"
    })
    .await;
}

#[tokio::test]
async fn one_odd_roster_item_loses_only_itself() {
    let mut server = Prosody::start(&[ALICE]).await;
    server.stop().await;
    let mut roster = vec![
        RosterItem::both(BOB),
        RosterItem::both("no address@at all@nowhere"),
    ];
    roster.push(RosterItem {
        address: "carol@heron.test".to_owned(),
        subscription: "sideways",
        name: None,
    });
    roster.push(RosterItem {
        address: "dave@heron.test".to_owned(),
        subscription: "to",
        name: Some("Dave".to_owned()),
    });
    server.write_roster(ALICE, &roster);
    server.start_again().await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    alice
        .sees(BOB, "the good item before is listed", |c| {
            c["subscription"] == "both"
        })
        .await;
    alice
        .sees("dave@heron.test", "the good item behind is listed", |c| {
            c["name"] == "Dave"
        })
        .await;
    let account = alice.account.clone();
    let listed = alice.get("list_contacts", json!({ "account": account })).await;
    let odd = items(&listed)
        .iter()
        .find(|c| c["address"].as_str().is_some_and(|a| a.contains("nowhere")));
    assert_eq!(odd, None, "what is no address is no contact");
}

#[tokio::test]
async fn while_the_person_looks_away_the_server_holds_back_what_can_wait() {
    const INACTIVE: &str = "Received[c2s]: <inactive ";
    const ACTIVE: &str = "Received[c2s]: <active ";
    let (server, mut alice, mut bob) = friends().await;
    alice
        .sees(BOB, "Bob is there", |c| c["presence"] == "available")
        .await;
    alice.get("set_active", json!({ "active": false })).await;
    let told = |count: usize, what: &'static str| {
        let server = &server;
        until(what, SHORT, async move || {
            (server.logged(what) == count).then_some(())
        })
    };
    told(1, INACTIVE).await;
    let held = server.logged("Holding buffer");
    let busy = json!({ "account": bob.account, "show": "dnd", "status": null });
    bob.get("set_presence", busy).await;
    until("the server holds the presence back", SHORT, async || {
        (server.logged("Holding buffer") > held).then_some(())
    })
    .await;
    alice
        .sees(BOB, "Bob as before", |c| c["presence"] == "available")
        .await;
    // Said twice, told once.
    for _ in 0..2 {
        alice.get("set_active", json!({ "active": true })).await;
    }
    alice.sees(BOB, "Bob is busy", |c| c["presence"] == "dnd").await;
    assert_eq!((server.logged(INACTIVE), server.logged(ACTIVE)), (1, 1));
}
