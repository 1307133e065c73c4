//! Files that messages tell of.

use waxwing_omemo::{FileCipher, FileHash, FileKey};
use zeroize::Zeroizing;

use super::super::files::{self, NewFile};
use super::*;
use crate::error::Code;
use crate::model::{FileFailure, FileState, Message, Picture};

fn new_file(name: &str, key: Option<FileKey>) -> NewFile {
    NewFile {
        name: name.to_owned(),
        media_type: Some("image/png".to_owned()),
        program: false,
        key,
        sources: vec!["https://h.example/a".to_owned()],
        host: Some("h.example".to_owned()),
    }
}

fn key() -> FileKey {
    let hashes = vec![
        (FileHash::Sha256, vec![7; 32]),
        (FileHash::Blake2b512, vec![8; 64]),
    ];
    let key = Zeroizing::new(vec![1; 32]);
    FileKey::new(FileCipher::Aes256Cbc, key, vec![2; 16], Some(50), hashes).expect("a key")
}

/// A message with these files, as it is shown.
async fn told(scene: &Scene, files: Vec<NewFile>) -> Message {
    let mut write = scene.store.write().await.expect("a write");
    let message = NewMessage {
        body: None,
        files,
        ..text("juliet@capulet.lit", "", None)
    };
    let id = add(&mut write, scene.chat, &message, true, at(1))
        .await
        .expect("stored")
        .expect("new");
    write.commit().await.expect("commits");
    shown(scene, id).await
}

async fn shown(scene: &Scene, message: MessageId) -> Message {
    let mut db = scene.store.read().await.expect("a reader");
    messages::get(&mut db, message, 1).await.expect("the message")
}

#[tokio::test]
async fn files_are_shown_in_the_order_of_their_message_and_found_by_name() {
    let scene = scene().await;
    let files = vec![new_file("zebra.png", Some(key())), new_file("apple.png", None)];
    let message = told(&scene, files).await;
    let [zebra, apple] = message.files.as_slice() else {
        panic!("{message:?}")
    };
    assert_eq!(
        (zebra.name.as_str(), apple.name.as_str()),
        ("zebra.png", "apple.png")
    );
    assert_eq!(
        (zebra.state, zebra.size, zebra.failure),
        (FileState::Offered, Some(50), None)
    );
    assert_eq!(
        (apple.state, apple.failure),
        (FileState::Failed, Some(FileFailure::NotEncrypted))
    );
    let mut db = scene.store.read().await.expect("a reader");
    let found = search::find(&mut db, "apple", None, 5, 1)
        .await
        .expect("searched");
    assert_eq!(found.first().map(|found| found.message), Some(message.message));
    let chat = chats::get(&mut db, scene.chat, 1).await.expect("the chat");
    assert_eq!(chat.last.map(|last| last.files.len()), Some(2));
}

#[tokio::test]
async fn what_opens_a_file_comes_back_as_it_was_stored() {
    let scene = scene().await;
    let message = told(&scene, vec![new_file("a", Some(key()))]).await;
    let file = message.files.first().expect("a file").file;
    let mut db = scene.store.read().await.expect("a reader");
    let sealed = files::get(&mut db, file).await.expect("the file");
    let (stored, given) = (sealed.key.expect("a key"), key());
    assert_eq!(
        (stored.cipher(), stored.key(), stored.iv()),
        (given.cipher(), given.key(), given.iv())
    );
    assert_eq!((stored.size(), stored.hashes()), (given.size(), given.hashes()));
    assert_eq!((sealed.message, sealed.chat), (message.message, scene.chat));
    assert_eq!(sealed.with.as_str(), "juliet@capulet.lit");
}

#[tokio::test]
async fn a_file_is_ready_or_has_failed_and_goes_with_its_account() {
    let scene = scene().await;
    let message = told(&scene, vec![new_file("a", Some(key()))]).await;
    let file = message.files.first().expect("a file").file;
    let mut write = scene.store.write().await.expect("a write");
    let picture = Picture { width: 3, height: 2 };
    files::ready(&mut write, file, "random", 49, Some(("image/png", picture)))
        .await
        .expect("stored");
    write.commit().await.expect("commits");
    let now = shown(&scene, message.message).await.files.remove(0);
    assert_eq!(
        (now.state, now.size, now.picture),
        (FileState::Ready, Some(49), Some(picture))
    );
    let mut db = scene.store.read().await.expect("a reader");
    assert!(files::stored(&mut db).await.expect("names").contains("random"));
    let of_account = files::of_account(&mut db, scene.account).await.expect("files");
    assert_eq!(of_account, [(file, Some("random".to_owned()))]);
    drop(db);

    let mut write = scene.store.write().await.expect("a write");
    files::failed(
        &mut write,
        file,
        FileFailure::Elsewhere,
        Some("cdn.example"),
        Some(70),
    )
    .await
    .expect("stored");
    write.commit().await.expect("commits");
    let now = shown(&scene, message.message).await.files.remove(0);
    assert_eq!(
        (now.state, now.failure, now.picture),
        (FileState::Failed, Some(FileFailure::Elsewhere), None)
    );
    assert_eq!((now.host.as_deref(), now.size), (Some("cdn.example"), Some(70)));

    let mut write = scene.store.write().await.expect("a write");
    accounts::delete(&mut write, scene.account)
        .await
        .expect("deleted");
    assert_eq!(
        files::get(&mut write, file).await.err().map(|error| error.code),
        Some(Code::NotFound)
    );
}
