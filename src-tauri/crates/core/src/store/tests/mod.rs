//! Queries against a freshly migrated database.

mod archive;
mod connection;
mod full;
mod older;
mod reading;

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

fn at(seconds: i64) -> Timestamp {
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
        sent_at: at(0),
        delivery: Delivery::Delivered,
        encryption: Encryption::None,
        trust: None,
        device: None,
        unprotected: false,
        undecryptable: None,
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

struct Scene {
    // Deleted with the scene.
    folder: tempfile::TempDir,
    store: Store,
    account: AccountId,
    chat: ChatId,
}

async fn scene() -> Scene {
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
    add(
        &mut write,
        scene.chat,
        &text("juliet@capulet.lit", "wherefore art thou", None),
        true,
        at(1),
    )
    .await
    .expect("stored");
    write.commit().await.expect("commits");
    scene.store.close().await;
    for entry in std::fs::read_dir(scene.folder.path()).expect("the folder is there") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
        for secret in [&b"wherefore"[..], b"juliet", b"secret", b"SQLite format"] {
            assert!(bytes.windows(secret.len()).all(|window| window != secret));
        }
    }
}

#[tokio::test]
async fn an_account_is_added_once_and_colours_are_spread() {
    let (_folder, store) = test_store().await;
    let mut write = store.write().await.expect("a write");
    for number in 0..9 {
        account(&mut write, &format!("user{number}@montague.lit")).await;
    }
    let again = NewAccount {
        address: &jid("user0@montague.lit"),
        password: &Secret::from("other".to_owned()),
        resource: "r",
        host: None,
        port: None,
        tls: None,
    };
    let error = accounts::insert(&mut write, &again)
        .await
        .expect_err("it is there already");
    assert_eq!(error.code, Code::AccountExists);
    let colors: Vec<u8> = accounts::all(&mut write)
        .await
        .expect("accounts")
        .into_iter()
        .map(|row| row.color)
        .collect();
    assert_eq!(colors, [0, 1, 2, 3, 4, 5, 6, 7, 0]);
}

#[tokio::test]
async fn removing_an_account_leaves_nothing_of_it() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    add(
        &mut write,
        scene.chat,
        &text("juliet@capulet.lit", "balcony", None),
        true,
        at(1),
    )
    .await
    .expect("stored");
    accounts::delete(&mut write, scene.account)
        .await
        .expect("deleted");
    assert!(chats::all(&mut write, None, 0).await.expect("chats").is_empty());
    assert!(
        search::find(&mut write, "balcony", None, 10, 0)
            .await
            .expect("searched")
            .is_empty()
    );
    let error = accounts::delete(&mut write, scene.account)
        .await
        .expect_err("it is gone");
    assert_eq!(error.code, Code::NotFound);
}

#[tokio::test]
async fn contacts_are_stored_replaced_and_removed() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let mut contact = ContactRow {
        address: Address(jid("juliet@capulet.lit")),
        name: Some("Juliet".to_owned()),
        subscription: Subscription::To,
        asked: true,
        groups: Json(vec!["Verona".to_owned()]),
    };
    contacts::put(&mut write, scene.account, &contact)
        .await
        .expect("stored");
    contact.subscription = Subscription::Both;
    contacts::put(&mut write, scene.account, &contact)
        .await
        .expect("replaced");
    assert_eq!(
        contacts::all(&mut write, scene.account).await.expect("contacts"),
        [contact.clone()]
    );
    assert_eq!(
        chats::get(&mut write, scene.chat, 0)
            .await
            .expect("the chat")
            .title,
        "Juliet"
    );
    contacts::delete(&mut write, scene.account, &contact.address.0)
        .await
        .expect("removed");
    assert_eq!(
        contacts::get(&mut write, scene.account, &contact.address.0)
            .await
            .expect("asked"),
        None
    );
}

#[tokio::test]
async fn a_request_is_news_once() {
    let scene = scene().await;
    let tybalt = jid("tybalt@capulet.lit");
    let mut write = scene.store.write().await.expect("a write");
    assert!(
        contacts::put_request(&mut write, scene.account, &tybalt, at(0))
            .await
            .expect("stored")
    );
    assert!(
        !contacts::put_request(&mut write, scene.account, &tybalt, at(1))
            .await
            .expect("stored")
    );
    let requests = contacts::requests(&mut write, Some(scene.account))
        .await
        .expect("requests");
    assert_eq!((requests.len(), requests[0].received_at), (1, at(0)));
    assert!(
        contacts::delete_request(&mut write, scene.account, &tybalt)
            .await
            .expect("removed")
    );
    assert!(
        !contacts::delete_request(&mut write, scene.account, &tybalt)
            .await
            .expect("removed")
    );
}

#[tokio::test]
async fn one_message_is_one_row_and_another_senders_same_id_is_another() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let mine = text("juliet@capulet.lit", "one", Some("same"));
    assert!(
        add(&mut write, scene.chat, &mine, true, at(1))
            .await
            .expect("stored")
            .is_some()
    );
    assert!(
        add(&mut write, scene.chat, &mine, true, at(2))
            .await
            .expect("stored")
            .is_none()
    );
    let other = text("nurse@capulet.lit", "two", Some("same"));
    assert!(
        add(&mut write, scene.chat, &other, true, at(3))
            .await
            .expect("stored")
            .is_some()
    );
    let archived = NewMessage {
        archive_id: Some("a1".to_owned()),
        ..text("juliet@capulet.lit", "three", None)
    };
    assert!(
        add(&mut write, scene.chat, &archived, true, at(4))
            .await
            .expect("stored")
            .is_some()
    );
    assert!(
        add(&mut write, scene.chat, &archived, true, at(5))
            .await
            .expect("stored")
            .is_none()
    );
    let sought = messages::Sought {
        chat: scene.chat,
        sender: &jid("juliet@capulet.lit"),
        origin_id: Some("same"),
        archive_id: None,
    };
    let known = messages::known(&mut write, &[sought]).await;
    assert!(known.expect("asked").contains_key(&0));
    assert_eq!(
        chats::get(&mut write, scene.chat, 0)
            .await
            .expect("the chat")
            .unread,
        3
    );
}

#[tokio::test]
async fn pages_come_oldest_first_and_join_without_gap() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    for number in 0..25 {
        // The clock stands still, and even goes back: the order is that of arrival.
        let message = text("juliet@capulet.lit", &number.to_string(), None);
        add(&mut write, scene.chat, &message, true, at(-number))
            .await
            .expect("stored");
    }
    let (mut bodies, mut before) = (Vec::new(), None);
    loop {
        let page = messages::page(&mut write, scene.chat, before, 10, 0)
            .await
            .expect("a page");
        let Some(first) = page.first() else { break };
        before = Some(first.message);
        let mut front: Vec<String> = page.into_iter().filter_map(|message| message.body).collect();
        front.append(&mut bodies);
        bodies = front;
    }
    assert_eq!(
        bodies,
        (0..25).map(|number| number.to_string()).collect::<Vec<_>>()
    );
    let foreign = messages::page(&mut write, scene.chat, Some(MessageId(9_999)), 10, 0).await;
    assert_eq!(foreign.expect_err("no such message").code, Code::NotFound);
}

#[tokio::test]
async fn the_delivery_state_only_goes_forward() {
    use Delivery::{Delivered, Read, Sent};
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let message = add(&mut write, scene.chat, &outgoing("x", "1"), false, at(1))
        .await
        .expect("stored")
        .expect("new");
    for (to, moves) in [
        (Sent, true),
        (Sent, false),
        (Delivered, true),
        (Sent, false),
        (Read, true),
        (Delivered, false),
    ] {
        assert_eq!(
            messages::advance_delivery(&mut write, message, to)
                .await
                .expect("asked"),
            moves,
            "{to:?}"
        );
    }
    let fault = Fault::new(Code::Rejected, "no");
    assert!(
        !messages::fail(&mut write, message, &fault).await.expect("asked"),
        "what was read cannot fail"
    );
}

#[tokio::test]
async fn who_has_seen_a_message_has_seen_all_before_it() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let mut ids = Vec::new();
    for (at_second, id) in ["1", "2", "3", "4"].into_iter().enumerate() {
        let at_second = i64::try_from(at_second).expect("few");
        let message = add(&mut write, scene.chat, &outgoing(id, id), false, at(at_second)).await;
        ids.push(message.expect("stored").expect("new"));
    }
    for id in &ids[1..] {
        messages::advance_delivery(&mut write, *id, Delivery::Sent)
            .await
            .expect("asked");
    }
    // The first one was never sent, so nobody can have seen it.
    let seen = messages::seen_up_to(&mut write, scene.chat, ids[2])
        .await
        .expect("asked");
    assert_eq!(seen, [ids[1], ids[2]]);
    assert!(
        messages::seen_up_to(&mut write, scene.chat, ids[2])
            .await
            .expect("asked")
            .is_empty()
    );
    let last = messages::get(&mut write, ids[3], 0).await.expect("the message");
    assert_eq!(last.delivery, Delivery::Sent);
}

#[tokio::test]
async fn invented_devices_do_not_pile_up() {
    use waxwing_omemo::{DeviceId, Profile, xml};
    let scene = scene().await;
    let mallory = jid("mallory@evil.lit");
    let mut write = scene.store.write().await.expect("a write");
    for round in 0..5_u32 {
        let listed: Vec<xml::Device> = (1..=100)
            .map(|number| xml::Device {
                id: DeviceId::try_from(round * 100 + number).expect("an id"),
                label: None,
                label_signature: None,
            })
            .collect();
        omemo::put_list(
            &mut write,
            scene.account,
            &mallory,
            Profile::Legacy,
            &listed,
            at(0),
        )
        .await
        .expect("stored");
    }
    assert_eq!(
        omemo::devices(&mut write, scene.account, &mallory)
            .await
            .expect("devices")
            .len(),
        100
    );
}

#[tokio::test]
async fn a_failed_message_says_why_and_can_wait_again() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let message = add(&mut write, scene.chat, &outgoing("x", "1"), false, at(1))
        .await
        .expect("stored")
        .expect("new");
    let fault = Fault::new(Code::NoDevices, "none");
    assert!(messages::fail(&mut write, message, &fault).await.expect("asked"));
    let shown = messages::get(&mut write, message, 0).await.expect("the message");
    assert_eq!((shown.delivery, shown.error), (Delivery::Failed, Some(fault)));
    messages::wait_again(&mut write, message).await.expect("waits");
    let shown = messages::get(&mut write, message, 0).await.expect("the message");
    assert_eq!((shown.delivery, shown.error), (Delivery::Waiting, None));
    assert_eq!(
        messages::wait_again(&mut write, message)
            .await
            .expect_err("it waits")
            .code,
        Code::InvalidParams
    );
}

#[tokio::test]
async fn a_message_that_came_back_is_counted_and_waits_for_its_time() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let message = add(&mut write, scene.chat, &outgoing("x", "1"), false, at(1))
        .await
        .expect("stored")
        .expect("new");
    for (again, times) in [(true, Some(1)), (true, None), (false, Some(2)), (true, None)] {
        assert_eq!(messages::came_back(&mut write, message, again).await, Ok(times));
    }
    messages::wait_for_another_try(&mut write, message)
        .await
        .expect("waits");
    let shown = messages::get(&mut write, message, 0).await.expect("the message");
    assert_eq!(shown.delivery, Delivery::Waiting);
    outbox::queue_again(&mut write, &shown, Some(at(9)))
        .await
        .expect("queued");
    let queued = outbox::behind(&mut write, scene.account, 0, 10)
        .await
        .expect("the outbox");
    assert_eq!(queued[0].not_before, Some(at(9)));
    messages::advance_delivery(&mut write, message, Delivery::Delivered)
        .await
        .expect("moved");
    assert_eq!(messages::came_back(&mut write, message, false).await, Ok(None));
}

#[tokio::test]
async fn the_outbox_keeps_order_and_the_ready_stanza() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let mut rows = Vec::new();
    for id in ["1", "2", "3"] {
        let message = add(&mut write, scene.chat, &outgoing(id, id), false, at(1))
            .await
            .expect("stored")
            .expect("new");
        outbox::push_message(&mut write, scene.account, message, Encrypt::Must, None)
            .await
            .expect("queued");
        rows.push(message);
    }
    outbox::push_stanza(&mut write, scene.account, b"<message/>")
        .await
        .expect("queued");
    let queued = outbox::behind(&mut write, scene.account, 0, 10)
        .await
        .expect("the outbox");
    assert_eq!(queued.len(), 4);
    outbox::set_stanza(&mut write, queued[0].id, b"<message id='1'/>")
        .await
        .expect("stored");
    let first = &outbox::behind(&mut write, scene.account, 0, 1)
        .await
        .expect("the outbox")[0];
    assert_eq!(first.stanza.as_deref(), Some(&b"<message id='1'/>"[..]));
    assert_eq!(
        first.message.as_ref().map(|message| message.message),
        Some(rows[0])
    );
    let confirmed = outbox::confirm(&mut write, &[queued[0].id, queued[3].id])
        .await
        .expect("confirmed");
    assert_eq!(confirmed, [rows[0]]);
    let left = outbox::behind(&mut write, scene.account, 0, 10)
        .await
        .expect("the outbox");
    assert_eq!(
        left.iter().map(|row| row.id).collect::<Vec<_>>(),
        [queued[1].id, queued[2].id]
    );
}

#[tokio::test]
async fn unread_counts_and_the_unread_line_follow_reading_and_writing() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let first = add(&mut write, scene.chat, &outgoing("x", "1"), false, at(1))
        .await
        .expect("stored");
    for number in 0..3 {
        let message = text("juliet@capulet.lit", &number.to_string(), None);
        add(&mut write, scene.chat, &message, true, at(2))
            .await
            .expect("stored");
    }
    let chat = chats::get(&mut write, scene.chat, 0).await.expect("the chat");
    assert_eq!((chat.unread, chat.read_up_to), (3, first));
    assert_eq!(
        accounts::get(&mut write, scene.account)
            .await
            .expect("the account")
            .unread,
        3
    );
    assert!(chats::mark_read(&mut write, scene.chat).await.expect("read"));
    assert!(!chats::mark_read(&mut write, scene.chat).await.expect("read"));
    let chat = chats::get(&mut write, scene.chat, 0).await.expect("the chat");
    assert_eq!(
        (chat.unread, chat.read_up_to),
        (0, chat.last.map(|message| message.message))
    );
}

#[tokio::test]
async fn words_are_found_newest_first_also_without_accents_and_in_other_scripts() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    for body in [
        "Good morning",
        "good evening, Zoë",
        "東京タワー",
        "\"quoted\" NEAR",
    ] {
        add(
            &mut write,
            scene.chat,
            &text("juliet@capulet.lit", body, None),
            true,
            at(1),
        )
        .await
        .expect("stored");
    }
    for (query, expected) in [
        ("good", vec!["good evening, Zoë", "Good morning"]),
        ("GOOD mor", vec!["Good morning"]),
        ("zoe", vec!["good evening, Zoë"]),
        ("京", vec!["東京タワー"]),
        ("東京", vec!["東京タワー"]),
        ("quoted\" near", vec!["\"quoted\" NEAR"]),
        ("absent", vec![]),
        ("* OR (", vec![]),
        ("good\0mor", vec!["Good morning"]),
    ] {
        let found: Vec<String> = search::find(&mut write, query, Some(scene.account), 10, 0)
            .await
            .expect("searched")
            .into_iter()
            .filter_map(|message| message.body)
            .collect();
        assert_eq!(found, expected, "{query}");
    }
    let elsewhere = search::find(&mut write, "good", Some(AccountId(99)), 10, 0)
        .await
        .expect("searched");
    assert!(elsewhere.is_empty());
}

#[test]
fn the_lock_says_what_will_happen() {
    use EncryptionMode::{None as Off, Omemo};
    use chats::Reach::{NoDevices, NoneTrusted, Unknown, Usable};
    for (mode, reach, lock) in [
        (None, Usable, Lock::Encrypted),
        (None, Unknown, Lock::Checking),
        (None, NoDevices, Lock::PlainNoDevices),
        (None, NoneTrusted, Lock::Blocked),
        (Some(Omemo), Usable, Lock::Encrypted),
        (Some(Omemo), Unknown, Lock::Checking),
        // A latched chat never becomes plain by itself.
        (Some(Omemo), NoDevices, Lock::Blocked),
        (Some(Omemo), NoneTrusted, Lock::Blocked),
        (Some(Off), Usable, Lock::PlainChosen),
        (Some(Off), NoDevices, Lock::PlainChosen),
    ] {
        assert_eq!(chats::lock(mode, reach), lock, "{mode:?} {reach:?}");
    }
}

#[tokio::test]
async fn a_latch_does_not_undo_a_choice() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    chats::latch(&mut write, scene.chat).await.expect("latched");
    assert_eq!(
        chats::mode(&mut write, scene.chat).await.expect("the mode"),
        Some(EncryptionMode::Omemo)
    );
    chats::set_mode(&mut write, scene.chat, EncryptionMode::None)
        .await
        .expect("chosen");
    chats::latch(&mut write, scene.chat).await.expect("latched");
    assert_eq!(
        chats::mode(&mut write, scene.chat).await.expect("the mode"),
        Some(EncryptionMode::None)
    );
}

#[tokio::test]
async fn an_identity_is_pinned_at_first_sight_and_never_overwritten() {
    use waxwing_omemo::{DeviceId, IdentityKeyPair, OsEntropy, Profile, xml};
    let scene = scene().await;
    let juliet = jid("juliet@capulet.lit");
    let device = DeviceId::random(&mut OsEntropy);
    let [first, second] = [(); 2].map(|()| *IdentityKeyPair::generate(&mut OsEntropy).public());
    let mut write = scene.store.write().await.expect("a write");
    let listed = [xml::Device {
        id: device,
        label: None,
        label_signature: None,
    }];
    omemo::put_list(
        &mut write,
        scene.account,
        &juliet,
        Profile::Legacy,
        &listed,
        at(0),
    )
    .await
    .expect("stored");
    assert!(
        omemo::pin_identity(&mut write, scene.account, &juliet, device, &first)
            .await
            .expect("pinned")
    );
    assert!(
        omemo::pin_identity(&mut write, scene.account, &juliet, device, &first)
            .await
            .expect("the same")
    );
    assert!(
        !omemo::pin_identity(&mut write, scene.account, &juliet, device, &second)
            .await
            .expect("refused")
    );
    // Off the list and on it again: the device and its key stay.
    omemo::put_list(&mut write, scene.account, &juliet, Profile::Legacy, &[], at(1))
        .await
        .expect("stored");
    let row = omemo::device(&mut write, scene.account, &juliet, device)
        .await
        .expect("asked")
        .expect("known");
    assert!(!row.active());
    assert_eq!(row.identity, Some(first));
}

#[tokio::test]
async fn keys_and_ids_of_our_own_are_kept_and_never_used_twice() {
    use waxwing_omemo::{DeviceId, IdentityKeyPair, OsEntropy, generate_prekeys};
    let scene = scene().await;
    let identity = IdentityKeyPair::generate(&mut OsEntropy);
    let device = DeviceId::random(&mut OsEntropy);
    let mut write = scene.store.write().await.expect("a write");
    omemo::put_own(&mut write, scene.account, device, &identity)
        .await
        .expect("stored");
    let own = omemo::own(&mut write, scene.account)
        .await
        .expect("asked")
        .expect("there");
    assert_eq!((own.device, own.identity.public()), (device, identity.public()));
    let first = omemo::reserve_prekeys(&mut write, scene.account, 3)
        .await
        .expect("reserved");
    let keys = generate_prekeys(first, 3, &mut OsEntropy);
    omemo::put_prekeys(&mut write, scene.account, &keys)
        .await
        .expect("stored");
    omemo::delete_prekey(&mut write, scene.account, first)
        .await
        .expect("used");
    assert!(
        omemo::one_prekey(&mut write, scene.account, first)
            .await
            .expect("asked")
            .is_none()
    );
    assert_eq!(
        omemo::prekeys(&mut write, scene.account)
            .await
            .expect("prekeys")
            .len(),
        2
    );
    assert_eq!(
        omemo::reserve_prekeys(&mut write, scene.account, 1)
            .await
            .expect("reserved")
            .0,
        first.0 + 3
    );
}

#[tokio::test]
async fn a_bundle_is_published_as_long_as_its_keys_are_the_same_and_for_a_while() {
    use waxwing_omemo::Profile;

    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let account = scene.account;
    let keys = omemo::key_ids(&mut write, account).await.expect("ids");
    omemo::set_published(&mut write, account, Profile::Legacy, &keys, at(100))
        .await
        .expect("noted");
    for (profile, keys, since, published) in [
        (Profile::Legacy, keys.as_str(), 100, true),
        (Profile::Legacy, keys.as_str(), 101, false),
        (Profile::Omemo2, keys.as_str(), 100, false),
        (Profile::Legacy, "others", 100, false),
    ] {
        let found = omemo::is_published(&mut write, account, profile, keys, at(since)).await;
        assert_eq!(found, Ok(published), "{profile:?} {keys} {since}");
    }
}

#[tokio::test]
async fn the_shown_presence_is_kept() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    accounts::set_presence(&mut write, scene.account, Show::Dnd, Some("busy"))
        .await
        .expect("set");
    let row = accounts::get(&mut write, scene.account)
        .await
        .expect("the account");
    assert_eq!((row.show, row.status.as_deref()), (Show::Dnd, Some("busy")));
}
