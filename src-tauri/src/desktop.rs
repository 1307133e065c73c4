//! The desktop's notifications. On Linux the freedesktop.org ones (Desktop Notifications Specification 1.2); elsewhere none
//! so far.

use crate::notices::Of;

#[cfg(target_os = "linux")]
pub(crate) use linux::Desktop;
#[cfg(not(target_os = "linux"))]
pub(crate) use nothing::Desktop;

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::HashMap;

    use futures::StreamExt;
    use zbus::Proxy;
    use zbus::proxy::SignalStream;
    use zbus::zvariant::Value;

    use super::Of;
    use crate::notices::open_words;

    const NAME: &str = "org.freedesktop.Notifications";
    const PATH: &str = "/org/freedesktop/Notifications";

    /// The desktop, and what it shows of ours.
    #[derive(Default)]
    pub(crate) struct Desktop {
        bus: Option<Bus>,
        /// By the desktop's number.
        shown: HashMap<u32, Of>,
    }

    struct Bus {
        desktop: Proxy<'static>,
        clicks: SignalStream<'static>,
        closed: SignalStream<'static>,
        /// Texts are read as markup.
        markup: bool,
    }

    impl Desktop {
        /// Finds the desktop; if there is none, nothing is shown.
        pub(crate) async fn connect() -> Self {
            let found = match zbus::Connection::session().await {
                Ok(bus) => Bus::on(&bus).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(bus) => Self {
                    bus: Some(bus),
                    ..Self::default()
                },
                Err(error) => {
                    tracing::info!(%error, "the desktop shows no notifications");
                    Self::default()
                }
            }
        }

        /// Shows something new, instead of what is shown of the same.
        pub(crate) async fn show(&mut self, of: Of, title: &str, text: &str) {
            let replaces = self.number(of).unwrap_or(0);
            let Some(bus) = &self.bus else { return };
            match bus.notify(replaces, title, text).await {
                Ok(number) => {
                    self.shown.retain(|_, shown| *shown != of);
                    self.shown.insert(number, of);
                }
                Err(error) => tracing::info!(%error, "a notification could not be shown"),
            }
        }

        /// Takes back what is shown of this.
        pub(crate) async fn withdraw(&mut self, of: Of) {
            let (Some(number), Some(bus)) = (self.number(of), &self.bus) else {
                return;
            };
            self.shown.remove(&number);
            // It may have gone by itself.
            let _: zbus::Result<()> = bus.desktop.call("CloseNotification", &(number)).await;
        }

        /// Takes back everything.
        pub(crate) async fn withdraw_all(&mut self) {
            let all: Vec<Of> = self.shown.values().copied().collect();
            for of in all {
                self.withdraw(of).await;
            }
        }

        /// Waits until the person clicks on something that is shown. Cancel-safe.
        pub(crate) async fn click(&mut self) -> Of {
            loop {
                let Some(bus) = &mut self.bus else {
                    return std::future::pending().await;
                };
                tokio::select! {
                    click = bus.clicks.next() => match click {
                        Some(click) => {
                            let number = click.body().deserialize::<(u32, String)>().map(|(number, _)| number);
                            if let Some(of) = number.ok().and_then(|number| self.shown.get(&number)) {
                                return *of;
                            }
                        }
                        // The bus has gone.
                        None => self.bus = None,
                    },
                    Some(closed) = bus.closed.next() => {
                        if let Ok((number, _)) = closed.body().deserialize::<(u32, u32)>() {
                            self.shown.remove(&number);
                        }
                    }
                }
            }
        }

        fn number(&self, of: Of) -> Option<u32> {
            let mut shown = self.shown.iter();
            shown.find(|(_, shown)| **shown == of).map(|(number, _)| *number)
        }
    }

    impl Bus {
        async fn on(bus: &zbus::Connection) -> zbus::Result<Self> {
            let desktop = Proxy::new(bus, NAME, PATH, NAME).await?;
            let can: Vec<String> = desktop.call("GetCapabilities", &()).await?;
            Ok(Self {
                clicks: desktop.receive_signal("ActionInvoked").await?,
                closed: desktop.receive_signal("NotificationClosed").await?,
                markup: can.iter().any(|one| one == "body-markup"),
                desktop,
            })
        }

        /// Gives the number that the desktop knows it by.
        async fn notify(&self, replaces: u32, title: &str, text: &str) -> zbus::Result<u32> {
            let text = if self.markup {
                escaped(text)
            } else {
                text.to_owned()
            };
            let hints: HashMap<&str, Value<'_>> = HashMap::from([
                ("category", Value::from("im.received")),
                ("desktop-entry", Value::from("Waxwing")),
            ]);
            let action = open_words();
            let actions = ["default", action.as_str()];
            let until_it_likes = -1_i32;
            self.desktop
                .call(
                    "Notify",
                    &(
                        "Waxwing",
                        replaces,
                        "waxwing",
                        title,
                        text.as_str(),
                        &actions[..],
                        hints,
                        until_it_likes,
                    ),
                )
                .await
        }
    }

    /// A message is text, whatever it looks like.
    fn escaped(text: &str) -> String {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
    }

    #[cfg(test)]
    mod tests {
        use std::io::{BufRead, BufReader};
        use std::process::{Child, Command, Stdio};

        use tokio::sync::mpsc;
        use waxwing_core::model::{AccountId, ChatId};
        use zbus::connection::Builder;

        use super::*;

        /// A desktop that says what it is asked for.
        struct Screen(mpsc::UnboundedSender<String>);

        #[expect(
            clippy::unused_self,
            clippy::needless_pass_by_value,
            clippy::too_many_arguments,
            reason = "the specification and the macro want it so"
        )]
        #[zbus::interface(name = "org.freedesktop.Notifications")]
        impl Screen {
            fn get_capabilities(&self) -> Vec<String> {
                vec!["body-markup".to_owned()]
            }

            fn notify(
                &self,
                name: &str,
                replaces: u32,
                icon: &str,
                title: &str,
                text: &str,
                actions: Vec<String>,
                hints: HashMap<String, Value<'_>>,
                until: i32,
            ) -> u32 {
                assert_eq!((name, icon, until), ("Waxwing", "waxwing", -1));
                assert!(hints.contains_key("category"));
                let _ = self.0.send(format!("{replaces} {title}: {text} {actions:?}"));
                if replaces == 0 { 7 } else { replaces }
            }

            fn close_notification(&self, number: u32) {
                let _ = self.0.send(format!("close {number}"));
            }
        }

        /// A bus of the test's own.
        struct Daemon(Child);

        impl Daemon {
            fn start() -> (Self, String) {
                let mut daemon = Command::new("dbus-daemon")
                    .args(["--session", "--nofork", "--print-address"])
                    .stdout(Stdio::piped())
                    .spawn()
                    .expect("Debian's package dbus is installed");
                let mut address = String::new();
                BufReader::new(daemon.stdout.take().expect("its output"))
                    .read_line(&mut address)
                    .expect("its address");
                (Self(daemon), address.trim().to_owned())
            }
        }

        impl Drop for Daemon {
            fn drop(&mut self) {
                let _ = self.0.kill();
                let _ = self.0.wait();
            }
        }

        #[tokio::test]
        async fn what_is_shown_is_replaced_clicked_and_withdrawn() {
            let (_daemon, address) = Daemon::start();
            let (seen, mut sees) = mpsc::unbounded_channel();
            let connect = || Builder::address(address.as_str()).expect("an address");
            let screen = connect()
                .serve_at(PATH, Screen(seen))
                .and_then(|builder| builder.name(NAME))
                .expect("a desktop")
                .build()
                .await
                .expect("on the bus");
            let ours = connect().build().await.expect("on the bus");
            let mut desktop = Desktop {
                bus: Some(Bus::on(&ours).await.expect("the desktop is found")),
                ..Desktop::default()
            };
            let of = (AccountId(1), Some(ChatId(2)));
            desktop.show(of, "Ben", "<b>hi</b>").await;
            let open = open_words();
            let said = format!("0 Ben: &lt;b&gt;hi&lt;/b&gt; [\"default\", {open:?}]");
            assert_eq!(sees.recv().await, Some(said));
            desktop.show(of, "Ben", "and more").await;
            let said = format!("7 Ben: and more [\"default\", {open:?}]");
            assert_eq!(sees.recv().await, Some(said));
            for number in [9_u32, 7] {
                screen
                    .emit_signal(None::<&str>, PATH, NAME, "ActionInvoked", &(number, "default"))
                    .await
                    .expect("a click");
            }
            assert_eq!(desktop.click().await, of);
            desktop.withdraw((AccountId(1), None)).await;
            desktop.withdraw(of).await;
            assert_eq!(sees.recv().await.as_deref(), Some("close 7"));
            desktop.withdraw(of).await;
            assert!(sees.try_recv().is_err(), "once is enough");
        }

        #[test]
        fn a_message_that_looks_like_markup_is_text() {
            assert_eq!(
                escaped("<b>1 & 2</b> &lt;"),
                "&lt;b&gt;1 &amp; 2&lt;/b&gt; &amp;lt;"
            );
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod nothing {
    use super::Of;

    /// Shows nothing.
    pub(crate) struct Desktop;

    impl Desktop {
        pub(crate) async fn connect() -> Self {
            Self
        }

        pub(crate) async fn show(&mut self, _: Of, _: &str, _: &str) {}

        pub(crate) async fn withdraw(&mut self, _: Of) {}

        pub(crate) async fn withdraw_all(&mut self) {}

        pub(crate) async fn click(&mut self) -> Of {
            std::future::pending().await
        }
    }
}
