//! A few thousand steps of the model; `./x soak omemo` goes a hundred thousand.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail by a panic"
)]

mod model;
mod support;

#[test]
fn people_with_many_devices_in_a_bad_network_lose_nothing_in_silence_and_talk_again() {
    let tally = model::run(1, 4_000, |_| {}).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(
        tally.opened > 3_000 && tally.healed > 20 && tally.restored > 2,
        "{tally}"
    );
    assert!(
        tally.went_back > tally.restored && tally.seen_going_back > 0,
        "{tally}"
    );
    for reason in [
        "duplicate",
        "no-session",
        "unknown-prekey",
        "bad-mac",
        "key-reused",
    ] {
        assert!(tally.refused.contains_key(reason), "{reason} never came: {tally}");
    }
}
