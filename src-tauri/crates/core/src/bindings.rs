//! The TypeScript that the window is checked against, made from the one declaration in Rust.

use ts_rs::{Config, TS};

use crate::{api, error, event, model, profile, request};

/// The whole of `ui/src/core/generated/api.ts`.
pub fn typescript() -> String {
    let config = Config::new().with_large_int("number");
    let mut text =
        String::from("// Made from the Rust types of waxwing-core by `./x bindings`; not to be edited.\n\n");
    macro_rules! declare {
        ($($type:ty),+ $(,)?) => {
            $(
                text.push_str("export ");
                text.push_str(&<$type as TS>::decl(&config));
                text.push_str("\n\n");
            )+
        };
    }
    declare!(
        model::AccountId,
        model::ChatId,
        model::MessageId,
        model::FileId,
        model::ConnectionState,
        model::TlsMode,
        model::Show,
        model::Subscription,
        model::Sharing,
        model::Notify,
        model::Notice,
        model::Direction,
        model::Delivery,
        model::Encryption,
        model::EncryptionMode,
        model::Trust,
        model::Lock,
        model::ProxyKind,
        model::Proxy,
        model::Renewed,
        model::Gap,
        model::Certificate,
        model::ConnectionFacts,
        model::FeatureName,
        model::ServerFeature,
        model::ConnectionReport,
        model::Way,
        model::ConsoleEntry,
        model::Account,
        model::ArchiveDefault,
        model::ArchivePreferences,
        model::Contact,
        model::ContactRequest,
        model::Chat,
        model::Message,
        model::FileState,
        model::FileFailure,
        model::Picture,
        model::File,
        model::UndecryptableReason,
        model::Undecryptable,
        model::DeviceFailure,
        model::OtherKey,
        model::Reach,
        model::BundleFault,
        model::Device,
        model::OwnCode,
        model::KeyStanding,
        model::LinkedKey,
        model::KeyLinkReading,
        model::NextMessage,
        model::ListFault,
        model::ListReport,
        model::Published,
        model::DeviceReport,
        model::EncryptionReport,
        error::Code,
        error::Fault,
        event::Event,
        profile::Opening,
        request::Nothing,
        request::AddAccount,
        request::AddedAccount,
        request::OfAccount,
        request::MaybeOfAccount,
        request::SetAccountEnabled,
        request::SetPassword,
        request::SetPresence,
        request::SetProxy,
        request::SetConnection,
        request::AcceptCertificate,
        request::SetAuthorities,
        request::SetNotify,
        request::SetLooking,
        request::SetShared,
        request::SetContactShared,
        request::SetActive,
        request::SetArchivePreferences,
        request::SetConsole,
        request::OfContact,
        request::AddContact,
        request::AnswerRequest,
        request::OpenedChat,
        request::OfChat,
        request::OfMessage,
        request::OfFile,
        request::FetchFile,
        request::SavedFile,
        request::GrantedPicture,
        request::SetEncryption,
        request::ListMessages,
        request::SendText,
        request::SetTrust,
        request::OfDevice,
        request::OfOwnDevice,
        request::OfKeyLink,
        request::ReadCode,
        request::Search,
    );
    text.push_str(&api::typescript(&config));
    text
}

#[cfg(test)]
mod tests {
    /// `./x bindings` writes the file; everybody else is told that it is stale.
    #[test]
    fn the_types_of_the_window_are_those_of_core() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../ui/src/core/generated/api.ts"
        );
        if std::env::var_os("WAXWING_WRITE_BINDINGS").is_some() {
            std::fs::write(path, super::typescript()).expect("the bindings can be written");
        }
        let stored = std::fs::read_to_string(path).expect("the bindings are there");
        assert!(
            stored == super::typescript(),
            "ui/src/core/generated/api.ts is stale: run ./x bindings"
        );
    }
}
