//! How long the window takes to be there, and how much memory it holds.

use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;
use waxwing_tests::window::{Display, Theme, Window};
use waxwing_tests::{Fault, LONG, Profile, Prosody, Proxy, RosterItem, items, program, root};

use crate::program::Headless;
use crate::report::{Against, Line};
use crate::screen::{self, Screen, blocking};
use crate::sender::Sender;
use crate::started::{self, Started};
use crate::{machine, report};

const ME: &str = "wren@waxwing.test";
const FRIEND: &str = "contact-0000@waxwing.test";
const CONTACTS: usize = 1_000;

/// A window that shows something.
pub struct Opened {
    /// Under the driver.
    pub window: Window,
    /// When it began.
    pub started: Started,
    /// Seconds from the start to the first content on the screen.
    first_paint: f64,
}

/// Opens a program on the screen, which must be empty before.
pub async fn open(display: &Display, pixels: &Path, name: &str, arguments: &[String]) -> Opened {
    let home = TempDir::new().expect("a temporary directory");
    let file = home.path().join("started");
    let (bench, all) = started::command_line(&file, &program(name), arguments);
    let screen = Screen::open(pixels);
    let screen = blocking(move || {
        screen.when("empty", LONG, screen::is_empty);
        screen
    })
    .await;
    let paint = tokio::spawn(blocking(move || {
        screen.when("painted", LONG, screen::shows_content)
    }));
    let window = Window::of_program(display, &bench, &all, Theme::Light, pictures()).await;
    let painted = paint.await.expect("nothing panics there");
    let started = started::read(&file).await;
    Opened {
        window,
        started,
        first_paint: (painted - started.at) / 1_000.0,
    }
}

/// Where pictures of windows go that do not do what is measured.
pub fn pictures() -> PathBuf {
    root().join("target/bench")
}

impl Opened {
    /// Seconds from the start to the frame in which the contacts are, as the page's clock tells, waited for.
    async fn contacts(&self) -> f64 {
        const SCRIPT: &str = "const [contacts] = performance.getEntriesByName('contacts');
             return contacts ? performance.timeOrigin + contacts.startTime : null;";
        let deadline = tokio::time::Instant::now() + LONG;
        let at = loop {
            if let Some(at) = self.window.run(SCRIPT).await.as_f64() {
                break at;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "the page never shows contacts"
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        let rows = self.window.find_all("[data-testid=contact-row]").await.len();
        assert!(
            rows > 5,
            "the contacts are said to be on the screen, but there are {rows} rows"
        );
        (at - self.started.at) / 1_000.0
    }

    /// What the page knows about its own start, in milliseconds from the start of the program.
    async fn timeline(&self) -> String {
        const SCRIPT: &str = "const [page] = performance.getEntriesByType('navigation');
             const entries = [['document', performance.timeOrigin], ...['responseEnd', 'domInteractive',
                 'domContentLoadedEventStart', 'loadEventStart'].map(n => [n, performance.timeOrigin + page[n]])];
             for (const e of [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('mark'),
                 ...performance.getEntriesByType('paint')])
                 entries.push([e.name.split('/').at(-1), performance.timeOrigin + (e.responseEnd || e.startTime)]);
             return entries;";
        let mut entries: Vec<(f64, String)> = items(&self.window.run(SCRIPT).await)
            .iter()
            .map(|entry| {
                let at = entry[1].as_f64().unwrap_or_default() - self.started.at;
                (at, entry[0].as_str().unwrap_or_default().to_owned())
            })
            .collect();
        entries.push((self.first_paint * 1_000.0, "SCREEN".to_owned()));
        entries.sort_by(|a, b| a.0.total_cmp(&b.0));
        entries
            .iter()
            .map(|(at, name)| format!("{name} {at:.0}"))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// A server, a profile whose store knows the contacts, and a way to keep the server from answering.
struct Scene {
    server: Prosody,
    proxy: Proxy,
    profile: Profile,
    display: Display,
    pixels: PathBuf,
    _screen: TempDir,
}

async fn scene() -> Scene {
    let mut server = Prosody::start(&[ME, FRIEND]).await;
    server.stop().await;
    let contacts: Vec<RosterItem> = (0..CONTACTS)
        .map(|number| RosterItem {
            name: Some(format!("Contact {number}")),
            ..RosterItem::both(&format!("contact-{number:04}@waxwing.test"))
        })
        .collect();
    server.write_roster(ME, &contacts);
    server.write_roster(FRIEND, &[RosterItem::both(ME)]);
    server.start_again().await;
    let proxy = Proxy::to(server.direct_tls_port).await;
    let profile = Profile::trusting(&server);
    let mut headless = Headless::start(&profile).await;
    let account = headless.sign_in(ME, proxy.port).await;
    headless
        .until("list_contacts", json!({ "account": account }), |list| {
            items(list).len() == CONTACTS
        })
        .await;
    headless.stop().await;
    let screen = TempDir::new().expect("a temporary directory");
    let (display, pixels) = Display::in_file(screen.path()).await;
    Scene {
        server,
        proxy,
        profile,
        display,
        pixels,
        _screen: screen,
    }
}

/// Start to first paint, to contacts, to online.
pub async fn start(runs: usize, timelines: bool) {
    let scene = scene().await;
    let mut friend = Sender::sign_in(&scene.server, FRIEND).await;
    let (mut paint, mut contacts, mut bare, mut online) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // The first round fills the caches and does not count.
    for round in 0..=runs {
        scene.proxy.set(Fault::Stall);
        let opened = open(
            &scene.display,
            &scene.pixels,
            "waxwing",
            &scene.profile.arguments(),
        )
        .await;
        let stalled = (opened.first_paint, opened.contacts().await);
        if timelines {
            eprintln!("window: {}", opened.timeline().await);
        }
        opened.window.close().await;

        let opened = open(&scene.display, &scene.pixels, "waxwing-bare", &[]).await;
        let empty = opened.first_paint;
        if timelines {
            eprintln!("bare:   {}", opened.timeline().await);
        }
        opened.window.close().await;

        scene.proxy.set(Fault::Cut);
        scene.proxy.set(Fault::Pass);
        friend.skip();
        let opened = open(
            &scene.display,
            &scene.pixels,
            "waxwing",
            &scene.profile.arguments(),
        )
        .await;
        let (answered, window) = became_available(&mut friend, opened.started).await;
        // Behind the presence of all contacts: a server resumes no session in which so much is not acknowledged, and the next
        // round would begin two.
        friend
            .ask(Some(&window), "get", "<ping xmlns='urn:xmpp:ping'/>")
            .await;
        opened.window.close().await;
        if round > 0 {
            paint.push(stalled.0);
            contacts.push(stalled.1);
            bare.push(empty);
            online.push(answered);
        }
    }
    let than_bare = || vec![Against::bare(&bare, 0.3, "s")];
    let peers = vec![Against::peer("Dino", 0.74), Against::peer("Gajim", 2.8)];
    report::print(
        "start",
        "from exec to the first content among the screen's pixels and to the page's mark for its contacts (1,000 in the \
         store, the server silent), and to the presence that a contact receives (the server answering); all windows \
         under the same WebDriver, in turn",
        &[
            Line::less("window: first paint", "s", paint, than_bare()),
            Line::less("window: contacts on the screen", "s", contacts, than_bare()),
            Line::less("window: online", "s", online, peers),
            Line::less("bare page: first paint", "s", bare, Vec::new()),
        ],
    );
}

/// Seconds from the start until the contact sees us available, and the full address that it sees.
async fn became_available(friend: &mut Sender, started: Started) -> (f64, String) {
    let from = format!("{ME}/");
    let seen = friend
        .wait(LONG, |text| {
            let tags = text
                .split("<presence")
                .skip(1)
                .map(|rest| rest.split('>').next().unwrap_or_default());
            let mut available = tags.filter(|tag| !tag.contains("unavailable"));
            available.find_map(|tag| {
                tag[tag.find(&from)?..]
                    .split(['\'', '"'])
                    .next()
                    .map(str::to_owned)
            })
        })
        .await;
    ((seen.1 - started.at) / 1_000.0, seen.0)
}

/// Memory at rest with the contacts on the screen.
pub async fn memory(runs: usize) {
    let scene = scene().await;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..runs.min(3) {
        let opened = open(
            &scene.display,
            &scene.pixels,
            "waxwing",
            &scene.profile.arguments(),
        )
        .await;
        opened.contacts().await;
        ours.push(at_rest(opened).await);
        let opened = open(&scene.display, &scene.pixels, "waxwing-bare", &[]).await;
        bare.push(at_rest(opened).await);
    }
    report::print(
        "memory",
        "PSS of the program and its web view's processes at rest, online with 1,000 contacts on the screen",
        &[
            Line::less("window", "MiB", ours, vec![Against::bare(&bare, 60.0, "MiB")]),
            Line::less("bare page", "MiB", bare, Vec::new()),
        ],
    );
}

async fn at_rest(opened: Opened) -> f64 {
    machine::idle(opened.started.process).await;
    let memory = machine::memory(opened.started.process);
    opened.window.close().await;
    memory
}
