//! Figures as a table.

use crate::machine;

/// A figure to be held against.
pub struct Against {
    /// Whose it is.
    pub who: String,
    /// Its size, in the unit of the line.
    pub figure: f64,
    /// How much worse still counts as ahead.
    pub allowance: f64,
}

impl Against {
    /// What another messenger needed for the same work on such a machine.
    pub fn peer(who: &str, figure: f64) -> Self {
        Self {
            who: who.to_owned(),
            figure,
            allowance: 0.0,
        }
    }

    /// The empty page, measured in the same run.
    pub fn bare(runs: &[f64], allowance: f64, unit: &str) -> Self {
        Self {
            who: format!("bare page (+ {allowance} {unit} allowed)"),
            figure: median(runs),
            allowance,
        }
    }
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Time, memory.
    Less,
    /// Rates.
    More,
}

/// What was measured.
pub struct Line {
    /// What it is.
    pub name: String,
    /// In what.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// Each run.
    pub runs: Vec<f64>,
    /// What it is held against.
    pub against: Vec<Against>,
}

impl Line {
    /// Less of it is better.
    pub fn less(name: impl Into<String>, unit: &'static str, runs: Vec<f64>, against: Vec<Against>) -> Self {
        Self {
            name: name.into(),
            unit,
            better: Better::Less,
            runs,
            against,
        }
    }

    /// More of it is better.
    pub fn more(name: impl Into<String>, unit: &'static str, runs: Vec<f64>) -> Self {
        Self {
            name: name.into(),
            unit,
            better: Better::More,
            runs,
            against: Vec::new(),
        }
    }
}

/// The middle one; none is NaN.
pub fn median(runs: &[f64]) -> f64 {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

/// Figures that are not all alike: what most have and what the unlucky have.
pub struct Spread {
    /// What it is, in seconds.
    name: &'static str,
    figures: Vec<f64>,
    /// What 95 of 100 shall not exceed.
    target: Option<f64>,
}

impl Spread {
    /// Seconds, the less the better.
    pub fn new(name: &'static str, figures: Vec<f64>, target: Option<f64>) -> Self {
        Self {
            name,
            figures,
            target,
        }
    }

    /// The figure that so many of a hundred do not exceed; none is NaN.
    fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.figures.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
    }
}

/// Prints a bench whose figures are spread: how it was measured in a sentence, then its lines.
pub fn print_spread(name: &str, how: &str, lines: &[Spread]) {
    println!("\n{name}: {how} (load {})", machine::load());
    println!(
        "{:44} {:>6} {:>9} {:>9} {:>9} {:>4}  95 of 100",
        "", "unit", "p50", "p95", "max", "runs"
    );
    for line in lines {
        let [half, most, all] = [50, 95, 100].map(|percent| line.percentile(percent));
        let verdict = line.target.map_or(String::new(), |target| {
            let kept = if most <= target { "kept" } else { "MISSED" };
            format!("at most {target} s: {kept}")
        });
        println!(
            "{:44} {:>6} {:>9} {:>9} {:>9} {:>4}  {verdict}",
            line.name,
            "s",
            number(half),
            number(most),
            number(all),
            line.figures.len()
        );
    }
}

/// Prints the head of the table.
pub fn begin() {
    println!(
        "{:44} {:>6} {:>9} {:>9} {:>9} {:>4}  {:32} {:>9} {:>6}",
        "", "unit", "median", "min", "max", "runs", "against", "its", "ratio"
    );
}

/// Prints a bench: how it was measured in a sentence, then its lines.
pub fn print(name: &str, how: &str, lines: &[Line]) {
    println!("\n{name}: {how} (load {})", machine::load());
    for line in lines {
        print_line(line);
    }
}

fn print_line(line: &Line) {
    let ours = median(&line.runs);
    let least = line.runs.iter().copied().fold(f64::INFINITY, f64::min);
    let most = line.runs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let figures = format!(
        "{:44} {:>6} {:>9} {:>9} {:>9} {:>4}",
        line.name,
        line.unit,
        number(ours),
        number(least),
        number(most),
        line.runs.len()
    );
    if line.against.is_empty() {
        println!("{figures}");
    }
    for (index, other) in line.against.iter().enumerate() {
        let figures = if index == 0 {
            figures.clone()
        } else {
            " ".repeat(figures.chars().count())
        };
        let ahead = match line.better {
            Better::Less => ours <= other.figure + other.allowance,
            Better::More => ours >= other.figure - other.allowance,
        };
        println!(
            "{figures}  {:32} {:>9} {:>6.2}  {}",
            other.who,
            number(other.figure),
            ours / other.figure,
            if ahead { "ahead" } else { "behind" }
        );
    }
}

/// Three figures that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
