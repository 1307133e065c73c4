//! Declares the commands, so that nothing can be called that no capability allows.

fn main() {
    let commands = tauri_build::AppManifest::new().commands(&[
        "open_file",
        "open_link",
        "opening",
        "request",
        "subscribe",
        "unlock",
    ]);
    if let Err(error) = tauri_build::try_build(tauri_build::Attributes::new().app_manifest(commands)) {
        println!("cargo::error={error:#}");
    }
}
