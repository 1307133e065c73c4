//! The program with one account at a scripted server.

use serde_json::Value;
use waxwing_scripted::{Authority, Honest, Server};

use crate::{Headless, PASSWORD, Profile, Tls};

/// A program, its account, and the server that does what the test says.
pub struct Scripted {
    /// The server.
    pub server: Server,
    /// The program under test.
    pub app: Headless,
    /// Its account.
    pub account: Value,
    /// The contact at the server who answers.
    pub friend: String,
    profile: Profile,
    _folder: tempfile::TempDir,
}

impl Scripted {
    /// Starts a server that is honest but for what the script makes of it, and signs in.
    pub async fn sign_in(script: impl FnOnce(Honest) -> Honest) -> Self {
        let authority = Authority::new("Authority of a scripted server");
        let address = "wren@scripted.test";
        let honest = script(Honest::new(&authority, address, PASSWORD));
        let friend = honest.friend();
        let server = Server::start(honest).await;
        let folder = tempfile::tempdir().expect("a temporary directory");
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, authority.pem()).expect("the authority's file");
        let profile = Profile::with_ca(Some(ca_file));
        let mut app = profile.start().await;
        let account = app.add_account(address, PASSWORD, server.port, Tls::Direct).await;
        Self {
            server,
            app,
            account,
            friend,
            profile,
            _folder: folder,
        }
    }

    /// Ends the program in order and starts it again.
    pub async fn restart(self) -> Self {
        self.app.stop().await;
        let app = self.profile.start().await;
        Self { app, ..self }
    }

    /// Kills the program and starts it again.
    pub async fn kill(mut self) -> Self {
        self.app.kill_in_place().await;
        let app = self.profile.start().await;
        Self { app, ..self }
    }
}
