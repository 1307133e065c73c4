//! The smallest window: one page that holds one word. Nobody can start or shrink a web view further than this, so the
//! bench holds Waxwing against it.

fn main() -> tauri::Result<()> {
    tauri::Builder::default().run(tauri::generate_context!())
}
