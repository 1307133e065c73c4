//! Signing in, and every way in which it must not succeed.

use std::time::Duration;

use serde_json::{Value, json};
use waxwing_scripted::{Act, Honest, Point, Server};
use waxwing_tests::{Authority, Fault, PASSWORD, Person, Profile, Prosody, Proxy, Tls, items};

const ALICE: &str = "alice@waxwing.test";

/// Watches that nothing more comes, long enough for an impatient program to have tried again several times.
const QUIET: Duration = Duration::from_secs(12);

async fn failure_of(profile: &Profile, address: &str, password: &str, port: u16, tls: Tls) -> Value {
    let mut app = profile.start().await;
    let account = app.add_account(address, password, port, tls).await;
    let failed = app.account_until(&account, "failed").await;
    app.stop().await;
    failed["error"].clone()
}

#[tokio::test]
async fn signs_in_over_direct_tls() {
    let server = Prosody::start(&[ALICE]).await;
    Person::sign_in_at(&server, ALICE, server.direct_tls_port, Tls::Direct)
        .await
        .stop()
        .await;
}

#[tokio::test]
async fn signs_in_over_starttls() {
    let server = Prosody::start(&[ALICE]).await;
    Person::sign_in_at(&server, ALICE, server.starttls_port, Tls::StartTls)
        .await
        .stop()
        .await;
}

#[tokio::test]
async fn a_wrong_password_fails_asks_and_is_not_tried_again() {
    let server = Prosody::start(&[ALICE]).await;
    let mut proxy = Proxy::to(server.direct_tls_port).await;
    let profile = Profile::trusting(&server);
    let mut app = profile.start().await;
    let account = app
        .add_account(ALICE, "not the password", proxy.port, Tls::Direct)
        .await;
    let failed = app.account_until(&account, "failed").await;
    assert_eq!(failed["error"]["code"], "wrong_password");
    assert!(
        !failed["error"]["text"].as_str().unwrap_or_default().is_empty(),
        "the sentence for experts is missing"
    );

    let tries = proxy.connections();
    assert!(tries <= 3, "{tries} connections were made with a wrong password");
    assert!(
        !proxy.more_connections_than(tries, QUIET).await,
        "a wrong password was tried again by itself"
    );
    assert!(
        server.logged("not-authorized") <= 3,
        "the server refused more often than three times"
    );

    app.get(
        "set_password",
        json!({ "account": account, "password": PASSWORD }),
    )
    .await;
    app.online(&account).await;
    app.stop().await;
}

#[tokio::test]
async fn an_account_that_does_not_exist_is_told_like_a_wrong_password() {
    let server = Prosody::start(&[ALICE]).await;
    let profile = Profile::trusting(&server);
    let error = failure_of(
        &profile,
        "nobody@waxwing.test",
        PASSWORD,
        server.direct_tls_port,
        Tls::Direct,
    )
    .await;
    assert_eq!(error["code"], "wrong_password");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_over_both_ways() {
    let server = Prosody::start(&["alice@misnamed.test"]).await;
    for (port, tls) in [
        (server.direct_tls_port, Tls::Direct),
        (server.starttls_port, Tls::StartTls),
    ] {
        let error = failure_of(
            &Profile::trusting(&server),
            "alice@misnamed.test",
            PASSWORD,
            port,
            tls,
        )
        .await;
        assert_eq!(error["code"], "certificate_wrong_name", "over {tls:?}");
    }
    assert_eq!(server.logged("Authenticated as"), 0, "nobody may have signed in");
    assert_eq!(
        server.logged("Received[c2s_unauthed]: <auth"),
        0,
        "no byte of a password may have been sent"
    );
}

#[tokio::test]
async fn a_certificate_by_an_unknown_authority_is_refused_over_both_ways() {
    let server = Prosody::start(&[ALICE]).await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let other_authority = folder.path().join("other.pem");
    std::fs::write(&other_authority, Authority::new("Somebody else").pem()).expect("a file");
    for ca_file in [None, Some(other_authority)] {
        for (port, tls) in [
            (server.direct_tls_port, Tls::Direct),
            (server.starttls_port, Tls::StartTls),
        ] {
            let profile = Profile::with_ca(ca_file.clone());
            let error = failure_of(&profile, ALICE, PASSWORD, port, tls).await;
            assert_eq!(
                error["code"], "certificate_unknown_issuer",
                "over {tls:?} with {ca_file:?}"
            );
        }
    }
    assert_eq!(
        server.logged("Received[c2s_unauthed]: <auth"),
        0,
        "no byte of a password may have been sent"
    );
}

#[tokio::test]
async fn a_server_that_is_away_is_tried_again_until_it_is_back() {
    let server = Prosody::start(&[ALICE]).await;
    let proxy = Proxy::to(server.direct_tls_port).await;
    proxy.set(Fault::Refuse);
    let profile = Profile::trusting(&server);
    let mut app = profile.start().await;
    let account = app.add_account(ALICE, PASSWORD, proxy.port, Tls::Direct).await;
    let unreachable = |list: &Value| {
        items(list)
            .iter()
            .any(|a| a["state"] != "failed" && a["error"]["code"] == "unreachable")
    };
    app.until(
        "the account says that its server cannot be reached",
        "list_accounts",
        json!({}),
        unreachable,
    )
    .await;
    proxy.set(Fault::Pass);
    app.online(&account).await;
    let accounts = app.get("list_accounts", json!({})).await;
    assert_eq!(
        items(&accounts)[0]["error"],
        Value::Null,
        "an error of the past must not stay with an account online"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_again() {
    let server = Prosody::start(&[ALICE]).await;
    let mut proxy = Proxy::to(server.direct_tls_port).await;
    let mut alice = Person::sign_in_at(&server, ALICE, proxy.port, Tls::Direct).await;
    for _ in 0..3 {
        let before = proxy.connections();
        proxy.set(Fault::Cut);
        assert!(
            proxy.more_connections_than(before, waxwing_tests::LONG).await,
            "no new connection was made"
        );
        alice.wait_online().await;
    }
    alice.stop().await;
}

#[tokio::test]
async fn a_server_of_today_is_signed_in_to_in_one_step_and_by_a_token_from_then_on() {
    let server = Prosody::modern(&[ALICE]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let first = connection(&mut alice).await;
    assert_eq!(
        (&first["sasl2"], &first["bind2"], &first["resumable"]),
        (&json!(true), &json!(true), &json!(true)),
        "{first}"
    );
    assert_eq!(first["channel_binding"], json!("tls-exporter"));
    assert_eq!(first["round_trips"], json!(3), "header, challenge, success");
    alice.restart().await;
    let again = connection(&mut alice).await;
    assert_eq!(again["mechanism"], json!("HT-SHA-256-EXPR"), "{again}");
    assert_eq!(
        (&again["round_trips"], &again["resumed"]),
        (&json!(1), &json!(false))
    );
    alice.kill().await;
    alice.start_again().await;
    alice.wait_online().await;
    let resumed = connection(&mut alice).await;
    assert_eq!(
        (&resumed["round_trips"], &resumed["resumed"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(resumed["resource"], again["resource"]);
}

/// How Alice is connected.
async fn connection(alice: &mut Person) -> Value {
    let account = alice.account.clone();
    let report = alice
        .get("connection_report", json!({ "account": account }))
        .await;
    report["connection"].clone()
}

#[tokio::test]
async fn the_token_of_a_removed_account_is_invalidated_and_one_that_is_switched_off_stays_silent() {
    let authority = Authority::new("Authority of the story");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).expect("the authority's file");
    let profile = Profile::with_ca(Some(ca_file));
    let mut app = profile.start().await;
    let server = Server::start(Honest::new(&authority, "wren@odd.test", PASSWORD).of_today()).await;
    for (removed_while_on, invalidated, connections) in [(true, 1, 2), (false, 1, 3)] {
        let account = app
            .add_account("wren@odd.test", PASSWORD, server.port, Tls::Direct)
            .await;
        app.online(&account).await;
        if !removed_while_on {
            let off = json!({ "account": account, "enabled": false });
            app.get("set_account_enabled", off).await;
        }
        app.get("remove_account", json!({ "account": account })).await;
        assert_eq!(server.count(" invalidate='true'"), invalidated);
        assert_eq!(server.connections(), connections);
        assert_eq!(items(&app.get("list_accounts", json!({})).await), &[] as &[Value]);
    }
    assert_eq!(
        server.count("mechanism='SCRAM"),
        2,
        "once for each time it was added"
    );

    // A server that does not answer does not keep the account.
    let account = app
        .add_account("wren@odd.test", PASSWORD, server.port, Tls::Direct)
        .await;
    app.online(&account).await;
    let silent = Honest::new(&authority, "wren@odd.test", PASSWORD).of_today();
    server.become_another(silent.at(Point::Accepted, Act::Silence));
    app.get("remove_account", json!({ "account": account })).await;
    assert_eq!(items(&app.get("list_accounts", json!({})).await), &[] as &[Value]);
    app.stop().await;
}

#[tokio::test]
async fn a_real_server_forgets_the_token_of_a_removed_account() {
    const TOKEN: &str = "secret-token:fast-";
    let server = Prosody::modern(&[ALICE]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    assert!(server.has_stored(TOKEN), "no token was given");
    let account = alice.account.clone();
    alice.get("remove_account", json!({ "account": account })).await;
    assert!(!server.has_stored(TOKEN), "it is still valid");
}
