//! What is told a little later while much of the archive comes in: chats and the account change with each page, and whoever
//! shows them needs the newest state a few times a second only. Messages are always told at once.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::online::Online;
use crate::error::Result;
use crate::log_failure;
use crate::model::ChatId;
use crate::publish::{Changes, publish};

/// As long as pages come in, chats and the account are told once in so long.
const OFTEN: Duration = Duration::from_millis(250);

#[derive(Default)]
pub(super) struct Untold {
    chats: BTreeSet<ChatId>,
    account: bool,
    told: Option<Instant>,
}

impl Untold {
    /// What is to be told now of these changes and of those before. `more` is about to come.
    pub(super) fn now(&mut self, mut changes: Changes, more: bool, now: Instant) -> Changes {
        self.chats.append(&mut changes.chats);
        self.account |= std::mem::take(&mut changes.account);
        if more && self.told.is_some_and(|told| now < told + OFTEN) {
            return changes;
        }
        self.told = Some(now);
        self.all(changes)
    }

    /// These changes with all that was not told.
    pub(super) fn all(&mut self, mut changes: Changes) -> Changes {
        changes.chats.append(&mut self.chats);
        changes.account |= std::mem::take(&mut self.account);
        changes
    }

    /// These chats, and the account, could not be told.
    pub(super) fn keep(&mut self, (mut chats, account): (BTreeSet<ChatId>, bool)) {
        self.chats.append(&mut chats);
        self.account |= account;
    }

    /// When what was not told has to be.
    pub(super) fn due(&self) -> Option<Instant> {
        let any = self.account || !self.chats.is_empty();
        self.told.filter(|_| any).map(|told| told + OFTEN)
    }
}

impl Online<'_> {
    /// Tells what a transaction changed. What cannot be told now is kept.
    pub(super) async fn tell(&mut self, changes: Changes, more: bool) -> Result<()> {
        let changes = self.session.untold.now(changes, more, Instant::now());
        let kept = (changes.chats.clone(), changes.account);
        let told = publish(self.core, self.account, changes).await;
        if told.is_err() {
            self.session.untold.keep(kept);
        }
        told
    }

    /// Nothing is left untold when the session ends.
    pub(super) async fn tell_untold(&mut self) {
        let untold = self.session.untold.all(Changes::default());
        if let Err(error) = publish(self.core, self.account, untold).await {
            log_failure("telling what changed", &error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MessageId;

    fn chats(ids: &[i64]) -> Changes {
        Changes {
            chats: ids.iter().copied().map(ChatId).collect(),
            account: true,
            ..Changes::default()
        }
    }

    #[test]
    fn while_more_comes_chats_are_told_once_in_a_while_and_none_is_left_out() {
        let begun = Instant::now();
        let mut untold = Untold::default();
        let first = untold.now(chats(&[1]), true, begun);
        assert_eq!((first.chats, first.account), (chats(&[1]).chats, true));
        assert_eq!(untold.due(), None);

        let second = untold.now(chats(&[2]), true, begun + OFTEN / 2);
        assert_eq!((second.chats.len(), second.account), (0, false));
        assert_eq!(untold.due(), Some(begun + OFTEN));

        let third = untold.now(chats(&[3]), true, begun + OFTEN);
        assert_eq!((third.chats, third.account), (chats(&[2, 3]).chats, true));
        assert_eq!(untold.due(), None);

        untold.now(chats(&[4]), true, begun + OFTEN);
        let last = untold.now(Changes::default(), false, begun + OFTEN);
        assert_eq!((last.chats.clone(), last.account), (chats(&[4]).chats, true));

        // Nobody could be told.
        untold.keep((last.chats, last.account));
        let again = untold.all(Changes::default());
        assert_eq!((again.chats, again.account), (chats(&[4]).chats, true));
    }

    #[test]
    fn messages_are_told_at_once() {
        let mut untold = Untold::default();
        untold.now(chats(&[1]), true, Instant::now());
        let changes = Changes::message(MessageId(7), ChatId(1));
        let told = untold.now(changes, true, Instant::now());
        assert_eq!((told.messages.len(), told.chats.len()), (1, 0));
    }
}
