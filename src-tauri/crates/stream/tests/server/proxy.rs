//! Through proxies, honest and other.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use waxwing_stream::{ConnectError, Endpoint, Login, Password, Proxy, ProxyKind, Retry, Step, Target, Tls};

use crate::common::scripted::Server;
use crate::common::{DOMAIN, connect, login, refused};
use waxwing_scripted::Authority;

const YEARS: (i32, i32) = (2020, 2090);
const USER: &str = "user";
const SECRET: &str = "a secret: with colon";

/// A proxy on this machine, which does with each connection what a test says.
struct Gate {
    port: u16,
    task: JoinHandle<()>,
}

impl Gate {
    async fn start<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut scripts = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                scripts.spawn(script(stream));
            }
        });
        Self { port, task }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a proxy was asked for, one request after another.
type Asked = Arc<Mutex<Vec<(String, u16)>>>;

async fn server(authority: &Authority) -> Server {
    Server::secure(authority.tls(DOMAIN, YEARS), |_, mut peer| async move {
        peer.let_in("").await;
        peer.bind().await;
        peer.hear_out().await;
    })
    .await
}

fn through(login: Login, kind: ProxyKind, port: u16, credentials: Option<(&str, &str)>) -> Login {
    Login {
        endpoint: None,
        proxy: Some(Proxy {
            kind,
            host: "127.0.0.1".to_owned(),
            port,
            credentials: credentials.map(|(user, secret)| (user.to_owned(), Password::from(secret))),
        }),
        ..login
    }
}

async fn take<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

async fn take_counted(stream: &mut TcpStream) -> String {
    let [length] = take(stream).await;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// The client's part of SOCKS5 up to its request; none if it was not let in.
async fn socks5_request(stream: &mut TcpStream, wanted: Option<(&str, &str)>) -> Option<(String, u16)> {
    let [version, count] = take(stream).await;
    let mut methods = vec![0; usize::from(count)];
    stream.read_exact(&mut methods).await.unwrap();
    assert_eq!(version, 5);
    let method = if wanted.is_some() { 2 } else { 0 };
    if !methods.contains(&method) {
        stream.write_all(&[5, 0xff]).await.unwrap();
        return None;
    }
    stream.write_all(&[5, method]).await.unwrap();
    if let Some((user, secret)) = wanted {
        assert_eq!(take(stream).await, [1]);
        let given = (take_counted(stream).await, take_counted(stream).await);
        let right = given == (user.to_owned(), secret.to_owned());
        stream.write_all(&[1, u8::from(!right)]).await.unwrap();
        if !right {
            return None;
        }
    }
    let [5, 1, 0, kind] = take(stream).await else {
        panic!("no CONNECT");
    };
    let host = match kind {
        1 => std::net::Ipv4Addr::from(take::<4>(stream).await).to_string(),
        4 => std::net::Ipv6Addr::from(take::<16>(stream).await).to_string(),
        3 => take_counted(stream).await,
        other => panic!("{other}"),
    };
    Some((host, u16::from_be_bytes(take(stream).await)))
}

/// A SOCKS5 proxy that finds `server` at port 5223 of every host and nothing at any other port.
async fn socks5(server: u16, wanted: Option<(&'static str, &'static str)>) -> (Gate, Asked) {
    let asked = Asked::default();
    let shared = Arc::clone(&asked);
    let gate = Gate::start(move |mut stream| {
        let asked = Arc::clone(&shared);
        async move {
            let Some((host, port)) = socks5_request(&mut stream, wanted).await else {
                return;
            };
            asked.lock().unwrap().push((host, port));
            if port == 5223 {
                // The address in the answer may be a name, and may come in pieces.
                for byte in b"\x05\x00\x00\x03\x04here\x00\x07" {
                    stream.write_all(&[*byte]).await.unwrap();
                }
                let mut onward = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::io::copy_bidirectional(&mut stream, &mut onward).await.ok();
            } else {
                stream.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
            }
        }
    })
    .await;
    (gate, asked)
}

#[tokio::test]
async fn through_socks5_the_proxy_looks_the_name_up_and_both_usual_ports_are_tried() {
    let authority = Authority::default();
    let server = server(&authority).await;
    let (gate, asked) = socks5(server.port, None).await;
    let login = login("alice", &authority, 1, Tls::Direct);
    let login = through(login, ProxyKind::Socks5, gate.port, None);
    let connection = connect(&login).await.unwrap();
    let facts = connection.facts();
    assert_eq!(
        facts.target,
        Target {
            host: DOMAIN.to_owned(),
            port: 5223,
            tls: Tls::Direct
        }
    );
    assert_eq!((facts.peer.port(), facts.proxied), (gate.port, true));
    let expected = [(DOMAIN.to_owned(), 5222), (DOMAIN.to_owned(), 5223)];
    assert_eq!(*asked.lock().unwrap(), expected);
}

#[tokio::test]
async fn an_onion_service_and_literals_are_the_proxys_affair() {
    let authority = Authority::default();
    let server = server(&authority).await;
    let (gate, asked) = socks5(server.port, None).await;
    for (host, port, expected) in [
        ("waxwingwaxwing.onion", None, "waxwingwaxwing.onion"),
        ("192.0.2.1", Some(5223), "192.0.2.1"),
        ("[2001:db8::1]", Some(5223), "2001:db8::1"),
        ("m\u{fc}nchen.example", Some(5223), "xn--mnchen-3ya.example"),
    ] {
        let login = login("alice", &authority, 1, Tls::Direct);
        let mut login = through(login, ProxyKind::Socks5, gate.port, None);
        login.endpoint = Some(Endpoint {
            host: Some(host.to_owned()),
            port,
            tls: None,
        });
        // The certificate is the domain's, whatever the host is called.
        connect(&login).await.unwrap();
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        let ports: &[u16] = if port.is_some() { &[5223] } else { &[5222, 5223] };
        let expected: Vec<_> = ports.iter().map(|port| (expected.to_owned(), *port)).collect();
        assert_eq!(asked, expected);
    }
}

#[tokio::test]
async fn a_socks5_proxys_password_is_given_and_a_wrong_one_is_told() {
    let authority = Authority::default();
    let server = server(&authority).await;
    let (gate, _) = socks5(server.port, Some((USER, SECRET))).await;
    let plain = login("alice", &authority, 1, Tls::Direct);
    let right = through(plain.clone(), ProxyKind::Socks5, gate.port, Some((USER, SECRET)));
    connect(&right).await.unwrap();
    let long = "x".repeat(256);
    for credentials in [
        None,
        Some((USER, "wrong")),
        Some((USER, long.as_str())),
        Some(("", SECRET)),
    ] {
        let error = refused(&through(plain.clone(), ProxyKind::Socks5, gate.port, credentials)).await;
        assert_eq!((error.retry(), error), (Retry::Ask, ConnectError::ProxyRefused));
    }
}

/// What comes of a proxy that answers each request with these bytes and hangs up.
async fn answered(kind: ProxyKind, answers: &[&[u8]]) -> ConnectError {
    let authority = Authority::default();
    let answers: Vec<Vec<u8>> = answers.iter().map(|answer| answer.to_vec()).collect();
    let gate = Gate::start(move |mut stream| {
        let answers = answers.clone();
        async move {
            for answer in answers {
                let heard = stream.read(&mut [0; 1024]).await.unwrap_or(0);
                if heard == 0 || stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
            stream.shutdown().await.ok();
            // Until the client has read it all.
            stream.read_to_end(&mut Vec::new()).await.ok();
        }
    })
    .await;
    let login = login("alice", &authority, 1, Tls::Direct);
    refused(&through(login, kind, gate.port, None)).await
}

#[tokio::test]
async fn each_way_in_which_a_socks5_proxy_fails_has_its_name() {
    for (answers, code) in [
        (
            &[&b"\x05\x00"[..], b"\x05\x01\x00\x01\0\0\0\0\0\0"][..],
            "unreachable",
        ),
        (&[b"\x05\x00", b"\x05\x02\x00\x01\0\0\0\0\0\0"], "proxy"),
        (&[b"\x05\x00", b"\x05\x03\x00\x01\0\0\0\0\0\0"], "unreachable"),
        (&[b"\x05\x00", b"\x05\x04\x00\x01\0\0\0\0\0\0"], "unreachable"),
        (&[b"\x05\x00", b"\x05\x05\x00\x01\0\0\0\0\0\0"], "unreachable"),
        (&[b"\x05\x00", b"\x05\x06\x00\x01\0\0\0\0\0\0"], "unreachable"),
        (&[b"\x05\x00", b"\x05\x07\x00\x01\0\0\0\0\0\0"], "proxy"),
        (&[b"\x05\x00", b"\x05\xf4\x00\x01\0\0\0\0\0\0"], "unreachable"),
        (&[b"\x05\x00", b"\x05\x00\x00\x09\0\0\0\0\0\0"], "proxy"),
        (&[b"\x05\x00", b"\x04\x00\x00\x01\0\0\0\0\0\0"], "proxy"),
        (&[b"\x05\x00", b"\x05\x00\x00"], "proxy"),
        (&[b"\x05\x00", b"\x05\x00\x00\x03\xffshort"], "proxy"),
        (&[b"\x05\x02"], "proxy"),
        (&[b"\x05\x07"], "proxy"),
        (&[b"\x05\xff"], "proxy-refused"),
        (&[b"HTTP/1.1 400 Bad Request\r\n\r\n"], "proxy"),
        (&[b"\x05"], "proxy"),
        (&[b""], "proxy"),
        (&[], "proxy"),
    ] {
        let error = answered(ProxyKind::Socks5, answers).await;
        assert_eq!(error.code(), code, "{answers:?}: {error}");
    }
}

#[tokio::test]
async fn each_way_in_which_an_http_proxy_fails_has_its_name() {
    for (answer, code) in [
        (&b"HTTP/1.1 407 Who are you\r\n\r\n"[..], "proxy-refused"),
        (b"HTTP/1.1 403 Forbidden\r\nServer: x\r\n\r\nno", "proxy"),
        (b"HTTP/1.0 405\r\n\r\n", "proxy"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "unreachable"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "unreachable"),
        (b"HTTP/1.1 504 Gateway Timeout\r\n\r\n", "unreachable"),
        (b"HTTP/1.1 200 OK\r\n\r\n<stream:stream>", "proxy"),
        (b"HTTP/1.1 200 OK\r\n", "proxy"),
        (
            b"HTTP/1.1 302 Elsewhere\r\nLocation: http://evil.test\r\n\r\n",
            "proxy",
        ),
        (b"HTTP/2 200\r\n\r\n", "proxy"),
        (b"\x05\x00\x00\x00\x00", "proxy"),
        (b"", "proxy"),
    ] {
        let error = answered(ProxyKind::HttpConnect, &[answer]).await;
        let shown = String::from_utf8_lossy(answer);
        assert_eq!(error.code(), code, "{shown}: {error}");
    }
}

#[tokio::test]
async fn an_http_proxy_that_does_not_come_to_an_end_is_given_up() {
    let authority = Authority::default();
    for filler in [
        "x: y\r\n",
        "a-rather-long-line-without-an-end",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let gate = Gate::start(move |mut stream| async move {
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            let mut more = stream.write_all(b"HTTP/1.1 200 OK\r\n").await.is_ok();
            if filler.starts_with("HTTP") {
                more = stream.write_all(b"\r\n").await.is_ok();
            }
            while more {
                more = stream.write_all(filler.as_bytes()).await.is_ok();
            }
        })
        .await;
        let login = login("alice", &authority, 1, Tls::Direct);
        let error = refused(&through(login, ProxyKind::HttpConnect, gate.port, None)).await;
        assert_eq!((error.code(), error.retry()), ("proxy", Retry::Soon), "{error}");
    }
}

/// An HTTP proxy that finds `server` everywhere and wants the request to be exactly so.
async fn http(server: u16, expected: &'static str) -> Gate {
    Gate::start(move |mut stream| async move {
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            heard.extend(take::<1>(&mut stream).await);
        }
        if String::from_utf8(heard).unwrap() != expected {
            stream.write_all(b"HTTP/1.1 407 No\r\n\r\n").await.unwrap();
            return;
        }
        let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Go ahead\r\nVia: here\r\n\r\n";
        for byte in answer.bytes() {
            stream.write_all(&[byte]).await.unwrap();
        }
        let mut onward = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
        tokio::io::copy_bidirectional(&mut stream, &mut onward).await.ok();
    })
    .await
}

#[tokio::test]
async fn an_http_proxy_is_asked_in_form_and_told_who_asks() {
    let authority = Authority::default();
    let server = server(&authority).await;
    for (host, credentials, expected) in [
        (
            "waxwing.test",
            None,
            "CONNECT waxwing.test:443 HTTP/1.1\r\nHost: waxwing.test:443\r\n\r\n",
        ),
        (
            "2001:db8::1",
            None,
            "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n",
        ),
        (
            "h.test",
            Some((USER, SECRET)),
            "CONNECT h.test:443 HTTP/1.1\r\nHost: h.test:443\r\n\
             Proxy-Authorization: Basic dXNlcjphIHNlY3JldDogd2l0aCBjb2xvbg==\r\n\r\n",
        ),
    ] {
        let gate = http(server.port, expected).await;
        let login = login("alice", &authority, 1, Tls::Direct);
        let mut login = through(login, ProxyKind::HttpConnect, gate.port, credentials);
        login.endpoint = Some(Endpoint {
            host: Some(host.to_owned()),
            port: Some(443),
            tls: Some(Tls::Direct),
        });
        let connection = connect(&login).await.unwrap();
        assert!(connection.facts().proxied);
        drop(connection);

        login.proxy.as_mut().unwrap().credentials = Some(("a:b".to_owned(), Password::from("c")));
        assert_eq!(refused(&login).await, ConnectError::ProxyRefused);
    }
}

#[tokio::test]
async fn a_host_that_is_none_is_not_asked_for() {
    let authority = Authority::default();
    let gate = Gate::start(|_| async { panic!("asked") }).await;
    for kind in [ProxyKind::Socks5, ProxyKind::HttpConnect] {
        for host in ["a\r\nProxy-Authorization: x", "a b", "a/b", "", &"a.".repeat(200)] {
            let mut login = through(login("alice", &authority, 1, Tls::Direct), kind, gate.port, None);
            login.endpoint = Some(Endpoint {
                host: Some(host.to_owned()),
                port: Some(5222),
                tls: None,
            });
            assert_eq!(refused(&login).await, ConnectError::NoServer, "{host}");
        }
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_or_says_nothing_is_not_waited_for_for_ever() {
    let authority = Authority::default();
    let gate = Gate::start(|mut stream| async move {
        stream.read_to_end(&mut Vec::new()).await.ok();
    })
    .await;
    for kind in [ProxyKind::Socks5, ProxyKind::HttpConnect] {
        let login = through(login("alice", &authority, 1, Tls::Direct), kind, gate.port, None);
        tokio::time::pause();
        let start = tokio::time::Instant::now();
        let connected = tokio::time::timeout(Duration::from_secs(120), waxwing_stream::connect(&login)).await;
        let error = connected.expect("connecting comes to an end").err().unwrap();
        assert_eq!(
            (error.retry(), error),
            (Retry::Soon, ConnectError::Timeout(Step::Tcp))
        );
        assert!((30..40).contains(&start.elapsed().as_secs()));
        tokio::time::resume();
    }
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let login = through(
        login("alice", &authority, 1, Tls::Direct),
        ProxyKind::Socks5,
        port,
        None,
    );
    let error = refused(&login).await;
    assert_eq!((error.code(), error.retry()), ("proxy", Retry::Soon));
}
