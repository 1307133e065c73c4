//! The crate against servers: a real one, and scripted ones that misbehave.

// Clippy's leave for tests ends at the functions marked as such; here all is test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

#[path = "../common/mod.rs"]
mod common;

mod flow;
mod hostile;
mod inline;
mod login;
mod prosody;
mod proxy;
mod session;
mod tap;
mod token;
mod trust;
