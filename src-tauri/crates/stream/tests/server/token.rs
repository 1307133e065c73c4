//! Logging in by a token (XEP-0484).

use std::time::Duration;

use waxwing_stream::{ConnectError, Connection, FastToken, Lie as Lied, Login, Mechanism, Retry, TokenNews};

use crate::common::host::{Host, Lie, Offer};
use crate::common::scripted::{SM, Server};
use crate::common::{connect, message, refused};
use crate::login::{at, at_tls};

const FAST: &str = "urn:xmpp:fast:0";
const BIND2: &str = "urn:xmpp:bind:0";

fn given(connection: &mut Connection) -> FastToken {
    match connection.token() {
        TokenNews::New(token) => token,
        TokenNews::Same => panic!("no token was given"),
        TokenNews::Refused => panic!("the token was refused"),
    }
}

/// A login that holds a token which the host gave.
async fn with_token(host: &Host) -> (Server, Login) {
    let (server, mut login) = at(host).await;
    let mut connection = connect(&login).await.unwrap();
    login.token = Some(given(&mut connection));
    (server, login)
}

/// What a server offers that binds nothing to the TLS channel.
fn without_binding() -> Offer {
    Offer {
        mechanisms: vec!["SCRAM-SHA-512"],
        bindings: None,
    }
}

fn forget(host: &Host) {
    let mut memory = host.memory();
    memory.exchanges.clear();
    memory.requests.clear();
    memory.headers.clear();
}

#[tokio::test]
async fn a_token_is_asked_for_with_the_password_by_what_can_be_bound() {
    let unbound = &["HT-SHA-256-NONE"][..];
    let all = &["HT-SHA-256-NONE", "HT-SHA-256-ENDP", "HT-SHA-256-EXPR"][..];
    for (tokens, old, plus, mechanism) in [
        (all, false, true, Some("HT-SHA-256-EXPR")),
        (all, true, true, Some("HT-SHA-256-ENDP")),
        // It would undo what binds the password's proof.
        (unbound, false, true, None),
        (unbound, false, false, Some("HT-SHA-256-NONE")),
        (&["HT-SHA-512-UNIQ"], false, true, None),
        (&[], false, true, None),
    ] {
        let mut host = Host {
            tokens: tokens.to_vec(),
            ..Host::new()
        };
        if !plus {
            host.offer = without_binding();
        }
        let (server, login) = at_tls(&host, old).await;
        let mut connection = connect(&login).await.unwrap();
        match connection.token() {
            TokenNews::New(token) => {
                assert_eq!(Some(token.mechanism.as_str()), mechanism);
                assert_eq!(token.secret.expose(), "secret-token:1");
                assert_eq!(token.expiry, Some(4_070_908_800));
            }
            _ => assert_eq!(mechanism, None),
        }
        assert!(matches!(connection.token(), TokenNews::Same), "told twice");
        server.check();
    }
}

#[tokio::test]
async fn without_a_name_of_the_installation_no_token_is_asked_for() {
    let host = Host::new();
    let (server, mut login) = at(&host).await;
    login.user_agent = None;
    let mut connection = connect(&login).await.unwrap();
    assert!(matches!(connection.token(), TokenNews::Same));
    assert!(!host.memory().requests[0].has_child("request-token", FAST));
    server.check();
}

#[tokio::test]
async fn a_login_by_token_takes_one_round_trip_and_binds_as_the_token_says() {
    for (tokens, bound, strongest) in [
        (
            "HT-SHA-256-EXPR",
            Some("tls-exporter"),
            Mechanism::ScramSha512Plus,
        ),
        (
            "HT-SHA-256-ENDP",
            Some("tls-server-end-point"),
            Mechanism::ScramSha512Plus,
        ),
        ("HT-SHA-256-NONE", None, Mechanism::ScramSha512),
    ] {
        let mut host = Host {
            tokens: vec![tokens],
            ..Host::new()
        };
        if bound.is_none() {
            host.offer = without_binding();
        }
        let (server, login) = with_token(&host).await;
        forget(&host);
        let mut connection = connect(&login).await.unwrap();
        let facts = connection.facts();
        assert_eq!(
            (facts.authenticated_by.as_str(), facts.channel_binding),
            (tokens, bound)
        );
        assert!(facts.sasl2 && facts.bind2 && facts.carbons);
        assert_eq!(facts.round_trips, 1);
        assert!(connection.acknowledges());
        assert_eq!(
            connection.mechanism(),
            strongest,
            "what is on offer, not what was used"
        );
        assert!(matches!(connection.token(), TokenNews::Same));
        assert_eq!(host.memory().exchanges, [tokens]);
        let request = host.memory().requests[0].clone();
        assert!(request.has_child("fast", FAST) && !request.has_child("request-token", FAST));
        server.check();
    }
}

#[tokio::test]
async fn a_session_goes_on_in_one_round_trip() {
    let host = Host::new();
    let (server, mut login) = with_token(&host).await;
    let mut connection = connect(&login).await.unwrap();
    connection.send(&message("b@c", "one")).await.unwrap();
    login.resume = connection.into_resumption();
    let connection = connect(&login).await.unwrap();
    assert!(connection.resumed());
    assert_eq!(connection.facts().round_trips, 1);
    login.resume = connection.into_resumption();
    // Gone, it is replaced in the same.
    host.memory().session = None;
    let mut connection = connect(&login).await.unwrap();
    assert!(!connection.resumed() && connection.acknowledges());
    assert_eq!(connection.lost().len(), 1);
    assert_eq!(connection.facts().round_trips, 1);
    server.check();
}

#[tokio::test]
async fn what_a_server_does_not_do_along_any_more_comes_after() {
    let host = Host::new();
    let (server, login) = with_token(&host).await;
    server.check();
    let token = host.memory().token.clone();
    for (changed, trips, bind2) in [
        (
            Host {
                inline: vec![],
                ..Host::new()
            },
            2,
            true,
        ),
        (
            Host {
                bind2: false,
                ..Host::new()
            },
            3,
            false,
        ),
    ] {
        changed.memory().token = token.clone();
        let (server, there) = at(&changed).await;
        let connection = connect(&Login {
            token: login.token.clone(),
            ..there
        })
        .await
        .unwrap();
        let facts = connection.facts();
        assert_eq!(
            (facts.round_trips, facts.bind2, facts.carbons),
            (trips, bind2, false)
        );
        assert!(connection.acknowledges());
        server.check();
    }
}

#[tokio::test]
async fn a_server_that_cannot_prove_that_it_knows_the_token_is_refused_and_gets_no_password() {
    for lie in [Lie::WrongTokenProof, Lie::NoTokenProof] {
        let honest = Host::new();
        let (server, login) = with_token(&honest).await;
        server.check();
        let host = Host::lying(lie);
        host.memory().token = honest.memory().token.clone();
        let (server, there) = at(&host).await;
        let error = refused(&Login {
            token: login.token,
            ..there
        })
        .await;
        assert_eq!(
            (error.retry(), error),
            (Retry::Ask, ConnectError::ServerLied(Lied::Signature))
        );
        assert_eq!(host.memory().exchanges, ["HT-SHA-256-EXPR"]);
        server.check();
    }
}

#[tokio::test]
async fn a_refused_token_is_followed_by_the_password_in_the_same_stream_and_replaced() {
    for condition in ["not-authorized", "credentials-expired", "malformed-request"] {
        let host = Host::lying(Lie::RefuseToken(condition));
        let (server, mut login) = with_token(&host).await;
        forget(&host);
        let mut connection = connect(&login).await.unwrap();
        assert_eq!(given(&mut connection).secret.expose(), "secret-token:2");
        assert_eq!(connection.facts().authenticated_by, "SCRAM-SHA-512-PLUS");
        assert_eq!(connection.facts().round_trips, 3);
        assert_eq!(host.memory().headers.len(), 1);
        drop(connection);
        // The wrong password is not taken for a matter of tokens.
        login.password = "wrong".into();
        assert_eq!(refused(&login).await, ConnectError::WrongPassword);
        assert_eq!(host.memory().headers.len(), 2);
        server.check();
    }
}

#[tokio::test]
async fn trouble_of_the_account_is_not_blamed_on_the_token() {
    for (condition, meaning) in [
        ("account-disabled", ConnectError::AccountDisabled),
        ("temporary-auth-failure", ConnectError::TemporaryAuthFailure),
    ] {
        let host = Host::lying(Lie::RefuseToken(condition));
        let (server, login) = with_token(&host).await;
        forget(&host);
        assert_eq!(refused(&login).await, meaning);
        assert_eq!(host.memory().exchanges, ["HT-SHA-256-EXPR"]);
        server.check();
    }
}

#[tokio::test]
async fn a_login_by_token_that_goes_wrong_is_followed_by_one_without_on_a_new_connection() {
    for host in [
        Host::lying(Lie::HangUpOnToken),
        Host::lying(Lie::SayToToken("<message/>")),
        Host::lying(Lie::SayToToken("<challenge xmlns='urn:xmpp:sasl:2'/>")),
        Host::lying(Lie::SayToToken("<not xml")),
        Host::lying(Lie::SayToToken(
            "<stream:error><unsupported-stanza-type xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
        )),
    ] {
        let (server, login) = with_token(&host).await;
        forget(&host);
        let mut connection = connect(&login).await.unwrap();
        assert_eq!(given(&mut connection).secret.expose(), "secret-token:2");
        assert_eq!(
            host.memory().exchanges,
            ["HT-SHA-256-EXPR", "SCRAM-SHA-512-PLUS p=tls-exporter,,"]
        );
        assert_eq!(host.memory().headers.len(), 2);
        server.check();
    }
}

#[tokio::test]
async fn a_server_that_does_nothing_with_a_token_is_not_waited_for_for_ever() {
    let host = Host::lying(Lie::IgnoreToken);
    let (_server, login) = with_token(&host).await;
    forget(&host);
    let (tap, mut seeing) = tokio::sync::broadcast::channel(64);
    let login = Login {
        tap: Some(tap),
        ..login
    };
    let connecting = connect(&login);
    tokio::pin!(connecting);
    // Until the server has answered the header the clock must not jump, or TLS would be too slow.
    let offered = async { while !seeing.recv().await.unwrap().xml.contains("features") {} };
    tokio::select! {
        () = offered => {}
        _ = &mut connecting => panic!("it was let in"),
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(16)).await;
    tokio::time::resume();
    let mut connection = connecting.await.unwrap();
    given(&mut connection);
}

#[tokio::test]
async fn a_server_without_tokens_any_more_gets_the_password_and_the_token_is_given_up() {
    let old = Host::new();
    let (server, login) = with_token(&old).await;
    server.check();
    for host in [
        Host {
            tokens: vec![],
            ..Host::new()
        },
        Host::classic(),
    ] {
        let (server, there) = at(&host).await;
        let mut connection = connect(&Login {
            token: login.token.clone(),
            ..there
        })
        .await
        .unwrap();
        assert!(matches!(connection.token(), TokenNews::Refused));
        assert!(connection.facts().authenticated_by.starts_with("SCRAM-SHA-512"));
        server.check();
    }
}

#[tokio::test]
async fn a_token_near_its_end_is_renewed_and_one_behind_it_is_not_shown() {
    let host = Host::new();
    let (server, mut login) = with_token(&host).await;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    login.token.as_mut().unwrap().expiry = Some(now + 3_600);
    let mut connection = connect(&login).await.unwrap();
    let renewed = given(&mut connection);
    assert_eq!(
        (renewed.mechanism.as_str(), renewed.secret.expose()),
        ("HT-SHA-256-EXPR", "secret-token:2")
    );
    assert_eq!(connection.facts().round_trips, 1);
    drop(connection);
    login.token = Some(FastToken {
        expiry: Some(now - 1),
        ..renewed
    });
    forget(&host);
    let mut connection = connect(&login).await.unwrap();
    assert_eq!(given(&mut connection).secret.expose(), "secret-token:3");
    assert_eq!(host.memory().exchanges, ["SCRAM-SHA-512-PLUS p=tls-exporter,,"]);
    server.check();
}

#[tokio::test]
async fn a_bound_token_is_not_shown_where_it_cannot_be_bound() {
    let host = Host::new();
    let (server, login) = with_token(&host).await;
    server.check();
    let (server, there) = at_tls(&host, true).await;
    forget(&host);
    let mut connection = connect(&Login {
        token: login.token,
        ..there
    })
    .await
    .unwrap();
    assert_eq!(given(&mut connection).mechanism, "HT-SHA-256-ENDP");
    assert_eq!(
        host.memory().exchanges,
        ["SCRAM-SHA-512-PLUS p=tls-server-end-point,,"]
    );
    server.check();
}

#[tokio::test]
async fn a_token_lets_one_in_where_less_is_offered_than_before_but_the_password_stays_here() {
    let honest = Host::new();
    let (server, login) = with_token(&honest).await;
    server.check();
    let weaker = Host {
        offer: Offer {
            mechanisms: vec!["SCRAM-SHA-1"],
            bindings: None,
        },
        ..Host::new()
    };
    weaker.memory().token = honest.memory().token.clone();
    let (server, there) = at(&weaker).await;
    let login = Login {
        token: login.token,
        strongest_seen: Some(Mechanism::ScramSha512Plus),
        ..there
    };
    let connection = connect(&login).await.unwrap();
    let remembered = connection.mechanism();
    assert_eq!(remembered, Mechanism::ScramSha512Plus);
    drop(connection);
    weaker.memory().token = None;
    forget(&weaker);
    let login = Login {
        strongest_seen: Some(remembered),
        ..login
    };
    assert_eq!(refused(&login).await.code(), "downgrade");
    assert_eq!(weaker.memory().exchanges, ["HT-SHA-256-EXPR"]);
    server.check();
}

#[tokio::test]
async fn a_resumption_that_makes_no_sense_costs_the_session_and_not_the_token() {
    let host = Host {
        resumed: Some("<resumed xmlns='urn:xmpp:sm:3' h='9'/>"),
        ..Host::new()
    };
    let (server, mut login) = with_token(&host).await;
    login.resume = connect(&login).await.unwrap().into_resumption();
    forget(&host);
    let connection = connect(&login).await.unwrap();
    assert!(!connection.resumed());
    assert_eq!(host.memory().exchanges, ["HT-SHA-256-EXPR", "HT-SHA-256-EXPR"]);
    let request = host.memory().requests[1].clone();
    assert!(!request.has_child("resume", SM) && request.has_child("bind", BIND2));
    server.check();
}

#[tokio::test]
async fn names_with_any_characters_are_known_by_their_token() {
    for user in ["a=b,c", "jörg"] {
        let host = Host { user, ..Host::new() };
        let (server, login) = with_token(&host).await;
        assert_eq!(connect(&login).await.unwrap().facts().round_trips, 1);
        server.check();
    }
}

#[tokio::test]
async fn a_token_is_invalidated_by_its_last_use_and_the_password_is_not_tried() {
    let host = Host::new();
    let (server, login) = with_token(&host).await;
    forget(&host);
    waxwing_stream::invalidate_token(&login).await.unwrap();
    let request = host.memory().requests[0].clone();
    let fast = request.get_child("fast", FAST).unwrap();
    assert_eq!(fast.attr("invalidate"), Some("true"));
    assert!(!request.has_child("request-token", FAST) && !request.has_child("resume", SM));
    server.check();
    // Refused, ended, or not understood: it stays at that.
    let refused = Host::lying(Lie::RefuseToken("not-authorized"));
    let nonsense = Host::lying(Lie::SayToToken("<message/>"));
    for host in [refused, nonsense] {
        let (server, login) = with_token(&host).await;
        forget(&host);
        assert!(waxwing_stream::invalidate_token(&login).await.is_err());
        assert_eq!(host.memory().exchanges, ["HT-SHA-256-EXPR"]);
        server.check();
    }
    let (server, mut login) = with_token(&host).await;
    forget(&host);
    for token in [
        login.token.take().map(|token| FastToken {
            expiry: Some(1),
            ..token
        }),
        None,
    ] {
        login.token = token;
        assert!(waxwing_stream::invalidate_token(&login).await.is_err());
    }
    assert!(host.memory().requests.is_empty(), "something was proven");
    server.check();
}
