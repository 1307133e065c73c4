//! The full-text index over message bodies (SQLite FTS5, contentless).

use std::collections::BTreeMap;

use sqlx::types::Json;

use super::messages::{MessageRow, select_messages};
use super::{Connection, Write};
use crate::error::Result;
use crate::model::{AccountId, Message, MessageId};

/// Puts messages' words into the index.
pub(crate) async fn index(write: &mut Write, messages: &[(MessageId, &str)]) -> Result<()> {
    let words: BTreeMap<MessageId, String> = messages.iter().map(|(id, body)| (*id, spaced(body))).collect();
    sqlx::query(
        "INSERT INTO message_words (rowid, body) SELECT CAST(key AS INTEGER), value FROM json_each(?)",
    )
    .bind(Json(words))
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Messages that hold all words of the query, the last one as a beginning; newest first. `rev` was taken before.
pub(crate) async fn find(
    db: &mut Connection,
    query: &str,
    account: Option<AccountId>,
    limit: u32,
    rev: i64,
) -> Result<Vec<Message>> {
    let Some(query) = expression(query) else {
        return Ok(Vec::new());
    };
    let Json(rows): Json<Vec<MessageRow>> = sqlx::query_scalar(select_messages!(
        join "JOIN message_words ON message_words.rowid = message.id",
        "message_words MATCH ?1 AND (?2 IS NULL OR chat.account = ?2)",
        "ORDER BY message.position DESC LIMIT ?3"
    ))
    .bind(query)
    .bind(account)
    .bind(limit)
    .fetch_one(db)
    .await?;
    Ok(rows.into_iter().map(|row| row.show(rev)).collect())
}

/// The query as an FTS5 expression: every word as a string, so that nothing of it is syntax. None if no word is in it.
fn expression(query: &str) -> Option<String> {
    let mut words: Vec<String> = query
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .map(|word| format!("\"{}\"", spaced(word).replace('"', " ")))
        .collect();
    // What is typed last may not be finished; a CJK character is a word by itself.
    if let Some(last) = words.last_mut() {
        last.push('*');
    }
    (!words.is_empty()).then(|| words.join(" "))
}

/// Text with spaces around each CJK character, since FTS5's tokenizer takes a run of them for one word.
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_cjk(c) {
            out.push(' ');
            out.push(c);
            out.push(' ');
        } else {
            out.push(c);
        }
    }
    out
}

/// Scripts written without spaces: kana, CJK ideographs, Hangul syllables, Thai.
fn is_cjk(c: char) -> bool {
    matches!(c, '\u{0E00}'..='\u{0E7F}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_words_and_never_syntax() {
        assert_eq!(expression("hello wor"), Some("\"hello\" \"wor\"*".to_owned()));
        assert_eq!(
            expression("a OR \"b\" NEAR(c)"),
            Some("\"a\" \"OR\" \" b \" \"NEAR(c)\"*".to_owned())
        );
        assert_eq!(expression(" * \" ( "), None);
    }

    #[test]
    fn ideographs_are_words_of_their_own() {
        assert_eq!(spaced("東京a"), " 東  京 a");
    }
}
