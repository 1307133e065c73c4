//! Queries against a freshly migrated database.

mod archive;
mod connection;
mod files;
mod full;
mod history;
pub(crate) mod keys;
mod older;
mod people;
mod reading;
mod trust;

use jiff::Timestamp;
use sqlx::types::Json;

use super::accounts::{Address, NewAccount};
use super::contacts::ContactRow;
use super::messages::{NewMessage, Stand};
use super::outbox::Encrypt;
use super::*;
use crate::error::Fault;
use crate::model::{
    AccountId, BareJid, ChatId, Delivery, Direction, Encryption, EncryptionMode, Lock, MessageId, Show,
    Subscription,
};
use crate::secret::Secret;

/// SQLCipher frees what it needs when the process exits, and a database that is being closed in another thread just then
/// crashes. The program closes its databases before; a test ends with them open, so its thread waits until they are closed.
pub(super) fn wait_for_database_threads_at_end() {
    struct Wait;
    impl Drop for Wait {
        fn drop(&mut self) {
            let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
            while database_threads() > 0 && std::time::Instant::now() < until {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
    thread_local!(static WAIT: Wait = const { Wait });
    WAIT.with(|_| ());
}

/// How many there are, where the system tells.
fn database_threads() -> usize {
    let threads = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
    names.filter(|name| name.starts_with("sqlx-sqlite")).count()
}

fn jid(text: &str) -> BareJid {
    text.parse().expect("an address")
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).expect("a time")
}

async fn account(write: &mut Write, address: &str) -> AccountId {
    let new = NewAccount {
        address: &jid(address),
        password: &Secret::from("secret".to_owned()),
        resource: "waxwing-1",
        host: Some("127.0.0.1"),
        port: Some(5223),
        tls: None,
    };
    accounts::insert(write, &new).await.expect("an account is added")
}

fn text(sender: &str, body: &str, origin_id: Option<&str>) -> NewMessage {
    NewMessage {
        sender: jid(sender),
        direction: Direction::In,
        body: Some(body.to_owned()),
        files: Vec::new(),
        sent_at: at(0),
        delivery: Delivery::Delivered,
        encryption: Encryption::None,
        trust: None,
        device: None,
        unprotected: false,
        undecryptable: None,
        method: None,
        stanza_id: origin_id.map(str::to_owned),
        origin_id: origin_id.map(str::to_owned),
        archive_id: None,
        markable: false,
    }
}

fn outgoing(body: &str, id: &str) -> NewMessage {
    NewMessage {
        direction: Direction::Out,
        delivery: Delivery::Waiting,
        ..text("romeo@montague.lit", body, Some(id))
    }
}

/// Stores a message at the end of its chat.
async fn add(
    write: &mut Write,
    chat: ChatId,
    message: &NewMessage,
    unread: bool,
    at: Timestamp,
) -> Result<Option<MessageId>> {
    let stored = messages::insert(write, chat, message, unread, Stand::End(at.as_microsecond())).await?;
    Ok(stored.map(|(message, _)| message))
}

/// Stores what Juliet wrote, unread.
async fn hear(write: &mut Write, chat: ChatId, body: &str, at: Timestamp) -> MessageId {
    let message = text("juliet@capulet.lit", body, None);
    let stored = add(write, chat, &message, true, at).await;
    stored.expect("stored").expect("new")
}

/// Stores what Romeo writes, with this id, which is its text too.
pub(crate) async fn say(write: &mut Write, chat: ChatId, id: &str, at: Timestamp) -> MessageId {
    let stored = add(write, chat, &outgoing(id, id), false, at).await;
    stored.expect("stored").expect("new")
}

pub(crate) struct Scene {
    // Deleted with the scene.
    folder: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) account: AccountId,
    pub(crate) chat: ChatId,
}

pub(crate) async fn scene() -> Scene {
    let (folder, store) = test_store().await;
    let mut write = store.write().await.expect("a write");
    let account = account(&mut write, "romeo@montague.lit").await;
    let chat = chats::open(&mut write, account, &jid("juliet@capulet.lit"), at(0))
        .await
        .expect("a chat");
    write.commit().await.expect("commits");
    Scene {
        folder,
        store,
        account,
        chat,
    }
}

#[tokio::test]
async fn a_database_opens_again_with_its_key_and_not_with_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("waxwing.db");
    let (key, other) = (
        DatabaseKey::random().expect("a key"),
        DatabaseKey::random().expect("a key"),
    );
    let store = Store::open(&file, &key).await.expect("opens");
    let mut write = store.write().await.expect("a write");
    account(&mut write, "romeo@montague.lit").await;
    write.commit().await.expect("commits");
    store.close().await;
    assert_eq!(
        Store::open(&file, &other).await.err().map(|error| error.code),
        Some(Code::WrongPassphrase)
    );
    let store = Store::open(&file, &key).await.expect("opens again");
    let mut db = store.read().await.expect("a reader");
    assert_eq!(accounts::all(&mut db).await.expect("accounts").len(), 1);
}

#[tokio::test]
async fn nothing_on_disk_can_be_read_without_the_key() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    hear(&mut write, scene.chat, "wherefore art thou", at(1)).await;
    write.commit().await.expect("commits");
    scene.store.close().await;
    for entry in std::fs::read_dir(scene.folder.path()).expect("the folder is there") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
        for secret in [&b"wherefore"[..], b"juliet", b"secret", b"SQLite format"] {
            assert!(bytes.windows(secret.len()).all(|window| window != secret));
        }
    }
}
