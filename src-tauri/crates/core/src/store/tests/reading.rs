//! Who learns what was read.

use super::super::reading::{self, Shared, ToMark};
use super::super::receipts::{self, Due};
use super::*;
use crate::model::Sharing;

async fn befriend(write: &mut Write, account: AccountId, address: &str) {
    let contact = ContactRow {
        address: Address(jid(address)),
        name: None,
        subscription: Subscription::None,
        asked: false,
        groups: Json(Vec::new()),
    };
    contacts::put(write, account, &contact).await.expect("a contact");
}

/// A markable message that our archive knows by `archive-{id}`.
async fn markable(write: &mut Write, chat: ChatId, id: &str, seconds: i64) -> MessageId {
    let message = NewMessage {
        archive_id: Some(format!("archive-{id}")),
        markable: true,
        ..text("juliet@capulet.lit", id, Some(id))
    };
    let stored = add(write, chat, &message, true, at(seconds))
        .await
        .expect("stored");
    stored.expect("it is new")
}

async fn read_here(write: &mut Write, chat: ChatId) {
    chats::mark_read(write, chat).await.expect("read");
    reading::seen(write, chat).await.expect("seen");
}

async fn to_mark(write: &mut Write, scene: &Scene) -> Vec<ToMark> {
    reading::to_mark(write, scene.account)
        .await
        .expect("what is to be marked")
}

/// The ids of the stanzas that markers are to be sent for.
fn ids(read: &[ToMark]) -> Vec<Option<&str>> {
    read.iter()
        .map(|read| read.newest.as_ref().map(|(_, id)| id.as_str()))
        .collect()
}

async fn waiting(write: &mut Write, scene: &Scene) -> Vec<String> {
    let rows = outbox::behind(write, scene.account, 0, 100).await.expect("rows");
    rows.into_iter()
        .map(|row| String::from_utf8(row.stanza.expect("a stanza")).expect("text"))
        .collect()
}

#[tokio::test]
async fn the_newest_message_that_was_read_is_marked_once() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    befriend(&mut write, scene.account, "juliet@capulet.lit").await;
    read_here(&mut write, scene.chat).await;
    assert!(
        to_mark(&mut write, &scene).await.is_empty(),
        "nothing is there yet"
    );
    markable(&mut write, scene.chat, "one", 1).await;
    markable(&mut write, scene.chat, "two", 2).await;
    let plain = text("juliet@capulet.lit", "three", Some("three"));
    add(&mut write, scene.chat, &plain, true, at(3))
        .await
        .expect("stored");
    assert!(to_mark(&mut write, &scene).await.is_empty(), "nothing was read");
    read_here(&mut write, scene.chat).await;
    let read = to_mark(&mut write, &scene).await;
    assert_eq!(ids(&read), [Some("two")]);
    reading::mark(&mut write, scene.account, &read[0], Some(b"<two/>"))
        .await
        .expect("marked");
    assert!(to_mark(&mut write, &scene).await.is_empty());
    read_here(&mut write, scene.chat).await;
    assert!(to_mark(&mut write, &scene).await.is_empty());
    // A newer one takes the place of one that still waits.
    markable(&mut write, scene.chat, "four", 4).await;
    read_here(&mut write, scene.chat).await;
    let read = to_mark(&mut write, &scene).await;
    assert_eq!(ids(&read), [Some("four")]);
    reading::mark(&mut write, scene.account, &read[0], Some(b"<four/>"))
        .await
        .expect("marked");
    assert_eq!(waiting(&mut write, &scene).await, ["<four/>"]);
}

#[tokio::test]
async fn what_may_not_be_told_when_it_is_read_is_never_told() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let juliet = jid("juliet@capulet.lit");
    let account = scene.account;
    markable(&mut write, scene.chat, "stranger", 1).await;
    read_here(&mut write, scene.chat).await;
    befriend(&mut write, account, "juliet@capulet.lit").await;
    assert!(to_mark(&mut write, &scene).await.is_empty(), "she was a stranger");
    for (number, of_account, of_contact, told) in [
        (2, false, Sharing::AsAccount, false),
        (3, true, Sharing::Off, false),
        (4, false, Sharing::On, true),
        (5, true, Sharing::AsAccount, true),
        (6, false, Sharing::Off, false),
        (7, true, Sharing::On, true),
    ] {
        for what in [Shared::Markers, Shared::Receipts] {
            accounts::set_shared(&mut write, account, what, of_account)
                .await
                .expect("set");
            reading::set_share(&mut write, account, &juliet, what, of_contact)
                .await
                .expect("set");
        }
        let receipts = reading::sends_receipts(&mut write, account, &juliet).await;
        assert_eq!(receipts.expect("an answer"), told, "receipts {number}");
        let id = number.to_string();
        markable(&mut write, scene.chat, &id, number).await;
        read_here(&mut write, scene.chat).await;
        accounts::set_shared(&mut write, account, Shared::Markers, true)
            .await
            .expect("set");
        reading::set_share(&mut write, account, &juliet, Shared::Markers, Sharing::On)
            .await
            .expect("set");
        let read = to_mark(&mut write, &scene).await;
        assert_eq!(ids(&read), vec![Some(id.as_str()); usize::from(told)], "{number}");
        for read in &read {
            reading::mark(&mut write, account, read, None)
                .await
                .expect("marked");
        }
    }
    let shares = reading::shares(&mut write, account)
        .await
        .expect("what is chosen");
    assert_eq!(shares[&juliet].markers, Sharing::On);
    let error = accounts::set_shared(&mut write, AccountId(99), Shared::Markers, true)
        .await
        .expect_err("there is none");
    assert_eq!(error.code, Code::NotFound);
}

#[tokio::test]
async fn it_is_not_told_if_it_may_not_be_any_more_when_it_could_be_sent() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    befriend(&mut write, scene.account, "juliet@capulet.lit").await;
    markable(&mut write, scene.chat, "one", 1).await;
    read_here(&mut write, scene.chat).await;
    contacts::delete(&mut write, scene.account, &jid("juliet@capulet.lit"))
        .await
        .expect("deleted");
    let read = to_mark(&mut write, &scene).await;
    assert_eq!(ids(&read), [None]);
    reading::mark(&mut write, scene.account, &read[0], None)
        .await
        .expect("dealt with");
    assert!(to_mark(&mut write, &scene).await.is_empty());
}

#[tokio::test]
async fn a_marker_of_another_device_replaces_ours_that_wait_and_no_later_ones() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    befriend(&mut write, scene.account, "juliet@capulet.lit").await;
    let one = markable(&mut write, scene.chat, "one", 1).await;
    let two = markable(&mut write, scene.chat, "two", 2).await;
    read_here(&mut write, scene.chat).await;
    let read = to_mark(&mut write, &scene).await;
    reading::mark(&mut write, scene.account, &read[0], Some(b"<two/>"))
        .await
        .expect("marked");
    reading::marked_elsewhere(&mut write, scene.chat, one)
        .await
        .expect("told");
    assert_eq!(waiting(&mut write, &scene).await, ["<two/>"]);
    reading::marked_elsewhere(&mut write, scene.chat, two)
        .await
        .expect("told");
    assert!(waiting(&mut write, &scene).await.is_empty());
    assert_eq!(
        reading::to_sync(&mut write, scene.account)
            .await
            .expect("an answer"),
        None,
        "it has told our devices too"
    );
}

#[tokio::test]
async fn our_devices_are_told_of_the_newest_message_that_the_archive_knows() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let account = scene.account;
    markable(&mut write, scene.chat, "one", 1).await;
    let two = markable(&mut write, scene.chat, "two", 2).await;
    let unknown = text("juliet@capulet.lit", "three", Some("three"));
    add(&mut write, scene.chat, &unknown, true, at(3))
        .await
        .expect("stored");
    assert_eq!(
        reading::to_sync(&mut write, account).await.expect("an answer"),
        None
    );
    read_here(&mut write, scene.chat).await;
    let read = reading::to_sync(&mut write, account)
        .await
        .expect("an answer")
        .expect("a chat");
    assert_eq!(
        (read.chat, read.address.as_str(), read.archive_id.as_str()),
        (scene.chat, "juliet@capulet.lit", "archive-two")
    );
    // Another device may have read further than we know.
    reading::put_displayed(&mut write, account, &read.address, "archive-four")
        .await
        .expect("put");
    assert!(
        reading::to_sync(&mut write, account)
            .await
            .expect("an answer")
            .is_some()
    );
    let place = super::super::archive::Place {
        id: "archive-two".to_owned(),
        at: at(2),
        position: at(2).as_microsecond(),
    };
    super::super::archive::set_newest(&mut write, account, &place)
        .await
        .expect("set");
    super::super::archive::begin(&mut write, account, at(5))
        .await
        .expect("a gap");
    assert_eq!(
        reading::to_sync(&mut write, account).await.expect("an answer"),
        None
    );
    // Now it has come.
    assert!(
        reading::displayed_here(&mut write, account)
            .await
            .expect("none")
            .is_empty()
    );
    let four = markable(&mut write, scene.chat, "four", 6).await;
    let here = reading::displayed_here(&mut write, account).await.expect("one");
    assert_eq!(
        here.iter().map(|(_, message, _)| *message).collect::<Vec<_>>(),
        [four]
    );
    assert!(
        reading::displayed_here(&mut write, account)
            .await
            .expect("none")
            .is_empty()
    );
    let (_, _, position) = here[0];
    reading::synced(&mut write, scene.chat, position)
        .await
        .expect("synced");
    reading::synced(&mut write, scene.chat, 1)
        .await
        .expect("never back");
    read_here(&mut write, scene.chat).await;
    assert_eq!(
        reading::to_sync(&mut write, account).await.expect("an answer"),
        None
    );
    let known = reading::archived_as(&mut write, scene.chat, "archive-two")
        .await
        .expect("an answer");
    assert_eq!(known.map(|(message, _)| message), Some(two));
    reading::put_displayed(&mut write, account, &read.address, "archive-x")
        .await
        .expect("put");
    reading::delete_displayed(&mut write, account, &read.address)
        .await
        .expect("deleted");
}

#[tokio::test]
async fn receipts_are_owed_once_until_they_are_given_here_or_elsewhere() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let (account, chat) = (scene.account, scene.chat);
    receipts::owe(&mut write, &[]).await.expect("nothing");
    assert_eq!(receipts::take(&mut write, account).await, Ok(Vec::new()));
    let owed = [
        (chat, "a", "juliet@capulet.lit/balcony"),
        (chat, "b", "juliet@capulet.lit/balcony"),
        (chat, "b", "juliet@capulet.lit/chamber"),
    ];
    receipts::owe(&mut write, &owed).await.expect("owed");
    receipts::given(&mut write, chat, "a").await.expect("given");
    let due = Due {
        chat,
        sender: jid("juliet@capulet.lit"),
        recipient: "juliet@capulet.lit/chamber".to_owned(),
        stanza_id: "b".to_owned(),
    };
    assert_eq!(receipts::take(&mut write, account).await, Ok(vec![due]));
    assert_eq!(receipts::take(&mut write, account).await, Ok(Vec::new()));
}
