//! How an account connects, and the session that outlives the process.

use waxwing_stream::{Fingerprint, StanzaNumber, StoredSession};

use super::*;
use crate::model::{Proxy, ProxyKind, TlsMode};
use crate::store::accounts::{NewConnection, PLACE_COUNTS_FOR, SignedIn, Token};
use crate::store::sessions::{self, DevicePresence, SentStanza};

fn session(id: &str) -> StoredSession {
    StoredSession {
        id: id.to_owned(),
        location: None,
        bound: "romeo@montague.lit/orchard".parse().expect("an address"),
        base: 100,
        handled: 0,
    }
}

fn sent(number: u64, row: i64, xml: &str) -> SentStanza {
    SentStanza {
        number,
        row,
        xml: xml.to_owned(),
    }
}

fn shows(address: &str, resource: &str, show: Show) -> DevicePresence {
    DevicePresence {
        address: jid(address),
        resource: resource.to_owned(),
        show,
        status: Some("in the orchard".to_owned()),
        priority: 5,
    }
}

async fn devices(write: &mut Write, account: AccountId) -> Vec<(String, String, Show)> {
    let mut devices: Vec<_> = sessions::presences(write, account)
        .await
        .expect("presences")
        .into_iter()
        .map(|device| (device.address.to_string(), device.resource, device.show))
        .collect();
    devices.sort();
    devices
}

#[tokio::test]
async fn a_session_is_stored_with_what_was_sent_in_it_and_ends_with_all_of_it() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let account = scene.account;
    assert_eq!(sessions::get(&mut write, account).await, Ok(None));
    sessions::begin(&mut write, account, Some(&session("one")))
        .await
        .expect("begun");
    sessions::set_handled(&mut write, account, u32::MAX)
        .await
        .expect("counted");
    let stored = sessions::get(&mut write, account).await.expect("read");
    assert_eq!(
        stored,
        Some(StoredSession {
            handled: u32::MAX,
            ..session("one")
        })
    );

    outbox::push_stanza(&mut write, account, b"<message id='a'/>")
        .await
        .expect("pushed");
    outbox::push_stanza(&mut write, account, b"<message id='never sent'/>")
        .await
        .expect("pushed");
    let rows = outbox::behind(&mut write, account, 0, 10).await.expect("rows");
    let row = rows.first().expect("a row").id;
    sessions::number_rows(&mut write, &[(row, StanzaNumber(101))])
        .await
        .expect("numbered");
    let receipts = [
        (Some(StanzaNumber(102)), "<message id='receipt'/>"),
        (Some(StanzaNumber(104)), "<message id='\u{1f642}'/>"),
        (None, "<message id='in a session that counts nothing'/>"),
    ];
    let beside = outbox::push_numbered(&mut write, account, &receipts)
        .await
        .expect("pushed");
    let all = |numbers: [u64; 3]| {
        [
            sent(numbers[0], row, "<message id='a'/>"),
            sent(numbers[1], beside[0], "<message id='receipt'/>"),
            sent(numbers[2], beside[1], "<message id='\u{1f642}'/>"),
        ]
    };
    let stored = sessions::stanzas(&mut write, account).await.expect("read");
    assert_eq!(stored, all([101, 102, 104]));

    let renumbered = [(beside[0], StanzaNumber(202)), (beside[1], StanzaNumber(203))];
    sessions::number_rows(&mut write, &renumbered)
        .await
        .expect("renumbered");
    let again = all([101, 202, 203]);
    assert_eq!(sessions::stanzas(&mut write, account).await.expect("read"), again);

    outbox::confirm(&mut write, &[row]).await.expect("acknowledged");
    let again = &again[1..];
    let row = beside[0];
    assert_eq!(sessions::stanzas(&mut write, account).await.expect("read"), again);

    sessions::only_sent(&mut write, account, &[row])
        .await
        .expect("kept");
    assert_eq!(
        sessions::stanzas(&mut write, account).await.expect("read"),
        again[..1]
    );
    sessions::only_sent(&mut write, account, &[])
        .await
        .expect("taken back");
    assert_eq!(sessions::stanzas(&mut write, account).await.expect("read"), []);

    sessions::number_rows(&mut write, &renumbered)
        .await
        .expect("renumbered");
    sessions::begin(&mut write, account, Some(&session("two")))
        .await
        .expect("begun");
    assert_eq!(sessions::stanzas(&mut write, account).await.expect("read"), []);
    assert_eq!(
        outbox::behind(&mut write, account, 0, 10)
            .await
            .expect("rows")
            .len(),
        4,
        "the outbox keeps what is to be sent"
    );
    sessions::end(&mut write, account).await.expect("ended");
    assert_eq!(sessions::get(&mut write, account).await, Ok(None));
}

#[tokio::test]
async fn what_contacts_show_is_kept_for_as_long_as_the_session() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let account = scene.account;
    let juliet = "juliet@capulet.lit";
    let show = |resource: &str, show| (juliet.to_owned(), resource.to_owned(), show);
    let there = [
        shows(juliet, "balcony", Show::Away),
        shows(juliet, "chamber", Show::Available),
    ];
    sessions::put_presences(&mut write, account, &there)
        .await
        .expect("nothing to do");
    assert_eq!(devices(&mut write, account).await, [], "there is no session");
    sessions::begin(&mut write, account, Some(&session("one")))
        .await
        .expect("begun");
    sessions::put_presences(&mut write, account, &there)
        .await
        .expect("kept");
    sessions::put_presences(&mut write, account, &[shows(juliet, "balcony", Show::Dnd)])
        .await
        .expect("kept");
    assert_eq!(
        devices(&mut write, account).await,
        [show("balcony", Show::Dnd), show("chamber", Show::Available)]
    );
    sessions::put_presences(&mut write, account, &[shows(juliet, "balcony", Show::Offline)])
        .await
        .expect("gone");
    assert_eq!(
        devices(&mut write, account).await,
        [show("chamber", Show::Available)]
    );
    sessions::put_presences(&mut write, account, &[shows(juliet, "", Show::Offline)])
        .await
        .expect("gone");
    assert_eq!(devices(&mut write, account).await, []);
    sessions::put_presences(&mut write, account, &there)
        .await
        .expect("kept");
    sessions::begin(&mut write, account, Some(&session("two")))
        .await
        .expect("begun");
    assert_eq!(devices(&mut write, account).await, []);
}

#[tokio::test]
async fn how_an_account_connects_is_stored_and_its_secrets_stand_apart() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let account = scene.account;
    let proxy = Proxy {
        kind: ProxyKind::Socks5,
        host: "127.0.0.1".to_owned(),
        port: 9050,
        user: Some("romeo".to_owned()),
    };
    let new = NewConnection {
        host: Some("xmpp.montague.lit"),
        port: Some(443),
        tls: Some(TlsMode::Direct),
        proxy: Some(&proxy),
        proxy_password: Some(&Secret::from("hidden".to_owned())),
    };
    accounts::set_connection(&mut write, account, &new)
        .await
        .expect("set");
    accounts::set_accepted_certificate(&mut write, account, Some(Fingerprint([7; 32])))
        .await
        .expect("set");
    accounts::set_authorities(&mut write, account, Some("PEM"))
        .await
        .expect("set");
    accounts::set_user_agent(&mut write, account, "first")
        .await
        .expect("set");
    accounts::set_user_agent(&mut write, account, "second")
        .await
        .expect("no change");
    let row = accounts::get(&mut write, account).await.expect("a row");
    assert_eq!(row.proxy(), Some(proxy));
    assert_eq!(row.accepted_certificate(), Some(Fingerprint([7; 32])));
    assert!(row.own_authorities);
    let secrets = accounts::secrets(&mut write, account).await.expect("secrets");
    assert_eq!(secrets.proxy_password.expect("one").expose(), "hidden");
    assert_eq!(secrets.authorities.as_deref(), Some("PEM"));
    assert_eq!(secrets.user_agent.as_deref(), Some("first"));
}

#[tokio::test]
async fn a_new_password_is_unproven_and_drops_what_stood_for_the_old_one() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let account = scene.account;
    let learnt = SignedIn {
        mechanism: "SCRAM-SHA-256",
        host: "a",
        port: 1,
        tls: TlsMode::Direct,
        now: 1,
    };
    accounts::signed_in(&mut write, account, &learnt)
        .await
        .expect("learnt");
    let token = Token {
        mechanism: "HT-SHA-256-EXPR".to_owned(),
        secret: Secret::from("token".to_owned()),
        expiry: Some(7),
    };
    accounts::set_token(&mut write, account, Some(&token))
        .await
        .expect("kept");
    let kept = accounts::secrets(&mut write, account)
        .await
        .expect("secrets")
        .token
        .expect("a token");
    assert_eq!(
        (kept.mechanism.as_str(), kept.secret.expose(), kept.expiry),
        ("HT-SHA-256-EXPR", "token", Some(7))
    );
    assert!(
        accounts::get(&mut write, account)
            .await
            .expect("a row")
            .password_proven
    );
    accounts::set_password(&mut write, account, &Secret::from("new".to_owned()))
        .await
        .expect("set");
    assert!(
        accounts::secrets(&mut write, account)
            .await
            .expect("secrets")
            .token
            .is_none()
    );
    let row = accounts::get(&mut write, account).await.expect("a row");
    assert!(!row.password_proven);
    assert_eq!(row.strongest_mechanism.as_deref(), Some("SCRAM-SHA-256"));
    accounts::allow_weaker_login(&mut write, account, true)
        .await
        .expect("allowed");
    accounts::allow_weaker_login(&mut write, account, false)
        .await
        .expect("allowed");
    let row = accounts::get(&mut write, account).await.expect("a row");
    assert_eq!((row.strongest_mechanism, row.plain_allowed), (None, true));
    accounts::forbid_plain(&mut write, account)
        .await
        .expect("forbidden");
    let row = accounts::get(&mut write, account).await.expect("a row");
    assert!(!row.plain_allowed);
}

#[tokio::test]
async fn a_place_counts_from_when_the_server_was_found_there_by_the_order_in_dns() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let account = scene.account;
    for (host, now, since) in [
        ("a", 1_000, 1_000),
        ("a", 2_000, 1_000),
        ("b", 3_000, 3_000),
        ("b", 3_000 + PLACE_COUNTS_FOR - 1, 3_000),
        ("b", 3_000 + PLACE_COUNTS_FOR, 3_000 + PLACE_COUNTS_FOR),
    ] {
        let learnt = SignedIn {
            mechanism: "SCRAM-SHA-1",
            host,
            port: 5223,
            tls: TlsMode::Direct,
            now,
        };
        accounts::signed_in(&mut write, account, &learnt)
            .await
            .expect("learnt");
        let row = accounts::get(&mut write, account).await.expect("a row");
        assert_eq!(
            (row.target_host.as_deref(), row.target_since),
            (Some(host), Some(since)),
            "{host} {now}"
        );
    }
}
