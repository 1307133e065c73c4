//! Waxwing and the messengers that people have on their desktops, live over a server, in OMEMO's legacy generation,
//! the one that they speak. `./x interop` runs this with Debian's packages of them.
//!
//! Alice uses Waxwing, Bob the other one.
#![cfg(target_os = "linux")]

mod client;
mod stories;

/// These stories with a messenger, each a test of its own.
macro_rules! stories_with {
    ($program:ident: $($story:ident)*) => {
        mod $program {$(
            #[tokio::test]
            #[ignore = "needs the messenger: ./x interop"]
            async fn $story() {
                crate::stories::$story(stringify!($program)).await;
            }
        )*}
    };
}

/// Every story with each of these messengers.
macro_rules! every_story_with {
    ($($program:ident)*) => {$(
        stories_with! {
            $program:
            alice_begins_and_bob_answers
            bob_begins_and_alice_answers
            five_of_each_in_a_row_are_read_in_order
            a_restart_of_either_side_harms_nothing
            what_is_written_while_the_other_is_away_is_read_later
            all_devices_of_both_read_everything
            bob_goes_on_after_losing_his_keys
            alice_goes_on_after_losing_her_profile
            bob_goes_on_after_putting_back_an_old_copy
            alice_goes_on_after_putting_back_an_old_copy
        }
    )*};
}

every_story_with! { profanity dino gajim }
