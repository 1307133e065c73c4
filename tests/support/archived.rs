//! What the server's archives hold of a chat: whoever reads cannot see what was sent twice under one id, the archive can.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Person, Prosody};

/// The origin ids (XEP-0359) of messages.
pub fn origin_ids(messages: &[Value]) -> Vec<String> {
    let ids = messages
        .iter()
        .filter_map(|message| message["origin_id"].as_str());
    ids.map(str::to_owned).collect()
}

/// Which of these ids an account's archive does not hold exactly once, and how often it does. The server must not run,
/// and keep long archives.
pub fn not_once(server: &Prosody, address: &str, ids: &[String]) -> BTreeMap<String, usize> {
    let archived = server.archived_origin_ids(address);
    let times = |id: &String| archived.iter().filter(|archived| *archived == id).count();
    ids.iter()
        .map(|id| (id.clone(), times(id)))
        .filter(|(_, times)| *times != 1)
        .collect()
}

/// Ends the test unless the archives of these accounts hold each message of a person's chat once. Stops the server, which
/// keeps long archives.
pub async fn archived_once(server: &mut Prosody, addresses: &[&str], person: &mut Person, chat: &Value) {
    let ids = origin_ids(&person.messages(chat).await);
    assert!(!ids.is_empty(), "the messages have no ids");
    server.stop().await;
    for address in addresses {
        let wrong = not_once(server, address, &ids);
        assert!(
            wrong.is_empty(),
            "in the archive of {address} not once: {wrong:?}"
        );
    }
}
