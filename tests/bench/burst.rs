//! How fast the window answers while messages pour in.

use std::time::Duration;

use serde_json::{Value, json};
use waxwing_tests::window::{Display, Theme, Window, id};
use waxwing_tests::{Profile, Prosody, items, program};

use crate::program::Headless;
use crate::receive::{bodies, stanza};
use crate::report::{self, Spread};
use crate::sender::Sender;
use crate::start::pictures;

const ME: &str = "wren@waxwing.test";
/// Pours messages in.
const FRIEND: &str = "heron@waxwing.test";
/// Wrote some before.
const CALM: &str = "egret@waxwing.test";
const ROUNDS: usize = 3;
/// So many messages are in either chat before.
const EARLIER: usize = 40;
/// What 95 of 100 answers shall take at most, in seconds.
const TARGET: f64 = 0.05;

/// Does what a busy person does, about fifteen times a second, until it is told to stop: types a letter, opens the other
/// chat.
/// An answer takes from when the person would have done it, also if the page was too busy to notice, to the end of the
/// frame that shows it. Meanwhile the page is asked twenty times a second whether it is there, as other programs' windows
/// were (`_NET_WM_PING`).
const PERSON: &str = "
    const [asked, busy, ...chats] = arguments;
    const answers = { asked, there: [], typed: [], opened: [] };
    window.answers = answers;
    const find = name => document.querySelector(`[data-testid=${name}]`);
    const painted = () => new Promise(done => requestAnimationFrame(() => {
        const port = new MessageChannel();
        port.port1.onmessage = done;
        port.port2.postMessage(null);
    }));
    const later = pause => new Promise(done => {
        const due = performance.now() + pause;
        setTimeout(() => done(due), pause);
    });
    const soon = () => later(20 + 80 * Math.random());
    const type = async () => {
        const due = await soon();
        const input = find('composer-input');
        input.value = input.value.length > 40 ? 'a' : input.value + 'a';
        input.dispatchEvent(new InputEvent('input', { bubbles: true }));
        await painted();
        answers.typed.push((performance.now() - due) / 1000);
    };
    const clear = () => {
        const input = find('composer-input');
        input.value = '';
        input.dispatchEvent(new InputEvent('input', { bubbles: true }));
    };
    const open = async ({ title, row, says }) => {
        // A draft would stand in the list in place of the last message.
        clear();
        const due = await soon();
        [...document.querySelectorAll('[data-testid=chat-row]')].find(chat => chat.textContent.includes(row)).click();
        do await painted();
        while (!find('chat-title')?.textContent.includes(title) || !find('message')?.textContent.includes(says));
        answers.opened.push((performance.now() - due) / 1000);
    };
    // Where there are no chats: as much is drawn anew as when one is opened.
    const whole = async () => {
        const due = await soon();
        const { style } = document.body;
        style.background = style.background === 'white' ? 'ivory' : 'white';
        await painted();
        answers.opened.push((performance.now() - due) / 1000);
    };
    (async () => {
        while (answers.asked) {
            const due = await later(50);
            answers.there.push((performance.now() - due) / 1000);
        }
    })();
    (async () => {
        for (let turn = 0; busy && answers.asked; turn += 1) {
            await type();
            await (chats.length > 0 ? open(chats[turn % chats.length]) : whole());
        }
    })().catch(error => { answers.error = String(error); });";

/// The least there can be of a window to type in.
const BARE: &str = "
    const input = document.createElement('input');
    input.dataset.testid = 'composer-input';
    document.body.replaceChildren(input);";

/// Thousands of messages of one contact in one burst, three times into a chat that is only open, and three times while the
/// person goes on; then the same beside a bare page, which the headless program takes the messages in for: no window on
/// this machine answers sooner.
pub async fn burst(messages: usize) {
    let server = Prosody::start_with_friends(&[ME, FRIEND, CALM]).await;
    let profile = Profile::trusting(&server);
    let mut headless = Headless::start(&profile).await;
    let account = headless.sign_in(ME, server.direct_tls_port).await;
    let mut friend = Sender::sign_in(&server, FRIEND).await;
    let mut calm = Sender::sign_in(&server, CALM).await;
    for (sender, address, kind) in [(&mut calm, CALM, "calm"), (&mut friend, FRIEND, "early")] {
        sender.write_all(stanzas(kind, 0, EARLIER)).await;
        let all_there = |chats: &Value| {
            items(chats)
                .iter()
                .any(|chat| chat["address"] == address && chat["unread"] == EARLIER)
        };
        headless
            .until("list_chats", json!({ "account": account }), all_there)
            .await;
    }
    headless.stop().await;

    let display = Display::own().await;
    let window = Window::open_on(&display, &profile, Theme::Light, pictures()).await;
    window.find("html[data-ready=true]").await;
    window.open_chat(FRIEND).await;
    window.click(&id("tab-chats")).await;
    let chats = [
        json!({ "title": "egret", "row": "egret", "says": "calm" }),
        json!({ "title": "heron", "row": "heron", "says": " message " }),
    ];
    let quiet = answers(&window, true, &chats, async {
        tokio::time::sleep(Duration::from_secs(10)).await;
    })
    .await;
    window.open_chat(FRIEND).await;
    window.click(&id("tab-chats")).await;
    let (mut busy, mut idle) = (Answers::default(), Vec::new());
    for round in 1..=2 * ROUNDS {
        let is_busy = round > ROUNDS;
        friend.skip();
        let pours = async {
            friend.write_all(stanzas("burst", round, messages)).await;
            friend.expect_all("urn:xmpp:receipts", messages).await;
        };
        let more = answers(&window, is_busy, &chats, pours).await;
        let there = if is_busy { &mut busy.there } else { &mut idle };
        there.extend(more.there);
        busy.typed.extend(more.typed);
        busy.opened.extend(more.opened);
        let last = bodies("burst", round, messages).pop().unwrap_or_default();
        window
            .until_script("the last message is in the list", &shows(&last), true)
            .await;
    }
    window.picture("burst").await;
    window.close().await;

    let headless = Headless::start(&profile).await;
    let bare = Window::of_program(&display, &program("waxwing-bare"), &[], Theme::Light, pictures()).await;
    bare.run(BARE).await;
    let floor = answers(&bare, true, &[], async {
        friend.skip();
        friend.write_all(stanzas("floor", 2 * ROUNDS + 1, messages)).await;
        friend.expect_all("urn:xmpp:receipts", messages).await;
    })
    .await;
    bare.close().await;
    headless.stop().await;
    report::print_spread(
        "burst",
        &format!(
            "{ROUNDS} times {messages} messages of one contact in one burst, until the last receipt is at the sender, into \
             the open chat; as often while somebody types and goes from chat to chat; from the key or the click to the \
             end of the frame that answers it"
        ),
        &[
            Spread::new("quiet: the page is there", quiet.there, None),
            Spread::new("quiet: a letter typed", quiet.typed, None),
            Spread::new("quiet: a chat opened", quiet.opened, None),
            Spread::new("burst beside a bare page: a letter typed", floor.typed, None),
            Spread::new("burst beside a bare page: it is there", floor.there, None),
            Spread::new(
                "burst beside a bare page: all of it drawn anew",
                floor.opened,
                None,
            ),
            Spread::new("burst into the open chat: the page is there", idle, Some(TARGET)),
            Spread::new("burst: the page is there", busy.there, Some(TARGET)),
            Spread::new("burst: a letter typed", busy.typed, Some(TARGET)),
            Spread::new("burst: a chat opened", busy.opened, Some(TARGET)),
        ],
    );
}

/// What somebody writes in a round.
fn stanzas(kind: &str, round: usize, count: usize) -> Vec<String> {
    let bodies = bodies(kind, round, count);
    let numbered = bodies.iter().enumerate();
    numbered
        .map(|(number, body)| stanza(ME, round, number, &format!("<body>{body}</body>")))
        .collect()
}

/// Whether some row of the list of chats says this.
fn shows(text: &str) -> String {
    let text = json!(text);
    format!(
        "return [...document.querySelectorAll('{}')].some(row => row.textContent.includes({text}))",
        id("chat-row")
    )
}

/// Seconds.
#[derive(Default)]
struct Answers {
    there: Vec<f64>,
    typed: Vec<f64>,
    opened: Vec<f64>,
}

/// What the window answers while something else goes on, and a person is `busy` with it or only has it open.
async fn answers(
    window: &Window,
    busy: bool,
    chats: &[Value],
    meanwhile: impl Future<Output = ()>,
) -> Answers {
    let chats = json!(chats);
    let script = format!("const begin = function () {{ {PERSON} }}; begin(true, {busy}, ...{chats});");
    window.run(&script).await;
    meanwhile.await;
    let all = window
        .run("window.answers.asked = false; return window.answers")
        .await;
    assert_eq!(all["error"], Value::Null, "the person could go on");
    let seconds = |name: &str| items(&all[name]).iter().filter_map(Value::as_f64).collect();
    Answers {
        there: seconds("there"),
        typed: seconds("typed"),
        opened: seconds("opened"),
    }
}
