//! Somebody who means harm and knows OMEMO: what Alice sees of each attempt, and that her chats go on all the same.

mod bundles;
mod messages;
mod scene;
mod used_prekeys;
