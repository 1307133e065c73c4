//! The window. The only crate that knows Tauri, and thin: everything else is in `waxwing-core`.

#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

mod bridge;
mod desktop;
#[cfg(target_os = "linux")]
mod drawing;
mod notices;
mod opening;
mod pictures;
mod window;

use std::process::ExitCode;

use tauri::{Manager, RunEvent};
use waxwing_core::launch::{self, Launch};

use crate::opening::Door;

fn main() -> ExitCode {
    let launch = match launch::begin("waxwing") {
        Ok(launch) => launch,
        Err(code) => return code,
    };
    match run(launch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Waxwing could not be started: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(launch: Launch) -> tauri::Result<()> {
    let mut builder = tauri::Builder::default();
    // Each explicitly named profile has a window of its own; the usual one has one window, which is shown again.
    if launch.profile.is_none() {
        builder = builder.plugin(tauri_plugin_single_instance::init(|app, _, _| window::show(app)));
    }
    let app = builder
        .plugin(tauri_plugin_window_state::Builder::new().build())
        .register_asynchronous_uri_scheme_protocol(pictures::SCHEME, |context, request, responder| {
            pictures::serve(context.app_handle(), &request, responder);
        })
        .invoke_handler(tauri::generate_handler![
            bridge::opening,
            bridge::unlock,
            bridge::request,
            bridge::subscribe,
            bridge::open_link,
            bridge::open_file,
        ])
        .setup(move |app| {
            // The profile is being opened while the web view starts.
            app.manage(Door::open(app.handle(), launch));
            window::create(app)?;
            notices::begin(app.handle());
            Ok(())
        })
        .build(tauri::generate_context!())?;
    app.run(|app, event| {
        if let RunEvent::Exit = event {
            tauri::async_runtime::block_on(app.state::<Door>().close());
        }
    });
    Ok(())
}
