//! How the programs here begin and end.

use std::process::ExitCode;

/// Reads the command line and runs what it asks for; `run` says whether all is well. `read` gives none if help is wanted.
pub fn run<T>(
    usage: &str,
    read: impl FnOnce(lexopt::Parser) -> Result<Option<T>, lexopt::Error>,
    run: impl AsyncFnOnce(T) -> bool,
) -> ExitCode {
    let wanted = match read(lexopt::Parser::from_env()) {
        Ok(Some(wanted)) => wanted,
        Ok(None) => {
            println!("{usage}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n{usage}");
            return ExitCode::from(2);
        }
    };
    let good = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(run(wanted));
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
