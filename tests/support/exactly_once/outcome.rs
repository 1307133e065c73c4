//! What came of a run.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

use super::{Findings, Options};

/// Histories of one kind, held against what was written.
#[derive(Clone, Debug)]
pub struct View {
    /// Whose they are.
    pub name: &'static str,
    /// What is wrong with them.
    pub findings: Findings,
}

impl View {
    pub(super) fn named(name: &'static str) -> Self {
        Self {
            name,
            findings: Findings::default(),
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was asked for.
    pub options: Options,
    /// How often what struck.
    pub faults: BTreeMap<&'static str, usize>,
    /// How many of them were programs killed with signal 9.
    pub kills: usize,
    /// From the first message until all histories were read.
    pub seconds: u64,
    /// What is wrong, by kind of history.
    pub views: Vec<View>,
    /// What was waited for in vain, though it may have come later.
    pub troubles: Vec<String>,
    /// Where profiles and logs were kept, if anything is wrong.
    pub kept: Option<PathBuf>,
}

impl Outcome {
    /// Whether each message is everywhere once and in its place, and nobody was waited for in vain.
    pub fn is_clean(&self) -> bool {
        self.troubles.is_empty() && self.views.iter().all(|view| view.findings.is_clean())
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Options {
            messages,
            seed,
            encryption,
            modern,
            ..
        } = self.options;
        let faults: usize = self.faults.values().sum();
        writeln!(
            f,
            "{messages} messages, {faults} faults, {} of them kill -9, {} s; seed {seed}, encryption {encryption:?}, {}",
            self.kills,
            self.seconds,
            if modern {
                "SASL2, Bind2 and FAST"
            } else {
                "classic login"
            },
        )?;
        let kinds: Vec<String> = self
            .faults
            .iter()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        writeln!(f, "faults: {}", kinds.join(", "))?;
        writeln!(
            f,
            "{:<32}{:>9}{:>7}{:>9}{:>14}{:>10}{:>12}{:>9}",
            "histories", "messages", "lost", "doubled", "out of order", "not sent", "unreadable", "strange"
        )?;
        for View { name, findings } in &self.views {
            writeln!(
                f,
                "{name:<32}{:>9}{:>7}{:>9}{:>14}{:>10}{:>12}{:>9}",
                findings.wanted,
                findings.lost.len(),
                findings.doubled.len(),
                findings.out_of_order.len(),
                findings.unsent.len(),
                findings.unreadable.len(),
                findings.strange.len()
            )?;
        }
        for View { name, findings } in self.views.iter().filter(|view| !view.findings.is_clean()) {
            write!(f, "{name}:\n{findings}")?;
        }
        for trouble in &self.troubles {
            writeln!(f, "waited in vain: {trouble}")?;
        }
        if let Some(folder) = &self.kept {
            writeln!(f, "profiles and logs are kept in {}", folder.display())?;
        }
        Ok(())
    }
}
