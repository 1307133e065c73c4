//! Keys that come to a person by another way than over the server: as a link, or as a picture of one.

pub(crate) mod code;
pub(crate) mod link;
