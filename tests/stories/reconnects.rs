//! Coming back costs nothing that stays; `./x soak reconnects` does the same ten thousand times.

use waxwing_tests::reconnects::come_back;

#[tokio::test]
async fn fifty_reconnects_leave_memory_and_open_files_as_they_were() {
    let mut held = Vec::new();
    come_back(&[20, 50], |_, footprint| held.push(footprint)).await;
    let [first, last] = held.as_slice() else {
        panic!("two marks, not {held:?}");
    };
    assert!(last.files <= first.files, "open files: {held:?}");
    // The allocator keeps some of what was used once; thirty connections that stayed would be far more.
    assert!(last.memory <= first.memory + 3.0, "memory in MiB: {held:?}");
}
