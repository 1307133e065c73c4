//! What runs long: `./x soak reconnects [N]`, `./x soak exactly-once`, `./x soak fail-points [N]`.

mod command_line;
mod stream;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use lexopt::Arg::{Long, Short, Value};
use lexopt::ValueExt as _;
use waxwing_tests::exactly_once::{self, Encryption, Options, Progress};
use waxwing_tests::fail_points;
use waxwing_tests::reconnects::{Footprint, come_back};

const USAGE: &str = "waxwing-soak reconnects [N]

  N  how often the program, and the connection alone, is cut and comes back (10000)

waxwing-soak exactly-once [--messages N] [--faults F] [--kills K] [--seed S] [--encryption WHICH] [--server KIND]

  --messages N        so many messages are written by two programs to each other (2000)
  --faults F          so often a network, a program or the server breaks meanwhile (a tenth of the messages)
  --kills K           so many of the faults are programs killed with signal 9 (15 of 100)
  --seed S            all that is left to chance comes from this number (1)
  --encryption WHICH  none, omemo, or both: two chats at once, one of each (both)
  --server KIND       classic, or modern: with SASL2, Bind2 and FAST (classic if the seed is even)

waxwing-soak fail-points [N] [--point NAME]

  N             how often the program ends at each fail point, in plain and in encrypted chats (10)
  --point NAME  only at those whose name has this in it";

/// How much more may be held at the end than after a tenth of the way: by then the caches of the database and the
/// allocator are full, and a leak goes on.
const MEMORY: f64 = 1.05;

/// What to run.
enum Soak {
    Reconnects(usize),
    ExactlyOnce(Options),
    /// How often at each, and what its name has in it.
    FailPoints(usize, String),
}

fn main() -> ExitCode {
    command_line::run(USAGE, read, async |soak| match soak {
        Soak::Reconnects(rounds) => reconnects(rounds).await,
        Soak::ExactlyOnce(options) => exactly_once(&options).await,
        Soak::FailPoints(times, name) => fail_points(times, &name).await,
    })
}

fn read(mut parser: lexopt::Parser) -> Result<Option<Soak>, lexopt::Error> {
    let name = match parser.next()? {
        Some(Value(name)) => name.string()?,
        Some(Long("help") | Short('h')) => return Ok(None),
        Some(other) => return Err(other.unexpected()),
        None => return Err("what is to be run is missing".into()),
    };
    match name.as_str() {
        "reconnects" => read_reconnects(&mut parser),
        "fail-points" => read_fail_points(&mut parser),
        "exactly-once" => read_exactly_once(&mut parser),
        other => Err(format!("there is no soak {other:?}").into()),
    }
}

fn read_reconnects(parser: &mut lexopt::Parser) -> Result<Option<Soak>, lexopt::Error> {
    let mut count = 10_000;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Value(number) => count = once_at_least(&number)?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(Soak::Reconnects(count)))
}

fn read_fail_points(parser: &mut lexopt::Parser) -> Result<Option<Soak>, lexopt::Error> {
    let (mut times, mut name) = (10, String::new());
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Long("point") => name = parser.value()?.string()?,
            Value(number) => times = once_at_least(&number)?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(Soak::FailPoints(times, name)))
}

fn once_at_least(number: &OsString) -> Result<usize, lexopt::Error> {
    match number.parse()? {
        0 => Err("it is done once at least".into()),
        count => Ok(count),
    }
}

fn read_exactly_once(parser: &mut lexopt::Parser) -> Result<Option<Soak>, lexopt::Error> {
    let (mut messages, mut seed, mut encryption) = (2_000, 1, Encryption::Both);
    let (mut faults, mut kills, mut server) = (None, None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Long("messages") => messages = parser.value()?.parse()?,
            Long("faults") => faults = Some(parser.value()?.parse()?),
            Long("kills") => kills = Some(parser.value()?.parse()?),
            Long("seed") => seed = parser.value()?.parse()?,
            Long("encryption") => {
                let word = parser.value()?.string()?;
                encryption = Encryption::read(&word).ok_or("--encryption is none, omemo or both")?;
            }
            Long("server") => {
                server = Some(match parser.value()?.string()?.as_str() {
                    "classic" => false,
                    "modern" => true,
                    _ => return Err("--server is classic or modern".into()),
                });
            }
            other => return Err(other.unexpected()),
        }
    }
    let faults = faults.unwrap_or(messages / 10);
    let kills = kills.unwrap_or(faults * 15 / 100);
    if messages == 0 || faults > messages || kills > faults {
        return Err("there are no more faults than messages, and no more kills than faults".into());
    }
    Ok(Some(Soak::ExactlyOnce(Options {
        messages,
        faults,
        kills,
        seed,
        encryption,
        modern: server.unwrap_or(seed % 2 == 1),
    })))
}

/// Lets everything break and holds all histories against what was written; true if they are whole.
async fn exactly_once(options: &Options) -> bool {
    let outcome = exactly_once::run(options, |progress| tell(options, progress)).await;
    eprintln!();
    println!("{outcome}");
    println!(
        "{}",
        if outcome.is_clean() {
            "each message is everywhere once and in its place"
        } else {
            "NOT EXACTLY ONCE"
        }
    );
    outcome.is_clean()
}

/// Ends the program at each fail point whose name has this in it; true if nothing was lost, doubled or out of order.
async fn fail_points(times: usize, name: &str) -> bool {
    let mut trials = fail_points::trials(times, false).await;
    trials.retain(|trial| trial.point.contains(name));
    let (count, begun) = (trials.len(), Instant::now());
    let names = trials.iter().map(|trial| trial.point.as_str());
    let points = names.collect::<BTreeSet<_>>().len();
    let wrong = fail_points::run(trials, |done| {
        eprint!("\r{done} of {count}, {} s ", begun.elapsed().as_secs());
        let _ = std::io::stderr().flush();
    })
    .await;
    eprintln!();
    for (trial, what) in &wrong {
        println!("{trial}: {what}");
    }
    println!(
        "{points} points, {count} times ended and begun again, {} s: {} went wrong",
        begun.elapsed().as_secs(),
        wrong.len()
    );
    wrong.is_empty() && count > 0
}

/// One line that is written anew.
fn tell(options: &Options, progress: Progress) {
    eprint!(
        "\rmessage {} of {}, fault {} of {}, {} s ",
        progress.messages,
        options.messages,
        progress.faults,
        options.faults,
        progress.elapsed.as_secs()
    );
    let _ = std::io::stderr().flush();
}

/// Cuts and comes back; true if what is held stayed flat.
async fn reconnects(rounds: usize) -> bool {
    let marks = marks(rounds);
    let mut program = Watched::begin("the program, through the whole account task");
    come_back(&marks, |round, held| program.saw(round, held)).await;
    let mut alone = Watched::begin("the connection alone (waxwing-stream), resumed each time");
    stream::come_back(&marks, |round, held| alone.saw(round, held)).await;
    [program.is_flat(), alone.is_flat()] == [true, true]
}

/// After the first hundred, at every tenth and at the end.
fn marks(rounds: usize) -> Vec<usize> {
    let mut marks: Vec<usize> = (1..=10).map(|tenth| rounds * tenth / 10).collect();
    marks.push(100.min(rounds));
    marks.retain(|mark| *mark >= 100.min(rounds));
    marks.sort_unstable();
    marks.dedup();
    marks
}

/// What was held at the marks, printed as it is seen.
struct Watched {
    begun: Instant,
    seen: Vec<(usize, Footprint)>,
}

impl Watched {
    fn begin(what: &str) -> Self {
        println!(
            "\n{what}\n{:>9} {:>11} {:>11} {:>9}",
            "rounds", "memory MiB", "open files", "seconds"
        );
        Self {
            begun: Instant::now(),
            seen: Vec::new(),
        }
    }

    fn saw(&mut self, round: usize, held: Footprint) {
        let seconds = self.begun.elapsed().as_secs_f64();
        println!(
            "{round:>9} {:>11.2} {:>11} {seconds:>9.1}",
            held.memory, held.files
        );
        self.seen.push((round, held));
    }

    fn is_flat(&self) -> bool {
        let Some((rounds, last)) = self.seen.last() else {
            return false;
        };
        let warm = self.seen.iter().find(|(round, _)| round * 10 >= *rounds);
        let flat =
            warm.is_some_and(|(_, warm)| last.memory <= warm.memory * MEMORY && last.files <= warm.files);
        println!("{}", if flat { "flat" } else { "NOT FLAT" });
        flat
    }
}
