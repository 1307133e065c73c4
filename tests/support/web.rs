//! A web server over TLS on loopback, that gives what a test lays down and does to it what servers do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Key};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use waxwing_scripted::Authority;

/// The key that test files are encrypted with, in hexadecimal digits.
pub const KEY: &str = "68e9af38a97aaf82faa4063b4d0878a61261534410c8a84331eaac851759f587";
/// The vector that goes with it.
pub const IV: &str = "8c3d050e9386ec173861778f";

/// What a path answers.
#[derive(Clone)]
pub enum Answer {
    /// These bytes, head and all, and then the end.
    Bytes(Vec<u8>),
    /// A body without an end.
    Endless,
    /// These bytes, and the rest when [`Web::go_on`] says so.
    Held(Vec<u8>, Vec<u8>),
}

/// The server.
pub struct Web {
    /// The port on loopback.
    pub port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    answers: Mutex<HashMap<String, Answer>>,
    heads: Mutex<Vec<String>>,
    go_on: Notify,
}

impl Web {
    /// Starts a server with a certificate for `localhost` that the authority signed.
    pub async fn start(authority: &Authority) -> Self {
        Self::start_as(&authority.tls("localhost", waxwing_scripted::VALID)).await
    }

    /// Starts a server that shows this certificate.
    pub async fn start_as(tls: &Arc<ServerConfig>) -> Self {
        let mut tls = ServerConfig::clone(tls);
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State::default());
        let of_task = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut links = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((client, _)) = accepted else { continue };
                        links.spawn(serve(acceptor.clone(), client, Arc::clone(&of_task)));
                    }
                    Some(_) = links.join_next(), if !links.is_empty() => {}
                }
            }
        });
        Self { port, state, task }
    }

    /// Lays down what a path answers.
    pub fn put(&self, path: &str, answer: Answer) {
        lock(&self.state.answers).insert(path.to_owned(), answer);
    }

    /// Lays down a file as it is.
    pub fn put_file(&self, path: &str, body: &[u8]) {
        self.put(path, ok(body));
    }

    /// The heads of all requests so far.
    pub fn heads(&self) -> Vec<String> {
        lock(&self.state.heads).clone()
    }

    /// Lets those go on that are held.
    pub fn go_on(&self) {
        self.state.go_on.notify_waiters();
    }

    /// How a person reads where it is.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// An address on it.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.host())
    }

    /// A link to an encrypted file on it (XEP-0454).
    pub fn link(&self, path: &str) -> String {
        format!("aesgcm://{}{path}#{IV}{KEY}", self.host())
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A whole answer with its length.
pub fn ok(body: &[u8]) -> Answer {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    Answer::Bytes([head.as_bytes(), body].concat())
}

/// An answer without a body.
pub fn head(status: &str, headers: &str) -> Answer {
    Answer::Bytes(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{headers}\r\n").into_bytes())
}

/// What a sender uploads of a file: encrypted, with the tag behind it.
pub fn seal(file: &[u8]) -> Vec<u8> {
    let key = Key::<Aes256Gcm>::try_from(unhex(KEY).as_slice()).expect("32 bytes");
    let iv = unhex(IV);
    Aes256Gcm::new(&key)
        .encrypt(iv.as_slice().try_into().expect("12 bytes"), file)
        .expect("encrypted")
}

/// The bytes of hexadecimal digits.
pub fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("digits"))
        .collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(acceptor: TlsAcceptor, client: TcpStream, state: Arc<State>) {
    let Ok(mut stream) = acceptor.accept(client).await else {
        return;
    };
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    lock(&state.heads).push(head);
    let answer = lock(&state.answers).get(&path).cloned();
    // Whoever has seen enough hangs up.
    let _ = match answer {
        Some(Answer::Bytes(bytes)) => stream.write_all(&bytes).await,
        Some(Answer::Held(first, rest)) => {
            let go_on = state.go_on.notified();
            let _ = stream.write_all(&first).await;
            let _ = stream.flush().await;
            go_on.await;
            stream.write_all(&rest).await
        }
        Some(Answer::Endless) => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
                .await;
            let piece = vec![0; 64 * 1024];
            while stream.write_all(&piece).await.is_ok() {}
            Ok(())
        }
        None => {
            stream
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                .await
        }
    };
    let _ = stream.shutdown().await;
}
