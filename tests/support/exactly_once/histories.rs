//! What the programs and the server hold at the end, held against what was written.

use std::collections::HashMap;

use serde_json::Value;

use super::check::{Row, archived, check, check_order};
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

    /// The server's archives, and whether everybody shows each talk in the order of their own: what each of them wrote,
    /// and on the third device, which wrote nothing itself, all of it. The server must not run.
    pub(super) fn archives(&self, server: &Prosody) -> Vec<View> {
        let mut archives = View::named("the server's archives");
        let mut orders = [
            "the writer's own, by archive",
            "the reader's, by archive",
            "the third device's, by archive",
        ]
        .map(View::named);
        let mine = self.archive_of(server, ALICE);
        // Strange rows count once, and not with each of the talks.
        archives.findings.add(&check(&[], &mine));
        for (talk, friend) in FRIENDS.iter().take(self.encrypted.len()).enumerate() {
            let theirs = self.archive_of(server, friend);
            archives.findings.add(&check(&[], &theirs));
            for writer in [Whom::Alice, Whom::Bob] {
                let wanted = self.plan.written(writer, talk);
                for archive in [&mine, &theirs] {
                    let known: Vec<Row> = archive
                        .iter()
                        .filter(|row| row.number().is_some())
                        .cloned()
                        .collect();
                    archives.findings.add(&check(&wanted, &known));
                }
                for (holder, archive) in [(Whom::Alice, &mine), (Whom::Bob, &theirs)] {
                    let rows = self.rows(holder, talk, Some(writer));
                    let order = check_order(archive, &rows, |number| wanted.contains(&number));
                    orders[usize::from(holder != writer)].findings.add(&order);
                }
            }
            let rows = self.rows(Whom::Third, talk, None);
            let order = check_order(&mine, &rows, |number| self.plan.lines[number].talk == talk);
            orders[2].findings.add(&order);
        }
        std::iter::once(archives).chain(orders).collect()
    }

    /// The messages in the archive of an account, known by the ids that their writers gave them.
    fn archive_of(&self, server: &Prosody, address: &str) -> Vec<Row> {
        let mut numbers = HashMap::new();
        for message in self.shown.iter().flatten().flatten() {
            let number = message["body"].as_str().and_then(|body| self.plan.number(body));
            if let (Some(id), Some(number)) = (message["origin_id"].as_str(), number) {
                numbers.insert(id.to_owned(), number);
            }
        }
        archived(&server.archived_origin_ids(address), &numbers)
    }
}
