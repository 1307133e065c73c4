//! What the programs and the server hold at the end, held against what was written.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::check::{Findings, Row, check};
use super::crew::{Member, row};
use super::outcome::View;
use super::plan::{Plan, Whom};
use super::{ALICE, FRIENDS};
use crate::Prosody;

/// What each program shows of each talk, by the place of both.
pub(super) struct Histories<'a> {
    plan: &'a Plan,
    encrypted: &'static [bool],
    shown: Vec<Vec<Vec<Value>>>,
}

impl<'a> Histories<'a> {
    pub(super) async fn read(plan: &'a Plan, encrypted: &'static [bool], crew: &mut [Member]) -> Self {
        let mut shown = Vec::new();
        for member in crew {
            let mut talks = Vec::new();
            for talk in 0..encrypted.len() {
                talks.push(member.history(talk).await);
            }
            shown.push(talks);
        }
        Self {
            plan,
            encrypted,
            shown,
        }
    }

    /// The rows of a talk with somebody, all or only those that they say somebody wrote.
    fn rows(&self, holder: Whom, talk: usize, writer: Option<Whom>) -> Vec<Row> {
        let of = |message: &&Value| {
            writer.is_none_or(|writer| (message["from"] == ALICE) == (writer == Whom::Alice))
        };
        let messages = self.shown[holder.place()][talk].iter().filter(of);
        messages
            .map(|message| row(self.plan, self.encrypted[talk], message))
            .collect()
    }

    /// Each writer's messages with the writer, with the reader and on the third device.
    pub(super) fn views(&self) -> Vec<View> {
        let mut views = ["the writer's own", "the reader's", "the third device's"].map(View::named);
        for talk in 0..self.encrypted.len() {
            for writer in [Whom::Alice, Whom::Bob] {
                let wanted = self.plan.written(writer, talk);
                for holder in Whom::ALL {
                    let view = match holder {
                        Whom::Third => &mut views[2],
                        holder => &mut views[usize::from(holder != writer)],
                    };
                    let rows = self.rows(holder, talk, Some(writer));
                    view.findings.add(&check(&wanted, &rows));
                }
            }
        }
        views.to_vec()
    }

    /// The server's archives, and whether the third device, which wrote nothing itself, shows each talk in the order
    /// of Alice's archive. The server must not run.
    pub(super) fn archives(&self, server: &Prosody) -> Vec<View> {
        let mut archives = View::named("the server's archives");
        let mut third = View::named("the third device's, by archive");
        let mine = self.archive_of(server, ALICE);
        for (talk, friend) in FRIENDS.iter().take(self.encrypted.len()).enumerate() {
            let theirs = self.archive_of(server, friend);
            for writer in [Whom::Alice, Whom::Bob] {
                let wanted = self.plan.written(writer, talk);
                archives.findings.add(&check(&wanted, &mine));
                archives.findings.add(&check(&wanted, &theirs));
            }
            let order = self.order_of(&mine, talk);
            let findings = check(&order, &self.rows(Whom::Third, talk, None));
            // What is wrong besides the order stands in the other views.
            third.findings.add(&Findings {
                wanted: findings.wanted,
                out_of_order: findings.out_of_order,
                ..Findings::default()
            });
        }
        vec![archives, third]
    }

    /// The messages of a talk in an archive's order, each where it stands first.
    fn order_of(&self, archive: &[Row], talk: usize) -> Vec<usize> {
        let mut seen = HashSet::new();
        let numbers = archive.iter().filter_map(Row::number);
        numbers
            .filter(|number| self.plan.lines[*number].talk == talk && seen.insert(*number))
            .collect()
    }

    /// The messages in the archive of an account, known by the ids that their writers gave them.
    fn archive_of(&self, server: &Prosody, address: &str) -> Vec<Row> {
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        for message in self.shown.iter().flatten().flatten() {
            let number = message["body"].as_str().and_then(|body| self.plan.number(body));
            if let (Some(id), Some(number)) = (message["origin_id"].as_str(), number) {
                numbers.insert(id, number);
            }
        }
        let ids = server.archived_origin_ids(address);
        ids.iter()
            .filter_map(|id| numbers.get(id.as_str()).copied().map(Row::Message))
            .collect()
    }
}
