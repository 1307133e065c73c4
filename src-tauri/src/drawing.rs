//! Who draws the page. `WebKitGTK` composes it with OpenGL, which without a graphics card is computed by the processor: most
//! of what the window then costs, while every letter that is typed waits for it. Drawn without OpenGL the same page takes a
//! third of the time in a burst of messages (`./x bench burst`).

use std::path::Path;

use tauri::WebviewWindow;
use webkit2gtk::{HardwareAccelerationPolicy, SettingsExt, WebViewExt};

/// Lets the processor draw where there is nothing else.
pub(crate) fn suit(window: &WebviewWindow) -> tauri::Result<()> {
    if has_graphics_card(Path::new("/dev")) {
        return Ok(());
    }
    tracing::info!("there is no graphics card: the page is drawn without OpenGL");
    window.with_webview(|webview| {
        if let Some(settings) = webview.inner().settings() {
            settings.set_hardware_acceleration_policy(HardwareAccelerationPolicy::Never);
        }
    })
}

/// Whether a driver offers to compute pictures: a render node of the kernel's, NVIDIA's own driver, or that of Windows.
fn has_graphics_card(devices: &Path) -> bool {
    let offers_to_render =
        |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("renderD");
    let mut nodes = std::fs::read_dir(devices.join("dri"))
        .into_iter()
        .flatten()
        .flatten();
    nodes.any(offers_to_render)
        || ["nvidiactl", "dxg"]
            .iter()
            .any(|name| devices.join(name).exists())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_graphics_card_is_a_driver_that_computes_pictures_and_not_one_that_only_shows_them() {
        let devices = tempfile::tempdir().expect("a folder");
        assert!(!has_graphics_card(devices.path()), "there is nothing at all");
        fs::create_dir(devices.path().join("dri")).expect("the kernel's folder");
        for (device, counts) in [
            ("dri/card0", false),
            ("dri/renderD128", true),
            ("nvidiactl", true),
            ("dxg", true),
        ] {
            let path = devices.path().join(device);
            fs::write(&path, "").expect("a device");
            assert_eq!(has_graphics_card(devices.path()), counts, "{device}");
            fs::remove_file(&path).expect("the device again");
        }
    }
}
