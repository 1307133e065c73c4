//! The program ends at every place of sending, receiving, ratchets, publishing and catching up; nothing is lost.
//! `./x soak fail-points` tries each ten times.

use waxwing_tests::fail_points::{run, trials};
use waxwing_tests::program;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_the_program_ends_it_goes_on_with_nothing_lost_doubled_or_out_of_order() {
    let trials = trials(1, true).await;
    assert!(!trials.is_empty(), "the program names no points");
    let wrong = run(trials, |_| {}).await;
    for (trial, what) in &wrong {
        eprintln!("{trial}: {what}");
    }
    assert!(wrong.is_empty(), "{} trials went wrong", wrong.len());
}

#[test]
fn no_program_that_people_get_has_fail_points() {
    let holds = |name: &str| {
        let bytes = std::fs::read(program(name)).expect("the program is built");
        let what = b"WAXWING_FAIL";
        bytes.windows(what.len()).any(|window| window == what)
    };
    assert!(holds("waxwing-failing"), "the search finds nothing where it is");
    assert!(!holds("waxwing-headless"), "fail points are in what people get");
    assert!(!holds("waxwing"), "fail points are in what people get");
}
