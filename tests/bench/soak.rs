//! What runs long: `./x soak reconnects [N]`.

mod stream;

use std::process::ExitCode;
use std::time::Instant;

use waxwing_tests::reconnects::{Footprint, come_back};

const USAGE: &str = "waxwing-soak reconnects [N]

  N  how often the program, and the connection alone, is cut and comes back (10000)";

/// How much more may be held at the end than after a tenth of the way: by then the caches of the database and the
/// allocator are full, and a leak goes on.
const MEMORY: f64 = 1.05;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let rounds = match arguments.as_slice() {
        ["reconnects"] => Some(10_000),
        ["reconnects", number] => number.parse().ok().filter(|rounds| *rounds > 0),
        _ => None,
    };
    let Some(rounds) = rounds else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let flat = runtime.block_on(reconnects(rounds));
    if flat {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
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
