//! The very core that the window runs, behind JSON-RPC 2.0, one object a line, on standard input and output.
//! Exit codes: 0 for a clean end, 1 if the profile cannot be opened, 2 for wrong options, 3 if it is in use.

mod rpc;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use waxwing_core::Core;
use waxwing_core::error::{Code, Error, Result};
use waxwing_core::launch::{self, Launch, USAGE};
use waxwing_core::profile::Profile;

/// How long whoever reads standard output may take for the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

pub(crate) fn main() -> ExitCode {
    let launch = match launch::begin("waxwing-headless") {
        Ok(launch) if launch.profile.is_some() && launch.rest.is_empty() => launch,
        Ok(_) => {
            eprintln!("waxwing-headless {USAGE}");
            return ExitCode::from(2);
        }
        Err(code) => return code,
    };
    match run(&launch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", error.code.word());
            ExitCode::from(if error.code == Code::ProfileInUse { 3 } else { 1 })
        }
    }
}

fn run(launch: &Launch) -> Result<()> {
    let folder = launch
        .profile
        .as_deref()
        .ok_or_else(|| Error::invalid("--profile is missing"))?;
    let profile = Arc::new(Profile::lock(folder)?);
    let key = profile.key(&launch.key_source()?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Error::new(
                Code::Internal,
                format!("the runtime could not be started: {error}"),
            )
        })?;
    runtime.block_on(async {
        let core = Core::open(
            profile,
            &key,
            launch.ca_file.as_deref(),
            launch.downloads.as_deref(),
        )
        .await?;
        let (teller, writer, lines) = serve(&core).await;
        // First of all what matters; whoever reads standard output may have gone.
        core.close().await;
        end(teller, writer, lines).await;
        Ok::<(), Error>(())
    })?;
    // A read from standard input cannot be interrupted; it ends with the process.
    runtime.shutdown_background();
    Ok(())
}

/// What writes: the task that tells events, the task that writes lines, and the way to it.
type Writing = (JoinHandle<()>, JoinHandle<()>, mpsc::Sender<String>);

/// Until the end of input or a signal to end.
async fn serve(core: &Arc<Core>) -> Writing {
    let (lines, to_write) = mpsc::channel::<String>(1_024);
    let writer = tokio::spawn(rpc::write(to_write));
    let mut events = core.subscribe();
    let event_lines = lines.clone();
    let teller = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if event_lines.send(rpc::event(&event)).await.is_err() {
                break;
            }
        }
    });
    tokio::select! {
        () = rpc::answer(core, &lines) => {}
        () = ended() => {}
    }
    (teller, writer, lines)
}

/// Ends both tasks: the teller by force, the writer when nobody has a line for it any more, or after a while if nobody
/// reads them.
async fn end(teller: JoinHandle<()>, writer: JoinHandle<()>, lines: mpsc::Sender<String>) {
    teller.abort();
    drop(lines);
    if let Err(error) = teller.await
        && !error.is_cancelled()
    {
        tracing::error!(%error, "telling events failed");
    }
    match tokio::time::timeout(LAST_LINES, writer).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "writing failed"),
        Err(_) => tracing::warn!("nobody reads standard output"),
    }
}

/// A signal to end, from a terminal or from the system.
async fn ended() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = tokio::signal::ctrl_c() => {}
                }
                return;
            }
            Err(error) => tracing::warn!(%error, "a signal to end will not be noticed"),
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
