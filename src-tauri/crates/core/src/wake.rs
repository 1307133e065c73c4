//! Notices that the machine woke up or that the network is another one, so that connections are looked after at once.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Weak;
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use if_watch::tokio::IfWatcher;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::Core;
use crate::account::{Command, tell_all};

/// How often the clocks are compared, for systems that do not say that they woke up.
const GLANCE: Duration = Duration::from_secs(20);
/// The clock of the day may run so much ahead of the other before that means sleep.
const DRIFT: Duration = Duration::from_secs(5);
/// A network comes up address by address.
const SETTLED: Duration = Duration::from_secs(1);

/// Runs until the core is gone.
pub(crate) async fn watch(core: Weak<Core>) {
    let (tell, mut told) = mpsc::channel(1);
    let watching = async {
        tokio::join!(clocks(tell.clone()), network(tell.clone()), system(tell));
    };
    tokio::pin!(watching);
    loop {
        tokio::select! {
            why = told.recv() => {
                let (Some(why), Some(core)) = (why, core.upgrade()) else { return };
                tracing::info!(why, "looking after all connections");
                tell_all(&core, || Command::Check).await;
            }
            () = &mut watching => return,
        }
    }
}

/// That one piece of news waits already is enough.
fn news(tell: &mpsc::Sender<&'static str>, why: &'static str) {
    let _ = tell.try_send(why);
}

/// While the machine sleeps, only the clock of the day goes on.
async fn clocks(tell: mpsc::Sender<&'static str>) {
    let mut ticks = interval(GLANCE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut day, mut run) = (SystemTime::now(), Instant::now());
    loop {
        ticks.tick().await;
        if slept(day.elapsed().unwrap_or_default(), run.elapsed()) {
            news(&tell, "the machine woke up");
        }
        (day, run) = (SystemTime::now(), Instant::now());
    }
}

/// Whether the clock of the day went on while the other stood still.
fn slept(day: Duration, run: Duration) -> bool {
    day > run + DRIFT
}

/// The addresses of the machine.
async fn network(tell: mpsc::Sender<&'static str>) {
    let mut watcher = match IfWatcher::new() {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "changes of the network are not noticed");
            return std::future::pending().await;
        }
    };
    let mut before: Option<BTreeSet<IpAddr>> = None;
    while watcher.next().await.is_some() {
        while let Ok(Some(_)) = timeout(SETTLED, watcher.next()).await {}
        let now: BTreeSet<IpAddr> = watcher
            .iter()
            .map(if_watch::IpNet::addr)
            .filter(|address| !address.is_loopback())
            .collect();
        if before.as_ref().is_some_and(|before| *before != now) {
            news(&tell, "the network changed");
        }
        before = Some(now);
    }
    std::future::pending::<()>().await;
}

/// What the system itself says about sleep.
#[cfg(target_os = "linux")]
async fn system(tell: mpsc::Sender<&'static str>) {
    if let Err(error) = login_daemon(&tell).await {
        tracing::debug!(%error, "the system does not say when it wakes up");
    }
    std::future::pending::<()>().await;
}

#[cfg(not(target_os = "linux"))]
async fn system(_: mpsc::Sender<&'static str>) {
    std::future::pending::<()>().await;
}

/// systemd's login daemon, and others that speak like it, say `PrepareForSleep(false)` after waking up.
#[cfg(target_os = "linux")]
async fn login_daemon(tell: &mpsc::Sender<&'static str>) -> zbus::Result<()> {
    let bus = zbus::Connection::system().await?;
    let daemon = zbus::Proxy::new(
        &bus,
        "org.freedesktop.login1",
        "/org/freedesktop/login1",
        "org.freedesktop.login1.Manager",
    )
    .await?;
    let mut signals = daemon.receive_signal("PrepareForSleep").await?;
    while let Some(signal) = signals.next().await {
        if !signal.body().deserialize::<bool>()? {
            news(tell, "the machine woke up");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_day_that_ran_ahead_means_sleep() {
        let seconds = Duration::from_secs;
        assert!(slept(seconds(3_600), seconds(20)));
        assert!(slept(seconds(26), seconds(20)));
        // A late tick on a busy machine, a clock that is corrected, a clock that was put back.
        assert!(!slept(seconds(90), seconds(90)));
        assert!(!slept(seconds(24), seconds(20)));
        assert!(!slept(Duration::ZERO, seconds(20)));
    }
}
