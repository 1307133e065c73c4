//! Logging in to servers of today and of before, honest ones and lying ones.

use std::sync::Arc;

use waxwing_stream::{ConnectError, Facts, Lie as Lied, Login, Mechanism, Retry, Tls};

use crate::common::host::{Host, Lie, Offer};
use crate::common::scripted::Server;
use crate::common::{PASSWORD, connect, login, refused};
use waxwing_scripted::Authority;

const END_POINT: &str = "tls-server-end-point";
const EXPORTER: &str = "tls-exporter";

/// A host that listens, and a login to it.
pub(crate) async fn at(host: &Host) -> (Server, Login) {
    at_tls(host, false).await
}

pub(crate) async fn at_tls(host: &Host, old: bool) -> (Server, Login) {
    let authority = Authority::default();
    let server = host.listen(&authority, old).await;
    let login = Login {
        allow_plain: false,
        user_agent: Some("d4565fa7-4d72-4749-b3d3-740edbf87770".to_owned()),
        ..login(host.user, &authority, server.port, Tls::Direct)
    };
    (server, login)
}

fn with(mechanisms: &[&'static str], bindings: Option<&[&'static str]>) -> Offer {
    Offer {
        mechanisms: mechanisms.to_vec(),
        bindings: bindings.map(<[_]>::to_vec),
    }
}

/// Before SASL2 and with it.
fn both() -> [Host; 2] {
    [Host::classic(), Host::new()]
}

async fn error_of(host: &Host) -> ConnectError {
    let (server, login) = at(host).await;
    let error = refused(&login).await;
    server.check();
    error
}

async fn facts_of(host: &Host, old: bool) -> Facts {
    let (server, login) = at_tls(host, old).await;
    let connection = connect(&login).await.unwrap();
    server.check();
    connection.facts().clone()
}

#[tokio::test]
async fn every_scram_lets_one_in_bound_and_not_bound() {
    for host in both() {
        for (name, old, bindings, bound) in [
            ("SCRAM-SHA-1", false, None, None),
            ("SCRAM-SHA-256", true, None, None),
            ("SCRAM-SHA-512", false, None, None),
            (
                "SCRAM-SHA-1-PLUS",
                false,
                Some(&[END_POINT, EXPORTER][..]),
                Some(EXPORTER),
            ),
            (
                "SCRAM-SHA-256-PLUS",
                true,
                Some(&[EXPORTER, END_POINT]),
                Some(END_POINT),
            ),
            ("SCRAM-SHA-512-PLUS", false, Some(&[END_POINT]), Some(END_POINT)),
            // Without a word about types only what TLS 1.3 makes the default.
            ("SCRAM-SHA-512-PLUS", false, None, Some(EXPORTER)),
        ] {
            let host = Host {
                offer: with(&["PLAIN", name], bindings),
                ..host.clone()
            };
            let facts = facts_of(&host, old).await;
            assert_eq!(
                (facts.authenticated_by.as_str(), facts.channel_binding),
                (name, bound)
            );
            assert_eq!(facts.sasl2, host.sasl2);
        }
    }
}

#[tokio::test]
async fn the_strongest_is_taken_and_remembered() {
    for host in both() {
        let (server, login) = at(&host).await;
        let connection = connect(&login).await.unwrap();
        assert_eq!(connection.mechanism(), Mechanism::ScramSha512Plus);
        assert_eq!(host.memory().exchanges, ["SCRAM-SHA-512-PLUS p=tls-exporter,,"]);
        server.check();
    }
}

#[tokio::test]
async fn what_is_said_of_channel_binding_is_true() {
    for (offer, old, said) in [
        (with(&["SCRAM-SHA-1"], None), false, "SCRAM-SHA-1 y,,"),
        (
            with(&["SCRAM-SHA-1", "SCRAM-SHA-256-PLUS"], Some(&["tls-unique"])),
            false,
            "SCRAM-SHA-1 n,,",
        ),
        (
            with(&["SCRAM-SHA-1", "SCRAM-SHA-256-PLUS"], None),
            true,
            "SCRAM-SHA-1 n,,",
        ),
    ] {
        for host in both() {
            let host = Host {
                offer: offer.clone(),
                ..host
            };
            facts_of(&host, old).await;
            assert_eq!(host.memory().exchanges, [said]);
        }
    }
}

#[tokio::test]
async fn a_server_of_old_that_binds_otherwise_is_let_have_its_way_only_if_it_never_did_better() {
    for host in both() {
        let host = Host {
            offer: with(&["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"], None),
            lie: Lie::RefuseBound,
            ..host
        };
        let (server, mut login) = at(&host).await;
        let connection = connect(&login).await.unwrap();
        assert_eq!(connection.mechanism(), Mechanism::ScramSha256);
        drop(connection);
        assert_eq!(
            host.memory().exchanges,
            ["SCRAM-SHA-256-PLUS p=tls-exporter,,", "SCRAM-SHA-256 n,,"]
        );
        login.strongest_seen = Some(Mechanism::ScramSha256Plus);
        let downgrade = ConnectError::Downgrade {
            offered: Mechanism::ScramSha256,
            remembered: Mechanism::ScramSha256Plus,
        };
        assert_eq!(refused(&login).await, downgrade);
        server.check();
    }
}

#[tokio::test]
async fn names_and_passwords_with_any_characters_let_one_in() {
    for user in ["a=b,c", "=2c", "jörg", "名前"] {
        for host in both() {
            let host = Host { user, ..host };
            let (server, login) = at(&host).await;
            let connection = connect(&login).await.unwrap();
            assert_eq!(connection.bound().bare().node().unwrap().as_str(), user);
            server.check();
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_told() {
    for host in both() {
        let (_server, login) = at(&host).await;
        let wrong = Login {
            password: "wrong".into(),
            ..login
        };
        let error = refused(&wrong).await;
        assert_eq!((error.retry(), error), (Retry::Ask, ConnectError::WrongPassword));
    }
}

#[tokio::test]
async fn a_server_that_cannot_prove_that_it_knows_the_password_is_refused() {
    for host in both() {
        for lie in [Lie::NoProof, Lie::WrongProof, Lie::Skip] {
            let error = error_of(&Host { lie, ..host.clone() }).await;
            assert_eq!(
                (error.retry(), error),
                (Retry::Ask, ConnectError::ServerLied(Lied::Signature))
            );
        }
        let honest = Host {
            lie: Lie::ProofInChallenge,
            ..host
        };
        facts_of(&honest, false).await;
    }
}

#[tokio::test]
async fn a_foreign_nonce_and_iterations_out_of_bounds_are_refused() {
    for host in both() {
        let lying = |lie| Host { lie, ..host.clone() };
        let error = error_of(&lying(Lie::ForeignNonce)).await;
        assert_eq!(error, ConnectError::ServerLied(Lied::Nonce));
        for iterations in [1, 4_095, 1_000_001, 2_147_483_648] {
            let error = error_of(&lying(Lie::Iterations(iterations))).await;
            assert_eq!(error, ConnectError::ServerLied(Lied::IterationCount(iterations)));
        }
    }
}

#[tokio::test]
async fn an_error_of_scram_keeps_its_meaning() {
    for host in both() {
        for (error, meaning) in [
            (
                "channel-bindings-dont-match",
                ConnectError::ServerLied(Lied::ChannelBinding),
            ),
            (
                "server-does-support-channel-binding",
                ConnectError::ServerLied(Lied::Offer),
            ),
            ("invalid-proof", ConnectError::WrongPassword),
            ("no-resources", ConnectError::TemporaryAuthFailure),
        ] {
            let host = Host {
                lie: Lie::Error(error),
                ..host.clone()
            };
            assert_eq!(error_of(&host).await, meaning);
        }
    }
}

#[tokio::test]
async fn refusals_keep_their_meaning_and_long_texts_do_not_matter() {
    for host in both() {
        for (condition, meaning) in [
            ("not-authorized", ConnectError::WrongPassword),
            ("credentials-expired", ConnectError::WrongPassword),
            ("account-disabled", ConnectError::AccountDisabled),
            ("temporary-auth-failure", ConnectError::TemporaryAuthFailure),
            ("mechanism-too-weak", ConnectError::NoMechanism),
        ] {
            let host = Host {
                lie: Lie::Refuse(condition),
                ..host.clone()
            };
            assert_eq!(error_of(&host).await, meaning);
        }
        let host = Host {
            lie: Lie::Refuse("aborted"),
            ..host
        };
        assert_eq!(error_of(&host).await.code(), "protocol");
    }
}

/// What somebody between, who has a valid certificate, can leave of the offer.
fn stripped() -> [(Offer, &'static str); 6] {
    let types = Some(&[END_POINT, EXPORTER][..]);
    [
        (
            with(&["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"], types),
            "the better mechanisms are gone",
        ),
        (with(&["SCRAM-SHA-512"], types), "the bound mechanisms are gone"),
        (
            with(&["SCRAM-SHA-512"], None),
            "the bound mechanisms and the types are gone",
        ),
        (
            with(&["SCRAM-SHA-512", "SCRAM-SHA-512-PLUS"], Some(&["tls-unique"])),
            "the types are others",
        ),
        (
            with(&["SCRAM-SHA-512", "SCRAM-SHA-512-PLUS"], Some(&[END_POINT])),
            "the better type is gone",
        ),
        (
            with(&["SCRAM-SHA-512", "SCRAM-SHA-512-PLUS"], None),
            "the types are gone",
        ),
    ]
}

#[tokio::test]
async fn an_offer_that_was_changed_on_its_way_is_noticed_before_anything_is_proven() {
    for host in both() {
        for (seen, what) in stripped() {
            let host = Host {
                seen: Some(seen),
                ..host.clone()
            };
            let error = error_of(&host).await;
            assert_eq!(error, ConnectError::ServerLied(Lied::Offer), "{what}");
            assert_eq!(error.retry(), Retry::Ask);
        }
    }
}

#[tokio::test]
async fn without_such_protection_the_server_itself_notices_that_its_bound_mechanisms_were_hidden() {
    for host in both() {
        for (seen, what) in stripped().into_iter().skip(1).take(2) {
            let host = Host {
                seen: Some(seen),
                protects_offer: false,
                ..host.clone()
            };
            assert_eq!(
                error_of(&host).await,
                ConnectError::ServerLied(Lied::Offer),
                "{what}"
            );
        }
    }
}

#[tokio::test]
async fn without_such_protection_what_was_once_offered_is_remembered() {
    for host in both() {
        for (seen, what) in stripped().into_iter().take(4) {
            let host = Host {
                seen: Some(seen),
                protects_offer: false,
                ..host.clone()
            };
            let (server, mut login) = at(&host).await;
            login.strongest_seen = Some(Mechanism::ScramSha512Plus);
            let error = refused(&login).await;
            assert_eq!((error.code(), error.retry()), ("downgrade", Retry::Ask), "{what}");
            assert!(host.memory().exchanges.is_empty(), "{what}");
            server.check();
        }
    }
}

#[tokio::test]
async fn the_password_itself_goes_out_only_if_that_is_allowed_and_nothing_better_was_ever_there() {
    for host in both() {
        let host = Host {
            offer: with(&["PLAIN"], None),
            ..host
        };
        let (server, mut login) = at(&host).await;
        assert_eq!(refused(&login).await, ConnectError::PlainOnly);
        login.allow_plain = true;
        login.strongest_seen = Some(Mechanism::ScramSha1);
        assert_eq!(refused(&login).await.code(), "downgrade");
        assert!(host.memory().requests.is_empty(), "something went out");
        login.strongest_seen = Some(Mechanism::Plain);
        let connection = connect(&login).await.unwrap();
        assert_eq!(connection.mechanism(), Mechanism::Plain);
        assert_eq!(connection.facts().authenticated_by, "PLAIN");
        server.check();
    }
}

#[tokio::test]
async fn nothing_may_be_slipped_in_before_the_authentication_is_over() {
    for host in both() {
        for said in [
            "<message from='alice@waxwing.test'><body>hello</body></message>",
            "<iq type='set' id='1'><query xmlns='jabber:iq:roster'/></iq>",
            "<stream:features/>",
            "<x xmlns='y'/>",
            "<continue xmlns='urn:xmpp:sasl:2'><tasks><task>TOTP</task></tasks></continue>",
            "<enabled xmlns='urn:xmpp:sm:3'/>",
            "<challenge xmlns='urn:xmpp:sasl:3'/>",
        ] {
            let host = Host {
                lie: Lie::Say(said),
                ..host.clone()
            };
            let error = error_of(&host).await;
            assert_eq!(
                (error.code(), error.retry()),
                ("protocol", Retry::BackOff),
                "{said}"
            );
        }
        for said in [
            "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>!</challenge>",
            "<challenge xmlns='urn:xmpp:sasl:2'>!</challenge>",
        ] {
            let host = Host {
                lie: Lie::Say(said),
                ..host.clone()
            };
            let code = error_of(&host).await.code();
            assert!(["server-lied", "protocol"].contains(&code), "{code}");
        }
    }
    let host = Host::lying(Lie::Inject("<message/>"));
    assert_eq!(error_of(&host).await.code(), "protocol");
}

/// Ends TLS itself, with a valid certificate, and forwards everything as it is.
async fn between(authority: &Authority, server: u16) -> Server {
    use rustls::pki_types::ServerName;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"xmpp-client".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let years = (2020, 2090);
    Server::secure(authority.tls(crate::common::DOMAIN, years), move |_, mut peer| {
        let connector = connector.clone();
        async move {
            let tcp = tokio::net::TcpStream::connect(("127.0.0.1", server))
                .await
                .unwrap();
            let name = ServerName::try_from(crate::common::DOMAIN).unwrap();
            let mut far = connector.connect(name, tcp).await.unwrap();
            // However it ends.
            tokio::io::copy_bidirectional(peer.io(), &mut far).await.ok();
        }
    })
    .await
}

#[tokio::test]
async fn somebody_between_with_a_valid_certificate_is_found_out_by_either_binding() {
    for bindings in [&[EXPORTER][..], &[END_POINT]] {
        for mut host in both() {
            host.offer.bindings = Some(bindings.to_vec());
            let authority = Authority::default();
            let server = host.listen(&authority, false).await;
            let between = between(&authority, server.port).await;
            let error = refused(&login("alice", &authority, between.port, Tls::Direct)).await;
            assert_eq!(error, ConnectError::ServerLied(Lied::ChannelBinding));
            assert_eq!(host.memory().exchanges.len(), 1);
            connect(&login("alice", &authority, server.port, Tls::Direct))
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn who_signs_in_is_said_to_the_server_and_the_password_never() {
    for host in both() {
        let (server, login) = at(&host).await;
        connect(&login).await.unwrap();
        let memory = host.memory();
        assert!(
            memory.headers[0].contains("from='alice@waxwing.test'"),
            "{}",
            memory.headers[0]
        );
        assert!(
            !memory
                .requests
                .iter()
                .any(|request| String::from(request).contains(PASSWORD))
        );
        server.check();
    }
}
