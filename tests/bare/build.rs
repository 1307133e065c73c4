//! What every window of Tauri needs.

fn main() {
    tauri_build::build();
}
