//! What a person can do, as functions: decide, write in one transaction, then tell.

pub(crate) mod accounts;
pub(crate) mod archive;
pub(crate) mod chats;
pub(crate) mod connection;
pub(crate) mod contacts;
pub(crate) mod encryption;
pub(crate) mod files;
pub(crate) mod messages;
pub(crate) mod notices;
pub(crate) mod privacy;
pub(crate) mod search;
pub(crate) mod verification;

use waxwing_omemo::xml::without_forbidden;

use crate::error::{Error, Result};

/// How many rows a page has: `limit` if it makes sense, else 50.
fn page_size(limit: Option<u32>) -> Result<u32> {
    match limit.unwrap_or(50) {
        limit @ 1..=1_000 => Ok(limit),
        _ => Err(Error::invalid("limit must be 1 to 1,000")),
    }
}

/// A name or a status text: on one line, at most `length` characters, none if nothing is left.
fn line(text: Option<String>, length: usize) -> Result<Option<String>> {
    let text = text.map(|text| {
        without_forbidden(&text)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    });
    match text {
        Some(text) if text.chars().count() > length => Err(Error::invalid(format!(
            "a text here has at most {length} characters"
        ))),
        text => Ok(text.filter(|text| !text.is_empty())),
    }
}
