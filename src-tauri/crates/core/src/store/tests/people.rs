//! Accounts, contacts, and who asks to be one.

use super::*;

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

#[tokio::test]
async fn removing_an_account_leaves_nothing_of_it() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    hear(&mut write, scene.chat, "balcony", at(1)).await;
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
