//! The one list of what can be asked of core. The window's bridge, the headless program's methods and the
//! TypeScript all come from it.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ts_rs::TS;

use crate::Core;
use crate::actions::{
    accounts, archive, chats, connection, contacts, encryption, files, messages, notices, privacy, search,
    verification,
};
use crate::error::{Code, Error, Result};
use crate::model::{
    Account, ArchivePreferences, BareJid, Chat, ConnectionReport, ConsoleEntry, Contact, ContactRequest,
    Device, EncryptionReport, KeyLinkReading, Message, OwnCode,
};
use crate::request::{
    AcceptCertificate, AddAccount, AddContact, AddedAccount, AnswerRequest, FetchFile, GrantedPicture,
    ListMessages, MaybeOfAccount, Nothing, OfAccount, OfChat, OfContact, OfDevice, OfFile, OfKeyLink,
    OfMessage, OfOwnDevice, OpenedChat, ReadCode, SavedFile, Search, SendText, SetAccountEnabled, SetActive,
    SetArchivePreferences, SetAuthorities, SetConnection, SetConsole, SetContactShared, SetEncryption,
    SetLooking, SetNotify, SetPassword, SetPresence, SetShared, SetTrust,
};

/// Declares the requests: method name, params, reply and the function of `actions` that does it.
macro_rules! requests {
    ($($(#[doc = $doc:literal])* $method:ident($params:ty) -> $reply:ty = $action:path;)+) => {
        /// The names of all methods.
        pub const METHODS: &[&str] = &[$(stringify!($method)),+];

        /// Does what a JSON request asks for. Errors: `unknown_method`, `invalid_params`, `invalid_address`,
        /// and those of the action.
        pub async fn call(core: &Arc<Core>, method: &str, params: Value) -> Result<Value> {
            match method {
                $(stringify!($method) => reply($action(core, read::<$params>(params)?).await?),)+
                _ => Err(Error::new(Code::UnknownMethod, format!("there is no method {method:?}"))),
            }
        }

        /// The `Requests` interface in TypeScript: each method with its params and its result.
        pub(crate) fn typescript(config: &ts_rs::Config) -> String {
            let mut text = String::from("export interface Requests {\n");
            $(
                $(text.push_str(&format!("  /** {} */\n", $doc.trim()));)*
                text.push_str(&format!(
                    "  {}: {{ params: {}; result: {} }};\n",
                    stringify!($method),
                    <$params as TS>::name(config),
                    <$reply as TS>::name(config),
                ));
            )+
            text.push_str("}\n");
            text
        }
    };
}

requests! {
    /// Adds an account and signs in to it.
    add_account(AddAccount) -> AddedAccount = accounts::add;
    /// All accounts, in the order in which they were added.
    list_accounts(Nothing) -> Vec<Account> = accounts::list;
    /// Connects or disconnects an account.
    set_account_enabled(SetAccountEnabled) -> Nothing = accounts::set_enabled;
    /// Replaces the stored password and signs in again.
    set_password(SetPassword) -> Nothing = accounts::set_password;
    /// Sets host, port, kind of TLS and proxy, and signs in again.
    set_connection(SetConnection) -> Nothing = connection::set;
    /// Accepts the certificate that was refused, for this account only, and signs in again.
    accept_certificate(AcceptCertificate) -> Nothing = connection::accept_certificate;
    /// Takes back the acceptance of a certificate, and signs in again.
    forget_certificate(OfAccount) -> Nothing = connection::forget_certificate;
    /// Sets the certificate authorities that this account trusts besides the system's, and signs in again.
    set_authorities(SetAuthorities) -> Nothing = connection::set_authorities;
    /// Allows what the last attempt refused, a weaker login than before or the password itself, and signs in again.
    allow_weaker_login(OfAccount) -> Nothing = connection::allow_weaker_login;
    /// Takes back that the password itself may be sent, and signs in again.
    forbid_plain_login(OfAccount) -> Nothing = connection::forbid_plain_login;
    /// How the account is connected and what its server can do.
    connection_report(OfAccount) -> ConnectionReport = connection::report;
    /// Begins or ends showing what goes over the account's wire; ending it forgets what was shown.
    set_console(SetConsole) -> Nothing = connection::set_console;
    /// What went over the wire since the console was switched on, the oldest first, at most 1,000 entries.
    list_console(OfAccount) -> Vec<ConsoleEntry> = connection::list_console;
    /// What the server keeps of the account's messages (XEP-0441). Errors: `not_supported` if it lets nobody choose.
    archive_preferences(OfAccount) -> ArchivePreferences = archive::preferences;
    /// Sets what the server keeps of the account's messages; gives what it then says. Errors: as above.
    set_archive_preferences(SetArchivePreferences) -> ArchivePreferences = archive::set_preferences;
    /// Tells whether the person is looking, for servers that can save their device's energy (XEP-0352).
    set_active(SetActive) -> Nothing = connection::set_active;
    /// Tells where the person looks, so that what they see there is not told them once more. Nowhere, before it is told.
    set_looking(SetLooking) -> Nothing = notices::set_looking;
    /// Sets what is told of an account's new messages. Nothing is told while its presence is `dnd`.
    set_notify(SetNotify) -> Nothing = notices::set_notify;
    /// Has the window show a chat, with the event `chat_wanted`.
    show_chat(OfChat) -> Nothing = notices::show_chat;
    /// The machine woke up or the network changed: looks after all connections at once.
    check_connections(Nothing) -> Nothing = connection::check;
    /// Removes an account with all its chats and keys from this device.
    remove_account(OfAccount) -> Nothing = accounts::remove;
    /// Sets what the account's contacts see of us.
    set_presence(SetPresence) -> Nothing = accounts::set_presence;
    /// Sets whether others learn that their messages reached this device (XEP-0184).
    set_receipts(SetShared) -> Nothing = privacy::set_receipts;
    /// Sets whether contacts learn that their messages were read (XEP-0333). What is read while it is off they never learn.
    set_markers(SetShared) -> Nothing = privacy::set_markers;
    /// Sets for one contact whether it learns that its messages reached this device.
    set_contact_receipts(SetContactShared) -> Nothing = privacy::set_contact_receipts;
    /// Sets for one contact whether it learns that its messages were read.
    set_contact_markers(SetContactShared) -> Nothing = privacy::set_contact_markers;
    /// The roster of an account with live presence.
    list_contacts(OfAccount) -> Vec<Contact> = contacts::list;
    /// Adds a contact, or changes its name and groups, and asks to see its presence.
    add_contact(AddContact) -> Nothing = contacts::add;
    /// Removes a contact and both subscriptions.
    remove_contact(OfContact) -> Nothing = contacts::remove;
    /// Those who ask to see our presence.
    list_requests(MaybeOfAccount) -> Vec<ContactRequest> = contacts::list_requests;
    /// Answers somebody who asks to see our presence.
    answer_request(AnswerRequest) -> Nothing = contacts::answer_request;
    /// The chat with an address, made if there is none.
    open_chat(OfContact) -> OpenedChat = chats::open;
    /// Chats, the one with the newest message first.
    list_chats(MaybeOfAccount) -> Vec<Chat> = chats::list;
    /// Everything in the chat has been read. Our other devices hear of it, and the other side if it may.
    mark_read(OfChat) -> Nothing = chats::mark_read;
    /// Locks or unlocks the encryption of a chat.
    set_encryption(SetEncryption) -> Nothing = chats::set_encryption;
    /// A page of messages, oldest first: the newest ones, or those before a message.
    list_messages(ListMessages) -> Vec<Message> = messages::list;
    /// Writes a message; it goes out as soon as the account is online.
    send_text(SendText) -> Message = messages::send_text;
    /// Sends a failed message again.
    retry_message(OfMessage) -> Message = messages::retry;
    /// Fetches an encrypted file and checks it; its message tells how that goes. Errors: `not_agreed` if the person has to agree first: to the host, of a stranger or where a server sends us on to another one; or to the size. `too_large`, `not_supported`.
    fetch_file(FetchFile) -> Nothing = files::fetch;
    /// Ends the fetching of a file.
    cancel_file(OfFile) -> Nothing = files::cancel;
    /// Saves a file that is here among the person's downloads, under a name that nobody has.
    save_file(OfFile) -> SavedFile = files::save;
    /// Opens a file that is here for another program, in a folder that is removed when Waxwing ends.
    unseal_file(OfFile) -> SavedFile = files::unseal;
    /// Allows the window to load a picture that is here.
    show_picture(OfFile) -> GrantedPicture = files::show;
    /// The devices of a contact, or of ourselves.
    list_devices(OfContact) -> Vec<Device> = encryption::list_devices;
    /// Sets the trust in one key.
    set_trust(SetTrust) -> Nothing = encryption::set_trust;
    /// Resets the encryption with one device: it gets a new session, and history, trust and its known key stay.
    reset_session(OfDevice) -> Nothing = encryption::reset_session;
    /// The person has seen that an account's device for encryption began anew.
    renewal_seen(OfAccount) -> Nothing = encryption::renewal_seen;
    /// Takes another device of ours off our own lists, so that nothing is encrypted to it any more. Errors: `not_online`,
    /// `rejected`.
    remove_device(OfOwnDevice) -> Nothing = encryption::remove_device;
    /// The link and the code by which others verify this device. Errors: `not_online` before it was online first.
    own_code(OfAccount) -> OwnCode = verification::own_code;
    /// What the QR codes in a picture say; it is looked at on this device.
    read_code(ReadCode) -> Vec<String> = verification::read_code;
    /// What a link says of somebody's keys; nothing changes by it. Errors: `no_key_link`.
    read_key_link(OfKeyLink) -> KeyLinkReading = verification::read_key_link;
    /// Verifies the keys that a link names, also those not seen yet; a known key that differs is not trusted any more.
    accept_key_link(OfKeyLink) -> Nothing = verification::accept_key_link;
    /// How the encryption of a chat stands, device by device, and what becomes of its next message.
    encryption_report(OfChat) -> EncryptionReport = encryption::report;
    /// Asks for the devices and keys of both sides of a chat again. Errors: `not_online`.
    read_devices_again(OfChat) -> Nothing = encryption::read_devices_again;
    /// Publishes this device's keys again. Errors: `not_online`.
    republish_keys(OfAccount) -> Nothing = encryption::republish_keys;
    /// Messages that hold all words of the query, newest first.
    search(Search) -> Vec<Message> = search::search;
}

fn read<P: DeserializeOwned>(params: Value) -> Result<P> {
    let params = if params.is_null() {
        Value::Object(serde_json::Map::new())
    } else {
        params
    };
    if !params.is_object() {
        return Err(Error::invalid("params must be an object"));
    }
    // Told apart from other mistakes because people type addresses by hand.
    if let Some(Value::String(address)) = params.get("address")
        && address.parse::<BareJid>().is_err()
    {
        return Err(Error::new(
            Code::InvalidAddress,
            "this is not an address of the form name@server",
        ));
    }
    serde_json::from_value(params).map_err(|error| Error::invalid(error.to_string()))
}

fn reply<R: Serialize>(reply: R) -> Result<Value> {
    serde_json::to_value(reply)
        .map_err(|error| Error::new(Code::Internal, format!("the reply could not be written: {error}")))
}
