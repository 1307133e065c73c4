//! Shows outside of the window what core tells, as the desktop does it, and the number of unread messages at the icon.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tauri::{AppHandle, Manager};
use waxwing_core::event::Event;
use waxwing_core::model::{AccountId, ChatId, Notice};
use waxwing_core::{Core, Events};

use crate::desktop::Desktop;
use crate::opening::Door;
use crate::window;

/// What is shown of one chat takes its place at most so often.
const PAUSE: Duration = Duration::from_millis(300);
/// All words on screen; those that begin with `notice` are said here.
const WORDS: &str = include_str!("../../ui/locales/en.json");

/// A chat of an account, or without one its summary.
pub(crate) type Of = (AccountId, Option<ChatId>);

/// Begins as soon as the profile is open, and goes on until it is closed.
pub(crate) fn begin(app: &AppHandle) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let core = match app.state::<Door>().core().await {
            Ok(core) => core,
            Err(error) => return tracing::debug!(%error, "nothing is told"),
        };
        let events = core.subscribe();
        listen(&app, &core, events).await;
    });
}

async fn listen(app: &AppHandle, core: &Arc<Core>, mut events: Events) {
    let mut desktop = Desktop::connect().await;
    let mut unread = BTreeMap::new();
    loop {
        tokio::select! {
            event = events.next() => {
                let Some(first) = event else { return };
                let mut changes = Changes::default();
                changes.take(first, &mut unread);
                while let Some(event) = events.try_next() {
                    changes.take(event, &mut unread);
                }
                changes.show(app, &mut desktop, &unread).await;
                tokio::time::sleep(PAUSE).await;
            }
            of = desktop.click() => clicked(app, core, of).await,
        }
    }
}

/// What several events come to.
#[derive(Default)]
struct Changes {
    notices: HashMap<Of, Option<Notice>>,
    all_gone: bool,
    count: bool,
}

impl Changes {
    fn take(&mut self, event: Event, unread: &mut BTreeMap<AccountId, u32>) {
        match event {
            Event::Notify { notice } => {
                self.notices.insert((notice.account, notice.chat), Some(notice));
            }
            Event::NotifyWithdrawn { account, chat } => {
                self.notices.insert((account, chat), None);
            }
            Event::AccountChanged { account } => {
                self.count |= unread.insert(account.account, account.unread) != Some(account.unread);
            }
            Event::AccountRemoved { account } => self.count |= unread.remove(&account).is_some(),
            // What was taken back meanwhile is not known.
            Event::Resync {} => self.all_gone = true,
            _ => {}
        }
    }

    async fn show(self, app: &AppHandle, desktop: &mut Desktop, unread: &BTreeMap<AccountId, u32>) {
        if self.all_gone {
            desktop.withdraw_all().await;
        }
        for (of, notice) in self.notices {
            match notice {
                Some(notice) => desktop.show(of, &title(&notice), &text(&notice)).await,
                None => desktop.withdraw(of).await,
            }
        }
        if self.count {
            let count: u32 = unread.values().sum();
            window::set_badge(app, count);
        }
    }
}

async fn clicked(app: &AppHandle, core: &Arc<Core>, (_, chat): Of) {
    window::show(app);
    if let Some(chat) = chat
        && let Err(error) = core.call("show_chat", serde_json::json!({ "chat": chat })).await
    {
        tracing::warn!(%error, "the chat could not be shown");
    }
}

fn title(notice: &Notice) -> String {
    notice.title.clone().unwrap_or_else(|| words("app.title"))
}

fn text(notice: &Notice) -> String {
    let messages = counted("notice.messages", notice.messages);
    match (&notice.text, &notice.file, notice.chat) {
        (Some(text), ..) => text.clone(),
        (None, Some(file), _) => words("notice.file").replace("{name}", file),
        (None, None, Some(_)) => messages,
        (None, None, None) => words("notice.summary")
            .replace("{messages}", &messages)
            .replace("{count}", &notice.chats.to_string()),
    }
}

/// The words for what can be done with something that is shown.
pub(crate) fn open_words() -> String {
    words("notice.open")
}

fn counted(stem: &str, count: u32) -> String {
    let form = if count == 1 { "one" } else { "other" };
    words(&format!("{stem}.{form}")).replace("{count}", &count.to_string())
}

fn words(key: &str) -> String {
    let all: HashMap<String, String> = serde_json::from_str(WORDS).unwrap_or_default();
    all.get(key).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(chat: Option<i64>, text: Option<&str>, messages: u32, chats: u32) -> Notice {
        Notice {
            account: AccountId(1),
            chat: chat.map(ChatId),
            title: chat.map(|_| "Ben".to_owned()),
            text: text.map(str::to_owned),
            file: None,
            messages,
            chats,
        }
    }

    #[test]
    fn what_is_said_fits_what_is_new() {
        for (notice, says) in [
            (notice(Some(1), Some("hello"), 3, 1), ("Ben", "hello")),
            (notice(Some(1), None, 1, 1), ("Ben", "1 new message")),
            (
                Notice {
                    file: Some("cat.jpg".to_owned()),
                    ..notice(Some(1), None, 1, 1)
                },
                ("Ben", "File: cat.jpg"),
            ),
            (notice(Some(1), None, 2, 1), ("Ben", "2 new messages")),
            (
                notice(None, None, 12, 3),
                ("Waxwing", "12 new messages in 3 chats"),
            ),
        ] {
            assert_eq!((title(&notice).as_str(), text(&notice).as_str()), says);
        }
    }

    #[test]
    fn of_several_events_the_last_one_counts() {
        let (mut changes, mut unread) = (Changes::default(), BTreeMap::new());
        let (account, chat) = (AccountId(1), Some(ChatId(1)));
        for text in ["one", "two"] {
            let notice = notice(Some(1), Some(text), 1, 1);
            changes.take(Event::Notify { notice }, &mut unread);
        }
        let shown = changes.notices.get(&(account, chat)).cloned().flatten();
        assert_eq!(shown.and_then(|notice| notice.text).as_deref(), Some("two"));
        changes.take(Event::NotifyWithdrawn { account, chat }, &mut unread);
        assert_eq!(changes.notices.get(&(account, chat)), Some(&None));
    }
}
