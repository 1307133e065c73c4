//! The model in `tests/model`, for as long as one likes: `./x soak omemo [--steps N] [--seed S]`.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what must not happen ends the run"
)]

#[path = "../tests/model/mod.rs"]
mod model;
#[path = "../tests/support/mod.rs"]
mod support;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use lexopt::Arg::{Long, Short};
use lexopt::ValueExt as _;

const USAGE: &str = "./x soak omemo [--steps N] [--seed S]

  --steps N  so many things happen to people with two to five devices (100000)
  --seed S   all that is left to chance comes from this number (1)";

fn main() -> ExitCode {
    let (steps, seed) = match read() {
        Ok(Some(wanted)) => wanted,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let outcome = model::run(seed, steps, |tally| {
        eprint!(
            "\rstep {} of {steps}, {} s ",
            tally.steps,
            begun.elapsed().as_secs()
        );
        let _ = std::io::stderr().flush();
    });
    eprintln!();
    match outcome {
        Ok(tally) => {
            println!(
                "{tally}\n{} s: each opened once or had its reason",
                begun.elapsed().as_secs()
            );
            ExitCode::SUCCESS
        }
        Err(broken) => {
            println!("BROKEN: {broken}");
            ExitCode::FAILURE
        }
    }
}

fn read() -> Result<Option<(usize, u64)>, lexopt::Error> {
    let (mut steps, mut seed) = (100_000, 1);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("steps") => steps = parser.value()?.parse()?,
            Long("seed") => seed = parser.value()?.parse()?,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some((steps, seed)))
}
