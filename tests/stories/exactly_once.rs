//! Nothing is lost, nothing is doubled, order is kept; `./x soak exactly-once` is the long run of it.

use waxwing_tests::exactly_once::{Encryption, Options, run};

const OPTIONS: Options = Options {
    messages: 300,
    faults: 60,
    kills: 9,
    seed: 1,
    encryption: Encryption::None,
    modern: false,
};

async fn is_clean(options: Options) {
    let outcome = run(&options, |_| {}).await;
    println!("{outcome}");
    assert!(outcome.is_clean(), "\n{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_messages_are_everywhere_once_and_in_order_whatever_breaks() {
    is_clean(OPTIONS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_messages_are_everywhere_once_and_in_order_whatever_breaks() {
    is_clean(Options {
        seed: 2,
        encryption: Encryption::Omemo,
        modern: true,
        ..OPTIONS
    })
    .await;
}
