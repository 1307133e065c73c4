//! Pictures that core granted the window, under a scheme of their own: nothing else can be loaded by it.

use tauri::http::{Request, Response, StatusCode, header};
use tauri::{AppHandle, Manager, UriSchemeResponder};

use crate::opening::Door;

/// The scheme. On Windows it is a host of that name instead.
pub(crate) const SCHEME: &str = "picture";

/// Answers what the page loads by the scheme: `/` and the word that core gave for a picture.
pub(crate) fn serve(app: &AppHandle, request: &Request<Vec<u8>>, responder: UriSchemeResponder) {
    let app = app.clone();
    let word = request.uri().path().trim_start_matches('/').to_owned();
    tauri::async_runtime::spawn(async move {
        responder.respond(answer(&app, &word).await);
    });
}

async fn answer(app: &AppHandle, word: &str) -> Response<Vec<u8>> {
    let picture = match app.state::<Door>().core().await {
        Ok(core) => core.picture(word).await,
        Err(error) => Err(error),
    };
    let (picture, kind) = match picture {
        Ok(picture) => picture,
        Err(error) => {
            tracing::info!(code = error.code.word(), "a picture could not be shown");
            return nothing();
        }
    };
    Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        // The web view keeps no copy: what is on disk is encrypted.
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_SECURITY_POLICY, "default-src 'none'")
        .body(picture)
        .unwrap_or_else(|_| nothing())
}

fn nothing() -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
