//! Whole connections to servers that a name server leads to.

// Clippy's leave for tests ends at the functions marked as such; here all is test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;

use super::*;
use crate::dns::tests::{NameServer, Said};
use crate::{CertificateProblem, Endpoint, Resumption};
use common::scripted::{HEADER, Secure, Server};
use common::{DOMAIN, LIMIT};
use waxwing_scripted::Authority;

#[allow(dead_code)]
#[path = "../../tests/common/mod.rs"]
mod common;

const DIRECT: &str = "_xmpps-client._tcp.waxwing.test.";
const START: &str = "_xmpp-client._tcp.waxwing.test.";
const YEARS: (i32, i32) = (2020, 2090);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const HERE_SIX: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const HOSTS: [(&str, &[IpAddr]); 4] = [
    ("one.test", &[HERE]),
    ("two.test", &[HERE]),
    ("both.test", &[HERE_SIX, HERE]),
    (DOMAIN, &[HERE]),
];

fn login(authority: &Authority) -> Login {
    Login {
        endpoint: None,
        ..common::login("alice", authority, 1, Tls::Direct)
    }
}

fn record(priority: u16, port: u16, host: &'static str) -> Said {
    Said::Records(vec![(priority, 0, port, host)])
}

/// Lets everybody in.
async fn let_in(mut peer: Secure) {
    peer.let_in("").await;
    peer.bind().await;
    peer.hear_out().await;
}

async fn good(authority: &Authority) -> Server {
    Server::secure(authority.tls(DOMAIN, YEARS), |_, peer| let_in(peer)).await
}

async fn try_with(names: Names, login: &Login) -> Result<Connection, ConnectError> {
    tokio::time::timeout(LIMIT * 4, attempt(&Route::Straight(names), login))
        .await
        .expect("the attempt comes to an end")
}

async fn error_with(names: Names, login: &Login) -> ConnectError {
    try_with(names, login).await.err().expect("no connection")
}

/// A port at which nobody listens.
fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Takes connections and says nothing, ever.
async fn stalled() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            held.push(stream);
        }
    });
    (port, taken)
}

/// As [`good`], but the clock, which jumps while everybody waits, goes as usual once somebody comes.
async fn good_later(authority: &Authority) -> Server {
    let config = authority.tls(DOMAIN, YEARS);
    Server::plain(move |_, peer| {
        let config = Arc::clone(&config);
        async move {
            tokio::time::resume();
            let_in(peer.secure(config).await.unwrap()).await;
        }
    })
    .await
}

#[tokio::test]
async fn the_kind_with_the_better_priority_is_used() {
    let authority = Authority::default();
    let server = good(&authority).await;
    let (unused, taken) = stalled().await;
    let dns = NameServer::start([
        (DIRECT, record(5, server.port, "one.test.")),
        (START, record(6, unused, "two.test.")),
    ])
    .await;
    let connection = try_with(dns.names(&HOSTS), &login(&authority)).await.unwrap();
    let facts = connection.facts();
    assert_eq!(facts.target, Target::new("one.test", server.port, Tls::Direct));
    assert_eq!((facts.peer.port(), facts.proxied), (server.port, false));
    assert!(!facts.took.is_zero() && !facts.pinned);
    assert_eq!(facts.certificate.as_ref().unwrap().names, [DOMAIN]);
    assert_eq!(taken.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_server_is_found_at_ipv6_first_and_at_ipv4_if_nobody_listens_there() {
    let authority = Authority::default();
    let six = TcpListener::bind((Ipv6Addr::LOCALHOST, 0))
        .await
        .expect("this machine has ::1, without which this cannot be tested");
    let port = six.local_addr().unwrap().port();
    let four = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let names = NameServer::start([]).await.names(&HOSTS);
    let reached = dial::tcp(&names, "both.test", port).await.unwrap();
    assert_eq!(reached.peer_addr().unwrap().ip(), HERE_SIX);
    drop((six, four));

    let server = good(&authority).await;
    let dns = NameServer::start([(DIRECT, record(0, server.port, "both.test."))]).await;
    let connection = try_with(dns.names(&HOSTS), &login(&authority)).await.unwrap();
    assert_eq!(connection.facts().peer.ip(), HERE);
}

#[tokio::test]
async fn a_target_that_fails_in_tcp_in_tls_or_by_its_certificate_is_followed_by_the_next() {
    let authority = Authority::default();
    let foreign = Authority::default();
    let impostor = Server::secure(foreign.tls(DOMAIN, YEARS), |_, peer| let_in(peer)).await;
    let misnamed = Server::secure(authority.tls("one.test", YEARS), |_, peer| let_in(peer)).await;
    let plain = Server::plain(|_, mut peer| async move {
        peer.try_say("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let unwilling = Server::plain(|_, mut peer| async move {
        peer.open("").await;
        peer.hear_out().await;
    })
    .await;
    let server = good(&authority).await;
    let (impostor, misnamed, plain) = (impostor.port, misnamed.port, plain.port);
    let bad = [
        (1, 0, closed_port(), "one.test."),
        (2, 0, 1, "nowhere.test."),
        (3, 0, impostor, "one.test."),
        (4, 0, misnamed, "one.test."),
        (5, 0, plain, "one.test."),
    ];
    let mut all = bad.to_vec();
    all.push((9, 0, server.port, "two.test."));
    let in_the_clear = record(6, unwilling.port, "one.test.");
    let dns = NameServer::start([(DIRECT, Said::Records(all)), (START, in_the_clear.clone())]).await;
    let connection = try_with(dns.names(&HOSTS), &login(&authority)).await.unwrap();
    assert_eq!(connection.facts().target.host, "two.test");

    let dns = NameServer::start([(DIRECT, Said::Records(bad.to_vec())), (START, in_the_clear)]).await;
    let error = error_with(dns.names(&HOSTS), &login(&authority)).await;
    let ConnectError::Certificate { problem, presented } = error else {
        panic!("{error}");
    };
    assert_eq!(problem, CertificateProblem::UnknownIssuer);
    assert_eq!(presented.unwrap().names, [DOMAIN]);
}

#[tokio::test]
async fn a_target_that_stalls_is_overtaken_by_the_next() {
    let authority = Authority::default();
    let (port, taken) = stalled().await;
    let server = good_later(&authority).await;
    let dns = NameServer::start([(DIRECT, record(0, port, "one.test.")), (START, Said::Nothing)]).await;
    // Not before DNS was asked, which takes its time in the real world.
    let names = dns.names(&HOSTS);
    let found = Route::Straight(names).find(DOMAIN, false).await;
    assert_eq!(found.targets, [Target::new("one.test", port, Tls::Direct)]);

    let mut targets = found.targets;
    targets.push(Target::new("two.test", server.port, Tls::Direct));
    let login = login(&authority);
    let setup = tls::prepare(DOMAIN, &login.trust).await.unwrap();
    let route = Route::Straight(dns.names(&HOSTS));
    tokio::time::pause();
    let start = Instant::now();
    let connected = one_of(&route, &setup, targets, &login).await;
    let connection = connected.map_err(|(error, _)| error).unwrap();
    assert_eq!(connection.facts().target.host, "two.test");
    assert!((HEAD_START..TLS_LIMIT).contains(&start.elapsed()));
    assert_eq!(taken.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn if_all_targets_stall_the_attempt_ends() {
    let authority = Authority::default();
    let (port, taken) = stalled().await;
    let login = login(&authority);
    let setup = tls::prepare(DOMAIN, &login.trust).await.unwrap();
    let route = Route::Straight(NameServer::start([]).await.names(&HOSTS));
    for tls in [Tls::Direct, Tls::StartTls] {
        let targets = vec![Target::new("one.test", port, tls); 3];
        tokio::time::pause();
        let start = Instant::now();
        let failed = one_of(&route, &setup, targets, &login).await.err().unwrap();
        assert_eq!(failed, (ConnectError::Timeout(Step::Tls), None));
        assert_eq!(start.elapsed().as_secs(), (TLS_LIMIT + 2 * HEAD_START).as_secs());
        tokio::time::resume();
    }
    assert_eq!(taken.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn a_server_that_never_opens_its_stream_is_followed_by_the_next() {
    let authority = Authority::default();
    let silent = Server::secure(authority.tls(DOMAIN, YEARS), |_, mut peer| async move {
        peer.hear("xml:lang='en'>").await;
        tokio::time::pause();
        peer.hear_quietly().await;
    })
    .await;
    let other = Server::secure(authority.tls(DOMAIN, YEARS), |_, mut peer| async move {
        peer.hear("xml:lang='en'>").await;
        peer.try_say("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        peer.hear_quietly().await;
    })
    .await;
    let server = good_later(&authority).await;
    let all = Said::Records(vec![
        (1, 0, other.port, "one.test."),
        (2, 0, silent.port, "one.test."),
        (3, 0, server.port, "two.test."),
    ]);
    let dns = NameServer::start([(DIRECT, all)]).await;
    let connection = try_with(dns.names(&HOSTS), &login(&authority)).await.unwrap();
    assert_eq!(connection.facts().target.host, "two.test");
}

#[tokio::test]
async fn a_wrong_password_is_not_tried_at_the_next_target() {
    let authority = Authority::default();
    let refusing = Server::secure(authority.tls(DOMAIN, YEARS), |_, mut peer| async move {
        peer.open(
            "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>",
        )
        .await;
        peer.hear("</auth>").await;
        peer.say("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>")
            .await;
        peer.hear_out().await;
    })
    .await;
    let (port, taken) = stalled().await;
    let both = vec![(1, 0, refusing.port, "one.test."), (2, 0, port, "two.test.")];
    let dns = NameServer::start([(DIRECT, Said::Records(both))]).await;
    let error = error_with(dns.names(&HOSTS), &login(&authority)).await;
    assert_eq!(error, ConnectError::WrongPassword);
    assert_eq!(taken.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_domain_that_says_it_has_no_service_is_not_tried() {
    let authority = Authority::default();
    let dot = || record(0, 0, ".");
    for zone in [
        vec![(DIRECT, dot()), (START, dot())],
        vec![(START, dot())],
        vec![(START, dot()), (DIRECT, Said::Nothing)],
    ] {
        let dns = NameServer::start(zone).await;
        let error = error_with(dns.names(&HOSTS), &login(&authority)).await;
        assert_eq!(error, ConnectError::NoServer);
    }
}

#[tokio::test]
async fn a_domain_without_records_and_without_an_address_is_not_there_and_without_dns_nobody_knows() {
    let authority = Authority::default();
    let dns = NameServer::start([]).await;
    let error = error_with(dns.names(&[]), &login(&authority)).await;
    assert_eq!(error, ConnectError::NoServer);
    let dns = NameServer::start([(DIRECT, Said::Failure), (START, Said::Failure)]).await;
    let error = error_with(dns.names(&[]), &login(&authority)).await;
    assert_eq!(error.code(), "dns");
}

#[tokio::test]
async fn while_dns_is_away_the_server_is_found_where_it_was_and_otherwise_where_dns_says() {
    let authority = Authority::default();
    let server = good(&authority).await;
    let (port, taken) = stalled().await;
    let login = Login {
        last_good: Some(Target::new("two.test", server.port, Tls::Direct)),
        ..login(&authority)
    };
    for said in [Said::Failure, Said::Silence] {
        let silent = matches!(said, Said::Silence);
        let dns = NameServer::start([(DIRECT, said.clone()), (START, said)]).await;
        let names = dns.names(&HOSTS);
        if silent {
            tokio::time::pause();
            let found = targets(&Route::Straight(names), &login).await.unwrap();
            tokio::time::resume();
            let expected = login.last_good.iter().cloned().chain(targets::usual(DOMAIN));
            assert_eq!(found, (expected.collect(), FoundBy::Guess));
        } else {
            let connection = try_with(names, &login).await.unwrap();
            assert_eq!(connection.facts().target.host, "two.test");
        }
    }

    // Still named, although it would not come first.
    let both = vec![(1, 0, port, "one.test."), (2, 0, server.port, "two.test.")];
    let dns = NameServer::start([(DIRECT, Said::Records(both))]).await;
    let connection = try_with(dns.names(&HOSTS), &login).await.unwrap();
    assert_eq!(connection.facts().target.host, "two.test");
    assert_eq!(taken.load(Ordering::SeqCst), 0);
    drop(connection);

    // Moved away.
    let dns = NameServer::start([(DIRECT, record(1, server.port, "one.test."))]).await;
    let connection = try_with(dns.names(&HOSTS), &login).await.unwrap();
    assert_eq!(connection.facts().target.host, "one.test");
}

/// A server that sends everybody to `place`, inside TLS.
async fn sending(authority: &Authority, place: String) -> Server {
    Server::secure(authority.tls(DOMAIN, YEARS), move |_, mut peer| {
        let place = place.clone();
        async move {
            peer.hear("xml:lang='en'>").await;
            peer.say(&format!("{HEADER}{}", moved(&place))).await;
            peer.hear_quietly().await;
        }
    })
    .await
}

fn moved(place: &str) -> String {
    format!(
        "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{place}</see-other-host>\
         </stream:error></stream:stream>"
    )
}

#[tokio::test]
async fn a_server_that_sends_us_elsewhere_is_followed_twice_and_only_inside_tls() {
    let authority = Authority::default();
    let server = good(&authority).await;
    let third = sending(&authority, format!("two.test:{}", server.port)).await;
    let second = sending(&authority, format!("[::ffff:127.0.0.1]:{}", third.port)).await;
    let first = sending(&authority, format!("127.0.0.1:{}", second.port)).await;
    let dns = NameServer::start([
        (DIRECT, record(1, third.port, "one.test.")),
        (
            "_xmpps-client._tcp.elsewhere.test.",
            record(1, server.port, "one.test."),
        ),
    ])
    .await;
    let at = |port| Login {
        endpoint: Some(Endpoint {
            host: Some("127.0.0.1".to_owned()),
            port: Some(port),
            tls: None,
        }),
        ..login(&authority)
    };
    for start in [&third, &second] {
        let connection = try_with(dns.names(&HOSTS), &at(start.port)).await.unwrap();
        assert_eq!(
            connection.facts().target,
            Target::new("two.test", server.port, Tls::Direct)
        );
    }
    let error = error_with(dns.names(&HOSTS), &at(first.port)).await;
    assert_eq!(error.code(), "stream-error");

    // A name without a port is looked up as a domain is.
    let by_name = sending(&authority, "elsewhere.test".to_owned()).await;
    let connection = try_with(dns.names(&HOSTS), &at(by_name.port)).await.unwrap();
    assert_eq!(
        connection.facts().target,
        Target::new("one.test", server.port, Tls::Direct)
    );

    let (trap, taken) = stalled().await;
    let in_the_clear = Server::plain(move |_, mut peer| async move {
        peer.hear("xml:lang='en'>").await;
        peer.say(&format!("{HEADER}{}", moved(&format!("127.0.0.1:{trap}"))))
            .await;
        peer.hear_quietly().await;
    })
    .await;
    let mut login = at(in_the_clear.port);
    login.endpoint.as_mut().unwrap().tls = Some(Tls::StartTls);
    let error = error_with(dns.names(&HOSTS), &login).await;
    assert_eq!(error, ConnectError::Protocol("sent elsewhere in the clear"));
    assert_eq!(taken.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_certificate_is_the_accounts_domains_wherever_one_is_sent() {
    let authority = Authority::default();
    // Made out for the very host that DNS, or another server, names.
    let hosts = Server::secure(authority.tls("two.test", YEARS), |_, peer| let_in(peer)).await;
    let sender = sending(&authority, format!("two.test:{}", hosts.port)).await;
    for port in [hosts.port, sender.port] {
        let dns = NameServer::start([(DIRECT, record(1, port, "two.test."))]).await;
        let error = error_with(dns.names(&HOSTS), &login(&authority)).await;
        assert!(
            matches!(
                &error,
                ConnectError::Certificate {
                    problem: CertificateProblem::WrongName,
                    presented: Some(presented),
                } if presented.names == ["two.test"]
            ),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_session_is_taken_up_where_the_server_wants_it_and_else_where_it_is_found() {
    let authority = Authority::default();
    let server = good(&authority).await;
    let preferred = good(&authority).await;
    let dns = NameServer::start([(DIRECT, record(1, server.port, "one.test."))]).await;
    let session = |location: Option<String>| Login {
        resume: Some(Resumption::restore(
            crate::StoredSession {
                id: "session".to_owned(),
                location,
                bound: format!("alice@{DOMAIN}/test").parse().unwrap(),
                base: 0,
                handled: 0,
            },
            Vec::new(),
        )),
        ..login(&authority)
    };
    for (location, expected) in [
        (Some(format!("two.test:{}", preferred.port)), "two.test"),
        (Some(format!("two.test:{}", closed_port())), "one.test"),
        (Some("not a place".to_owned()), "one.test"),
        (None, "one.test"),
    ] {
        let connection = try_with(dns.names(&HOSTS), &session(location)).await.unwrap();
        assert_eq!(connection.facts().target.host, expected);
    }
}

#[test]
fn of_several_failures_the_one_that_got_furthest_is_told() {
    let certificate = ConnectError::Certificate {
        problem: CertificateProblem::Expired,
        presented: None,
    };
    let order = [
        ConnectError::Dns(String::new()),
        ConnectError::Unreachable(String::new()),
        ConnectError::Tls(String::new()),
        ConnectError::NoEncryption,
        certificate,
    ];
    assert!(order.iter().map(telling).is_sorted_by(|a, b| a < b));
}
