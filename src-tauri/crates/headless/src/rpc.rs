//! JSON-RPC 2.0, one object a line.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use waxwing_core::Core;
use waxwing_core::error::{Code, Error};
use waxwing_core::event::Event;

/// Longer lines are refused, in bytes.
const LONGEST_LINE: u64 = 4 * 1024 * 1024;

/// What is said without having been asked for.
#[derive(Serialize)]
struct Notification<'a> {
    jsonrpc: &'static str,
    method: &'static str,
    params: &'a Event,
}

/// An event as a notification.
pub(crate) fn event(event: &Event) -> String {
    line(&Notification {
        jsonrpc: "2.0",
        method: "event",
        params: event,
    })
}

/// Reads requests and answers them one after another, so that what they do keeps their order. Ends with the input.
pub(crate) async fn answer(core: &Arc<Core>, lines: &mpsc::Sender<String>) {
    let mut input = BufReader::new(tokio::io::stdin());
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut input).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "standard input failed");
                return;
            }
        }
        let answer = if line.last() != Some(&b'\n') && line.len() as u64 >= LONGEST_LINE {
            if !skip_line(&mut input).await {
                return;
            }
            Some(failure(
                &Value::Null,
                -32_600,
                &Error::new(Code::InvalidRequest, "the line is too long"),
            ))
        } else if line.trim_ascii().is_empty() {
            None
        } else {
            answer_line(core, &line).await
        };
        if let Some(answer) = answer
            && lines.send(answer).await.is_err()
        {
            return;
        }
    }
}

/// Passes over the rest of a line. False at the end of the input.
async fn skip_line(input: &mut BufReader<tokio::io::Stdin>) -> bool {
    loop {
        let (length, found) = match input.fill_buf().await {
            Ok([]) | Err(_) => return false,
            Ok(bytes) => match bytes.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (bytes.len(), false),
            },
        };
        input.consume(length);
        if found {
            return true;
        }
    }
}

/// The answer to one line; none to a notification.
async fn answer_line(core: &Arc<Core>, line: &[u8]) -> Option<String> {
    let Ok(request) = serde_json::from_slice::<Value>(line) else {
        let error = Error::new(Code::InvalidRequest, "the line is not JSON");
        return Some(failure(&Value::Null, -32_700, &error));
    };
    let id = request.get("id");
    let valid_id = id.is_none_or(|id| id.is_string() || id.is_number() || id.is_null());
    let answer_to = id.filter(|_| valid_id).cloned().unwrap_or_default();
    let invalid = |text: &str| failure(&answer_to, -32_600, &Error::new(Code::InvalidRequest, text));
    if !request.is_object() || request.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Some(invalid("a request is an object with \"jsonrpc\": \"2.0\""));
    }
    if !valid_id {
        return Some(invalid("an id is a string or a number"));
    }
    let Some(method) = request.get("method").and_then(Value::as_str) else {
        return Some(invalid("a request has a method"));
    };
    let params = request.get("params").cloned().unwrap_or_default();
    let outcome = core.call(method, params).await;
    id?;
    Some(match outcome {
        Ok(result) => self::line(&json!({ "jsonrpc": "2.0", "id": answer_to, "result": result })),
        Err(error) => failure(&answer_to, number(error.code), &error),
    })
}

/// JSON-RPC 2.0 §5.1.
fn number(code: Code) -> i32 {
    match code {
        Code::UnknownMethod => -32_601,
        Code::InvalidParams | Code::InvalidAddress => -32_602,
        Code::Internal => -32_603,
        _ => -32_000,
    }
}

fn failure(id: &Value, number: i32, error: &Error) -> String {
    let error = json!({ "code": number, "message": error.text, "data": { "code": error.code } });
    line(&json!({ "jsonrpc": "2.0", "id": id, "error": error }))
}

fn line(object: &impl Serialize) -> String {
    let mut line = serde_json::to_string(object).expect("what core gives can be written as JSON");
    line.push('\n');
    line
}

/// Writes lines until nobody has any more. Whatever is there is written at once, then flushed.
pub(crate) async fn write(mut lines: mpsc::Receiver<String>) {
    let mut out = tokio::io::stdout();
    while let Some(line) = lines.recv().await {
        let mut text = line;
        while let Ok(more) = lines.try_recv() {
            text.push_str(&more);
        }
        let written = async {
            out.write_all(text.as_bytes()).await?;
            out.flush().await
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, "standard output failed");
            return;
        }
    }
}
