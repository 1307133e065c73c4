//! Messages, from the outbox until they are read and found.

use super::*;
use crate::model::{Message, UndecryptableReason};

#[tokio::test]
async fn one_message_is_one_row_and_another_senders_same_id_is_another() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let mine = text("juliet@capulet.lit", "one", Some("same"));
    let other = text("nurse@capulet.lit", "two", Some("same"));
    let archived = NewMessage {
        archive_id: Some("a1".to_owned()),
        ..text("juliet@capulet.lit", "three", None)
    };
    for (second, message, new) in [
        (1, &mine, true),
        (2, &mine, false),
        (3, &other, true),
        (4, &archived, true),
        (5, &archived, false),
    ] {
        let stored = add(&mut write, scene.chat, message, true, at(second)).await;
        assert_eq!(stored.expect("stored").is_some(), new, "{second}");
    }
    let sought = messages::Sought {
        chat: scene.chat,
        sender: &jid("juliet@capulet.lit"),
        origin_id: Some("same"),
        archive_id: None,
        likeness: None,
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
        hear(&mut write, scene.chat, &number.to_string(), at(-number)).await;
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
    let message = say(&mut write, scene.chat, "1", at(1)).await;
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
        ids.push(say(&mut write, scene.chat, id, at(at_second)).await);
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
async fn a_failed_message_says_why_and_can_wait_again() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let message = say(&mut write, scene.chat, "1", at(1)).await;
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
    let message = say(&mut write, scene.chat, "1", at(1)).await;
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
        let message = say(&mut write, scene.chat, id, at(1)).await;
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
async fn what_was_written_after_a_message_that_came_back_stays_behind_it() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let mut written = Vec::new();
    for (id, second) in [("1", 1), ("2", 2), ("3", 3), ("4", 4)] {
        let message = say(&mut write, scene.chat, id, at(second)).await;
        outbox::push_message(&mut write, scene.account, message, Encrypt::Must, None)
            .await
            .expect("queued");
        written.push(message);
    }
    // The first two have been out, and come back.
    for message in &written[..2] {
        outbox::remove_message(&mut write, *message)
            .await
            .expect("taken out");
        let message = messages::get(&mut write, *message, 0).await.expect("there");
        outbox::queue_again(&mut write, &message, Some(at(9)))
            .await
            .expect("queued");
        outbox::put_behind(&mut write, message.message)
            .await
            .expect("put behind");
    }
    let queued = outbox::behind(&mut write, scene.account, 0, 10)
        .await
        .expect("the outbox");
    let order: Vec<_> = queued
        .iter()
        .filter_map(|row| Some(row.message.as_ref()?.message))
        .collect();
    assert_eq!(order, written);

    // The pump remembers up to where it has sent: what is written next has a number that none had before.
    let numbers: Vec<i64> = queued.iter().map(|row| row.id).collect();
    outbox::confirm(&mut write, &numbers).await.expect("confirmed");
    let next = say(&mut write, scene.chat, "5", at(5)).await;
    outbox::push_message(&mut write, scene.account, next, Encrypt::Must, None)
        .await
        .expect("queued");
    let done_to = numbers.iter().max().copied().unwrap_or_default();
    let queued = outbox::behind(&mut write, scene.account, done_to, 10).await;
    assert_eq!(queued.expect("the outbox").len(), 1);
}

#[tokio::test]
async fn unread_counts_and_the_unread_line_follow_reading_and_writing() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let first = say(&mut write, scene.chat, "1", at(1)).await;
    for number in 0..3 {
        hear(&mut write, scene.chat, &number.to_string(), at(2)).await;
    }
    let chat = chats::get(&mut write, scene.chat, 0).await.expect("the chat");
    assert_eq!((chat.unread, chat.read_up_to), (3, Some(first)));
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
        hear(&mut write, scene.chat, body, at(1)).await;
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

#[tokio::test]
async fn whatever_stands_in_a_message_is_read_as_it_was_written() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let bodies = [
        "\"quoted\", 'too'",
        "back\\slash \\u0041",
        "tab\tand\nline",
        "{}],[",
        "\u{1}\u{7f}\u{2028}",
        "é 東京 🕊️",
        " ",
    ];
    for (second, body) in (1..).zip(bodies) {
        let message = NewMessage {
            unprotected: second % 2 == 0,
            device: Some(u32::MAX),
            undecryptable: Some(crate::model::UndecryptableReason::Malformed),
            ..text("juliet@capulet.lit", body, None)
        };
        let stored = add(&mut write, scene.chat, &message, true, at(second)).await;
        assert!(stored.expect("stored").is_some());
    }
    let read = messages::page(&mut write, scene.chat, None, 100, 0)
        .await
        .expect("a page");
    assert_eq!(
        read.iter().map(|m| m.body.as_deref()).collect::<Vec<_>>(),
        bodies.map(Some)
    );
    assert_eq!(
        read.iter().map(|m| m.unprotected).collect::<Vec<_>>(),
        (1..=bodies.len())
            .map(|second| second % 2 == 0)
            .collect::<Vec<_>>()
    );
    assert!(
        read.iter()
            .all(|m| m.undecryptable.as_ref().is_some_and(|why| why.device == u32::MAX))
    );
}

#[tokio::test]
async fn messages_from_before_this_device_are_one_row_for_each_place_where_they_stand() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let before = NewMessage {
        body: None,
        undecryptable: Some(UndecryptableReason::BeforeThisDevice),
        ..text("juliet@capulet.lit", "", None)
    };
    let mut ids = Vec::new();
    for second in [1, 2, 3, 5, 6] {
        let stored = add(&mut write, scene.chat, &before, false, at(second)).await;
        ids.push(stored.expect("stored").expect("new"));
        if second == 3 {
            hear(&mut write, scene.chat, "between", at(4)).await;
        }
    }
    let shown = |page: Vec<Message>| -> Vec<(MessageId, Option<u32>)> {
        let count = |message: &Message| message.undecryptable.as_ref().map(|unread| unread.count);
        page.iter()
            .map(|message| (message.message, count(message)))
            .collect()
    };
    let page = messages::page(&mut write, scene.chat, None, 10, 0)
        .await
        .expect("a page");
    let between = page.get(1).map(|message| message.message).expect("the text");
    assert_eq!(
        shown(page),
        [(ids[2], Some(3)), (between, None), (ids[4], Some(2))]
    );
    // Those that another one stands for are in no page and in no event.
    let older = messages::page(&mut write, scene.chat, Some(between), 10, 0).await;
    assert_eq!(shown(older.expect("a page")), [(ids[2], Some(3))]);
    let none = messages::page(&mut write, scene.chat, Some(ids[2]), 10, 0).await;
    assert_eq!(shown(none.expect("a page")), []);
    let told = messages::some(&mut write, &ids, 0).await;
    assert_eq!(shown(told.expect("read")), [(ids[2], Some(3)), (ids[4], Some(2))]);
    for (position, standing) in [(at(1), ids[2]), (at(3), ids[2]), (at(5), ids[4])] {
        let found = messages::standing_for(&mut write, scene.chat, position.as_microsecond()).await;
        assert_eq!(found, Ok(Some(standing)));
    }
}
