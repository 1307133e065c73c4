//! Notices that the profile is an older copy of itself, such as a backup that was put back: others have gone on with the
//! sessions in it, and encrypting with them would use keys twice. A count in the database goes up whenever it is opened
//! and closed; the keychain has it too, and is not brought back with the profile's folder. Where there is no keychain,
//! or it was brought back as well, what the server has of ours tells it later (`account/renewal.rs`).

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::log_failure;
use crate::profile::{Keychain, Profile};
use crate::store::{Store, epoch};

/// A keychain that does not answer for so long is done without.
const PATIENCE: Duration = Duration::from_secs(5);

/// Compares the two counts and steps on. A keychain that fails keeps nobody from their messages.
pub(crate) async fn opened(profile: &Profile, store: &Store) -> Result<()> {
    let Some(keychain) = profile.keychain()? else {
        return Ok(());
    };
    let keychain = Arc::new(keychain);
    let reading = Arc::clone(&keychain);
    let known = match patiently(move || reading.epoch()).await {
        Ok(known) => known.unwrap_or_default(),
        Err(error) => {
            log_failure("asking the keychain how old the profile is", &error);
            return Ok(());
        }
    };
    let mut write = store.write().await?;
    let here = epoch::get(&mut write).await?;
    if known > here {
        tracing::warn!("this profile is an older copy of itself: its devices begin anew");
        epoch::set_rolled_back(&mut write).await?;
    }
    // The database first: should the program end in between, it is ahead of the keychain, which is no sign of anything.
    let next = known.max(here).saturating_add(1);
    epoch::set(&mut write, next).await?;
    write.commit().await?;
    remember(keychain, next).await;
    Ok(())
}

/// Steps on once more, so that a copy that was made while the program ran is older than what is left behind.
pub(crate) async fn closing(profile: &Profile, store: &Store) -> Result<()> {
    let Some(keychain) = profile.keychain()? else {
        return Ok(());
    };
    let mut write = store.write().await?;
    let next = epoch::get(&mut write).await?.saturating_add(1);
    epoch::set(&mut write, next).await?;
    write.commit().await?;
    remember(Arc::new(keychain), next).await;
    Ok(())
}

async fn remember(keychain: Arc<Keychain>, epoch: i64) {
    if let Err(error) = patiently(move || keychain.set_epoch(epoch)).await {
        log_failure("telling the keychain how old the profile is", &error);
    }
}

async fn patiently<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(work))
        .await
        .map_err(|_| Error::new(Code::KeychainUnavailable, "the keychain does not answer"))?
        .map_err(|_| Error::new(Code::Internal, "asking the keychain broke off"))?
}
