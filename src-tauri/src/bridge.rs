//! All that the window may ask of Rust. Requests and events are declared in core; nothing is declared twice here.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

use serde_json::Value;
use tauri::State;
use tauri::ipc::Channel;
use waxwing_core::error::{Code, Error, Result};
use waxwing_core::event::Event;
use waxwing_core::model::{AccountId, ChatId, FileId, MessageId};
use waxwing_core::profile::Opening;
use waxwing_core::secret::Secret;

use crate::opening::Door;

/// Events reach the window at most once a frame.
const FRAME: Duration = Duration::from_millis(16);
/// While they pour in it draws as seldom as this: nobody reads faster, and whoever writes meanwhile is answered at once.
const SELDOM: Duration = Duration::from_millis(128);
/// So many events in one go at most.
const BATCH: usize = 1_024;

/// How opening the profile stands.
#[tauri::command]
pub(crate) async fn opening(door: State<'_, Door>) -> Result<Opening> {
    Ok(door.state().await)
}

/// Opens the profile with a passphrase.
#[tauri::command]
pub(crate) async fn unlock(door: State<'_, Door>, passphrase: Secret) -> Result<Opening> {
    door.unlock(passphrase).await
}

/// Does what a request of core's one list asks for.
#[tauri::command]
pub(crate) async fn request(door: State<'_, Door>, method: String, params: Value) -> Result<Value> {
    door.core().await?.call(&method, params).await
}

/// Events from now on, in order, in batches.
#[tauri::command]
pub(crate) async fn subscribe(door: State<'_, Door>, channel: Channel<Vec<Event>>) -> Result<()> {
    let mut events = door.core().await?.subscribe();
    tauri::async_runtime::spawn(async move {
        let mut pause = FRAME;
        while let Some(first) = events.next().await {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Some(event) = events.try_next()
            {
                batch.push(event);
            }
            if channel.send(without_overtaken(batch, subject)).is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = if events.is_empty() {
                FRAME
            } else {
                (pause * 2).min(SELDOM)
            };
        }
    });
    Ok(())
}

/// What an event says all about, where a later one of the same makes it useless.
#[derive(PartialEq, Eq, Hash)]
enum Subject {
    Account(AccountId),
    Chat(ChatId),
    Message(MessageId),
}

fn subject(event: &Event) -> Option<Subject> {
    match event {
        Event::AccountChanged { account } => Some(Subject::Account(account.account)),
        Event::ChatChanged { chat } => Some(Subject::Chat(chat.chat)),
        Event::MessageChanged { message } => Some(Subject::Message(message.message)),
        _ => None,
    }
}

/// Leaves out what is said anew later in the batch: in a burst, the same chat with every message.
fn without_overtaken<T, S: Eq + Hash>(batch: Vec<T>, subject: impl Fn(&T) -> Option<S>) -> Vec<T> {
    let mut said = HashSet::new();
    let mut latest: Vec<T> = batch
        .into_iter()
        .rev()
        .filter(|event| subject(event).is_none_or(|subject| said.insert(subject)))
        .collect();
    latest.reverse();
    latest
}

/// Opens a link outside. Only web pages, mail and chat addresses; never files or programs.
#[tauri::command]
pub(crate) async fn open_link(url: tauri::Url) -> Result<()> {
    if !matches!(url.scheme(), "https" | "http" | "mailto" | "xmpp") {
        return Err(Error::invalid("links of this kind are not opened"));
    }
    tauri_plugin_opener::open_url(url.as_str(), None::<&str>)
        .map_err(|error| Error::new(Code::Internal, format!("the link could not be opened: {error}")))
}

/// Opens an encrypted file that is here with the system's program for it. The page names the file, never a path.
#[tauri::command]
pub(crate) async fn open_file(door: State<'_, Door>, file: FileId) -> Result<()> {
    let core = door.core().await?;
    let unsealed = core
        .call("unseal_file", serde_json::json!({ "file": file }))
        .await?;
    let path = unsealed.get("path").and_then(Value::as_str).unwrap_or_default();
    tauri_plugin_opener::open_path(path, None::<&str>)
        .map_err(|error| Error::new(Code::Internal, format!("the file could not be opened: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_said_several_times_in_a_batch_only_the_last_goes_to_the_window() {
        let batch = vec![
            (Some("heron"), 1),
            (None, 2),
            (Some("egret"), 3),
            (Some("heron"), 4),
            (None, 5),
        ];
        let latest = without_overtaken(batch, |(subject, _)| *subject);
        assert_eq!(
            latest,
            [(None, 2), (Some("egret"), 3), (Some("heron"), 4), (None, 5)]
        );
    }
}
