//! Databases that older versions wrote, that newer ones wrote, that are damaged, and that somebody else holds.

use sqlx::ConnectOptions as _;

use super::*;

/// What an account with a history looked like in the first version.
const LIVED_IN: &str = "
    INSERT INTO account (id, address, password, resource, color) VALUES (1, 'romeo@montague.lit', 'secret', 'w-1', 0);
    INSERT INTO contact (account, address, name, subscription, asked)
        VALUES (1, 'juliet@capulet.lit', 'Juliet', 'both', 0);
    INSERT INTO chat (id, account, address, mode, unread, last_message, last_position)
        VALUES (1, 1, 'juliet@capulet.lit', 'none', 1, 2, 2000);
    INSERT INTO message (id, chat, position, sender, direction, body, sent_at, delivery, encryption, origin_id)
        VALUES (1, 1, 1000, 'romeo@montague.lit', 'out', 'soft', 1, 'waiting', 'none', 'a'),
               (2, 1, 2000, 'juliet@capulet.lit', 'in', 'by whose direction', 2, 'delivered', 'none', 'b');
    INSERT INTO message_words (rowid, body) VALUES (1, 'soft'), (2, 'by whose direction');
    INSERT INTO outbox (id, account, message, encrypt) VALUES (1, 1, 1, 'none');
";

fn options(file: &Path, key: &DatabaseKey) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .pragma("key", key.pragma())
        .pragma("cipher_log_level", "NONE")
        .disable_statement_logging()
        .journal_mode(SqliteJournalMode::Wal)
}

/// A database as the version with the first `count` migrations left it.
async fn written_with(count: usize, file: &Path, key: &DatabaseKey) {
    let all = sqlx::migrate!("./migrations");
    let mut db = options(file, key).connect().await.expect("a new database");
    for (step, fill) in [(1, true), (count, false)] {
        let some = sqlx::migrate::Migrator {
            migrations: all.iter().take(step).cloned().collect(),
            ..sqlx::migrate!("./migrations")
        };
        some.run(&mut db).await.expect("migrated");
        if fill {
            sqlx::raw_sql(LIVED_IN).execute(&mut db).await.expect("filled");
        }
    }
    sqlx::Connection::close(db).await.expect("closed");
}

#[tokio::test]
async fn a_database_of_each_older_version_opens_with_all_that_it_holds() {
    wait_for_database_threads_at_end();
    let all = sqlx::migrate!("./migrations").iter().count();
    assert!(all > 1);
    for count in 1..=all {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, key) = (folder.path().join("db"), DatabaseKey::random().expect("a key"));
        written_with(count, &file, &key).await;
        let store = Store::open(&file, &key).await.expect("it opens");
        let mut db = store.read().await.expect("a reader");
        let account = accounts::all(&mut db).await.expect("accounts")[0].id;
        let contacts = contacts::all(&mut db, account).await.expect("contacts");
        assert_eq!(contacts[0].name.as_deref(), Some("Juliet"), "{count}");
        let chat = chats::find(&mut db, account, &jid("juliet@capulet.lit"))
            .await
            .expect("a chat")
            .expect("the chat");
        let page = messages::page(&mut db, chat, None, 10, 0).await.expect("a page");
        let bodies: Vec<_> = page
            .iter()
            .filter_map(|message| message.body.as_deref())
            .collect();
        assert_eq!(bodies, ["soft", "by whose direction"], "{count}");
        let waiting = outbox::behind(&mut db, account, 0, 10).await.expect("the outbox");
        assert_eq!(waiting.len(), 1, "{count}");
        drop(db);
        // And it goes on.
        let mut write = store.write().await.expect("a write");
        hear(&mut write, chat, "more", at(9)).await;
        write.commit().await.expect("committed");
        store.close().await;
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    wait_for_database_threads_at_end();
    let folder = tempfile::tempdir().expect("a folder");
    let (file, key) = (folder.path().join("db"), DatabaseKey::random().expect("a key"));
    written_with(1, &file, &key).await;
    let mut db = options(&file, &key).connect().await.expect("the database");
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'of tomorrow', 1, x'00', 0)",
    )
    .execute(&mut db)
    .await
    .expect("marked");
    sqlx::Connection::close(db).await.expect("closed");
    let before = std::fs::read(&file).expect("the file");
    let refused = Store::open(&file, &key).await.err().expect("refused");
    assert_eq!(refused.code, Code::DatabaseNewer);
    assert_eq!(std::fs::read(&file).expect("the file"), before, "it was changed");
}

#[tokio::test]
async fn a_damaged_database_says_so_and_is_left_alone() {
    wait_for_database_threads_at_end();
    let folder = tempfile::tempdir().expect("a folder");
    let (file, key) = (folder.path().join("db"), DatabaseKey::random().expect("a key"));
    let all = sqlx::migrate!("./migrations").iter().count();
    written_with(all, &file, &key).await;
    let whole = std::fs::read(&file).expect("the file");
    // The first page is what every database begins with; without it no key opens it. Others tell damage from a wrong key.
    for (page, code) in [(0, Code::WrongPassphrase), (1, Code::DatabaseDamaged)] {
        let mut bytes = whole.clone();
        let from = page * 4096;
        bytes
            .iter_mut()
            .skip(from)
            .take(4096)
            .for_each(|byte| *byte ^= 0x55);
        std::fs::write(&file, &bytes).expect("written");
        let refused = match Store::open(&file, &key).await {
            Err(error) => error,
            Ok(store) => {
                let mut db = store.read().await.expect("a reader");
                accounts::all(&mut db)
                    .await
                    .map(|_| ())
                    .expect_err("it cannot be read")
            }
        };
        assert_eq!(refused.code, code, "page {page}");
        assert_eq!(std::fs::read(&file).expect("the file"), bytes, "it was changed");
    }
}

#[tokio::test]
async fn whoever_holds_the_database_for_a_moment_loses_nothing_of_ours() {
    wait_for_database_threads_at_end();
    let folder = tempfile::tempdir().expect("a folder");
    let (file, key) = (folder.path().join("db"), DatabaseKey::random().expect("a key"));
    let store = Store::open(&file, &key).await.expect("a database");
    let mut other = options(&file, &key).connect().await.expect("another program");
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .expect("held");
    let writing = async {
        let mut write = store.write().await.expect("a write");
        let account = account(&mut write, "romeo@montague.lit").await;
        write.commit().await.expect("committed");
        account
    };
    let release = async {
        // Reading goes on meanwhile, and that is what is waited for here.
        for _ in 0..20 {
            let mut db = store.read().await.expect("a reader");
            assert!(accounts::all(&mut db).await.expect("accounts").is_empty());
        }
        sqlx::query("COMMIT").execute(&mut other).await.expect("released");
    };
    let (account, ()) = tokio::join!(writing, release);
    let mut db = store.read().await.expect("a reader");
    assert_eq!(accounts::all(&mut db).await.expect("accounts")[0].id, account);
}
