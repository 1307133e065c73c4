//! A disk without room, and with room again.

use super::*;

#[tokio::test]
async fn after_a_full_disk_everything_can_be_written_again() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count")
        .fetch_one(&mut *write)
        .await
        .expect("a count");
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "PRAGMA max_page_count = {}",
        pages + 2
    )))
    .execute(&mut *write)
    .await
    .expect("set");
    let large = "x".repeat(1_000_000);
    let full = add(
        &mut write,
        scene.chat,
        &text("juliet@capulet.lit", &large, None),
        true,
        at(1),
    )
    .await;
    assert_eq!(full.expect_err("there is no room").code, Code::DiskFull);
    // As SQLite does by itself where the disk itself is full; the connection does not hear of it.
    sqlx::query("ROLLBACK")
        .execute(&mut *write)
        .await
        .expect("rolled back");
    drop(write);

    let mut write = scene.store.write().await.expect("a write");
    sqlx::query("PRAGMA max_page_count = 1000000")
        .execute(&mut *write)
        .await
        .expect("set");
    hear(&mut write, scene.chat, "small", at(2)).await;
    write.commit().await.expect("committed");
    let mut db = scene.store.read().await.expect("a reader");
    let page = messages::page(&mut db, scene.chat, None, 10, 0)
        .await
        .expect("a page");
    let bodies: Vec<_> = page.iter().map(|message| message.body.as_deref()).collect();
    assert_eq!(bodies, [Some("small")]);
}
