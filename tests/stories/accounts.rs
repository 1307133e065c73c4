//! Ten accounts at ten servers at once: whatever one of them suffers, the others live as if it were not there, and no
//! server learns what only another one may know.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use waxwing_scripted::{Act, Authority, Exchange, Honest, Point, Proof, Server, VALID, names_told};
use waxwing_tests::{Headless, LONG, PASSWORD, Peer, Profile, Prosody, Tls, items, until};

/// What sending and receiving may take on a machine that compiles meanwhile; usually it is some milliseconds.
const NORMAL: Duration = Duration::from_secs(5);
/// So much is sent to the tenth account at once, in messages of a mebibyte.
const FLOOD: usize = 24 << 20;
/// Accounts at scripted servers that are to be left alone.
const QUIET: usize = 6;
const SECRET: &str = "a password of its own";

/// An account that is to notice nothing.
struct Steady {
    account: Value,
    chat: Value,
    friend: String,
    place: Place,
}

enum Place {
    /// The friend answers by itself.
    Scripted(Server),
    Real(Prosody, Box<Peer>),
}

/// Nine accounts that are well, and the one that is not.
struct Scene {
    app: Headless,
    steady: Vec<Steady>,
    bad: Server,
    bad_account: Value,
    authority: Authority,
    _profile: Profile,
    _folder: tempfile::TempDir,
}

fn bad_server(authority: &Authority) -> Honest {
    Honest::new(authority, "tenth@troubled.test", SECRET)
}

async fn scene() -> Scene {
    let authority = Authority::new("Authority of many");
    let real = [
        ("alpha@waxwing.test", "amigo@waxwing.test"),
        ("bravo@heron.test", "bogomil@heron.test"),
        ("charlie@waxwing.test", "cornelius@waxwing.test"),
    ];
    let mut servers = Vec::new();
    let mut authorities = authority.pem().to_owned();
    for (address, friend) in real {
        let server = Prosody::start_with_friends(&[address, friend]).await;
        authorities += &std::fs::read_to_string(server.ca_file()).expect("the authority's file");
        servers.push((server, address, friend));
    }
    let folder = tempfile::tempdir().expect("a temporary directory");
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, authorities).expect("the authorities' file");
    let profile = Profile::with_ca(Some(ca_file));
    let mut app = profile.start().await;
    let mut steady = Vec::new();
    for (server, address, friend) in servers {
        let account = app
            .add_account(address, PASSWORD, server.direct_tls_port, Tls::Direct)
            .await;
        let peer = Box::new(Peer::sign_in(&server, friend).await);
        let chat = app.open_plain_chat(&account, friend).await;
        steady.push(Steady {
            account,
            chat,
            friend: friend.to_owned(),
            place: Place::Real(server, peer),
        });
    }
    for number in 0..QUIET {
        let honest = Honest::new(&authority, &format!("one{number}@quiet{number}.test"), SECRET);
        let friend = honest.friend();
        let server = Server::start(honest).await;
        let address = format!("one{number}@quiet{number}.test");
        let account = app.add_account(&address, SECRET, server.port, Tls::Direct).await;
        let chat = app.open_plain_chat(&account, &friend).await;
        steady.push(Steady {
            account,
            chat,
            friend,
            place: Place::Scripted(server),
        });
    }
    let bad = Server::start(bad_server(&authority)).await;
    let bad_account = app
        .add_account("tenth@troubled.test", SECRET, bad.port, Tls::Direct)
        .await;
    for account in steady.iter().map(|one| &one.account).chain([&bad_account]) {
        app.online(account).await;
    }
    Scene {
        app,
        steady,
        bad,
        bad_account,
        authority,
        _profile: profile,
        _folder: folder,
    }
}

impl Scene {
    /// The tenth account signs in anew to a server that is like this, and is in this trouble then.
    async fn suffer(&mut self, code: Option<&str>, script: impl FnOnce(Honest, &Authority) -> Honest) {
        let switch = |account: &Value, enabled: bool| json!({ "account": account, "enabled": enabled });
        self.app
            .get("set_account_enabled", switch(&self.bad_account, false))
            .await;
        self.bad
            .become_another(script(bad_server(&self.authority), &self.authority));
        self.app
            .get("set_account_enabled", switch(&self.bad_account, true))
            .await;
        let bad = self.bad_account.clone();
        let so = |list: &Value| {
            items(list).iter().any(|account| {
                account["account"] == bad
                    && match code {
                        Some(code) => account["error"]["code"] == code,
                        None => account["state"] == "online",
                    }
            })
        };
        self.app
            .until(
                &format!("the tenth account suffers from {code:?}"),
                "list_accounts",
                json!({}),
                so,
            )
            .await;
    }

    /// Each of the nine sends and receives; gives the longest time that it took.
    async fn all_is_well(&mut self, round: &str) -> Duration {
        let mut longest = Duration::ZERO;
        for one in &mut self.steady {
            let began = Instant::now();
            let body = format!("echo {round}");
            let sent = self.app.send(&one.chat, &body).await;
            let answer = match &mut one.place {
                Place::Scripted(_) => format!("answer to {round}"),
                Place::Real(server, peer) => {
                    peer.message(&body).await;
                    let to = address_of(&mut self.app, &one.account).await;
                    let answer = format!("answer to {round}");
                    peer.send(&to, &answer, "none").await;
                    assert!(
                        server.logged("session resumed") == 0,
                        "{to} had to resume its session"
                    );
                    answer
                }
            };
            self.app.message(&one.account, &answer).await;
            self.app.delivery(&sent, "delivered").await;
            let took = began.elapsed();
            assert!(
                took < NORMAL,
                "{}: writing and hearing took {took:?} while the tenth one suffered from {round}",
                one.friend
            );
            longest = longest.max(took);
        }
        let accounts = self.app.get("list_accounts", json!({})).await;
        for one in &self.steady {
            let account = items(&accounts)
                .iter()
                .find(|account| account["account"] == one.account)
                .expect("none of them is removed");
            assert_eq!(
                account["state"], "online",
                "{account} while the tenth one suffered from {round}"
            );
        }
        longest
    }

    /// None of the nine ever lost its connection.
    async fn nobody_reconnected(&mut self) {
        for one in &self.steady {
            let report = self
                .app
                .get("connection_report", json!({ "account": one.account }))
                .await;
            assert_eq!(report["lost"], 0, "{}: {report}", one.friend);
            if let Place::Scripted(server) = &one.place {
                assert_eq!(server.connections(), 1, "{}", one.friend);
            }
        }
    }

    /// What each server heard, with the names that only it may know.
    async fn heard(&mut self) -> Vec<(String, Vec<String>)> {
        let mut heard = Vec::new();
        for one in &self.steady {
            let own = address_of(&mut self.app, &one.account).await;
            let report = self
                .app
                .get("connection_report", json!({ "account": one.account }))
                .await;
            let resource = report["connection"]["resource"]
                .as_str()
                .expect("a resource")
                .to_owned();
            let mut names = vec![own, one.friend.clone(), resource];
            let text = match &one.place {
                Place::Scripted(server) => {
                    let text = all(server);
                    names.extend(names_told(&text));
                    text
                }
                Place::Real(server, _) => server.log(),
            };
            heard.push((text, names));
        }
        let text = all(&self.bad);
        let mut names = names_told(&text);
        names.push("@troubled.test".to_owned());
        heard.push((text, names));
        heard
    }
}

fn all(server: &Server) -> String {
    server
        .heard()
        .into_iter()
        .map(|heard| heard.clear + &heard.secure)
        .collect()
}

async fn address_of(app: &mut Headless, account: &Value) -> String {
    let accounts = app.get("list_accounts", json!({})).await;
    items(&accounts)
        .iter()
        .find(|listed| listed["account"] == *account)
        .and_then(|listed| listed["address"].as_str())
        .expect("the account is listed")
        .to_owned()
}

/// Memory in RAM, in MiB.
fn resident(app: &Headless) -> u64 {
    let id = app.process_id().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the process's status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("the resident size");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nine_accounts_notice_nothing_of_what_the_tenth_one_suffers_and_no_server_learns_of_another() {
    let mut scene = scene().await;
    let usual = scene.all_is_well("nothing at all").await;
    println!("all is well: {usual:?}");

    let proof = |proof| Exchange {
        proof,
        ..Exchange::default()
    };
    scene
        .suffer(Some("tls_failed"), |honest, _| {
            honest.at(Point::Accepted, Act::Reset)
        })
        .await;
    report("refused", scene.all_is_well("refusals").await);
    scene
        .suffer(Some("timeout"), |honest, _| {
            honest.at(Point::Accepted, Act::Silence)
        })
        .await;
    report("hanging", scene.all_is_well("silence").await);
    scene
        .suffer(Some("server_untrustworthy"), |honest, _| Honest {
            exchange: proof(Proof::Wrong),
            ..honest
        })
        .await;
    report("lies", scene.all_is_well("lies").await);
    scene
        .suffer(Some("certificate_wrong_name"), |honest, authority| Honest {
            tls: authority.tls("evil.test", VALID),
            ..honest
        })
        .await;
    report(
        "wrong certificate",
        scene.all_is_well("a wrong certificate").await,
    );
    scene
        .suffer(Some("wrong_password"), |honest, _| Honest {
            password: "another one".to_owned(),
            ..honest
        })
        .await;
    report("wrong password", scene.all_is_well("a wrong password").await);
    scene
        .suffer(Some("disconnected"), |honest, _| {
            honest.at(Point::Presence, Act::Close)
        })
        .await;
    report("reconnecting", scene.all_is_well("reconnecting for ever").await);

    // Switched off while online, so that there is no session to go on with.
    scene.suffer(None, |honest, _| honest).await;
    let before = resident(&scene.app);
    scene
        .suffer(None, |honest, _| {
            let large = format!(
                "<message from='friend@troubled.test/there' type='chat'><body>{}</body></message>",
                "large ".repeat(170_000)
            );
            honest.at(Point::Presence, Act::flood("", large))
        })
        .await;
    let (began, mut slowest, mut rounds) = (scene.bad.said(), Duration::ZERO, 0);
    while scene.bad.said() < began + FLOOD {
        slowest = slowest.max(scene.all_is_well(&format!("a flood, round {rounds}")).await);
        scene.app.forget_events();
        rounds += 1;
    }
    report("flooded by messages of 1 MiB", slowest);
    let swelled = resident(&scene.app).saturating_sub(before);
    println!("the flood made the program {swelled} MiB larger");
    assert!(swelled < 256, "the flood made the program {swelled} MiB larger");

    scene.suffer(None, |honest, _| honest).await;
    scene.all_is_well("nothing any more").await;
    scene.nobody_reconnected().await;

    let heard = scene.heard().await;
    for (number, (_, names)) in heard.iter().enumerate() {
        assert!(
            names.len() > 1,
            "nothing is known of account {number}, so nothing is shown"
        );
        for (other, (text, _)) in heard.iter().enumerate().filter(|(other, _)| *other != number) {
            for name in names {
                assert!(!text.contains(name.as_str()), "{name:?} came to server {other}");
            }
        }
    }
    scene.app.stop().await;
}

fn report(what: &str, took: Duration) {
    println!("{what}: the slowest of the nine took {took:?} to write and hear");
}

#[tokio::test]
async fn an_account_is_removed_while_its_server_hangs_and_the_other_one_stays() {
    let authority = Authority::new("Authority of two");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).expect("the authority's file");
    let profile = Profile::with_ca(Some(ca_file));
    let mut app = profile.start().await;
    let well = Server::start(Honest::new(&authority, "well@well.test", SECRET)).await;
    let account = app
        .add_account("well@well.test", SECRET, well.port, Tls::Direct)
        .await;
    app.online(&account).await;
    for point in [
        Point::Accepted,
        Point::Header,
        Point::Auth,
        Point::Bind,
        Point::Presence,
    ] {
        let honest = bad_server(&authority).at(point, Act::Silence);
        let hanging = Server::start(honest).await;
        let bad = app
            .add_account("tenth@troubled.test", SECRET, hanging.port, Tls::Direct)
            .await;
        until("the server was reached", LONG, async || {
            (hanging.connections() > 0).then_some(())
        })
        .await;
        let began = Instant::now();
        app.get("remove_account", json!({ "account": bad })).await;
        assert!(
            began.elapsed() < NORMAL,
            "at {point:?} it took {:?}",
            began.elapsed()
        );
    }
    let accounts = app.get("list_accounts", json!({})).await;
    assert_eq!(items(&accounts).len(), 1);
    assert_eq!(items(&accounts)[0]["state"], "online");
    assert_eq!(well.connections(), 1);
    app.stop().await;
}
