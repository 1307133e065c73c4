//! Requests that make no sense are answered with an error that has a code, and the program lives.

use std::time::Duration;

use serde_json::{Map, Value, json};
use waxwing_tests::{Authority, Headless, Profile, items};

/// A profile with two accounts whose server cannot be reached, and a chat with one message in each.
struct Scene {
    app: Headless,
    _profile: Profile,
    accounts: [Value; 2],
    chats: [Value; 2],
    messages: [Value; 2],
    /// An authority's certificate.
    pem: String,
}

async fn scene() -> Scene {
    let profile = Profile::with_ca(None);
    let mut app = profile.start().await;
    let mut accounts = Vec::new();
    let mut chats = Vec::new();
    let mut messages = Vec::new();
    for name in ["one", "two"] {
        let params = json!({
            "address": format!("{name}@waxwing.test"), "password": "x", "host": "127.0.0.1", "port": 1, "tls": "direct",
        });
        let account = app.get("add_account", params).await["account"].clone();
        let chat = app.open_plain_chat(&account, "bob@waxwing.test").await;
        messages.push(app.send(&chat, "hello").await["message"].clone());
        accounts.push(account);
        chats.push(chat);
    }
    let pair = |list: Vec<Value>| -> [Value; 2] { list.try_into().expect("two of each") };
    Scene {
        app,
        _profile: profile,
        accounts: pair(accounts),
        chats: pair(chats),
        messages: pair(messages),
        pem: Authority::new("An authority").pem().to_owned(),
    }
}

/// Each method with params that it accepts; which of them must be there; and values that each must refuse.
fn table(scene: &Scene) -> Vec<(&'static str, Value, &'static [&'static str])> {
    let account = &scene.accounts[0];
    let chat = &scene.chats[0];
    let address = "bob@waxwing.test";
    let fingerprint = "0".repeat(64);
    let link = format!("xmpp:{address}?omemo-sid-7={fingerprint}");
    vec![
        (
            "add_account",
            json!({
                "address": "x@waxwing.test", "password": "x", "host": "127.0.0.1", "port": 1, "tls": "direct",
                "proxy": { "kind": "socks5", "host": "127.0.0.1", "port": 1, "user": "x", "password": "x" },
            }),
            &["address", "password"],
        ),
        ("list_accounts", json!({}), &[]),
        (
            "set_account_enabled",
            json!({ "account": account, "enabled": true }),
            &["account", "enabled"],
        ),
        (
            "set_password",
            json!({ "account": account, "password": "x" }),
            &["account", "password"],
        ),
        (
            "set_connection",
            json!({
                "account": account, "host": "127.0.0.1", "port": 1, "tls": "direct",
                "proxy": { "kind": "socks5", "host": "127.0.0.1", "port": 1, "user": "x", "password": "x" },
            }),
            &["account"],
        ),
        (
            "accept_certificate",
            json!({ "account": account, "fingerprint": fingerprint }),
            &["account", "fingerprint"],
        ),
        ("forget_certificate", json!({ "account": account }), &["account"]),
        (
            "set_authorities",
            json!({ "account": account, "pem": scene.pem }),
            &["account"],
        ),
        ("allow_weaker_login", json!({ "account": account }), &["account"]),
        ("forbid_plain_login", json!({ "account": account }), &["account"]),
        ("connection_report", json!({ "account": account }), &["account"]),
        (
            "set_console",
            json!({ "account": account, "on": true }),
            &["account", "on"],
        ),
        ("list_console", json!({ "account": account }), &["account"]),
        ("archive_preferences", json!({ "account": account }), &["account"]),
        (
            "set_archive_preferences",
            json!({ "account": account, "default": "roster", "always": [address], "never": [] }),
            &["account", "default", "always", "never"],
        ),
        ("set_active", json!({ "active": true }), &["active"]),
        (
            "set_looking",
            json!({ "looking": true, "chat": chat }),
            &["looking"],
        ),
        (
            "set_notify",
            json!({ "account": account, "notify": "name" }),
            &["account", "notify"],
        ),
        ("show_chat", json!({ "chat": chat }), &["chat"]),
        ("check_connections", json!({}), &[]),
        ("remove_account", json!({ "account": account }), &["account"]),
        (
            "set_presence",
            json!({ "account": account, "show": "away", "status": "x" }),
            &["account", "show"],
        ),
        (
            "set_receipts",
            json!({ "account": account, "send": true }),
            &["account", "send"],
        ),
        (
            "set_markers",
            json!({ "account": account, "send": true }),
            &["account", "send"],
        ),
        (
            "set_contact_receipts",
            json!({ "account": account, "address": address, "send": "on" }),
            &["account", "address", "send"],
        ),
        (
            "set_contact_markers",
            json!({ "account": account, "address": address, "send": "on" }),
            &["account", "address", "send"],
        ),
        ("list_contacts", json!({ "account": account }), &["account"]),
        (
            "add_contact",
            json!({ "account": account, "address": address, "name": "x", "groups": ["x"] }),
            &["account", "address"],
        ),
        (
            "remove_contact",
            json!({ "account": account, "address": address }),
            &["account", "address"],
        ),
        ("list_requests", json!({ "account": account }), &[]),
        (
            "answer_request",
            json!({ "account": account, "address": address, "accept": true }),
            &["account", "address", "accept"],
        ),
        (
            "open_chat",
            json!({ "account": account, "address": address }),
            &["account", "address"],
        ),
        ("list_chats", json!({ "account": account }), &[]),
        ("mark_read", json!({ "chat": chat }), &["chat"]),
        (
            "set_encryption",
            json!({ "chat": chat, "mode": "omemo" }),
            &["chat", "mode"],
        ),
        (
            "list_messages",
            json!({ "chat": chat, "before": scene.messages[0], "limit": 5 }),
            &["chat"],
        ),
        (
            "send_text",
            json!({ "chat": chat, "body": "x" }),
            &["chat", "body"],
        ),
        (
            "retry_message",
            json!({ "message": scene.messages[0] }),
            &["message"],
        ),
        (
            "fetch_file",
            json!({ "file": 1, "host": "files.example", "size": 5 }),
            &["file"],
        ),
        ("cancel_file", json!({ "file": 1 }), &["file"]),
        ("save_file", json!({ "file": 1 }), &["file"]),
        ("unseal_file", json!({ "file": 1 }), &["file"]),
        ("show_picture", json!({ "file": 1 }), &["file"]),
        (
            "list_devices",
            json!({ "account": account, "address": address }),
            &["account", "address"],
        ),
        (
            "set_trust",
            json!({ "account": account, "address": address, "fingerprint": fingerprint, "trust": "verified" }),
            &["account", "address", "fingerprint", "trust"],
        ),
        ("own_code", json!({ "account": account }), &["account"]),
        (
            "read_code",
            json!({ "width": 2, "height": 1, "pixels": "AP8=" }),
            &["width", "height", "pixels"],
        ),
        (
            "read_key_link",
            json!({ "account": account, "link": link }),
            &["account", "link"],
        ),
        (
            "accept_key_link",
            json!({ "account": account, "link": link }),
            &["account", "link"],
        ),
        ("encryption_report", json!({ "chat": chat }), &["chat"]),
        ("read_devices_again", json!({ "chat": chat }), &["chat"]),
        ("republish_keys", json!({ "account": account }), &["account"]),
        (
            "reset_session",
            json!({ "account": account, "address": address, "device": 1 }),
            &["account", "address", "device"],
        ),
        ("renewal_seen", json!({ "account": account }), &["account"]),
        (
            "remove_device",
            json!({ "account": account, "device": 1 }),
            &["account", "device"],
        ),
        (
            "search",
            json!({ "query": "x", "limit": 5, "account": account }),
            &["query"],
        ),
    ]
}

/// Values that a param by this name must refuse, besides those of a wrong type.
fn absurd(param: &str) -> Vec<Value> {
    let long = "x".repeat(5_000);
    match param {
        "account" | "chat" | "message" | "before" | "file" => {
            vec![
                json!(999_999),
                json!(0),
                json!(-1),
                json!(i64::MAX),
                json!(u64::MAX),
                json!(1.5),
                json!("1"),
            ]
        }
        "address" => vec![
            json!(""),
            json!("@"),
            json!("bob@"),
            json!("@waxwing.test"),
            json!("a b@waxwing.test"),
            json!("bob@@waxwing.test"),
            json!(format!("{long}@waxwing.test")),
            json!("bob@waxwing.test/\u{0}"),
        ],
        "device" => vec![
            json!(0),
            json!(-1),
            json!(2_147_483_648_u32),
            json!(1.5),
            json!("1"),
        ],
        "width" | "height" => vec![
            json!(0),
            json!(-1),
            json!(3),
            json!(2_049),
            json!(1.5),
            json!("2"),
        ],
        "pixels" => vec![json!(""), json!("AP8"), json!("!"), json!("AAAA"), json!(long)],
        "link" => vec![
            json!(""),
            json!("xmpp:bob@waxwing.test"),
            json!("xmpp:bob@waxwing.test?omemo-sid-7=00"),
            json!(format!("https://waxwing.test?omemo-sid-7={}", "0".repeat(64))),
            json!(long),
        ],
        "port" => vec![json!(0), json!(-1), json!(65_536), json!(5222.5), json!("5222")],
        // An empty host is one that was not given, as an empty field of the sign-in form is.
        "host" => vec![json!("a b"), json!("a/b"), json!(long)],
        "tls" => vec![json!(""), json!("none"), json!("DIRECT")],
        "default" => vec![json!(""), json!("sometimes")],
        "always" | "never" => vec![
            json!([""]),
            json!(["@"]),
            json!(["bob@waxwing.test/\u{0}"]),
            json!([7]),
            json!(vec!["bob@waxwing.test"; 1_001]),
        ],
        "show" => vec![json!(""), json!("offline"), json!("dancing")],
        "mode" => vec![json!(""), json!("pgp")],
        "trust" => vec![json!(""), json!("absolute")],
        "fingerprint" => vec![
            json!(""),
            json!("zz"),
            json!("0".repeat(63)),
            json!("0".repeat(65)),
            json!("ä".repeat(32)),
        ],
        "limit" => vec![
            json!(0),
            json!(-1),
            json!(1_001),
            json!(1_000_000_000_000_u64),
            json!(1.5),
            json!("5"),
        ],
        "pem" => vec![
            json!("hello"),
            json!("-----BEGIN CERTIFICATE-----\n!"),
            json!("-----BEGIN CERTIFICATE-----\n".repeat(20_000)),
        ],
        "proxy" => {
            let proxy =
                json!({ "kind": "socks5", "host": "127.0.0.1", "port": 1, "user": "x", "password": "x" });
            vec![
                with(&proxy, "kind", Some(json!("socks4"))),
                with(&proxy, "kind", None),
                with(&proxy, "host", Some(json!(""))),
                with(&proxy, "host", Some(json!("a b"))),
                with(&proxy, "host", None),
                with(&proxy, "port", Some(json!(0))),
                with(&proxy, "port", Some(json!(65_536))),
                with(&proxy, "port", None),
                with(&proxy, "user", Some(json!("x".repeat(256)))),
                with(&proxy, "password", Some(json!(7))),
            ]
        }
        "size" => vec![json!(-1), json!(0.5), json!("5")],
        "send" => vec![json!(""), json!("true"), json!(1)],
        "notify" => vec![json!(""), json!("loud")],
        "on" | "active" | "looking" => vec![json!("true"), json!(1), json!("")],
        "body" => vec![json!(""), json!("x".repeat(3 * 1024 * 1024))],
        _ => Vec::new(),
    }
}

async fn must_refuse(app: &mut Headless, method: &str, params: &Value, why: &str) -> Option<String> {
    let shown: String = params.to_string().chars().take(200).collect();
    match app.call(method, params.clone()).await {
        Ok(result) => {
            let result: String = result.to_string().chars().take(200).collect();
            Some(format!("{method} accepts {why}: {shown} -> {result}"))
        }
        Err(error) if error.code.is_empty() || error.message.is_empty() => Some(format!(
            "{method} refuses {why} without a code or a sentence: {shown} -> {error:?}"
        )),
        Err(error) if error.code == "internal" || error.code == "storage" => Some(format!(
            "{method} breaks over {why} instead of refusing it: {shown} -> {error:?}"
        )),
        Err(_) => None,
    }
}

fn with(params: &Value, name: &str, value: Option<Value>) -> Value {
    let mut changed = params.as_object().cloned().unwrap_or_else(Map::new);
    match value {
        Some(value) => changed.insert(name.to_owned(), value),
        None => changed.remove(name),
    };
    Value::Object(changed)
}

#[tokio::test]
async fn every_method_refuses_params_that_are_missing_of_a_wrong_type_or_absurd() {
    let mut scene = scene().await;
    let mut complaints = Vec::new();
    for (method, good, required) in table(&scene) {
        for name in required {
            let params = with(&good, name, None);
            complaints
                .extend(must_refuse(&mut scene.app, method, &params, &format!("a missing {name}")).await);
            let params = with(&good, name, Some(Value::Null));
            complaints.extend(must_refuse(&mut scene.app, method, &params, &format!("null as {name}")).await);
        }
        for name in good.as_object().into_iter().flatten().map(|(name, _)| name) {
            for value in [json!([]), json!({}), json!([1, 2]), json!({ "a": { "b": 1 } })] {
                if ["groups", "always", "never"].contains(&name.as_str()) && value == json!([]) {
                    continue; // an empty list is a list
                }
                let params = with(&good, name, Some(value));
                complaints.extend(
                    must_refuse(
                        &mut scene.app,
                        method,
                        &params,
                        &format!("a wrong type as {name}"),
                    )
                    .await,
                );
            }
            for value in absurd(name) {
                let params = with(&good, name, Some(value));
                complaints
                    .extend(must_refuse(&mut scene.app, method, &params, &format!("an absurd {name}")).await);
            }
        }
        for params in [json!([1, 2]), json!("x"), json!(7), json!(true)] {
            complaints
                .extend(must_refuse(&mut scene.app, method, &params, "params that are no object").await);
        }
    }
    assert!(
        complaints.is_empty(),
        "{} complaints:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
    let listed = scene.app.get("list_accounts", json!({})).await;
    assert_eq!(
        items(&listed).len(),
        2,
        "none of this may have added or removed an account"
    );
    for chat in &scene.chats {
        let messages = scene.app.messages(chat).await;
        assert_eq!(
            messages.len(),
            1,
            "none of this may have written or removed a message"
        );
    }
    scene.app.stop().await;
}

#[tokio::test]
async fn the_good_params_of_the_table_are_accepted() {
    // Else the table above would prove nothing: a method that refuses everything would pass.
    let mut scene = scene().await;
    // These need a server, a removed account, a failed message or a file; that they are refused is right here.
    let needs_more = [
        "remove_account",
        "add_contact",
        "remove_contact",
        "answer_request",
        "retry_message",
        "set_trust",
        "reset_session",
        "remove_device",
        "accept_certificate",
        "allow_weaker_login",
        "archive_preferences",
        "set_archive_preferences",
        "read_devices_again",
        "republish_keys",
        "own_code",
        "fetch_file",
        "cancel_file",
        "save_file",
        "unseal_file",
        "show_picture",
    ];
    for (method, good, _) in table(&scene) {
        if !needs_more.contains(&method) {
            scene.app.get(method, good).await;
        }
    }
    scene.app.stop().await;
}

#[tokio::test]
async fn the_table_knows_every_method() {
    let mut scene = scene().await;
    let known: Vec<_> = table(&scene).into_iter().map(|(method, _, _)| method).collect();
    let declared = std::fs::read_to_string(waxwing_tests::root().join("src-tauri/crates/core/src/api.rs"))
        .expect("the declaration of the requests");
    let list = declared
        .split("\nrequests! {")
        .nth(1)
        .and_then(|rest| rest.split("\n}").next())
        .expect("the one list");
    let methods: Vec<_> = list
        .lines()
        .filter_map(|l| l.trim().split_once('('))
        .map(|(name, _)| name)
        .filter(|n| !n.starts_with("//"))
        .collect();
    assert!(methods.len() > 10, "the list was not understood: {methods:?}");
    for method in &methods {
        assert!(known.contains(method), "the table of bad input lacks {method}");
    }
    let error = scene
        .app
        .call("no_such_method", json!({}))
        .await
        .expect_err("an unknown method is refused");
    assert_eq!((error.number, error.code.as_str()), (-32_601, "unknown_method"));
    scene.app.stop().await;
}

#[tokio::test]
async fn what_belongs_to_another_account_is_not_mixed_up() {
    let mut scene = scene().await;
    let mut complaints = Vec::new();
    let foreign = json!({ "chat": scene.chats[0], "before": scene.messages[1] });
    complaints.extend(
        must_refuse(
            &mut scene.app,
            "list_messages",
            &foreign,
            "a message of another chat",
        )
        .await,
    );
    scene
        .app
        .get("remove_account", json!({ "account": scene.accounts[1] }))
        .await;
    for (method, params) in [
        ("mark_read", json!({ "chat": scene.chats[1] })),
        ("send_text", json!({ "chat": scene.chats[1], "body": "x" })),
        (
            "set_encryption",
            json!({ "chat": scene.chats[1], "mode": "none" }),
        ),
        ("list_messages", json!({ "chat": scene.chats[1] })),
        ("retry_message", json!({ "message": scene.messages[1] })),
        ("list_contacts", json!({ "account": scene.accounts[1] })),
        ("list_chats", json!({ "account": scene.accounts[1] })),
        ("list_requests", json!({ "account": scene.accounts[1] })),
        (
            "search",
            json!({ "account": scene.accounts[1], "query": "hello" }),
        ),
        (
            "set_presence",
            json!({ "account": scene.accounts[1], "show": "away" }),
        ),
        ("remove_account", json!({ "account": scene.accounts[1] })),
    ] {
        complaints.extend(must_refuse(&mut scene.app, method, &params, "what was removed").await);
    }
    assert!(
        complaints.is_empty(),
        "{} complaints:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
    scene.app.stop().await;
}

#[tokio::test]
async fn lines_that_are_no_requests_are_answered_and_the_program_lives() {
    let profile = Profile::with_ca(None);
    let mut app = profile.start().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{}\"}}",
        "x".repeat(6 * 1024 * 1024)
    );
    let lines = [
        "not json",
        "{",
        "[]",
        "7",
        "\"text\"",
        "null",
        "{}",
        "{\"id\":[],\"jsonrpc\":\"2.0\",\"method\":\"list_accounts\"}",
        "{\"id\":1}",
        "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"list_accounts\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}",
        "\u{0}\u{1}\u{2}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list_accounts\",\"params\":\"\\ud800\"}",
        &deep,
        &long,
    ];
    for line in lines {
        app.write(line).await;
        let shown: String = line.chars().take(60).collect();
        let answer = app.error_line(Duration::from_secs(30)).await;
        let Some(answer) = answer else {
            app.fail(&format!("did not answer the line {shown:?}"))
        };
        assert!(
            answer["error"]["data"]["code"].is_string(),
            "{shown:?} was answered without a code: {answer}"
        );
        app.get("list_accounts", json!({})).await;
    }
    // A notification is no question and gets no answer; an empty line is nothing.
    app.write("{\"jsonrpc\":\"2.0\",\"method\":\"list_accounts\"}")
        .await;
    app.write("").await;
    app.get("list_accounts", json!({})).await;
    assert_eq!(
        app.error_line(Duration::ZERO).await,
        None,
        "a notification or an empty line was answered"
    );
    app.stop().await;
}
