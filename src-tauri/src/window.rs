//! The one window.

use tauri::webview::NewWindowResponse;
use tauri::{App, AppHandle, Manager, Url, WebviewWindowBuilder};

const LABEL: &str = "main";

/// Makes the window. It shows its own page and never another one.
pub(crate) fn create(app: &App) -> tauri::Result<()> {
    let config = app
        .config()
        .app
        .windows
        .iter()
        .find(|window| window.label == LABEL);
    let Some(config) = config else {
        return Err(tauri::Error::WindowNotFound);
    };
    let window = WebviewWindowBuilder::from_config(app, config)?
        .on_navigation(is_own_page)
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .build()?;
    #[cfg(target_os = "linux")]
    crate::drawing::suit(&window)?;
    #[cfg(not(target_os = "linux"))]
    drop(window);
    Ok(())
}

/// Brings the window to the front.
pub(crate) fn show(app: &AppHandle) {
    if let Some(window) = app.get_webview_window(LABEL) {
        for done in [window.unminimize(), window.show(), window.set_focus()] {
            if let Err(error) = done {
                tracing::warn!(%error, "the window could not be brought to the front");
            }
        }
    }
}

/// Shows the number of unread messages at the window's icon, where the desktop can.
pub(crate) fn set_badge(app: &AppHandle, unread: u32) {
    let count = (unread > 0).then_some(i64::from(unread));
    if let Some(window) = app.get_webview_window(LABEL)
        && let Err(error) = window.set_badge_count(count)
    {
        tracing::debug!(%error, "the icon shows no number");
    }
}

fn is_own_page(url: &Url) -> bool {
    let own = match url.scheme() {
        "tauri" => url.host_str() == Some("localhost"),
        // Windows has no schemes of one's own.
        "http" | "https" => cfg!(windows) && url.host_str() == Some("tauri.localhost"),
        _ => false,
    };
    if !own {
        tracing::warn!("the page tried to go elsewhere and was kept");
    }
    own
}
