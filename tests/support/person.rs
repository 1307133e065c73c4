//! Somebody who uses Waxwing: one account in a profile of its own.

use std::ops::{Deref, DerefMut};

use serde_json::Value;

use crate::{Headless, Profile, Prosody, Tls};

/// A person with the running program; its methods are at hand directly.
pub struct Person {
    /// The profile on disk.
    pub profile: Profile,
    /// The running program; none between [`Person::stop`] and [`Person::start_again`].
    app: Option<Headless>,
    /// The account's id.
    pub account: Value,
    /// The bare address.
    pub address: String,
}

impl Person {
    /// Signs in over direct TLS to a new profile.
    pub async fn sign_in(server: &Prosody, address: &str) -> Self {
        Self::sign_in_at(server, address, server.direct_tls_port, Tls::Direct).await
    }

    /// Signs in at a port of loopback, which may be a proxy's.
    pub async fn sign_in_at(server: &Prosody, address: &str, port: u16, tls: Tls) -> Self {
        Self::sign_in_with(Profile::trusting(server), address, port, tls).await
    }

    /// Signs in at a port of loopback to a profile.
    pub async fn sign_in_with(profile: Profile, address: &str, port: u16, tls: Tls) -> Self {
        let mut app = profile.start().await;
        let account = app.sign_in_at(address, port, tls).await;
        Self {
            profile,
            app: Some(app),
            account,
            address: address.to_owned(),
        }
    }

    /// The same person with a copy of the profile, on which another program is started; the one on the profile does not run.
    pub async fn twin(&self) -> Self {
        let mut twin = self.copied();
        twin.start_again().await;
        twin
    }

    /// The same person with a copy of the profile; no program runs on either.
    #[must_use]
    pub fn copied(&self) -> Self {
        assert!(self.app.is_none(), "the program still runs");
        Self {
            app: None,
            profile: self.profile.copied(),
            account: self.account.clone(),
            address: self.address.clone(),
        }
    }

    /// Ends the program in good order.
    pub async fn stop(&mut self) {
        self.app.take().expect("the program runs").stop().await;
    }

    /// Kills the program, as a crash would.
    pub async fn kill(&mut self) {
        self.app.take().expect("the program runs").kill().await;
    }

    /// Starts the program on the same profile and waits until it is ready, not until it is online.
    pub async fn start_again(&mut self) {
        assert!(self.app.is_none(), "the program still runs");
        self.app = Some(self.profile.start().await);
    }

    /// Ends and starts the program, and waits until it is online.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
        self.wait_online().await;
    }

    /// Waits until the account is online.
    pub async fn wait_online(&mut self) {
        let account = self.account.clone();
        self.online(&account).await;
    }

    /// The chat with somebody, encrypted if they can.
    pub async fn chat_with(&mut self, address: &str) -> Value {
        let account = self.account.clone();
        self.open_chat(&account, address).await
    }

    /// The chat with somebody, set to plain text.
    pub async fn plain_chat_with(&mut self, address: &str) -> Value {
        let account = self.account.clone();
        self.open_plain_chat(&account, address).await
    }

    /// Waits for a message with this body.
    pub async fn hears(&mut self, body: &str) -> Value {
        let account = self.account.clone();
        self.message(&account, body).await
    }

    /// Waits until the contact's entry is as wanted.
    pub async fn sees(&mut self, address: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let account = self.account.clone();
        self.contact_until(&account, address, what, wanted).await
    }
}

impl Deref for Person {
    type Target = Headless;
    fn deref(&self) -> &Headless {
        self.app.as_ref().expect("the program runs")
    }
}

impl DerefMut for Person {
    fn deref_mut(&mut self) -> &mut Headless {
        self.app.as_mut().expect("the program runs")
    }
}
