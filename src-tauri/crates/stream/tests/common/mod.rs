//! Servers to talk to: a real Prosody, a scripted one, and a wire that can be cut.

pub(crate) mod features;
pub(crate) mod host;
pub(crate) mod prosody;
pub(crate) mod proxy;
pub(crate) mod scripted;

use std::sync::Arc;
use std::time::Duration;

use waxwing_stream::{
    ConnectError, Connection, Disconnected, Element, Endpoint, Incoming, Login, Password, Tls, Trust,
};

use waxwing_scripted::Authority;

/// The domain that every test server serves.
pub(crate) const DOMAIN: &str = "waxwing.test";
/// Everybody's password.
pub(crate) const PASSWORD: &str = "pencil and paper";
/// Longer than anything takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A login to a test server.
pub(crate) fn login(user: &str, authority: &Authority, port: u16, tls: Tls) -> Login {
    Login {
        address: format!("{user}@{DOMAIN}").parse().unwrap(),
        password: Password::from(PASSWORD),
        resource: "test".to_owned(),
        endpoint: Some(Endpoint {
            host: Some("127.0.0.1".to_owned()),
            port: Some(port),
            tls: Some(tls),
        }),
        proxy: None,
        last_good: None,
        trust: Trust {
            authorities: Arc::from(vec![authority.certificate()]),
            pinned: None,
        },
        strongest_seen: None,
        allow_plain: true,
        token: None,
        user_agent: None,
        inactive: false,
        invalidate_token: false,
        resume: None,
        tap: None,
    }
}

/// Connects, within the limit.
pub(crate) async fn connect(login: &Login) -> Result<Connection, ConnectError> {
    tokio::time::timeout(LIMIT, waxwing_stream::connect(login))
        .await
        .expect("connecting comes to an end")
}

/// The error of a connection that must not come about.
pub(crate) async fn refused(login: &Login) -> ConnectError {
    match connect(login).await {
        Ok(_) => panic!("was let in"),
        Err(error) => error,
    }
}

/// The next thing, within the limit.
pub(crate) async fn next(connection: &mut Connection) -> Result<Incoming, Disconnected> {
    tokio::time::timeout(LIMIT, connection.next())
        .await
        .expect("something comes")
}

/// The next stanza, whatever is between.
pub(crate) async fn stanza(connection: &mut Connection) -> Element {
    loop {
        if let Incoming::Stanza(element) = next(connection).await.expect("the connection lives") {
            return element;
        }
    }
}

/// The body of the next message, whatever is between.
pub(crate) async fn body(connection: &mut Connection) -> String {
    loop {
        let element = stanza(connection).await;
        if let Some(body) = element.get_child("body", "jabber:client") {
            return body.text();
        }
    }
}

/// A message.
pub(crate) fn message(to: &str, body: &str) -> Element {
    format!("<message xmlns='jabber:client' type='chat' to='{to}' id='{body}'><body>{body}</body></message>")
        .parse()
        .unwrap()
}
