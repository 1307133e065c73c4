//! A table of odd and hostile servers: what each of them does, and what the person sees.
//!
//! One program has an account at each of them at the same time, so that no row waits for another one's time-out. None
//! of them may learn anything about the others, nor anything of its own account before TLS.

mod archive;
mod archived;
mod login;
mod row;
mod session;
mod stanzas;
mod stream;
mod tls;
mod today;

use row::{Row, Table};

fn rows() -> Vec<Row> {
    [
        tls::rows(),
        stream::rows(),
        login::rows(),
        today::rows(),
        session::rows(),
        stanzas::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_odd_server_is_told_to_the_person_as_what_it_is() {
    let mut table = Table::set(rows()).await;
    assert!(table.rows() >= 60, "the table has only {} rows", table.rows());
    table.wait().await;
    table.report().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_an_archive_does_the_person_reads_and_writes_and_a_good_one_makes_all_whole() {
    let mut table = Table::set(archive::rows().into_iter().chain(archived::rows()).collect()).await;
    table.wait_for(archive::LIMIT).await;
    table.report().await;
}
