//! The real window on a display of its own, driven by WebDriver as a person would use it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::process::{log_tail, signal};
use crate::{LONG, Profile, SHORT, Tls, program, root, until};

/// WebKitGTK takes a screenshot with the next frame, and where it draws without OpenGL a page at rest has none.
const KEEP_PAINTING: &str = "
    const dot = document.createElement('i');
    dot.id = 'keeps-painting';
    Object.assign(dot.style, { position: 'fixed', right: '0', bottom: '0', width: '1px', height: '1px' });
    document.body.append(dot);
    const paint = () => {
        dot.style.background = dot.style.background === '' ? 'gray' : '';
        if (dot.isConnected) requestAnimationFrame(paint);
    };
    paint();";
const STOP_PAINTING: &str = "document.getElementById('keeps-painting')?.remove();";

/// A screen in memory, or the one the environment names.
pub struct Display {
    name: String,
    xvfb: Option<Child>,
}

impl Display {
    /// A screen of our own in memory.
    pub async fn own() -> Self {
        Self::start(&[]).await
    }

    /// A screen of our own whose pixels lie in a file of the folder, in the format of `xwd`. Gives the file too.
    pub async fn in_file(folder: &Path) -> (Self, PathBuf) {
        let arguments = ["-nocursor".as_ref(), "-fbdir".as_ref(), folder.as_os_str()];
        let display = Self::start(&arguments).await;
        (display, folder.join("Xvfb_screen0"))
    }

    /// A screen of our own; the arguments go to `Xvfb`.
    async fn start(arguments: &[&OsStr]) -> Self {
        let mut xvfb = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1280x900x24"])
            .args(["-nolisten", "tcp", "-noreset"])
            .args(arguments)
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
        Self {
            name: format!(":{}", number.trim()),
            xvfb: Some(xvfb),
        }
    }

    /// The screen that the person sits at, if there is one; else one of our own.
    pub async fn of_the_person() -> Self {
        match std::env::var("DISPLAY") {
            Ok(name) if !name.is_empty() => Self { name, xvfb: None },
            _ => Self::own().await,
        }
    }

    /// Whether a person can see it.
    pub fn is_seen(&self) -> bool {
        self.xvfb.is_none()
    }
}

/// Light or dark, as the desktop says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Dark text on light ground.
    Light,
    /// Light text on dark ground.
    Dark,
}

/// The running window.
pub struct Window {
    client: Client,
    driver: Child,
    home: TempDir,
    /// Where the screenshots of this window go.
    pictures: PathBuf,
    /// The screen, unless somebody else keeps it.
    display: Option<Display>,
}

impl Window {
    /// Opens the window on a screen of its own and waits until it is ready. Screenshots go to
    /// `target/gui/NAME/`.
    pub async fn open(profile: &Profile, name: &str) -> Self {
        let display = Display::own().await;
        let mut window = Self::open_on(
            &display,
            profile,
            Theme::Light,
            root().join("target/gui").join(name),
        )
        .await;
        window.display = Some(display);
        window
    }

    /// Opens the window on this screen; screenshots go to the folder.
    pub async fn open_on(display: &Display, profile: &Profile, theme: Theme, pictures: PathBuf) -> Self {
        let arguments = profile.arguments();
        let window = Self::of_program(display, &program("waxwing"), &arguments, theme, pictures).await;
        window.find("html[data-ready=true]").await;
        window
    }

    /// Opens any program with a web view on this screen and does not wait for anything in its page.
    pub async fn of_program(
        display: &Display,
        program: &Path,
        arguments: &[String],
        theme: Theme,
        pictures: PathBuf,
    ) -> Self {
        fs::create_dir_all(&pictures).expect("a folder for the pictures");
        let home = tempfile::Builder::new()
            .prefix("waxwing-window-")
            .tempdir()
            .expect("a temporary directory");
        let port = free_port().await;
        let driver = spawn_driver(display, theme, &home, port);
        until("WebKitWebDriver listens", SHORT, async || {
            let connected = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
            connected.ok().map(drop)
        })
        .await;
        let connected = tokio::time::timeout(LONG, connect(port, program, arguments)).await;
        let client = match connected {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => panic!(
                "{} does not open: {error}\n{}",
                program.display(),
                log_tail(&log_file(&home))
            ),
            Err(_) => panic!(
                "{} does not open within {LONG:?}\n{}",
                program.display(),
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

    /// The first element that fits the CSS selector, waited for.
    pub async fn find(&self, selector: &str) -> Element {
        let wait = self.client.wait().at_most(LONG).every(Duration::from_millis(25));
        match self
            .answered(selector, wait.for_element(Locator::Css(selector)))
            .await
        {
            Ok(element) => element,
            Err(error) => {
                self.fail(&format!("{selector} did not appear within {LONG:?}: {error}"))
                    .await
            }
        }
    }

    /// All elements that fit the CSS selector now.
    pub async fn find_all(&self, selector: &str) -> Vec<Element> {
        self.answered(selector, self.client.find_all(Locator::Css(selector)))
            .await
            .unwrap_or_default()
    }

    /// Clicks on what fits the CSS selector, as soon as it takes clicks.
    pub async fn click(&self, selector: &str) {
        self.act(selector, "be clicked", async |element| element.click().await)
            .await;
    }

    /// Replaces what stands in a field by typing.
    pub async fn fill(&self, selector: &str, text: &str) {
        self.act(selector, "be filled", async |element| {
            element.clear().await?;
            element.send_keys(text).await
        })
        .await;
    }

    /// Types into what fits the CSS selector.
    pub async fn type_into(&self, selector: &str, text: &str) {
        self.act(selector, "be typed into", async |element| {
            element.send_keys(text).await
        })
        .await;
    }

    async fn act(&self, selector: &str, what: &str, deed: impl AsyncFn(Element) -> Result<(), CmdError>) {
        let deadline = tokio::time::Instant::now() + SHORT;
        loop {
            // An element may be drawn anew or still be covered between being found and being used.
            let element = self.find(selector).await;
            let error = match self.answered(selector, deed(element)).await {
                Ok(()) => return,
                Err(error) => error,
            };
            if tokio::time::Instant::now() > deadline {
                self.fail(&format!("{selector} cannot {what}: {error}")).await;
            }
        }
    }

    /// What the driver answers. It has no limit of its own: when the page hangs, it would be waited for without end.
    async fn answered<T>(&self, question: &str, answer: impl Future<Output = T>) -> T {
        match tokio::time::timeout(LONG + SHORT, answer).await {
            Ok(answer) => answer,
            Err(_) => {
                self.fail(&format!(
                    "the window does not answer any more; asked was {question}"
                ))
                .await
            }
        }
    }

    /// Runs JavaScript in the page; the script returns its answer.
    pub async fn run(&self, script: &str) -> Value {
        match self
            .answered(script, self.client.execute(script, Vec::new()))
            .await
        {
            Ok(value) => value,
            Err(error) => self.fail(&format!("the script failed: {error}\n{script}")).await,
        }
    }

    /// The text of the first element that fits, waited for.
    pub async fn text(&self, selector: &str) -> String {
        let element = self.find(selector).await;
        self.answered(selector, element.text()).await.unwrap_or_default()
    }

    /// Waits for a message with this text and these `data-` attributes, given as a CSS selector's part, such as
    /// `[data-delivery=sent]`.
    pub async fn message(&self, text: &str, attributes: &str) {
        let script = format!(
            "return [...document.querySelectorAll('[data-testid=message]{attributes}')].some(row => row.textContent.includes({}))",
            json!(text),
        );
        let limit = tokio::time::Instant::now() + LONG;
        while self.run(&script).await != json!(true) {
            if tokio::time::Instant::now() > limit {
                let rows = self.messages().await;
                self.fail(&format!(
                    "no message {text:?} {attributes} within {LONG:?}; there are {rows}"
                ))
                .await;
            }
        }
    }

    /// Runs a script until it gives the wanted answer.
    pub async fn until_script(&self, what: &str, script: &str, wanted: impl Into<Value>) {
        let wanted = wanted.into();
        let limit = tokio::time::Instant::now() + LONG;
        loop {
            let answer = self.run(script).await;
            if answer == wanted {
                return;
            }
            if tokio::time::Instant::now() > limit {
                self.fail(&format!("{what}: after {LONG:?} the script still gives {answer}"))
                    .await;
            }
        }
    }

    /// The messages on the screen: text, direction, delivery, encryption.
    pub async fn messages(&self) -> Value {
        self.run(
            "return [...document.querySelectorAll('[data-testid=message]')].map(row => ({
                text: (row.querySelector('.bubble .text') ?? row).textContent.trim().replace(/\\s+/gu, ' '), direction: row.dataset.direction,
                delivery: row.dataset.delivery, encryption: row.dataset.encryption }))",
        )
        .await
    }

    /// Signs in through the first screen, with the server under "Advanced", as a person would.
    pub async fn sign_in(&self, address: &str, password: &str, port: u16, tls: Tls) {
        let accounts = self.find_all("[data-testid^=rail-account-]").await.len();
        self.submit_sign_in(address, password, port, tls).await;
        let script = "return document.querySelectorAll('[data-testid^=rail-account-]').length \
            && !document.querySelector('[data-testid=onboarding]') \
            ? document.querySelectorAll('[data-testid^=rail-account-]').length : 0";
        let limit = tokio::time::Instant::now() + LONG;
        while self.run(script).await.as_u64().unwrap_or(0) <= accounts as u64 {
            if tokio::time::Instant::now() > limit {
                self.fail(&format!("{address} is not signed in within {LONG:?}"))
                    .await;
            }
        }
    }

    /// Fills the sign-in form and sends it off, without waiting for what comes of it.
    pub async fn submit_sign_in(&self, address: &str, password: &str, port: u16, tls: Tls) {
        self.fill(&id("onboarding-address"), address).await;
        self.fill(&id("onboarding-password"), password).await;
        if self.find_all(&id("onboarding-host")).await.is_empty() {
            self.click(&id("onboarding-advanced")).await;
        }
        self.fill(&id("onboarding-host"), "127.0.0.1").await;
        self.fill(&id("onboarding-port"), &port.to_string()).await;
        self.click(&format!("{} option[value={}]", id("onboarding-tls"), tls.word()))
            .await;
        self.click(&id("onboarding-submit")).await;
    }

    /// Opens the chat with somebody from the contact list.
    pub async fn open_chat(&self, address: &str) {
        self.click(&id("tab-contacts")).await;
        self.click(&format!("{}[data-address='{address}']", id("contact-row")))
            .await;
        self.find(&id("composer-input")).await;
    }

    /// Writes a message into the open chat and sends it.
    pub async fn write(&self, text: &str) {
        self.fill(&id("composer-input"), text).await;
        self.click(&id("composer-send")).await;
    }

    /// Saves what the window shows as NAME.png and gives the path.
    pub async fn picture(&self, name: &str) -> PathBuf {
        // The page may be a frame ahead of the screen.
        self.run(
            "window.painted = 0; const paint = () => { if (++window.painted < 3) requestAnimationFrame(paint); };
             requestAnimationFrame(paint);",
        )
        .await;
        self.until_script("frames are painted", "return window.painted", 3)
            .await;
        let path = self.pictures.join(format!("{name}.png"));
        self.run(KEEP_PAINTING).await;
        let png = self
            .answered("a screenshot", self.client.screenshot())
            .await
            .expect("a screenshot");
        self.run(STOP_PAINTING).await;
        fs::write(&path, png).expect("a file for the screenshot");
        path
    }

    /// Sets the size of the window.
    pub async fn resize(&self, width: u32, height: u32) {
        self.client
            .set_window_size(width, height)
            .await
            .expect("the window can be resized");
    }

    /// Waits until a person has closed the window.
    pub async fn closed_by_person(&self) {
        while self.client.execute("return true", Vec::new()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Closes the window and waits until the program has ended.
    pub async fn close(mut self) {
        let _ = tokio::time::timeout(SHORT, self.client.clone().close()).await;
        let Some(group) = self.driver.id() else { return };
        signal("-TERM", &format!("-{group}")).await;
        let _ = tokio::time::timeout(SHORT, self.driver.wait()).await;
        until("every process of the window has ended", SHORT, async || {
            (!signal("-0", &format!("-{group}")).await).then_some(())
        })
        .await;
    }

    async fn fail(&self, what: &str) -> ! {
        let shoot = async {
            self.client.execute(KEEP_PAINTING, Vec::new()).await?;
            self.client.screenshot().await
        };
        if let Ok(Ok(png)) = tokio::time::timeout(SHORT, shoot).await {
            let _ = fs::write(self.pictures.join("failed.png"), png);
        }
        panic!(
            "{what}\na picture is at {}\n--- the window's log ---\n{}",
            self.pictures.join("failed.png").display(),
            log_tail(&log_file(&self.home))
        )
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // The driver, its bus and the window are one process group; killing the driver alone leaves the rest.
        if let Some(group) = self.driver.id() {
            let _ = std::process::Command::new("kill")
                .args(["-KILL", "--", &format!("-{group}")])
                .status();
        }
    }
}

/// The CSS selector of an element by its `data-testid`.
pub fn id(test_id: &str) -> String {
    format!("[data-testid={test_id}]")
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    listener
        .local_addr()
        .expect("a bound listener has an address")
        .port()
}

fn log_file(home: &TempDir) -> PathBuf {
    home.path().join("window.log")
}

/// `WebKitWebDriver` with a bus and folders of its own, so that windows know nothing of each other or of the person's
/// desktop. Its output goes to a file: a pipe that nobody reads would hang the window.
fn spawn_driver(display: &Display, theme: Theme, home: &TempDir, port: u16) -> Child {
    let log = fs::File::create(log_file(home)).expect("a log file");
    let folder = |name: &str| {
        let path = home.path().join(name);
        fs::create_dir_all(&path).expect("a folder for the window");
        path
    };
    let runtime = folder("runtime");
    // GTK insists that nobody else can look into it.
    fs::set_permissions(&runtime, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("our own folder");
    // The shell reads from us and ends the whole group when there is nobody to read from any more: a test that is
    // killed cannot clean up by itself.
    let mut command = Command::new("sh");
    command
        .args(["-c", "\"$@\" </dev/null & read -r _; kill -s KILL -- -$$", "sh"])
        .args(["dbus-run-session", "--", "WebKitWebDriver", "--host=127.0.0.1"])
        .arg(format!("--port={port}"))
        .env("DISPLAY", &display.name)
        .env_remove("WAYLAND_DISPLAY")
        .env("GDK_BACKEND", "x11")
        .env(
            "GTK_THEME",
            if theme == Theme::Dark {
                "Adwaita:dark"
            } else {
                "Adwaita"
            },
        )
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", folder("config"))
        .env("XDG_DATA_HOME", folder("data"))
        .env("XDG_CACHE_HOME", folder("cache"))
        .env("XDG_RUNTIME_DIR", runtime)
        .env("NO_AT_BRIDGE", "1")
        .env("LIBGL_ALWAYS_SOFTWARE", "1")
        .env("TAURI_AUTOMATION", "true")
        .env("TAURI_WEBVIEW_AUTOMATION", "true")
        .env("WAXWING_LOG", "info,waxwing=debug")
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a second handle on the log"))
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true);
    command
        .spawn()
        .expect("Debian's packages dbus and webkit2gtk-driver are installed")
}

async fn connect(
    port: u16,
    program: &Path,
    arguments: &[String],
) -> Result<Client, fantoccini::error::NewSessionError> {
    let mut capabilities = Capabilities::new();
    let options = json!({ "binary": program, "args": arguments });
    capabilities.insert("webkitgtk:browserOptions".to_owned(), options);
    ClientBuilder::new(HttpConnector::new())
        .capabilities(capabilities)
        .connect(&format!("http://127.0.0.1:{port}"))
        .await
}
