//! Encrypted files: fetched, saved, opened and shown when the person asks for it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::Core;
use crate::error::Result;
use crate::files::{self, Agreed};
use crate::request::{FetchFile, GrantedPicture, Nothing, OfFile, SavedFile};

pub(crate) async fn fetch(core: &Arc<Core>, params: FetchFile) -> Result<Nothing> {
    let agreed = Agreed {
        host: params.host,
        size: params.size,
    };
    files::fetch(core, params.file, &agreed).await?;
    Ok(Nothing {})
}

pub(crate) async fn cancel(core: &Arc<Core>, params: OfFile) -> Result<Nothing> {
    files::cancel(core, params.file).await?;
    Ok(Nothing {})
}

pub(crate) async fn save(core: &Arc<Core>, params: OfFile) -> Result<SavedFile> {
    files::save(core, params.file).await.map(saved)
}

pub(crate) async fn unseal(core: &Arc<Core>, params: OfFile) -> Result<SavedFile> {
    files::hand_over(core, params.file).await.map(saved)
}

pub(crate) async fn show(core: &Arc<Core>, params: OfFile) -> Result<GrantedPicture> {
    let word = files::grant(core, params.file).await?;
    Ok(GrantedPicture { word })
}

#[expect(clippy::needless_pass_by_value, reason = "for map")]
fn saved(path: PathBuf) -> SavedFile {
    SavedFile {
        path: path.to_string_lossy().into_owned(),
    }
}
