//! Two people talk encrypted, one of them in the real window, over a server that exists only for this.
//!
//! Alice signs in to two accounts in the window, as a person would; Bob is a foreign program. Without a display
//! the demo ends by itself; with one the window stays open until it is closed.

use std::path::PathBuf;

use serde_json::Value;
use waxwing_tests::window::{Display, Theme, Window, id};
use waxwing_tests::{PASSWORD, Peer, Profile, Prosody, RosterItem, Tls, root};

const ALICE: &str = "alice@waxwing.test";
const WORK: &str = "alice.work@heron.test";
const BOB: &str = "bob@waxwing.test";
const CAROL: &str = "carol@heron.test";

#[tokio::main]
async fn main() {
    let pictures = root().join("target/demo");
    println!("Starting a server on this computer, for this demo only …");
    let server = server().await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let mut carol = Peer::sign_in(&server, CAROL).await;
    set_presence(&mut carol, "away", "picking berries").await;

    let display = Display::of_the_person().await;
    let profile = Profile::trusting(&server);
    println!("Opening the window and signing in to {ALICE} and {WORK} …");
    let window = Window::open_on(&display, &profile, Theme::Light, pictures.clone()).await;
    window.find(&id("onboarding-address")).await;
    let mut saved = vec![window.picture("1-welcome").await];
    window
        .sign_in(ALICE, PASSWORD, server.direct_tls_port, Tls::Direct)
        .await;
    window.click(&id("rail-add-account")).await;
    window
        .sign_in(WORK, PASSWORD, server.starttls_port, Tls::StartTls)
        .await;

    carol.send(WORK, "The heron is back at the pond.", "omemo2").await;
    let heard = converse(&window, &mut bob).await;
    saved.extend(light_pictures(&window).await);
    report(&window, &heard).await;

    if display.is_seen() {
        println!("\nThe window is yours now; close it to end the demo.");
        window.closed_by_person().await;
        window.close().await;
    } else {
        window.close().await;
        saved.push(dark_picture(&display, &profile, pictures).await);
    }
    println!("\nPictures:");
    for picture in saved {
        println!("  {}", picture.strip_prefix(root()).unwrap_or(&picture).display());
    }
    bob.stop().await;
    carol.stop().await;
}

/// A server where Alice's two accounts and her friends know each other by name.
async fn server() -> Prosody {
    let mut server = Prosody::start(&[ALICE, WORK, BOB, CAROL]).await;
    server.stop().await;
    let named = |address: &str, name: &str| RosterItem {
        name: Some(name.to_owned()),
        ..RosterItem::both(address)
    };
    server.write_roster(
        ALICE,
        &[named(BOB, "Bob Berry"), named("dora@waxwing.test", "Dora")],
    );
    server.write_roster(
        WORK,
        &[named(CAROL, "Carol Reed"), named("erik@heron.test", "Erik")],
    );
    server.write_roster(BOB, &[named(ALICE, "Alice")]);
    server.write_roster(CAROL, &[named(WORK, "Alice (work)")]);
    server.start_again().await;
    server
}

async fn set_presence(peer: &mut Peer, show: &str, status: &str) {
    peer.ask("presence", serde_json::json!({ "show": show, "status": status }))
        .await;
}

/// The conversation; gives what Bob's program received.
async fn converse(window: &Window, bob: &mut Peer) -> Vec<Value> {
    let mut heard = Vec::new();
    bob.send(ALICE, "Good morning Alice! Have you seen the waxwings?", "omemo1")
        .await;
    window.click(&id("rail-all")).await;
    window.click(&id("tab-chats")).await;
    window
        .click(&format!("{}[data-address='{BOB}']", id("chat-row")))
        .await;
    window
        .message("Have you seen the waxwings?", "[data-direction=in]")
        .await;
    for (mine, theirs) in [
        (
            "A whole flock, in the rowan by the gate.",
            "I will bring the good binoculars. 🔭",
        ),
        ("And bread. They leave us nothing but crumbs.", "Ten minutes!"),
    ] {
        window.write(mine).await;
        heard.push(bob.message(mine).await);
        window
            .message(mine, "[data-direction=out][data-delivery=delivered]")
            .await;
        bob.send(ALICE, theirs, "omemo1").await;
        window.message(theirs, "[data-direction=in]").await;
    }
    heard
}

async fn light_pictures(window: &Window) -> Vec<PathBuf> {
    let mut saved = vec![window.picture("2-chat").await];
    window.click(&id("tab-contacts")).await;
    window
        .find(&format!(
            "{}[data-address='{CAROL}'][data-presence=away]",
            id("contact-row")
        ))
        .await;
    saved.push(window.picture("3-contacts").await);
    window.click(&id("tab-chats")).await;
    saved.push(window.picture("4-chats").await);
    saved
}

/// The same profile on a dark desktop.
async fn dark_picture(display: &Display, profile: &Profile, pictures: PathBuf) -> PathBuf {
    let window = Window::open_on(display, profile, Theme::Dark, pictures).await;
    window
        .click(&format!("{}[data-address='{BOB}']", id("chat-row")))
        .await;
    window.message("Ten minutes!", "[data-direction=in]").await;
    let picture = window.picture("5-chat-dark").await;
    window.close().await;
    picture
}

async fn report(window: &Window, heard: &[Value]) {
    println!("\nAlice's window:");
    for message in window.messages().await.as_array().into_iter().flatten() {
        let word = |name: &str| message[name].as_str().unwrap_or("?").to_owned();
        let arrow = if message["direction"] == "out" { "->" } else { "<-" };
        println!(
            "  {arrow} [{}, {}] {}",
            word("encryption"),
            word("delivery"),
            word("text")
        );
    }
    println!("\nBob's program (slixmpp) received:");
    for message in heard {
        let word = |name: &str| message[name].as_str().unwrap_or("?").to_owned();
        println!("  <- [{}] {}", word("encryption"), word("body"));
        println!("     in the open the server saw: {:?}", word("outer_body"));
    }
}
