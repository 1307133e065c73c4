//! Any program with a web view under WebDriver, and a screen whose pixels can be read: for measurements.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fantoccini::ClientBuilder;
use fantoccini::wd::Capabilities;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::{Display, Theme, Window, free_port, log_file, spawn_driver};
use crate::process::log_tail;
use crate::{LONG, SHORT, until};

impl Display {
    /// A screen of our own whose pixels lie in a file of the folder, in the format of `xwd`. Gives the file too.
    pub async fn in_file(folder: &Path) -> (Self, PathBuf) {
        let mut xvfb = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1280x900x24"])
            .args(["-nolisten", "tcp", "-noreset", "-nocursor", "-fbdir"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Debian's package xvfb is installed");
        let mut number = String::new();
        let output = xvfb.stdout.take().expect("standard output is a pipe");
        tokio::time::timeout(SHORT, BufReader::new(output).read_line(&mut number))
            .await
            .expect("Xvfb says its display's number in time")
            .expect("Xvfb's output can be read");
        assert!(!number.trim().is_empty(), "Xvfb ended without a display");
        let display = Self {
            name: format!(":{}", number.trim()),
            xvfb: Some(xvfb),
        };
        (display, folder.join("Xvfb_screen0"))
    }
}

impl Window {
    /// Opens a program on this screen and does not wait for anything in its page.
    pub async fn of_program(
        display: &Display,
        program: &Path,
        arguments: &[String],
        pictures: PathBuf,
    ) -> Self {
        fs::create_dir_all(&pictures).expect("a folder for the pictures");
        let home = tempfile::Builder::new()
            .prefix("waxwing-window-")
            .tempdir()
            .expect("a temporary directory");
        let port = free_port().await;
        let driver = spawn_driver(display, Theme::Light, &home, port);
        until("WebKitWebDriver listens", SHORT, async || {
            let connected = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
            connected.ok().map(drop)
        })
        .await;
        let mut capabilities = Capabilities::new();
        let options = json!({ "binary": program, "args": arguments });
        capabilities.insert("webkitgtk:browserOptions".to_owned(), options);
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let url = format!("http://127.0.0.1:{port}");
        let connecting = builder.capabilities(capabilities).connect(&url);
        let client = match tokio::time::timeout(LONG, connecting).await {
            Ok(Ok(client)) => client,
            outcome => panic!(
                "{} does not open: {:?}\n{}",
                program.display(),
                outcome.map(Result::err),
                log_tail(&log_file(&home))
            ),
        };
        Self {
            client,
            driver,
            home,
            pictures,
            display: None,
        }
    }
}
