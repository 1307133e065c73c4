//! What the person is told of while they do not look: core decides, the window's shell shows it outside of the window.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Core;
use crate::error::Result;
use crate::event::Event;
use crate::model::{AccountId, Chat, ChatId, Direction, Notice, Notify, Show};
use crate::store::{accounts, chats};

/// If something new comes in more chats than this at once, it is summed up.
const AT_ONCE: usize = 3;
/// So many characters of a message are shown.
const LONGEST: usize = 200;

/// What is shown, and where the person looks. The lock is held for a moment only.
#[derive(Default)]
pub(crate) struct Notices(Mutex<State>);

#[derive(Default)]
struct State {
    /// What was told and not taken back, by account and chat; without a chat it is a summary.
    shown: BTreeSet<(AccountId, Option<ChatId>)>,
    /// Whether the person looks at the window.
    looking: bool,
    /// The chat that lies open there.
    open: Option<ChatId>,
}

/// New messages that count as unread, by chat.
pub(crate) type News = BTreeMap<ChatId, u32>;

impl Notices {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The person looks at this chat, at another place of the window, or elsewhere.
    pub(crate) fn look(&self, looking: bool, open: Option<ChatId>) {
        let mut state = self.state();
        state.looking = looking;
        state.open = open;
    }

    /// The chat that the person looks at, if it is one.
    pub(crate) fn looked_at(&self) -> Option<ChatId> {
        let state = self.state();
        state.open.filter(|_| state.looking)
    }
}

/// Something new has come live. What the person is looking at is not told, nor what is to be silent.
pub(crate) async fn tell(core: &Core, account: AccountId, news: News) -> Result<()> {
    let at_once = news.len() <= AT_ONCE;
    tell_unread(core, account, news, at_once).await
}

/// What came while the account was away has been read: it is told at once, unless the person looks at the window anyway,
/// where it is all to be seen.
pub(crate) async fn sum_up(core: &Core, account: AccountId, news: News) -> Result<()> {
    if core.notices.state().looking {
        return Ok(());
    }
    let at_once = news.len() == 1;
    tell_unread(core, account, news, at_once).await
}

async fn tell_unread(core: &Core, account: AccountId, mut news: News, at_once: bool) -> Result<()> {
    if let Some(open) = core.notices.looked_at() {
        news.remove(&open);
    }
    if news.is_empty() {
        return Ok(());
    }
    let mut db = core.store.read().await?;
    let row = accounts::get(&mut db, account).await?;
    if row.notify == Notify::Off || row.show == Show::Dnd {
        return Ok(());
    }
    let ids: Vec<ChatId> = news.keys().copied().collect();
    let mut unread = chats::some(&mut db, &ids, 0).await?;
    drop(db);
    // Another device may have been quicker.
    unread.retain(|chat| chat.unread > 0);
    if at_once {
        for chat in unread {
            let notice = of_chat(chat, row.notify);
            show(core, notice);
        }
    } else if !unread.is_empty() {
        let messages = unread
            .iter()
            .map(|chat| chat.unread.min(news.get(&chat.chat).copied().unwrap_or(0)));
        show(
            core,
            Notice {
                account,
                chat: None,
                title: None,
                text: None,
                file: None,
                messages: messages.sum(),
                chats: u32::try_from(unread.len()).unwrap_or(u32::MAX),
            },
        );
    }
    Ok(())
}

fn of_chat(chat: Chat, notify: Notify) -> Notice {
    let last = chat
        .last
        .filter(|last| notify == Notify::Text && last.direction == Direction::In);
    let (body, files) = last.map_or_else(Default::default, |last| (last.body, last.files));
    let text = body.map(|body| body.chars().take(LONGEST).collect());
    let file = files
        .into_iter()
        .next()
        .map(|file| file.name)
        .filter(|_| text.is_none());
    Notice {
        account: chat.account,
        chat: Some(chat.chat),
        title: Some(chat.title),
        text,
        file,
        messages: chat.unread,
        chats: 1,
    }
}

fn show(core: &Core, notice: Notice) {
    core.notices.state().shown.insert((notice.account, notice.chat));
    core.emit(Event::Notify { notice });
}

/// A chat, or without one all of the account, has been read here or elsewhere: what was told of it is taken back.
pub(crate) fn withdraw(core: &Core, account: AccountId, chat: Option<ChatId>) {
    if core.notices.state().shown.remove(&(account, chat)) {
        core.emit(Event::NotifyWithdrawn { account, chat });
    }
}

/// The account is gone.
pub(crate) fn withdraw_all(core: &Core, account: AccountId) {
    let of_account: Vec<_> = core
        .notices
        .state()
        .shown
        .iter()
        .filter(|(of, _)| *of == account)
        .copied()
        .collect();
    for (account, chat) in of_account {
        withdraw(core, account, chat);
    }
}
