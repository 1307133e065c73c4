//! How an account connects is the person's to say: which certificate and which authorities to believe, how weak a login
//! may be, through which proxy; and how it is connected can be looked at.

use serde_json::{Value, json};
use waxwing_scripted::{Act, Authority, Honest, Point, Server, VALID, header, mechanisms, socks, tunnel};
use waxwing_tests::{Headless, LONG, Profile, Tls, items, until};

const ADDRESS: &str = "alice@odd.test";
const SECRET: &str = "a password of her own";

/// A program that trusts the authority, with nothing in it.
struct Scene {
    app: Headless,
    authority: Authority,
    _profile: Profile,
    _folder: tempfile::TempDir,
}

async fn scene() -> Scene {
    let authority = Authority::new("Authority of the story");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).expect("the authority's file");
    let profile = Profile::with_ca(Some(ca_file));
    Scene {
        app: profile.start().await,
        authority,
        _profile: profile,
        _folder: folder,
    }
}

impl Scene {
    fn honest(&self) -> Honest {
        Honest::new(&self.authority, ADDRESS, SECRET)
    }

    async fn add(&mut self, address: &str, server: &Server) -> Value {
        self.app
            .add_account(address, SECRET, server.port, Tls::Direct)
            .await
    }

    /// Waits until the account has stopped with this code, and gives the account.
    async fn asks(&mut self, account: &Value, code: &str) -> Value {
        let found = |list: &Value| {
            items(list)
                .iter()
                .find(|a| a["account"] == *account && a["state"] == "failed" && a["error"]["code"] == code)
                .cloned()
        };
        let list = self
            .app
            .until(
                &format!("the account asks about {code}"),
                "list_accounts",
                json!({}),
                |list| found(list).is_some(),
            )
            .await;
        found(&list).unwrap_or_default()
    }

    /// Waits until the account tries again with this code.
    async fn suffers(&mut self, account: &Value, code: &str) {
        let found = |list: &Value| {
            items(list)
                .iter()
                .any(|a| a["account"] == *account && a["state"] == "connecting" && a["error"]["code"] == code)
        };
        self.app
            .until(
                &format!("the account suffers from {code}"),
                "list_accounts",
                json!({}),
                found,
            )
            .await;
    }

    async fn report(&mut self, account: &Value) -> Value {
        self.app
            .get("connection_report", json!({ "account": account }))
            .await
    }
}

#[tokio::test]
async fn a_certificate_that_the_person_accepted_counts_for_this_account_only_and_until_it_changes() {
    let mut scene = scene().await;
    let own = Authority::self_signed("odd.test");
    let server = Server::start(Honest {
        tls: own.clone(),
        ..scene.honest()
    })
    .await;
    let elsewhere = Server::start(Honest {
        tls: own,
        ..Honest::new(&scene.authority, "bob@odd.test", SECRET)
    })
    .await;
    let account = scene.add(ADDRESS, &server).await;
    let other = scene.add("bob@odd.test", &elsewhere).await;
    let failed = scene.asks(&account, "certificate_unknown_issuer").await;
    scene.asks(&other, "certificate_unknown_issuer").await;
    let shown = failed["refused_certificate"].clone();
    assert_eq!(shown["names"], json!(["odd.test"]), "{failed}");
    assert_eq!(shown["self_signed"], true, "{failed}");
    assert_eq!(
        server.heard()[0].secure,
        "",
        "something was said behind a refused certificate"
    );

    // Only what was shown can be accepted.
    let wrong = json!({ "account": account, "fingerprint": "0".repeat(64) });
    let error = scene
        .app
        .call("accept_certificate", wrong)
        .await
        .expect_err("it was not shown");
    assert_eq!(error.code, "not_found");
    let right = json!({ "account": account, "fingerprint": shown["fingerprint"] });
    scene.app.get("accept_certificate", right).await;
    scene.app.online(&account).await;
    let report = scene.report(&account).await;
    assert_eq!(report["connection"]["pinned"], true, "{report}");
    assert_eq!(
        report["connection"]["certificate"]["fingerprint"], shown["fingerprint"],
        "{report}"
    );
    scene.asks(&other, "certificate_unknown_issuer").await;

    // The server has another certificate, and again nobody vouches for it.
    let changed = Authority::self_signed("odd.test");
    server.become_another(Honest {
        tls: changed,
        ..scene.honest()
    });
    server.cut();
    let failed = scene.asks(&account, "certificate_changed").await;
    assert_ne!(failed["refused_certificate"]["fingerprint"], shown["fingerprint"]);
    let heard = server.heard();
    assert_eq!(
        heard[heard.len() - 1].secure,
        "",
        "something was said behind another certificate"
    );

    // A certificate that somebody vouches for is believed beside the accepted one.
    server.become_another(scene.honest());
    let again = json!({ "account": account, "enabled": false });
    scene.app.get("set_account_enabled", again).await;
    scene
        .app
        .get(
            "set_account_enabled",
            json!({ "account": account, "enabled": true }),
        )
        .await;
    scene.app.online(&account).await;
    assert_eq!(scene.report(&account).await["connection"]["pinned"], false);
    scene.app.stop().await;
}

#[tokio::test]
async fn an_acceptance_that_is_taken_back_counts_no_more() {
    let mut scene = scene().await;
    let tls = Authority::self_signed("odd.test");
    let server = Server::start(Honest {
        tls,
        ..scene.honest()
    })
    .await;
    let account = scene.add(ADDRESS, &server).await;
    let failed = scene.asks(&account, "certificate_unknown_issuer").await;
    let fingerprint = &failed["refused_certificate"]["fingerprint"];
    let accept = json!({ "account": account, "fingerprint": fingerprint });
    scene.app.get("accept_certificate", accept).await;
    scene.app.online(&account).await;
    scene
        .app
        .get("forget_certificate", json!({ "account": account }))
        .await;
    let failed = scene.asks(&account, "certificate_unknown_issuer").await;
    assert_eq!(failed["accepted_certificate"], Value::Null);
    scene.app.stop().await;
}

#[tokio::test]
async fn each_fault_of_a_certificate_but_not_of_a_handshake_can_be_accepted() {
    let mut scene = scene().await;
    for (number, (code, tls)) in [
        ("certificate_wrong_name", scene.authority.tls("evil.test", VALID)),
        (
            "certificate_expired",
            scene.authority.tls("odd.test", (2000, 2010)),
        ),
        (
            "certificate_expired",
            scene.authority.tls("odd.test", (2080, 2090)),
        ),
        (
            "certificate_unknown_issuer",
            Authority::new("Nobody").tls("odd.test", VALID),
        ),
        ("certificate_unknown_issuer", Authority::self_signed("evil.test")),
    ]
    .into_iter()
    .enumerate()
    {
        let address = format!("person{number}@odd.test");
        let server = Server::start(Honest {
            tls,
            ..Honest::new(&scene.authority, &address, SECRET)
        })
        .await;
        let account = scene.add(&address, &server).await;
        let failed = scene.asks(&account, code).await;
        let fingerprint = &failed["refused_certificate"]["fingerprint"];
        assert!(fingerprint.is_string(), "{failed}");
        let accept = json!({ "account": account, "fingerprint": fingerprint });
        scene.app.get("accept_certificate", accept).await;
        scene.app.online(&account).await;
    }
    scene.app.stop().await;
}

#[tokio::test]
async fn an_account_may_have_authorities_of_its_own() {
    let mut scene = scene().await;
    let company = Authority::new("The company");
    let tls = company.tls("odd.test", VALID);
    let server = Server::start(Honest {
        tls: tls.clone(),
        ..scene.honest()
    })
    .await;
    let elsewhere = Server::start(Honest {
        tls,
        ..Honest::new(&scene.authority, "bob@odd.test", SECRET)
    })
    .await;
    let account = scene.add(ADDRESS, &server).await;
    let other = scene.add("bob@odd.test", &elsewhere).await;
    scene.asks(&account, "certificate_unknown_issuer").await;
    let nonsense = json!({ "account": account, "pem": "hello" });
    let error = scene
        .app
        .call("set_authorities", nonsense)
        .await
        .expect_err("no certificates");
    assert_eq!(error.code, "invalid_params");
    let pem = json!({ "account": account, "pem": company.pem() });
    scene.app.get("set_authorities", pem).await;
    scene.app.online(&account).await;
    assert_eq!(scene.report(&account).await["connection"]["pinned"], false);
    scene.asks(&other, "certificate_unknown_issuer").await;
    scene
        .app
        .get("set_authorities", json!({ "account": account }))
        .await;
    let failed = scene.asks(&account, "certificate_unknown_issuer").await;
    assert_eq!(failed["own_authorities"], false);
    scene.app.stop().await;
}

#[tokio::test]
async fn a_login_that_became_weaker_is_used_once_the_person_allows_it() {
    let mut scene = scene().await;
    let weaker = header("odd.test") + &mechanisms(&["SCRAM-SHA-1"]);
    let server = Server::start(scene.honest().on(1..=usize::MAX, Point::Header, Act::say(weaker))).await;
    let account = scene.add(ADDRESS, &server).await;
    scene.app.online(&account).await;
    let nothing = scene
        .app
        .call("allow_weaker_login", json!({ "account": account }))
        .await
        .expect_err("nothing was refused");
    assert_eq!(nothing.code, "not_found");
    server.cut();
    scene.asks(&account, "login_weakened").await;
    assert_eq!(
        server.count("<auth"),
        1,
        "the weaker login was begun all the same"
    );
    scene
        .app
        .get("allow_weaker_login", json!({ "account": account }))
        .await;
    scene.app.online(&account).await;
    let report = scene.report(&account).await;
    assert!(!server.heard()[1].secure.contains("<auth"), "{report}");
    scene.app.stop().await;
}

#[tokio::test]
async fn a_report_says_how_an_account_is_connected() {
    let mut scene = scene().await;
    let server = Server::start(scene.honest()).await;
    let account = scene.add(ADDRESS, &server).await;
    scene.app.online(&account).await;
    let report = scene.report(&account).await;
    let connection = &report["connection"];
    for (field, wanted) in [
        ("host", json!("127.0.0.1")),
        ("port", json!(server.port)),
        ("peer", json!(format!("127.0.0.1:{}", server.port))),
        ("proxied", json!(false)),
        ("tls", json!("direct")),
        ("tls_version", json!("TLSv1_3")),
        ("pinned", json!(false)),
        ("resumed", json!(false)),
        ("resumable", json!(true)),
        ("software", json!("Scripted 1")),
    ] {
        assert_eq!(connection[field], wanted, "{field} in {report}");
    }
    for field in ["cipher", "since", "resource"] {
        assert!(
            connection[field].as_str().is_some_and(|text| !text.is_empty()),
            "{field} in {report}"
        );
    }
    assert!(
        connection["ping_ms"].is_u64() && connection["took_ms"].is_u64(),
        "{report}"
    );
    assert_eq!(
        connection["certificate"]["names"],
        json!(["odd.test"]),
        "{report}"
    );
    let present = |name: &str| {
        let features = items(&report["features"]).to_vec();
        features
            .iter()
            .find(|feature| feature["feature"] == name)
            .unwrap_or_else(|| panic!("{name} is not reported: {report}"))["present"]
            .clone()
    };
    for name in [
        "direct_tls",
        "stream_management",
        "personal_events",
        "open_bundles",
    ] {
        assert_eq!(present(name), true, "{name}");
    }
    for name in ["archive", "upload", "push", "sasl2", "client_state"] {
        assert_eq!(present(name), false, "{name}");
    }
    assert_eq!((&report["lost"], &report["swallowed"]), (&json!(0), &json!(0)));

    server.cut();
    until("the connection was made again", LONG, async || {
        (server.connections() > 1).then_some(())
    })
    .await;
    scene.app.online(&account).await;
    let report = scene.report(&account).await;
    assert_eq!(report["lost"], 1, "{report}");
    assert_eq!(report["connection"]["resumed"], true, "{report}");
    scene.app.stop().await;
}

#[tokio::test]
async fn an_account_without_a_connection_has_a_report_without_one() {
    let mut scene = scene().await;
    let account = scene.app.add_account(ADDRESS, SECRET, 1, Tls::Direct).await;
    let report = scene.report(&account).await;
    assert_eq!(report["connection"], Value::Null);
    assert_eq!(report["features"], json!([]));
    scene.app.stop().await;
}

#[tokio::test]
async fn a_proxy_is_told_the_name_of_the_server_and_its_own_trouble_is_told_apart() {
    let mut scene = scene().await;
    let server = Server::start(scene.honest()).await;
    let account = scene.app.add_account(ADDRESS, SECRET, 1, Tls::Direct).await;
    let proxy = socks::guarded(server.port, "carol", "of the proxy").await;
    let through = |password: &str, port: u16| {
        json!({
            "account": account, "host": "hidden.onion", "port": 5223, "tls": "direct",
            "proxy": {
                "kind": "socks5", "host": "127.0.0.1", "port": port, "user": "carol", "password": password,
            },
        })
    };
    scene
        .app
        .get("set_connection", through("a guess", proxy.port))
        .await;
    scene.asks(&account, "proxy_refused").await;
    assert_eq!(proxy.asked().len(), 0);

    scene
        .app
        .get("set_connection", through("of the proxy", proxy.port))
        .await;
    scene.app.online(&account).await;
    assert_eq!(proxy.asked(), ["hidden.onion:5223"]);
    let report = scene.report(&account).await;
    assert_eq!(report["connection"]["proxied"], true, "{report}");
    assert_eq!(report["connection"]["host"], "hidden.onion", "{report}");
    let accounts = scene.app.get("list_accounts", json!({})).await;
    let shown = &items(&accounts)[0]["proxy"];
    assert_eq!(
        (&shown["host"], &shown["user"]),
        (&json!("127.0.0.1"), &json!("carol"))
    );
    assert!(
        !accounts.to_string().contains("of the proxy"),
        "the proxy's password is shown: {accounts}"
    );

    // A password that is not given again stays.
    let mut again = through("", proxy.port);
    again["proxy"]["password"].take();
    again["port"] = json!(5224);
    scene.app.get("set_connection", again).await;
    // Until then the account is online over the connection before.
    until("the proxy is asked for the new port", LONG, async || {
        (proxy.asked() == ["hidden.onion:5223", "hidden.onion:5224"]).then_some(())
    })
    .await;
    scene.app.online(&account).await;

    // Nobody listens behind the proxy, and then there is no proxy.
    let lost = socks::to(1).await;
    scene.app.get("set_connection", through("x", lost.port)).await;
    scene.suffers(&account, "unreachable").await;
    drop(proxy);
    let closed = { socks::to(1).await.port };
    scene.app.get("set_connection", through("x", closed)).await;
    scene.suffers(&account, "proxy_failed").await;
    scene.app.stop().await;
}

#[tokio::test]
async fn an_account_lives_behind_a_proxy_of_the_web_as_well() {
    let mut scene = scene().await;
    let server = Server::start(scene.honest()).await;
    let account = scene.app.add_account(ADDRESS, SECRET, 1, Tls::Direct).await;
    let proxy = tunnel::guarded(server.port, "carol", "of the proxy").await;
    for (password, outcome) in [("a guess", "proxy_refused"), ("of the proxy", "")] {
        let through = json!({
            "account": account, "host": "server.inside", "port": 5223, "tls": "direct",
            "proxy": {
                "kind": "http", "host": "127.0.0.1", "port": proxy.port, "user": "carol", "password": password,
            },
        });
        scene.app.get("set_connection", through).await;
        if !outcome.is_empty() {
            scene.asks(&account, outcome).await;
            assert_eq!(proxy.asked().len(), 0);
        }
    }
    scene.app.online(&account).await;
    let report = scene.report(&account).await;
    assert_eq!(report["connection"]["proxied"], true, "{report}");
    let chat = scene.app.open_plain_chat(&account, "friend@odd.test").await;
    scene.app.send(&chat, "echo this").await;
    scene.app.message(&account, "answer to this").await;
    assert_eq!(proxy.asked(), ["server.inside:5223"]);
    scene.app.stop().await;
}

#[tokio::test]
async fn the_password_itself_goes_only_to_a_server_that_the_person_allowed_to_have_it() {
    let mut scene = scene().await;
    let only_plain = |honest: Honest| Honest {
        mechanisms: vec!["PLAIN"],
        ..honest
    };
    let server = Server::start(only_plain(scene.honest())).await;
    let bob = Honest::new(&scene.authority, "bob@odd.test", SECRET);
    let elsewhere = Server::start(only_plain(bob)).await;
    let account = scene.add(ADDRESS, &server).await;
    let other = scene.add("bob@odd.test", &elsewhere).await;
    scene.asks(&account, "plain_only").await;
    scene.asks(&other, "plain_only").await;
    assert_eq!((server.count("<auth"), elsewhere.count("<auth")), (0, 0));
    scene
        .app
        .get("allow_weaker_login", json!({ "account": account }))
        .await;
    scene.app.online(&account).await;
    assert_eq!(server.count("mechanism='PLAIN'"), 1);
    let report = scene.report(&account).await;
    assert_eq!(report["connection"]["mechanism"], "PLAIN", "{report}");
    scene.asks(&other, "plain_only").await;
    assert_eq!(elsewhere.count("<auth"), 0);
    scene
        .app
        .get("forbid_plain_login", json!({ "account": account }))
        .await;
    scene.asks(&account, "plain_only").await;
    assert_eq!(server.count("mechanism='PLAIN'"), 1);
    scene.app.stop().await;
}

#[tokio::test]
async fn the_console_shows_what_goes_over_the_wire_without_secrets_and_forgets_it() {
    let mut scene = scene().await;
    let server = Server::start(scene.honest()).await;
    let account = scene.add(ADDRESS, &server).await;
    scene.app.online(&account).await;
    let of = json!({ "account": account });
    assert_eq!(
        scene.app.get("list_console", of.clone()).await,
        json!([]),
        "nobody asked for it"
    );
    scene
        .app
        .get("set_console", json!({ "account": account, "on": true }))
        .await;
    // The next login is seen whole.
    for enabled in [false, true] {
        scene
            .app
            .get(
                "set_account_enabled",
                json!({ "account": account, "enabled": enabled }),
            )
            .await;
    }
    scene.app.online(&account).await;
    let friend = "friend@odd.test";
    let chat = scene.app.open_plain_chat(&account, friend).await;
    scene.app.send(&chat, "echo into the console").await;
    scene.app.message(&account, "answer to into the console").await;
    let shows = |list: &Value, way: &str, text: &str| {
        items(list)
            .iter()
            .any(|entry| entry["way"] == way && entry["xml"].as_str().is_some_and(|xml| xml.contains(text)))
    };
    let list = scene
        .app
        .until(
            "the console shows the answer",
            "list_console",
            of.clone(),
            |list| shows(list, "in", "answer to into the console"),
        )
        .await;
    for (way, text) in [
        ("out", "<stream:stream"),
        ("in", "SCRAM-SHA-256"),
        ("out", "<auth"),
        ("in", "<success"),
        ("in", "jabber:iq:roster"),
        ("out", "echo into the console"),
    ] {
        assert!(
            shows(&list, way, text),
            "the console lacks {text} {way}: {list:#}"
        );
    }
    // Whatever the server got of the proof of the password must not be on screen.
    let secure = server.heard().pop().expect("a connection").secure;
    let secrets = ["</auth>", "</response>"].map(|end| {
        let before = secure.split(end).next().expect("the login");
        before.rsplit('>').next().expect("its text").to_owned()
    });
    for secret in secrets.iter().map(String::as_str).chain([SECRET]) {
        assert!(secret.len() > 8, "nothing was found to look for: {secret:?}");
        assert!(!list.to_string().contains(secret), "{secret:?} is shown");
    }
    scene
        .app
        .get("set_console", json!({ "account": account, "on": false }))
        .await;
    assert_eq!(scene.app.get("list_console", of.clone()).await, json!([]));
    scene.app.forget_events();
    scene.app.send(&chat, "echo behind the curtain").await;
    scene.app.message(&account, "answer to behind the curtain").await;
    assert_eq!(scene.app.get("list_console", of).await, json!([]));
    let told = scene
        .app
        .events()
        .into_iter()
        .find(|event| event["type"] == "console_seen");
    assert_eq!(told, None);
    scene.app.stop().await;
}
