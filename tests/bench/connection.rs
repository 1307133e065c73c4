//! How fast one signs in over a long way, and how soon an outage is noticed and over.

mod login;
mod outage;

/// Logins at 100 ms, then outages of all kinds for so many seconds; none of what is 0.
pub async fn connection(runs: usize, seconds: u64) {
    if runs > 0 {
        login::logins(runs).await;
    }
    if seconds > 0 {
        outage::outages(seconds).await;
    }
}
