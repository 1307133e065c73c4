//! How fast and how large Waxwing is: `./x bench [NAME…]`.
//!
//! Measures the real programs against a real server on loopback, beside a window with an empty page in the same run
//! and beside what other messengers needed for the same work on such a machine.

mod burst;
mod catch_up;
mod command_line;
mod connection;
mod encrypted;
mod machine;
mod million;
mod omemo;
mod pixel;
mod program;
mod receive;
mod report;
mod screen;
mod sender;
mod start;
mod started;

use std::process::ExitCode;

use lexopt::Arg::{Long, Short, Value};

const USAGE: &str = "waxwing-bench [--runs N] [--messages N] [--seconds N] [--timelines] [NAME…]

  --runs N      how often each window is opened , each login is made (5)
  --messages N  how many messages are received (5000 plain, 300 encrypted at most)
  --archived N  how many messages are in the archive; can be given again (10000 and 100000)
  --seconds N   how long networks go away and come back (360)
  --timelines   also print what each page knows about its own start, in milliseconds from exec
  NAME          start, memory, omemo, receive, burst, pixel, catch-up, million, connection; all if none is given";

/// What to measure, and how much of it.
struct Options {
    runs: usize,
    messages: usize,
    archived: Vec<usize>,
    seconds: u64,
    timelines: bool,
    names: Vec<String>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() == Some(started::FLAG.as_ref()) {
        return started::become_program(arguments);
    }
    command_line::run(USAGE, read, async |options| {
        measure(&options).await;
        true
    })
}

fn read(mut parser: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options {
        runs: 5,
        messages: 5_000,
        archived: Vec::new(),
        seconds: 360,
        timelines: false,
        names: Vec::new(),
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("runs") => options.runs = lexopt::ValueExt::parse(&parser.value()?)?,
            Long("messages") => options.messages = lexopt::ValueExt::parse(&parser.value()?)?,
            Long("archived") => options.archived.push(lexopt::ValueExt::parse(&parser.value()?)?),
            Long("seconds") => options.seconds = lexopt::ValueExt::parse(&parser.value()?)?,
            Long("timelines") => options.timelines = true,
            Long("help") | Short('h') => return Ok(None),
            Value(name) => options.names.push(lexopt::ValueExt::string(name)?),
            other => return Err(other.unexpected()),
        }
    }
    if options.archived.is_empty() {
        options.archived = vec![10_000, 100_000];
    }
    if options.names.is_empty() {
        options.names = [
            "start",
            "memory",
            "omemo",
            "receive",
            "burst",
            "pixel",
            "catch-up",
            "million",
            "connection",
        ]
        .map(str::to_owned)
        .to_vec();
    }
    Ok(Some(options))
}

async fn measure(options: &Options) {
    report::begin();
    for name in &options.names {
        match name.as_str() {
            "start" => start::start(options.runs, options.timelines).await,
            "memory" => start::memory(options.runs).await,
            "omemo" => omemo::speed().await,
            "receive" => receive::receive(options.messages).await,
            "burst" => burst::burst(options.messages).await,
            "catch-up" => catch_up::catch_up(options.runs.min(3), &options.archived).await,
            "million" => million::million(options.runs, 1_000_000).await,
            "connection" => connection::connection(options.runs, options.seconds).await,
            "pixel" => pixel::pixel().await,
            other => panic!("there is no bench {other:?}\n{USAGE}"),
        }
    }
}
