//! The crate against servers: a real one, and scripted ones that misbehave.

#[path = "../common/mod.rs"]
mod common;

mod hostile;
mod prosody;
mod session;
