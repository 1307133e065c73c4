//! Gaps in what is known of the archive, and what is found in them.

use super::*;
use crate::store::archive::{self, Place, ROOM};
use crate::store::messages::Placed;

fn place(id: &str, position: i64) -> Place {
    Place {
        id: id.to_owned(),
        at: at(1),
        position,
    }
}

#[tokio::test]
async fn the_newest_place_is_the_last_one_told_and_its_position_never_goes_back() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let account = scene.account;
    assert_eq!(archive::newest(&mut write, account).await, Ok(None));
    for (id, position, now_at) in [("a", 20, 20), ("b", 10, 20), ("c", 30, 30)] {
        archive::set_newest(&mut write, account, &place(id, position))
            .await
            .expect("set");
        let found = archive::newest(&mut write, account)
            .await
            .expect("read")
            .expect("one");
        assert_eq!((found.id.as_str(), found.position), (id, now_at));
    }
}

#[tokio::test]
async fn a_session_begins_with_a_gap_that_ends_before_what_comes_live() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let account = scene.account;
    // New here: everything is missing.
    archive::begin(&mut write, account, at(100)).await.expect("begun");
    let gaps = archive::gaps(&mut write, account).await.expect("read");
    let [first] = gaps.as_slice() else {
        panic!("{gaps:?}")
    };
    assert_eq!((&first.after, first.low, &first.before), (&None, 0, &None));
    let live = messages::insert(
        &mut write,
        scene.chat,
        &text("juliet@capulet.lit", "live", None),
        true,
        Stand::End(at(100).as_microsecond()),
    )
    .await
    .expect("stored")
    .expect("new");
    assert!(live.1 >= first.high, "{live:?} stands behind {first:?}");
    archive::end_before(&mut write, account, "live")
        .await
        .expect("ended");
    archive::end_before(&mut write, account, "later")
        .await
        .expect("too late");
    archive::set_newest(&mut write, account, &place("live", live.1))
        .await
        .expect("set");

    // The next session: another gap, behind what was known last. It stays open as long as nothing is known behind it.
    archive::begin(&mut write, account, at(200)).await.expect("begun");
    archive::begin(&mut write, account, at(300)).await.expect("begun");
    let gaps = archive::gaps(&mut write, account).await.expect("read");
    let [_, second] = gaps.as_slice() else {
        panic!("{gaps:?}")
    };
    assert_eq!(gaps[0].before.as_deref(), Some("live"));
    assert_eq!(second.after.as_ref().map(|(id, _)| id.as_str()), Some("live"));
    assert_eq!(second.low, live.1);
    assert!(second.high >= at(300).as_microsecond());

    let mut smaller = second.clone();
    smaller.after = Some(("n".to_owned(), at(6)));
    smaller.low += 1;
    archive::shrink(&mut write, &smaller).await.expect("shrunk");
    assert_eq!(
        archive::gap(&mut write, smaller.id).await,
        Ok(Some(smaller.clone()))
    );
    let between = gaps[0].clone();
    assert_eq!(
        archive::gaps(&mut write, account).await,
        Ok(vec![between.clone(), smaller])
    );
    // A session without an archive: what lies before something known is looked for again when there is one.
    archive::absent(&mut write, account).await.expect("forgotten");
    assert_eq!(archive::gaps(&mut write, account).await, Ok(vec![between]));
    archive::close(&mut write, first.id).await.expect("closed");
    assert_eq!(archive::gaps(&mut write, account).await, Ok(vec![]));
}

#[tokio::test]
async fn what_is_found_in_a_gap_stands_in_order_between_its_edges_whatever_the_servers_clock_says() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let (low, high) = (10 * ROOM, 20 * ROOM);
    hear(&mut write, scene.chat, "before", at(-1_700_000_000)).await;
    let live = text("juliet@capulet.lit", "behind", None);
    messages::insert(&mut write, scene.chat, &live, true, Stand::End(high))
        .await
        .expect("stored");
    // Early, in time, back in time, the same moment twice, after the gap, far in the future.
    let stamps = [
        1,
        12 * ROOM,
        11 * ROOM,
        15 * ROOM,
        15 * ROOM,
        25 * ROOM,
        i64::MAX,
        16 * ROOM,
    ];
    let mut low = low;
    for (number, wanted) in stamps.into_iter().enumerate() {
        let message = text(
            "juliet@capulet.lit",
            &number.to_string(),
            Some(&number.to_string()),
        );
        let (_, position) = messages::insert(
            &mut write,
            scene.chat,
            &message,
            true,
            Stand::Between { wanted, low, high },
        )
        .await
        .expect("stored")
        .expect("new");
        assert!(low < position && position < high, "{number}: {position}");
        low = position;
    }
    let bodies: Vec<String> = messages::page(&mut write, scene.chat, None, 50, 0)
        .await
        .expect("a page")
        .into_iter()
        .filter_map(|message| message.body)
        .collect();
    assert_eq!(
        bodies,
        ["before", "0", "1", "2", "3", "4", "5", "6", "7", "behind"]
    );
    let chat = chats::get(&mut write, scene.chat, 0).await.expect("the chat");
    assert_eq!(chat.last.and_then(|last| last.body).as_deref(), Some("behind"));
    assert_eq!(chat.unread, 10);
}

#[tokio::test]
async fn a_known_message_gets_its_archive_id() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let mine = outgoing("x", "1");
    let message = add(&mut write, scene.chat, &mine, false, at(1))
        .await
        .expect("stored");
    let romeo = jid("romeo@montague.lit");
    for (origin, archive, known) in [
        (Some("2"), Some("a2"), None),
        (Some("1"), Some("a1"), message),
        (None, Some("a1"), message),
        // The first id counts.
        (Some("1"), Some("a3"), message),
        (None, Some("a3"), None),
    ] {
        let sought = messages::Sought {
            chat: scene.chat,
            sender: &romeo,
            origin_id: origin,
            archive_id: archive,
            likeness: None,
        };
        let found = messages::known(&mut write, &[sought]).await.expect("asked");
        let found = found.get(&0).map(|known| known.message);
        assert_eq!(found, known, "{origin:?} {archive:?}");
    }
}

#[tokio::test]
async fn a_message_without_ids_is_known_by_its_likeness_and_only_once() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let juliet = jid("juliet@capulet.lit");
    let nameless = |body: &str| NewMessage {
        stanza_id: Some("1".to_owned()),
        sent_at: at(1),
        ..text("juliet@capulet.lit", body, None)
    };
    let mut rows = Vec::new();
    for message in [
        nameless("yes"),
        nameless("yes"),
        NewMessage {
            encryption: Encryption::Omemo1,
            ..nameless("secret")
        },
    ] {
        let row = add(&mut write, scene.chat, &message, true, at(1)).await;
        rows.push(row.expect("stored").expect("new"));
    }
    for (what, archive_id, stanza_id, second, plain, row) in [
        ("another stanza", "a0", "2", 1, Some("yes"), None),
        ("another text", "a0", "1", 1, Some("no"), None),
        ("another time", "a0", "1", 3_600, Some("yes"), None),
        ("the first", "a1", "1", 60, Some("yes"), Some(0)),
        ("the first again", "a1", "1", 60, Some("yes"), Some(0)),
        ("the second", "a2", "1", 60, Some("yes"), Some(1)),
        ("a third", "a3", "1", 60, Some("yes"), None),
        ("what is encrypted", "a4", "1", 2, None, Some(2)),
        ("what is encrypted and another", "a5", "1", 2, None, None),
    ] {
        let sought = messages::Sought {
            chat: scene.chat,
            sender: &juliet,
            origin_id: None,
            archive_id: Some(archive_id),
            likeness: Some(messages::Likeness {
                stanza_id,
                sent_at: at(second),
                plain,
            }),
        };
        let found = messages::known(&mut write, &[sought]).await.expect("asked");
        let found = found.get(&0).map(|known| known.message);
        assert_eq!(found, row.map(|row: usize| rows[row]), "{what}");
    }
}

#[tokio::test]
async fn copies_that_are_alike_on_one_page_take_a_row_each() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let juliet = jid("juliet@capulet.lit");
    let message = NewMessage {
        stanza_id: Some("1".to_owned()),
        sent_at: at(1),
        ..text("juliet@capulet.lit", "yes", None)
    };
    let row = add(&mut write, scene.chat, &message, true, at(1)).await;
    let row = row.expect("stored").expect("new");
    let sought = ["a1", "a2"].map(|archive_id| messages::Sought {
        chat: scene.chat,
        sender: &juliet,
        origin_id: None,
        archive_id: Some(archive_id),
        likeness: Some(messages::Likeness {
            stanza_id: "1",
            sent_at: at(1),
            plain: Some("yes"),
        }),
    });
    let found = messages::known(&mut write, &sought).await.expect("asked");
    let found: Vec<_> = found.values().map(|known| known.message).collect();
    assert_eq!(found, [row]);
}

/// What somebody sent who gives all of it the same id: live, and nobody else gave it one.
async fn flood(write: &mut Write, chat: ChatId, count: usize, body: impl Fn(usize) -> String) {
    for number in 0..count {
        let message = NewMessage {
            stanza_id: Some("1".to_owned()),
            sent_at: at(1),
            ..text("juliet@capulet.lit", &body(number), None)
        };
        messages::insert_row(write, chat, &message, Stand::End(at(1).as_microsecond()))
            .await
            .expect("stored");
    }
}

/// Looks for the archive's copies of so many of a flood, from a place on. Gives the row of each.
async fn copies_of(
    write: &mut Write,
    chat: ChatId,
    from: usize,
    bodies: &[String],
) -> Vec<Option<MessageId>> {
    let juliet = jid("juliet@capulet.lit");
    let ids: Vec<String> = (from..).take(bodies.len()).map(|n| format!("a{n}")).collect();
    let sought: Vec<_> = ids
        .iter()
        .zip(bodies)
        .map(|(id, body)| messages::Sought {
            chat,
            sender: &juliet,
            origin_id: None,
            archive_id: Some(id),
            likeness: Some(messages::Likeness {
                stanza_id: "1",
                sent_at: at(1),
                plain: Some(body),
            }),
        })
        .collect();
    let found = messages::known(write, &sought).await.expect("asked");
    (0..bodies.len())
        .map(|place| found.get(&place).map(|known| known.message))
        .collect()
}

#[tokio::test]
async fn a_flood_under_one_id_is_known_row_by_row_in_a_time_like_that_of_storing_it() {
    const FLOOD: usize = 4_000;
    const PAGE: usize = 250;
    for is_same in [true, false] {
        let scene = scene().await;
        let mut write = scene.store.write().await.expect("a write");
        let body = |number: usize| {
            if is_same {
                "yes".to_owned()
            } else {
                format!("yes {number}")
            }
        };
        let begun = std::time::Instant::now();
        flood(&mut write, scene.chat, FLOOD, body).await;
        let (stored, begun) = (begun.elapsed(), std::time::Instant::now());
        let mut found = Vec::new();
        for from in (0..4 * PAGE).step_by(PAGE) {
            let bodies: Vec<String> = (from..from + PAGE).map(body).collect();
            found.extend(copies_of(&mut write, scene.chat, from, &bodies).await);
        }
        let known = begun.elapsed();
        assert!(found.iter().all(Option::is_some), "{found:?}");
        assert!(found.is_sorted() && found.windows(2).all(|pair| pair[0] != pair[1]));
        // A quarter of it; it was thirty-five times as much when each was held against each.
        assert!(
            known < 10 * stored,
            "{known:?} for {} and {stored:?}",
            found.len()
        );
    }
}

#[tokio::test]
async fn copies_of_what_is_alike_take_the_row_of_their_own_time() {
    const MINUTES: [i64; 6] = [0, 5, 12, 30, 31, 60];
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let mut rows = Vec::new();
    for minute in MINUTES {
        let message = NewMessage {
            stanza_id: Some("1".to_owned()),
            sent_at: at(minute * 60),
            ..text("juliet@capulet.lit", "yes", None)
        };
        let row = add(&mut write, scene.chat, &message, true, at(minute * 60)).await;
        rows.push(row.expect("stored").expect("new"));
    }
    let juliet = jid("juliet@capulet.lit");
    // The archive's clock is a minute ahead, and it has one in between, and one behind, that never came.
    let copies = [
        (1, Some(0)),
        (6, Some(1)),
        (13, Some(2)),
        (45, None),
        (31, Some(3)),
        (32, Some(4)),
        (75, None),
    ];
    let ids: Vec<String> = (0..copies.len()).map(|n| format!("a{n}")).collect();
    let sought: Vec<_> = ids
        .iter()
        .zip(copies)
        .map(|(id, (minute, _))| messages::Sought {
            chat: scene.chat,
            sender: &juliet,
            origin_id: None,
            archive_id: Some(id),
            likeness: Some(messages::Likeness {
                stanza_id: "1",
                sent_at: at(minute * 60),
                plain: Some("yes"),
            }),
        })
        .collect();
    let found = messages::known(&mut write, &sought).await.expect("asked");
    for (place, (minute, row)) in copies.into_iter().enumerate() {
        let found = found.get(&place).map(|known| known.message);
        assert_eq!(found, row.map(|row: usize| rows[row]), "{minute}");
    }
}

#[tokio::test]
async fn reading_elsewhere_moves_the_line_and_leaves_what_came_later_unread() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let mut ids = Vec::new();
    for number in 1..=4 {
        let message = text("juliet@capulet.lit", "x", Some(&number.to_string()));
        ids.push(
            add(&mut write, scene.chat, &message, true, at(number))
                .await
                .expect("stored"),
        );
    }
    for (id, news, unread, line) in [
        ("2", true, 2, ids[1]),
        ("1", false, 2, ids[1]),
        ("4", true, 0, ids[3]),
    ] {
        let message = messages::received_as(&mut write, scene.chat, id)
            .await
            .expect("asked")
            .expect("it is there");
        assert_eq!(
            chats::read_up_to(&mut write, &[(scene.chat, message)]).await,
            Ok(news),
            "{id}"
        );
        let chat = chats::get(&mut write, scene.chat, 0).await.expect("the chat");
        assert_eq!((chat.unread, chat.read_up_to), (unread, line), "{id}");
    }
    assert_eq!(
        messages::received_as(&mut write, scene.chat, "none").await,
        Ok(None)
    );
}

#[tokio::test]
async fn a_message_is_found_by_its_stanza_with_whatever_origin_id() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let mut ids = Vec::new();
    for (stanza, origin) in [("1", Some("1")), ("2", Some("origin")), ("3", None)] {
        let named = |message: NewMessage| NewMessage {
            stanza_id: Some(stanza.to_owned()),
            origin_id: origin.map(str::to_owned),
            ..message
        };
        let heard = named(text("juliet@capulet.lit", stanza, None));
        let said = named(outgoing(stanza, "unused"));
        for message in [heard, said] {
            let stored = add(&mut write, scene.chat, &message, false, at(1)).await;
            ids.push(stored.expect("stored").expect("new"));
        }
    }
    for (stanza, ids) in ["1", "2", "3"].into_iter().zip(ids.chunks(2)) {
        let heard = messages::received_as(&mut write, scene.chat, stanza).await;
        let said = messages::sent_as(&mut write, scene.chat, stanza).await;
        assert_eq!([heard, said], [Ok(Some(ids[0])), Ok(Some(ids[1]))], "{stanza}");
    }
    let by_origin = messages::received_as(&mut write, scene.chat, "origin").await;
    assert_eq!(by_origin, Ok(None));
}

#[tokio::test]
async fn a_message_that_came_early_moves_before_what_the_archive_tells_of_after_it() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let mut stored = Vec::new();
    for body in ["first", "early"] {
        let message = text("juliet@capulet.lit", body, Some(body));
        let message = messages::insert(&mut write, scene.chat, &message, true, Stand::End(50 * ROOM)).await;
        stored.push(message.expect("stored").expect("new").0);
    }
    let between = (20 * ROOM, 10 * ROOM, 40 * ROOM);
    let moved = messages::move_between(&mut write, scene.chat, stored[1], between).await;
    assert_eq!(moved, Ok(Some(20 * ROOM)));
    let bodies: Vec<_> = messages::page(&mut write, scene.chat, None, 50, 0)
        .await
        .expect("a page")
        .into_iter()
        .filter_map(|message| message.body)
        .collect();
    assert_eq!(bodies, ["early", "first"]);
    let chat = chats::get(&mut write, scene.chat, 0).await.expect("the chat");
    assert_eq!(chat.last.map(|last| last.message), Some(stored[0]));
}

#[tokio::test]
async fn a_gap_begins_before_what_was_sent_and_never_confirmed() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let account = scene.account;
    archive::set_newest(&mut write, account, &place("known", 10))
        .await
        .expect("set");
    let message = say(&mut write, scene.chat, "1", at(1)).await;
    outbox::push_message(&mut write, account, message, Encrypt::May, None)
        .await
        .expect("queued");
    let row = outbox::behind(&mut write, account, 0, 1).await.expect("read")[0].id;
    outbox::set_stanza(&mut write, row, b"<message/>")
        .await
        .expect("ready");
    // Something came live behind it.
    archive::set_newest(&mut write, account, &place("live", 20))
        .await
        .expect("set");
    archive::begin(&mut write, account, at(2)).await.expect("begun");
    let gaps = archive::gaps(&mut write, account).await.expect("read");
    assert_eq!(gaps[0].after, Some(("known".to_owned(), at(1))));
    assert_eq!(gaps[0].low, 10);

    archive::absent(&mut write, account).await.expect("forgotten");
    outbox::confirm(&mut write, &[row]).await.expect("confirmed");
    archive::begin(&mut write, account, at(3)).await.expect("begun");
    let gaps = archive::gaps(&mut write, account).await.expect("read");
    assert_eq!(gaps[0].after, Some(("live".to_owned(), at(1))));
}

/// A page with these messages behind one that is there: at the first one's place or elsewhere. Each is shown as it is read.
async fn page_stored_behind(there: i64, bodies: &[&str]) -> (Vec<bool>, Vec<String>, u32) {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let high = 20 * ROOM;
    let before = text("juliet@capulet.lit", "before", None);
    let stand = Stand::Between {
        wanted: there,
        low: there - 1,
        high,
    };
    messages::insert(&mut write, scene.chat, &before, true, stand)
        .await
        .expect("stored");
    let placed: Vec<Placed> = bodies
        .iter()
        .enumerate()
        .map(|(number, body)| Placed {
            chat: scene.chat,
            position: 10 * ROOM + i64::try_from(number).expect("small"),
            new: text("juliet@capulet.lit", body, Some(body)),
            unread: true,
        })
        .collect();
    let stored = messages::insert_all(&mut write, &placed, high)
        .await
        .expect("stored");
    write.commit().await.expect("committed");
    let mut db = scene.store.read().await.expect("a reader");
    let page = messages::page(&mut db, scene.chat, None, 50, 0)
        .await
        .expect("a page");
    let rows = placed.into_iter().zip(&stored);
    let shown = rows.filter_map(|(placed, row)| placed.show(scene.account, (*row)?, 0));
    assert!(shown.eq(page.iter().skip(1).cloned()), "{page:?}");
    let found = search::find(&mut db, "four", None, 5, 0).await.expect("searched");
    assert_eq!(found.len(), 1, "it is found by its words");
    let chat = &chats::some(&mut db, &[scene.chat], 0).await.expect("read")[0];
    let last = chat.last.as_ref().and_then(|last| last.body.clone());
    assert_eq!(last.as_deref(), Some("four"));
    let bodies = page.into_iter().filter_map(|message| message.body).collect();
    (stored.iter().map(Option::is_some).collect(), bodies, chat.unread)
}

#[tokio::test]
async fn a_page_is_stored_in_order_and_each_message_once_also_where_something_is_in_the_way() {
    for there in [9 * ROOM, 10 * ROOM] {
        for (page, is_new) in [
            (
                ["one", "two", "three", "three", "four"].as_slice(),
                [true, true, true, false, true].as_slice(),
            ),
            (&["one", "two", "three", "four"], &[true; 4]),
        ] {
            let (stored, bodies, unread) = page_stored_behind(there, page).await;
            assert_eq!(stored, is_new);
            assert_eq!(bodies, ["before", "one", "two", "three", "four"]);
            assert_eq!(unread, 5);
        }
    }
}
