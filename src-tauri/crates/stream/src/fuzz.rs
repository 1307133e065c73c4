//! Ways in for the fuzz targets. Not for anybody else.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf, join, sink};

use crate::binding::Channel;
use crate::draw::Draw;
use crate::guard::Guard;
use crate::session::{self, Setting};
use crate::{
    ConnectError, Facts, FastToken, Login, Mechanism, Password, Resumption, StoredSession, Target, Tls, Trust,
};

/// Unix seconds of every fuzzed login.
const NOW: i64 = 1_800_000_000;

/// Reads through the guard what comes in chunks; the first byte says how large they are.
pub fn guard(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else {
        return;
    };
    let parts = bytes.chunks(usize::from(*size).max(1)).collect();
    block_on(async {
        let mut reader = Guard::new(Parts::new(parts));
        let mut all = Vec::new();
        // Whatever the end is.
        reader.read_to_end(&mut all).await.ok();
        assert!(reader.received() >= 1 || all.is_empty(), "bytes from nowhere");
    });
}

/// Plays the server's bytes to a login; the first byte says to which one, and a zero begins what is read separately.
pub fn login(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    let login = variant(*kind);
    block_on(async {
        let outcome = sign_in(bytes, &login).await;
        if let Err(error) = outcome {
            assert!(!error.code().is_empty());
            // What is tried instead comes to an end.
            let mut tries = 0;
            let mut next = session::plainer(&login, &error);
            while let Some(plainer) = next {
                tries += 1;
                assert!(tries <= 2, "it goes round in circles");
                let error = sign_in(bytes, &plainer).await.err();
                next = error.and_then(|error| session::plainer(&plainer, &error));
            }
        }
    });
}

async fn sign_in(bytes: &[u8], login: &Login) -> Result<(), ConnectError> {
    let setting = Setting {
        channel: Channel::fixed(Some(&[1; 32]), Some(&[2; 32])),
        draw: Draw::FIXED,
        now: NOW,
    };
    let parts = bytes.split(|byte| *byte == 0).collect();
    let greeted = session::greet(join(Parts::new(parts), sink()), setting, login).await?;
    session::begin(greeted, facts(), login).await.map(drop)
}

fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime needs nothing here").block_on(async {
        let done = tokio::time::timeout(Duration::from_secs(60), work).await;
        assert!(done.is_ok(), "it does not end");
    });
}

/// Hands its parts out one by one, each after a moment of nothing, as a network would.
struct Parts<'a> {
    left: VecDeque<&'a [u8]>,
    rested: bool,
}

impl<'a> Parts<'a> {
    fn new(parts: Vec<&'a [u8]>) -> Self {
        Self {
            left: parts.into_iter().filter(|part| !part.is_empty()).collect(),
            rested: false,
        }
    }
}

impl AsyncRead for Parts<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.rested = !self.rested;
        if self.rested {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(part) = self.left.pop_front() {
            let (now, later) = part.split_at(part.len().min(buf.remaining()));
            buf.put_slice(now);
            if !later.is_empty() {
                self.left.push_front(later);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A login with a bit for each thing that it may have.
fn variant(kind: u8) -> Login {
    let has = |bit: u8| kind & (1 << bit) != 0;
    Login {
        strongest_seen: has(1).then_some(Mechanism::ScramSha256),
        allow_plain: has(0),
        token: has(2).then(|| FastToken {
            mechanism: if has(3) {
                "HT-SHA-256-NONE"
            } else {
                "HT-SHA-256-EXPR"
            }
            .to_owned(),
            secret: Password::from("token"),
            expiry: has(4).then_some(NOW + 60),
        }),
        user_agent: Some("d4565fa7-4d72-4749-b3d3-740edbf87770".to_owned()),
        inactive: has(5),
        resume: has(6).then(|| Resumption::restore(session(), Vec::new())),
        tap: has(7).then(|| tokio::sync::broadcast::channel(1).0),
        ..plain_login()
    }
}

fn session() -> StoredSession {
    StoredSession {
        id: "session".to_owned(),
        location: None,
        bound: "alice@waxwing.test/1".parse().expect("an address"),
        base: 0,
        handled: 0,
    }
}

/// The least of a login.
pub(crate) fn plain_login() -> Login {
    Login {
        address: jid::BareJid::new("alice@waxwing.test").expect("an address"),
        password: Password::from("secret"),
        resource: "test".to_owned(),
        endpoint: None,
        proxy: None,
        last_good: None,
        trust: Trust::default(),
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

fn facts() -> Facts {
    Facts {
        target: Target {
            host: "waxwing.test".to_owned(),
            port: 5222,
            tls: Tls::Direct,
        },
        peer: std::net::SocketAddr::from(([127, 0, 0, 1], 5222)),
        proxied: false,
        tls_version: String::new(),
        cipher: String::new(),
        certificate: None,
        pinned: false,
        authenticated_by: String::new(),
        channel_binding: None,
        sasl2: false,
        bind2: false,
        carbons: false,
        round_trips: 0,
        took: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
        xmlns:stream='http://etherx.jabber.org/streams' id='s' from='waxwing.test' version='1.0'>";

    fn begins(kind: u8, server: &str) -> Result<(), ConnectError> {
        let mut outcome = None;
        block_on(async { outcome = Some(sign_in(server.as_bytes(), &variant(kind)).await) });
        outcome.unwrap()
    }

    /// So that a fuzzer that begins with these gets to the end.
    #[test]
    fn a_whole_login_can_be_played() {
        let plain = "<mechanism>PLAIN</mechanism>";
        let sasl = format!("<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{plain}</mechanisms>");
        let classic = format!(
            "{HEADER}<stream:features>{sasl}</stream:features><success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>\0\
             {HEADER}<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features><iq type='result' \
             id='0707070707070707'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>alice@waxwing.test/test</jid>\
             </bind></iq><enabled xmlns='urn:xmpp:sm:3' id='session' resume='1'/>"
        );
        assert_eq!(begins(1, &classic), Ok(()));
        let sasl2 = format!(
            "{HEADER}<stream:features><authentication xmlns='urn:xmpp:sasl:2'>{plain}<inline><bind \
             xmlns='urn:xmpp:bind:0'/></inline></authentication></stream:features><success xmlns='urn:xmpp:sasl:2'>\
             <authorization-identifier>alice@waxwing.test/1</authorization-identifier><bound \
             xmlns='urn:xmpp:bind:0'/></success><stream:features/>"
        );
        assert_eq!(begins(1, &sasl2), Ok(()));
        for kind in 0..=u8::MAX {
            for script in [&classic, &sasl2] {
                let bytes: Vec<u8> = std::iter::once(kind).chain(script.bytes()).collect();
                login(&bytes);
                guard(&bytes);
            }
        }
    }

    /// The committed seeds of a target with their names.
    fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus");
        let files = std::fs::read_dir(folder.join(target)).unwrap();
        let seed = |file: std::fs::DirEntry| {
            let name = file.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(file.path()).unwrap())
        };
        files.map(|file| seed(file.unwrap())).collect()
    }

    #[test]
    fn the_seeds_of_the_fuzzer_break_nothing() {
        for (_, seed) in seeds("guard") {
            guard(&seed);
        }
        for (_, seed) in seeds("login") {
            login(&seed);
        }
    }

    /// As long as these get in, the fuzzer begins at every kind of login.
    #[test]
    fn the_honest_seeds_of_the_fuzzer_sign_in() {
        let honest = [
            "classic_plain",
            "classic_resumed",
            "classic_resumption_refused",
            "classic_scram",
            "modern_bound_to_the_channel",
            "modern_long_hash",
            "modern_plain",
            "modern_resumption_refused",
            "modern_without_bind",
            "token_bound_and_resumed",
            "token_refused_then_password",
            "token_unbound",
        ];
        let mut signed_in: Vec<String> = seeds("login")
            .into_iter()
            .filter(|(_, seed)| begins(seed[0], std::str::from_utf8(&seed[1..]).unwrap()).is_ok())
            .map(|(name, _)| name)
            .collect();
        signed_in.sort();
        assert_eq!(signed_in, honest);
    }
}
