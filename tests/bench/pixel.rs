//! How long a message takes from the wire to the eye.

use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;
use waxwing_tests::window::{Display, Theme, Window};
use waxwing_tests::{LONG, Profile, Prosody, program};

use crate::program::Headless;
use crate::report::{self, Against, Line};
use crate::screen::{Screen, blocking};
use crate::sender::Sender;
use crate::start::pictures;
use crate::started;

const ME: &str = "wren@waxwing.test";
const FRIEND: &str = "heron@waxwing.test";
const MESSAGES: usize = 30;

/// Notes for each message, in Unix milliseconds, when its row was in the page and when the frame with it was done.
const OBSERVER: &str = "
    window.seen = {};
    const painted = new MessageChannel();
    const waiting = [];
    painted.port1.onmessage = () => { waiting.shift().frame = performance.timeOrigin + performance.now(); };
    new MutationObserver(() => {
        const row = [...document.querySelectorAll('[data-testid=message]')].at(-1);
        const number = /pixel (\\d+)/.exec(row?.textContent ?? '')?.[1];
        if (!number || window.seen[number]) return;
        const times = { row: performance.timeOrigin + performance.now(), frame: null };
        window.seen[number] = times;
        // The message of a port comes after the frame whose callbacks run before it is painted.
        requestAnimationFrame(() => { waiting.push(times); painted.port2.postMessage(null); });
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
    // A blinking caret would count as a pixel.
    document.activeElement?.blur();";

/// Messages into the open chat, one after the other.
pub async fn pixel() {
    let server = Prosody::start_with_friends(&[ME, FRIEND]).await;
    let profile = Profile::trusting(&server);
    let mut headless = Headless::start(&profile).await;
    headless.sign_in(ME, server.direct_tls_port).await;
    headless.stop().await;

    let screen = TempDir::new().expect("a temporary directory");
    let (display, pixels) = Display::in_file(screen.path()).await;
    let stamp = screen.path().join("started");
    let (bench, all) = started::command_line(&stamp, &program("waxwing"), &profile.arguments());
    let window = Window::of_program(&display, &bench, &all, Theme::Light, pictures()).await;
    window.find("html[data-ready=true]").await;
    window.open_chat(FRIEND).await;

    let mut friend = Sender::sign_in(&server, FRIEND).await;
    say(&mut friend, "the first one").await;
    window.message("the first one", "").await;
    window.run(OBSERVER).await;

    let mut sent = Vec::new();
    let mut screens = Vec::new();
    for number in 0..MESSAGES {
        let (at_rest, watch) = (Screen::open(&pixels), Screen::open(&pixels));
        let before = blocking(move || at_rest.at_rest(LONG)).await;
        let at = say(&mut friend, &format!("pixel {number}")).await;
        let changed = blocking(move || watch.when("changed", LONG, |seen| seen != before)).await;
        sent.push(at);
        screens.push(changed - at);
        row_painted(&window, number).await;
    }
    let seen = window.run("return window.seen").await;
    window.picture("pixel").await;
    window.close().await;
    print(&sent, &seen, screens);
}

fn print(sent: &[f64], seen: &Value, screens: Vec<f64>) {
    let since_sent = |what: &str| -> Vec<f64> {
        let of =
            |(number, at): (usize, &f64)| seen[number.to_string()][what].as_f64().expect("it was seen") - at;
        sent.iter().enumerate().map(of).collect()
    };
    let peers = || vec![Against::peer("Gajim", 27.0), Against::peer("Dino", 88.0)];
    report::print(
        "pixel",
        "from just before a contact sends a plain message, through Prosody, to its row in the page of the open chat, to \
         the end of the page's frame with it, and to the first changed pixel of the screen's memory",
        &[
            Line::less("message to row", "ms", since_sent("row"), Vec::new()),
            Line::less("message to frame", "ms", since_sent("frame"), peers()),
            Line::less("message to pixel", "ms", screens, peers()),
        ],
    );
}

async fn say(friend: &mut Sender, text: &str) -> f64 {
    friend
        .write(&format!(
            "<message to='{ME}' type='chat' id='{text}'><body>{text}</body></message>"
        ))
        .await
}

/// Waits until the page has noted the message's frame.
async fn row_painted(window: &Window, number: usize) {
    let script = format!("return Boolean(window.seen[{number}]?.frame)");
    let deadline = Instant::now() + LONG;
    while window.run(&script).await != json!(true) {
        assert!(Instant::now() < deadline, "message {number} is not in the page");
    }
}
