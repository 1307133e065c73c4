//! How a profile with a very long history opens.

use serde_json::json;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use tempfile::TempDir;
use waxwing_core::profile::{self, KeySource};
use waxwing_core::secret::Secret;
use waxwing_tests::window::Display;
use waxwing_tests::{PASSPHRASE, Profile, Prosody, items};

use crate::program::Headless;
use crate::report::{self, Line};
use crate::started::now;
use crate::{machine, start};

const ME: &str = "wren@waxwing.test";
const CHATS: usize = 200;
/// What each start shall take at most, in seconds.
const TARGET: f64 = 2.0;

/// Starts of the headless program and of the window with so many messages in two hundred chats.
pub async fn million(runs: usize, messages: usize) {
    let server = Prosody::start(&[ME]).await;
    let profile = Profile::trusting(&server);
    let mut headless = Headless::start(&profile).await;
    let account = headless.sign_in(ME, server.direct_tls_port).await;
    for number in 0..CHATS {
        let address = format!("contact-{number:04}@waxwing.test");
        headless
            .get("open_chat", json!({ "account": account, "address": address }))
            .await;
    }
    headless.stop().await;
    fill(&profile, messages).await;

    let (mut ready, mut chats, mut window, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let begun = now();
        let mut headless = Headless::start(&profile).await;
        ready.push((now() - begun) / 1_000.0);
        let list = headless.get("list_chats", json!({})).await;
        assert_eq!(items(&list).len(), CHATS);
        let newest = headless.newest(&items(&list)[0]["chat"], 50).await;
        assert_eq!(newest.len(), 50, "the newest page is there");
        chats.push((now() - begun) / 1_000.0);
        memory.push(machine::most_memory(headless.process()));
        headless.stop().await;
        window.push(opened(&profile).await);
    }
    #[allow(clippy::cast_precision_loss, reason = "some hundred megabytes")]
    let size = profile.database_size() as f64 / 1_048_576.0;
    report::print(
        "million",
        &format!(
            "{messages} messages in {CHATS} chats, of the account that is signed in: from exec until the program says that \
             it is ready, until it has told the chats and the newest page of one, and until the window shows its lists; \
             each shall be within {TARGET} s"
        ),
        &[
            Line::less("headless: ready", "s", ready, Vec::new()),
            Line::less("headless: chats and a page", "s", chats, Vec::new()),
            Line::less("window: lists on the screen", "s", window, Vec::new()),
            Line::less("headless: most memory", "MiB", memory, Vec::new()),
            Line::less("size of the database", "MiB", vec![size], Vec::new()),
        ],
    );
}

/// Seconds from exec until the window's lists are drawn.
async fn opened(profile: &Profile) -> f64 {
    let screen = TempDir::new().expect("a temporary directory");
    let (display, pixels) = Display::in_file(screen.path()).await;
    let opened = start::open(&display, &pixels, "waxwing", &profile.arguments()).await;
    opened.window.find("html[data-ready=true]").await;
    opened.window.find("[data-testid=chat-row]").await;
    let drawn = (now() - opened.started.at) / 1_000.0;
    opened.window.close().await;
    drawn
}

/// Writes messages into the profile's database as the program would have them, spread over all chats.
async fn fill(profile: &Profile, messages: usize) {
    let locked = profile::Profile::lock(&profile.directory()).expect("no program has the profile open");
    let source = KeySource::Passphrase(Secret::from(PASSPHRASE.to_owned()));
    let key = locked.key(&source).expect("the passphrase opens it");
    let mut db = SqliteConnectOptions::new()
        .filename(locked.database())
        .pragma("key", key.pragma())
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Off)
        .disable_statement_logging()
        .connect()
        .await
        .expect("the database opens");
    let messages = i64::try_from(messages).expect("fewer than 2^63");
    for statement in [
        "INSERT INTO message (chat, position, sender, direction, body, sent_at, delivery, encryption, stanza_id,
             origin_id, archive_id)
         WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < ?1)
         SELECT chat.id, (1600000000 + n) * 1000000, iif(n / ?2 % 2, account.address, chat.address),
             iif(n / ?2 % 2, 'out', 'in'), 'message ' || n || ' about the weather, the garden and ' || n % 997,
             (1600000000 + n) * 1000, iif(n / ?2 % 2, 'sent', 'delivered'), 'none', 's' || n, 'o' || n, 'a' || n
         FROM number JOIN (SELECT row_number() OVER (ORDER BY id) - 1 AS place, * FROM chat) AS chat ON place = n % ?2
         JOIN account ON account.id = chat.account",
        "INSERT INTO message_words (rowid, body) SELECT id, body FROM message WHERE ?1 AND ?2",
        "UPDATE chat SET last_message = last.id, last_position = last.position, read_up_to = last.id
         FROM (SELECT id, chat, max(position) AS position FROM message WHERE ?1 AND ?2 GROUP BY chat) AS last
         WHERE chat.id = last.chat",
    ] {
        sqlx::query(statement)
            .bind(messages)
            .bind(i64::try_from(CHATS).expect("few"))
            .execute(&mut db)
            .await
            .expect("messages are written");
    }
    sqlx::Connection::close(db).await.expect("the database closes");
}
