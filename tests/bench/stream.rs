//! A connection without a program around it, cut and resumed.

use std::sync::Arc;

use waxwing_stream::{Endpoint, Login, Password, Tls, Trust, connect, read_ca_file};
use waxwing_tests::reconnects::Footprint;
use waxwing_tests::{Fault, PASSWORD, Prosody, Proxy};

const ME: &str = "wren@waxwing.test";

/// Connects, is cut and resumes so many times; tells at the marks what this process holds, and what it begins with.
pub async fn come_back(marks: &[usize], mut tell: impl FnMut(usize, Footprint)) {
    let server = Prosody::start(&[ME]).await;
    let proxy = Proxy::to(server.direct_tls_port).await;
    let mut login = login(&server, proxy.port);
    for round in 0..=marks.last().copied().unwrap_or_default() {
        let mut connection = Box::pin(connect(&login)).await.expect("the server is there");
        assert_eq!(connection.resumed(), round > 0, "round {round}");
        if marks.contains(&round) {
            tell(round, Footprint::of(std::process::id()));
        }
        proxy.set(Fault::Cut);
        while connection.next().await.is_ok() {}
        login.resume = connection.into_resumption();
    }
}

fn login(server: &Prosody, port: u16) -> Login {
    let authorities = read_ca_file(server.ca_file()).expect("the server's authority");
    Login {
        address: ME.parse().expect("an address"),
        password: Password::from(PASSWORD),
        resource: "soak".to_owned(),
        endpoint: Some(Endpoint {
            host: Some("127.0.0.1".to_owned()),
            port: Some(port),
            tls: Some(Tls::Direct),
        }),
        proxy: None,
        last_good: None,
        trust: Trust {
            authorities: Arc::from(authorities),
            pinned: None,
        },
        strongest_seen: None,
        allow_plain: false,
        token: None,
        user_agent: None,
        inactive: false,
        invalidate_token: false,
        resume: None,
        tap: None,
    }
}
