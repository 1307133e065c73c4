//! Servers that lie, and wires with somebody in between.

use std::sync::Arc;
use std::sync::Mutex;

use waxwing_stream::{
    CertificateProblem, ConnectError, Login, Mechanism, Retry, StreamCondition, Tls, read_ca_file,
};

use crate::common::host::Host;
use crate::common::scripted::{HEADER, Server};
use crate::common::{DOMAIN, PASSWORD, connect, login, refused};
use waxwing_scripted::Authority;

const YEARS: (i32, i32) = (2020, 2090);
const PLAIN_ONLY: &str =
    "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>";
const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

#[tokio::test]
async fn a_server_that_knew_better_before_does_not_get_the_password() {
    let authority = Authority::default();
    let heard = Arc::new(Mutex::new(String::new()));
    let script_heard = Arc::clone(&heard);
    let server = Server::secure(authority.tls(DOMAIN, YEARS), move |_, mut peer| {
        let heard = Arc::clone(&script_heard);
        async move {
            peer.open(PLAIN_ONLY).await;
            let rest = peer.hear_out().await;
            *heard.lock().unwrap() = format!("rest:{rest}");
        }
    })
    .await;
    let login = Login {
        strongest_seen: Some(Mechanism::ScramSha1),
        ..login("alice", &authority, server.port, Tls::Direct)
    };
    let error = refused(&login).await;
    let expected = ConnectError::Downgrade {
        offered: Mechanism::Plain,
        remembered: Mechanism::ScramSha1,
    };
    assert_eq!((error.retry(), error), (Retry::Ask, expected));
    server.until(|| !heard.lock().unwrap().is_empty()).await;
    assert_eq!(heard.lock().unwrap().as_str(), "rest:");
}

#[tokio::test]
async fn a_server_without_starttls_hears_nothing_of_the_account() {
    let authority = Authority::default();
    let heard = Arc::new(Mutex::new(String::new()));
    let script_heard = Arc::clone(&heard);
    let server = Server::plain(move |_, mut peer| {
        let heard = Arc::clone(&script_heard);
        async move {
            let header = peer.hear("xml:lang='en'>").await;
            peer.say(&format!(
                "{HEADER}<stream:features>{PLAIN_ONLY}</stream:features>"
            ))
            .await;
            let rest = peer.hear_out().await;
            *heard.lock().unwrap() = header + &rest;
        }
    })
    .await;
    let error = refused(&login("alice", &authority, server.port, Tls::StartTls)).await;
    assert_eq!((error.retry(), error), (Retry::Ask, ConnectError::NoEncryption));
    server.until(|| !heard.lock().unwrap().is_empty()).await;
    let heard = heard.lock().unwrap();
    assert!(
        !heard.contains("alice") && !heard.contains(PASSWORD) && !heard.contains("auth"),
        "{heard}"
    );
}

#[tokio::test]
async fn what_is_injected_behind_proceed_is_not_taken_for_the_servers_word() {
    let authority = Authority::default();
    for injected in [
        "<stream:features/>",
        "<",
        "x",
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    ] {
        let server = Server::plain(move |_, mut peer| async move {
            peer.open(STARTTLS).await;
            peer.hear("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
                .await;
            peer.say(&format!(
                "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>{injected}"
            ))
            .await;
            peer.hear_out().await;
        })
        .await;
        let error = refused(&login("alice", &authority, server.port, Tls::StartTls)).await;
        assert_eq!(
            error,
            ConnectError::Protocol("bytes in the clear behind <proceed/>"),
            "{injected}"
        );
    }
}

#[tokio::test]
async fn a_foreign_address_is_not_accepted_as_ours() {
    let authority = Authority::default();
    for jid in [
        "mallory@waxwing.test/test",
        "alice@evil.test/test",
        "alice@waxwing.test",
        "waxwing.test/x",
        "@",
        "",
    ] {
        let server = Server::secure(authority.tls(DOMAIN, YEARS), move |_, mut peer| async move {
            peer.let_in("").await;
            peer.bind_as(jid).await;
            peer.hear_out().await;
        })
        .await;
        let error = refused(&login("alice", &authority, server.port, Tls::Direct)).await;
        assert_eq!(error.code(), "protocol", "{jid}");
    }
}

#[tokio::test]
async fn each_fault_of_a_certificate_has_its_name() {
    let authority = Authority::default();
    for (name, years, trusted, problem) in [
        ("evil.test", YEARS, true, CertificateProblem::WrongName),
        (DOMAIN, (2000, 2010), true, CertificateProblem::Expired),
        (DOMAIN, (2080, 2090), true, CertificateProblem::NotYetValid),
        (DOMAIN, YEARS, false, CertificateProblem::UnknownIssuer),
    ] {
        let server = Server::secure(authority.tls(name, years), |_, _| async {}).await;
        let mut login = login("alice", &authority, server.port, Tls::Direct);
        if !trusted {
            login.trust.authorities = Arc::from([Authority::default().certificate()]);
        }
        let error = refused(&login).await;
        assert_eq!(error.retry(), Retry::Ask);
        assert!(
            matches!(&error, ConnectError::Certificate { problem: found, .. } if *found == problem),
            "{error}"
        );
    }
}

#[tokio::test]
async fn stream_errors_while_signing_in_keep_their_meaning() {
    let authority = Authority::default();
    let other = StreamCondition::SystemShutdown;
    for (condition, expected) in [
        ("host-unknown", ConnectError::HostUnknown),
        ("conflict", ConnectError::ResourceConflict),
        ("policy-violation", ConnectError::Policy("because".to_owned())),
        (
            "system-shutdown",
            ConnectError::Stream {
                condition: other,
                text: "because".to_owned(),
            },
        ),
    ] {
        let server = Server::secure(authority.tls(DOMAIN, YEARS), move |_, mut peer| async move {
            peer.hear("xml:lang='en'>").await;
            let ns = "xmlns='urn:ietf:params:xml:ns:xmpp-streams'";
            peer.say(&format!(
                "{HEADER}<stream:error><{condition} {ns}/><text {ns}>because</text></stream:error></stream:stream>"
            ))
            .await;
            peer.hear_out().await;
        })
        .await;
        assert_eq!(
            refused(&login("alice", &authority, server.port, Tls::Direct)).await,
            expected
        );
    }
}

#[tokio::test]
async fn refusals_to_authenticate_and_to_bind_keep_their_meaning() {
    let authority = Authority::default();
    for (condition, expected) in [
        ("not-authorized", ConnectError::WrongPassword),
        ("account-disabled", ConnectError::AccountDisabled),
        ("temporary-auth-failure", ConnectError::TemporaryAuthFailure),
    ] {
        let server = Server::secure(authority.tls(DOMAIN, YEARS), move |_, mut peer| async move {
            peer.open(PLAIN_ONLY).await;
            peer.hear("</auth>").await;
            peer.say(&format!(
                "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{condition}/></failure>"
            ))
            .await;
            peer.hear_out().await;
        })
        .await;
        assert_eq!(
            refused(&login("alice", &authority, server.port, Tls::Direct)).await,
            expected
        );
    }
    let server = Server::secure(authority.tls(DOMAIN, YEARS), |_, mut peer| async move {
        peer.let_in("").await;
        let request = peer.hear("</iq>").await;
        let id = request.split("id='").nth(1).unwrap().split('\'').next().unwrap().to_owned();
        peer.say(&format!(
            "<iq type='error' id='{id}'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
             </error></iq>"
        ))
        .await;
        peer.hear_out().await;
    })
    .await;
    let error = refused(&login("alice", &authority, server.port, Tls::Direct)).await;
    assert_eq!(error, ConnectError::ResourceConflict);
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let authority = Authority::default();
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = refused(&login("alice", &authority, port, Tls::Direct)).await;
    assert_eq!((error.code(), error.retry()), ("unreachable", Retry::Soon));
}

#[test]
fn a_file_of_certificate_authorities_is_read_and_its_faults_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let authority = Authority::default();
    std::fs::write(
        &path,
        format!("{}{}", authority.pem(), Authority::default().pem()),
    )
    .unwrap();
    let certificates = read_ca_file(&path).unwrap();
    assert_eq!(
        (certificates.len(), &certificates[0]),
        (2, &authority.certificate())
    );
    for (content, message) in [
        ("", "holds no certificate"),
        ("hello", "holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\n!", "is not PEM"),
    ] {
        std::fs::write(&path, content).unwrap();
        assert_eq!(read_ca_file(&path).unwrap_err().to_string(), message, "{content}");
    }
    assert!(
        read_ca_file(folder.path().join("none"))
            .unwrap_err()
            .to_string()
            .starts_with("cannot be read")
    );
}

/// The variable is read when the connection is prepared, so this test runs itself once more, alone, with it set.
#[tokio::test]
async fn a_machine_without_any_certificate_authority_works_with_the_given_ones() {
    if std::env::var_os("WAXWING_ALONE").is_some() {
        let authority = Authority::default();
        let server = Host::classic().listen(&authority, false).await;
        connect(&login("alice", &authority, server.port, Tls::Direct))
            .await
            .unwrap();
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "hostile::a_machine_without_any_certificate_authority_works_with_the_given_ones",
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
