//! Whose certificates are believed: the system's and the given authorities', and the one that the person accepted.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{HandshakeKind, ServerConfig};
use waxwing_stream::{CertificateProblem, ConnectError, Fingerprint, Login, Retry, Tls};

use crate::common::scripted::{Secure, Server};
use crate::common::{DOMAIN, connect, login, refused};
use waxwing_scripted::{Authority, self_signed, tls};

const YEARS: (i32, i32) = (2020, 2090);
const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

async fn let_in(mut peer: Secure) {
    peer.let_in("").await;
    peer.bind().await;
    peer.hear_out().await;
}

async fn server(config: Arc<ServerConfig>) -> Server {
    Server::secure(config, |_, peer| let_in(peer)).await
}

fn trusting(login: &Login, pinned: Fingerprint) -> Login {
    let mut login = login.clone();
    login.trust.pinned = Some(pinned);
    login
}

/// The certificate that is offered to the person, and why it was refused.
async fn offered(login: &Login) -> (CertificateProblem, Option<waxwing_stream::Certificate>) {
    let error = refused(login).await;
    assert_eq!(error.retry(), Retry::Ask);
    match error {
        ConnectError::Certificate { problem, presented } => (problem, presented.map(|shown| *shown)),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_refused_certificate_is_shown_and_believed_once_the_person_accepts_it() {
    use CertificateProblem::{Expired, NotYetValid, UnknownIssuer, WrongName};
    let authority = Authority::default();
    let foreign = Authority::default();
    for ((certificate, key), names, alone, problem) in [
        (foreign.issue(DOMAIN, YEARS), DOMAIN, false, UnknownIssuer),
        (authority.issue("evil.test", YEARS), "evil.test", false, WrongName),
        (authority.issue(DOMAIN, (2000, 2010)), DOMAIN, false, Expired),
        (authority.issue(DOMAIN, (2080, 2090)), DOMAIN, false, NotYetValid),
        (self_signed(DOMAIN, YEARS, false), DOMAIN, true, UnknownIssuer),
        (self_signed(DOMAIN, YEARS, true), DOMAIN, true, UnknownIssuer),
        (
            self_signed("evil.test", YEARS, true),
            "evil.test",
            true,
            UnknownIssuer,
        ),
    ] {
        for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
            let server = server(tls(certificate.der(), &key, versions)).await;
            let login = login("alice", &authority, server.port, Tls::Direct);
            let (found, shown) = offered(&login).await;
            let shown = shown.expect("it is shown");
            assert_eq!((&found, shown.self_signed), (&problem, alone));
            assert_eq!(shown.names, [names]);
            assert_eq!(shown.fingerprint, Fingerprint::of(certificate.der()));

            let connection = connect(&trusting(&login, shown.fingerprint)).await.unwrap();
            let facts = connection.facts();
            assert!(facts.pinned);
            assert_eq!(facts.certificate.as_ref(), Some(&shown));
            assert_eq!(facts.tls_version, format!("{:?}", versions[0].version));
        }
    }
}

#[tokio::test]
async fn an_accepted_certificate_is_believed_behind_starttls_too() {
    let authority = Authority::default();
    let (certificate, key) = self_signed("evil.test", YEARS, true);
    let config = tls(certificate.der(), &key, rustls::ALL_VERSIONS);
    let server = Server::plain(move |_, mut peer| {
        let config = Arc::clone(&config);
        async move {
            peer.open(STARTTLS).await;
            peer.hear(STARTTLS).await;
            peer.say("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
                .await;
            if let Some(peer) = peer.secure(config).await {
                let_in(peer).await;
            }
        }
    })
    .await;
    let login = login("alice", &authority, server.port, Tls::StartTls);
    let (problem, shown) = offered(&login).await;
    assert_eq!(problem, CertificateProblem::UnknownIssuer);
    let connection = connect(&trusting(&login, shown.unwrap().fingerprint))
        .await
        .unwrap();
    assert!(connection.facts().pinned);
}

#[tokio::test]
async fn with_one_accepted_others_are_judged_as_ever() {
    let authority = Authority::default();
    let accepted = Fingerprint::of(self_signed(DOMAIN, YEARS, true).0.der());

    let good = server(authority.tls(DOMAIN, YEARS)).await;
    let login = login("alice", &authority, good.port, Tls::Direct);
    let connection = connect(&trusting(&login, accepted)).await.unwrap();
    assert!(!connection.facts().pinned);
    drop(connection);

    let foreign = server(Authority::default().tls(DOMAIN, YEARS)).await;
    let login = crate::common::login("alice", &authority, foreign.port, Tls::Direct);
    let (problem, shown) = offered(&trusting(&login, accepted)).await;
    assert_eq!(problem, CertificateProblem::UnknownIssuer);
    assert_ne!(shown.unwrap().fingerprint, accepted);
}

#[tokio::test]
async fn who_shows_an_accepted_certificate_without_having_its_key_is_not_believed() {
    let authority = Authority::default();
    let (certificate, _) = self_signed(DOMAIN, YEARS, true);
    let (_, other_key) = self_signed(DOMAIN, YEARS, true);
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let server = server(tls(certificate.der(), &other_key, versions)).await;
        let login = login("alice", &authority, server.port, Tls::Direct);
        let error = refused(&trusting(&login, Fingerprint::of(certificate.der()))).await;
        assert!(
            matches!(
                &error,
                ConnectError::Tls(_) | ConnectError::Certificate { presented: None, .. }
            ),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_nobody_can_explain_is_not_offered_and_not_accepted() {
    let authority = Authority::default();
    let (certificate, key) = authority.issue_authority(DOMAIN);
    let garbage = CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]);
    for shown in [certificate.der(), &garbage] {
        let server = server(tls(shown, &key, rustls::ALL_VERSIONS)).await;
        let login = login("alice", &authority, server.port, Tls::Direct);
        let (problem, presented) = offered(&login).await;
        assert_eq!((problem.code(), presented), ("other", None));
        let (problem, presented) = offered(&trusting(&login, Fingerprint::of(shown))).await;
        assert_eq!((problem.code(), presented), ("other", None));
    }
}

#[tokio::test]
async fn a_server_need_not_know_the_protocols_name() {
    let authority = Authority::default();
    for protocols in [vec![], vec![b"http/1.1".to_vec()]] {
        let mut config = (*authority.tls(DOMAIN, YEARS)).clone();
        config.alpn_protocols = protocols;
        let config = Arc::new(config);
        let server = Server::plain(move |_, peer| {
            let config = Arc::clone(&config);
            async move {
                if let Some(peer) = peer.secure(config).await {
                    let_in(peer).await;
                }
            }
        })
        .await;
        connect(&login("alice", &authority, server.port, Tls::Direct))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn no_handshake_shortens_another_and_so_tells_that_both_are_one_persons() {
    let authority = Authority::default();
    let (kinds, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::secure(authority.tls(DOMAIN, YEARS), move |_, peer| {
        kinds.send(peer.handshake()).unwrap();
        let_in(peer)
    })
    .await;
    let login = login("alice", &authority, server.port, Tls::Direct);
    for _ in 0..3 {
        connect(&login).await.unwrap().close().await;
        assert_eq!(seen.recv().await, Some(Some(HandshakeKind::Full)));
    }
}

/// The variables are read when the connection is prepared, so this test runs itself once more, alone, with them set.
#[tokio::test]
async fn a_machine_without_any_certificate_authority_believes_what_the_person_accepts() {
    if std::env::var_os("WAXWING_ALONE").is_some() {
        let (certificate, key) = self_signed(DOMAIN, YEARS, true);
        let server = server(tls(certificate.der(), &key, rustls::ALL_VERSIONS)).await;
        let mut login = login("alice", &Authority::default(), server.port, Tls::Direct);
        login.trust.authorities = Arc::from([]);
        let (problem, shown) = offered(&login).await;
        assert_eq!(problem, CertificateProblem::UnknownIssuer);
        let connection = connect(&trusting(&login, shown.unwrap().fingerprint))
            .await
            .unwrap();
        assert!(connection.facts().pinned);
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "trust::a_machine_without_any_certificate_authority_believes_what_the_person_accepts",
        ])
        .env("WAXWING_ALONE", "1")
        .env("SSL_CERT_FILE", "/nonexistent/file")
        .env("SSL_CERT_DIR", "/nonexistent/folder")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}"
    );
}
