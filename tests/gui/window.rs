//! The real window, used as a person would: signing in, reading, answering, two accounts.

use waxwing_tests::web::{Web, seal};
use waxwing_tests::window::{Window, id};
use waxwing_tests::{Authority, LONG, PASSWORD, Peer, Profile, Prosody, Tls, root, until};

const ALICE: &str = "alice@waxwing.test";
const WORK: &str = "alice.work@heron.test";
const BOB: &str = "bob@waxwing.test";

#[tokio::test]
async fn a_person_signs_in_reads_answers_and_sees_it_delivered() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let profile = Profile::trusting(&server);
    let window = Window::open(&profile, "first-steps").await;
    window.picture("1-welcome").await;
    window
        .sign_in(ALICE, PASSWORD, server.direct_tls_port, Tls::Direct)
        .await;
    window.find(&id("rail-all")).await;
    window.click(&id("tab-contacts")).await;
    window
        .find(&format!(
            "{}[data-address='{BOB}'][data-presence=available]",
            id("contact-row")
        ))
        .await;
    window.picture("2-contacts").await;

    bob.send(ALICE, "Did the berries ripen?", "omemo1").await;
    window.click(&id("tab-chats")).await;
    window
        .click(&format!("{}[data-address='{BOB}']", id("chat-row")))
        .await;
    window
        .message(
            "Did the berries ripen?",
            "[data-direction=in][data-encryption=omemo1]",
        )
        .await;
    window
        .find(&format!("{}[data-lock=encrypted]", id("composer-lock")))
        .await;

    bob.ask("receipts", serde_json::json!({ "automatic": false }))
        .await;
    window.write("They did, come over.").await;
    window
        .message(
            "They did, come over.",
            "[data-direction=out][data-encryption=omemo1][data-delivery=sent]",
        )
        .await;
    window.picture("3-sent").await;
    let seen = bob.message("They did, come over.").await;
    assert_eq!(seen["encryption"], "omemo1");
    bob.ask(
        "acknowledge",
        serde_json::json!({ "to": seen["from"], "message": seen["id"] }),
    )
    .await;
    window
        .message(
            "They did, come over.",
            "[data-direction=out][data-delivery=delivered]",
        )
        .await;
    let mark = format!("{}[data-address='{BOB}'] [data-delivery]", id("chat-row"));
    let in_list = format!("return document.querySelector(\"{mark}\")?.dataset.delivery ?? null");
    window
        .until_script("the chat list says delivered too", &in_list, "delivered")
        .await;
    window.picture("4-delivered").await;
    window.close().await;

    let again = Window::open(&profile, "first-steps").await;
    again
        .click(&format!("{}[data-address='{BOB}']", id("chat-row")))
        .await;
    again
        .message(
            "They did, come over.",
            "[data-direction=out][data-delivery=delivered]",
        )
        .await;
    again
        .message(
            "Did the berries ripen?",
            "[data-direction=in][data-encryption=omemo1]",
        )
        .await;
    again.picture("5-after-a-restart").await;
    again.close().await;
}

#[tokio::test]
async fn a_wrong_password_is_told_in_words_and_the_right_one_signs_in() {
    let server = Prosody::start(&[ALICE]).await;
    let profile = Profile::trusting(&server);
    let window = Window::open(&profile, "wrong-password").await;
    window
        .submit_sign_in(ALICE, "not the password", server.direct_tls_port, Tls::Direct)
        .await;
    let words = window.text(&id("onboarding-error")).await;
    assert!(
        !words.trim().is_empty() && !words.contains("not-authorized"),
        "it must be told in words: {words:?}"
    );
    window.picture("1-told").await;
    window.fill(&id("onboarding-password"), PASSWORD).await;
    window.click(&id("onboarding-submit")).await;
    window
        .find("[data-testid^=rail-account-][data-state=online]")
        .await;
    window.picture("2-signed-in").await;
    window.close().await;
}

#[tokio::test]
async fn two_accounts_live_in_one_window_and_one_can_be_looked_at_alone() {
    let server = Prosody::start_with_friends(&[ALICE, WORK, BOB]).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let profile = Profile::trusting(&server);
    let window = Window::open(&profile, "two-accounts").await;
    window
        .sign_in(ALICE, PASSWORD, server.direct_tls_port, Tls::Direct)
        .await;
    window.click(&id("rail-add-account")).await;
    window
        .sign_in(WORK, PASSWORD, server.starttls_port, Tls::StartTls)
        .await;
    bob.send(ALICE, "to your private self", "none").await;
    bob.send(WORK, "to your working self", "none").await;

    window.click(&id("rail-all")).await;
    window.click(&id("tab-chats")).await;
    let rows = format!(
        "return document.querySelectorAll(\"{}[data-address='{BOB}']\").length",
        id("chat-row")
    );
    window
        .until_script("both chats are listed under All", &rows, 2)
        .await;
    window.picture("1-all").await;

    let accounts = window.find_all("[data-testid^=rail-account-]").await;
    assert_eq!(accounts.len(), 2);
    for (number, (words, other)) in [
        ("to your private self", "to your working self"),
        ("to your working self", "to your private self"),
    ]
    .into_iter()
    .enumerate()
    {
        window
            .click(&format!(
                "li:nth-child({}) > [data-testid^=rail-account-]",
                number + 1
            ))
            .await;
        window
            .until_script("one chat is listed under one account", &rows, 1)
            .await;
        window
            .click(&format!("{}[data-address='{BOB}']", id("chat-row")))
            .await;
        window.message(words, "[data-direction=in]").await;
        let shown = window.messages().await.to_string();
        assert!(
            !shown.contains(other),
            "the other account's message is shown: {shown}"
        );
        window.picture(&format!("{}-account", number + 2)).await;
    }
    window.close().await;
}

#[tokio::test]
async fn what_a_stranger_writes_stays_text() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let profile = Profile::trusting(&server);
    let window = Window::open(&profile, "stays-text").await;
    window
        .sign_in(ALICE, PASSWORD, server.direct_tls_port, Tls::Direct)
        .await;
    let hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> javascript:alert(1)";
    bob.send(ALICE, hostile, "none").await;
    window.click(&id("tab-chats")).await;
    window
        .click(&format!("{}[data-address='{BOB}']", id("chat-row")))
        .await;
    window.message("<img src=x onerror=", "[data-direction=in]").await;
    let made = window
        .run("return document.querySelectorAll('[data-testid=message] img, [data-testid=message] script, [data-testid=message] a[href^=\"javascript:\"]').length")
        .await;
    assert_eq!(made, 0, "text became elements");
    assert_ne!(window.run("return document.title").await, "owned");
    window.picture("1-text").await;
    window.close().await;
}

#[tokio::test]
async fn an_encrypted_picture_is_fetched_on_a_click_and_shown() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let authority = Authority::new("An authority for files");
    let web = Web::start(&authority).await;
    let picture = std::fs::read(root().join("icons/128x128.png")).expect("the icon");
    web.put_file("/waxwing.png", &seal(&picture));
    let folder = tempfile::tempdir().expect("a folder");
    let both = folder.path().join("authorities.pem");
    let pem = std::fs::read_to_string(server.ca_file()).expect("the server's authority");
    std::fs::write(&both, format!("{pem}\n{}", authority.pem())).expect("written");
    let mut profile = Profile::with_ca(Some(both));
    profile.save_into(folder.path().join("downloads"));
    let mut bob = Peer::sign_in(&server, BOB).await;
    let window = Window::open(&profile, "files").await;
    window
        .sign_in(ALICE, PASSWORD, server.direct_tls_port, Tls::Direct)
        .await;
    bob.send(ALICE, &web.link("/waxwing.png"), "omemo1").await;
    window
        .click(&format!("{}[data-address='{BOB}']", id("chat-row")))
        .await;
    window.find(&format!("{}[data-state=offered]", id("file"))).await;
    window.picture("1-offered").await;
    assert!(web.heads().is_empty(), "it was fetched unasked");
    window.click(&id("file-fetch")).await;
    let width = format!(
        "return document.querySelector(\"{} img\")?.naturalWidth ?? 0",
        id("file-picture")
    );
    window.until_script("the picture is drawn", &width, 128).await;
    window.picture("2-shown").await;
    window.click(&id("file-save")).await;
    window.find(&id("notice")).await;
    let saved = folder.path().join("downloads/waxwing.png");
    until("the picture is saved", LONG, async || {
        (std::fs::read(&saved).ok()? == picture).then_some(())
    })
    .await;
    window.close().await;
}
