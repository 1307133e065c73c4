//! Who writes what, and what strikes whom when: all of it drawn from one seed.

use std::fmt::{self, Display, Formatter};

use crate::{Draws, Fault};

/// Which chats are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// One chat, plain.
    None,
    /// One chat, encrypted.
    Omemo,
    /// Two chats at once, one of each.
    Both,
}

impl Encryption {
    /// Reads the word of the command line.
    pub fn read(word: &str) -> Option<Self> {
        match word {
            "none" => Some(Self::None),
            "omemo" => Some(Self::Omemo),
            "both" => Some(Self::Both),
            _ => None,
        }
    }

    /// The chats: whether each is encrypted.
    pub(super) fn talks(self) -> &'static [bool] {
        match self {
            Self::None => &[false],
            Self::Omemo => &[true],
            Self::Both => &[false, true],
        }
    }
}

/// What is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// So many messages are written.
    pub messages: usize,
    /// So many faults strike, kills among them.
    pub faults: usize,
    /// So many of the faults are programs killed with signal 9.
    pub kills: usize,
    /// From this everything is drawn that is left to chance.
    pub seed: u64,
    /// Which chats are encrypted.
    pub encryption: Encryption,
    /// The server has SASL2, Bind2 and FAST.
    pub modern: bool,
}

/// Who is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// Writes, on her first device.
    Alice,
    /// Writes back.
    Bob,
    /// Alice's second device, which only looks.
    Third,
}

impl Whom {
    pub(super) const ALL: [Self; 3] = [Self::Alice, Self::Bob, Self::Third];

    /// Where they stand among the three.
    pub(super) fn place(self) -> usize {
        match self {
            Self::Alice => 0,
            Self::Bob => 1,
            Self::Third => 2,
        }
    }

    fn any(draws: &mut Draws) -> Self {
        match draws.place(5) {
            0 | 1 => Self::Alice,
            2 | 3 => Self::Bob,
            _ => Self::Third,
        }
    }

    fn writer(draws: &mut Draws) -> Self {
        if draws.percent(50) { Self::Alice } else { Self::Bob }
    }
}

/// A message to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Alice or Bob.
    pub(super) writer: Whom,
    /// The chat's place among the chats.
    pub(super) talk: usize,
    /// Begins with the number of the line.
    pub(super) body: String,
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strike {
    /// The network does this for so many milliseconds.
    Network(Whom, Fault, u64),
    /// The program is killed, and started again after so many further messages or as soon as it is to write one.
    Kill(Whom, usize),
    /// The program is killed so many milliseconds after it was told to write the next message.
    KillInMidst(Whom, u64),
    /// The program is ended in good order, and started again as after a kill.
    End(Whom, usize),
    /// The server is killed, and started again after so many further messages.
    KillServer(usize),
    /// The server is ended in good order, and started again as after a kill.
    StopServer(usize),
}

impl Strike {
    /// What it counts as.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Network(_, fault, millis) => match fault {
                Fault::Cut => "reset",
                Fault::CutAfter(_) => "reset after bytes sent",
                Fault::CutBackAfter(_) => "reset after bytes received",
                Fault::Refuse => "refused",
                Fault::Stall if *millis >= LONG_STALL.0 => "stalled for long",
                Fault::Stall => "stalled",
                Fault::Silence => "silence",
                Fault::Drop => "dropped",
                Fault::Split => "split into bytes",
                Fault::Pass => "nothing",
            },
            Self::Kill(..) => "program killed",
            Self::KillInMidst(..) => "program killed in the midst of a request",
            Self::End(..) => "program ended",
            Self::KillServer(_) => "server killed",
            Self::StopServer(_) => "server ended",
        }
    }

    pub(super) fn is_kill(&self) -> bool {
        matches!(self, Self::Kill(..) | Self::KillInMidst(..))
    }

    /// Whether it is one that the server suffers.
    pub(super) fn is_of_server(&self) -> bool {
        matches!(self, Self::KillServer(_) | Self::StopServer(_))
    }
}

impl Display for Strike {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(whom, fault, millis) => write!(f, "{whom:?}: {fault:?} for {millis} ms"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// What is waited for between two strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing: the next one strikes on top.
    None,
    /// Until everybody is online.
    Online,
    /// Until the last message of each has arrived.
    Settled,
}

/// When something strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stroke {
    /// Before the message of this number it is waited for rest.
    pub(super) rest_at: usize,
    pub(super) rest: Rest,
    /// It strikes as soon as the message of this number is written, without waiting for what becomes of it.
    pub(super) at: usize,
    pub(super) strike: Strike,
}

/// Everything that happens, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) lines: Vec<Line>,
    pub(super) strokes: Vec<Stroke>,
}

/// So many milliseconds a connection stands still, when it is to be taken for dead.
const LONG_STALL: (u64, u64) = (12_000, 18_000);

impl Plan {
    pub(super) fn draw(options: &Options) -> Self {
        let mut draws = Draws::of(options.seed);
        let talks = options.encryption.talks().len();
        let mut writer = Whom::writer(&mut draws);
        let mut lines: Vec<Line> = Vec::with_capacity(options.messages);
        for number in 0..options.messages {
            // Several in a row, as people write.
            if draws.percent(30) {
                writer = Whom::writer(&mut draws);
            }
            lines.push(Line {
                writer,
                talk: draws.place(talks),
                body: body(number, &mut draws),
            });
        }
        let mut strikes = deck(options, &mut draws);
        draws.shuffle(&mut strikes);
        let mut strokes = Vec::with_capacity(strikes.len());
        let mut free = 0;
        for (strike, turn) in strikes.into_iter().zip(1..) {
            // Each has its share of the messages and strikes anywhere in it.
            let end = (turn * options.messages / options.faults).max(free + 1);
            let at = free + draws.place(end - free);
            let rest_at = free + draws.place(at + 1 - free);
            let rest = match draws.between(0, 9) {
                0..=2 => Rest::None,
                3..=6 => Rest::Online,
                _ => Rest::Settled,
            };
            if let (Strike::KillInMidst(whom, _), Some(line)) = (strike, lines.get_mut(at + 1)) {
                line.writer = whom;
            }
            strokes.push(Stroke {
                rest_at,
                rest,
                at,
                strike,
            });
            free = end;
        }
        Self { lines, strokes }
    }

    /// The number of the message with this text.
    pub(super) fn number(&self, body: &str) -> Option<usize> {
        let number: usize = body.split(' ').next()?.parse().ok()?;
        (self.lines.get(number)?.body == body).then_some(number)
    }

    /// The numbers of what somebody writes in a chat, in order.
    pub(super) fn written(&self, writer: Whom, talk: usize) -> Vec<usize> {
        let of = |line: &Line| line.writer == writer && line.talk == talk;
        let numbered = self.lines.iter().zip(0..);
        numbered
            .filter(|(line, _)| of(line))
            .map(|(_, number)| number)
            .collect()
    }
}

/// All strikes in fixed shares, so that each run has some of every kind.
fn deck(options: &Options, draws: &mut Draws) -> Vec<Strike> {
    let mut strikes = Vec::with_capacity(options.faults);
    for turn in 0..options.kills.min(options.faults) {
        strikes.push(if turn % 3 == 2 {
            Strike::KillInMidst(Whom::writer(draws), draws.between(0, 5))
        } else {
            Strike::Kill(Whom::any(draws), draws.place(8))
        });
    }
    let left = options.faults - strikes.len();
    for turn in 0..left {
        // In per mille of what are no kills.
        let share = turn * 1_000 / left;
        strikes.push(match share {
            0..40 => Strike::KillServer(draws.place(6)),
            40..70 => Strike::StopServer(draws.place(6)),
            70..100 => Strike::End(Whom::any(draws), draws.place(8)),
            _ => network(share, draws),
        });
    }
    strikes
}

fn network(share: usize, draws: &mut Draws) -> Strike {
    let whom = Whom::any(draws);
    let bytes = match draws.place(4) {
        0 => draws.between(1, 200),
        1 => draws.between(200, 2_000),
        2 => draws.between(2_000, 8_000),
        _ => draws.between(8_000, 60_000),
    };
    let (fault, (least, most)) = match share {
        0..360 => (Fault::Cut, (0, 50)),
        360..520 => (Fault::CutAfter(bytes), (200, 1_500)),
        520..680 => (Fault::CutBackAfter(bytes), (200, 1_500)),
        680..790 => (Fault::Refuse, (50, 1_500)),
        790..880 => (Fault::Stall, (50, 1_500)),
        880..920 => (Fault::Silence, (200, 1_500)),
        920..970 => (Fault::Split, (100, 2_000)),
        970..985 => (Fault::Stall, LONG_STALL),
        _ => (Fault::Drop, (0, 50)),
    };
    Strike::Network(whom, fault, draws.between(least, most))
}

const WORDS: [&str; 16] = [
    "wren",
    "heron",
    "the",
    "seven",
    "geese",
    "über",
    "naïve",
    "<b>",
    "&amp;",
    "\"quoted\"",
    "it's",
    "]]>",
    "🦆",
    "שלום",
    "line\nbreak",
    "日本語",
];

/// Mostly short, sometimes more than what a TLS record or a packet holds.
fn body(number: usize, draws: &mut Draws) -> String {
    let length = match draws.between(0, 199) {
        0..140 => draws.between(1, 40),
        140..190 => draws.between(40, 600),
        190..198 => draws.between(600, 6_000),
        _ => draws.between(17_000, 40_000),
    };
    let mut body = format!("{number:05}");
    while body.len() < usize::try_from(length).expect("it is small") {
        body.push(' ');
        body.push_str(WORDS[draws.place(WORDS.len())]);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options = Options {
        messages: 300,
        faults: 60,
        kills: 9,
        seed: 1,
        encryption: Encryption::Both,
        modern: false,
    };

    #[test]
    fn a_seed_always_makes_the_same_plan_and_another_one_makes_another() {
        let plan = Plan::draw(&OPTIONS);
        assert_eq!(plan, Plan::draw(&OPTIONS));
        assert_ne!(plan, Plan::draw(&Options { seed: 2, ..OPTIONS }));
    }

    #[test]
    fn everything_asked_for_is_in_the_plan_and_nothing_happens_behind_the_last_message() {
        for (messages, faults, kills) in [(300, 60, 9), (2_000, 200, 30), (10, 10, 0), (50, 1, 1)] {
            let plan = Plan::draw(&Options {
                messages,
                faults,
                kills,
                ..OPTIONS
            });
            assert_eq!((plan.lines.len(), plan.strokes.len()), (messages, faults));
            let killed = plan.strokes.iter().filter(|stroke| stroke.strike.is_kill());
            assert_eq!(killed.count(), kills);
            assert!(plan.strokes.iter().all(|stroke| stroke.rest_at <= stroke.at));
            assert!(plan.strokes.is_sorted_by_key(|stroke| stroke.at));
            assert!(plan.strokes.iter().all(|stroke| stroke.at < messages));
        }
    }

    #[test]
    fn each_line_is_found_by_its_whole_text_only() {
        let plan = Plan::draw(&OPTIONS);
        for (line, number) in plan.lines.iter().zip(0..) {
            assert_eq!(plan.number(&line.body), Some(number));
            assert_eq!(plan.number(&format!("{}!", line.body)), None);
        }
        let written: usize = [Whom::Alice, Whom::Bob]
            .into_iter()
            .flat_map(|writer| [0, 1].map(|talk| plan.written(writer, talk).len()))
            .sum();
        assert_eq!(written, 300);
    }
}
