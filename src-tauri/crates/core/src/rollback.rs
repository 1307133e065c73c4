//! Notices that the profile is an older copy of itself, such as a backup that was put back: others have gone on with the
//! sessions in it, and encrypting with them would use keys twice. A count in the database goes up whenever it is opened
//! and closed; the keychain has it too, and is not brought back with the profile's folder. Two copies that share a
//! keychain part at the first sign: the older one counts under another name from then on, and if it lies in another
//! folder its devices become devices of their own. Where there is no keychain, or it was brought back as well, what the
//! server has of ours tells it later (`account/renewal.rs`).

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::log_failure;
use crate::model::Renewed;
use crate::profile::{Keychain, Profile};
use crate::secret::{random_id, random_resource, random_uuid};
use crate::store::epoch::{self, Epoch};
use crate::store::{Store, Write, accounts};

/// A keychain that does not answer for so long is done without.
const PATIENCE: Duration = Duration::from_secs(5);

/// Compares the two counts and steps on. A keychain that fails keeps nobody from their messages.
pub(crate) async fn opened(profile: &Profile, store: &Store) -> Result<()> {
    let Some(keychain) = profile.keychain()?.map(Arc::new) else {
        return Ok(());
    };
    let mut here = epoch::get(&mut *store.read().await?).await?;
    let (reading, name) = (Arc::clone(&keychain), here.name.clone());
    let known = match patiently(move || known(&reading, &name)).await {
        Ok(known) => known,
        Err(error) => {
            log_failure("asking the keychain how old the profile is", &error);
            return Ok(());
        }
    };
    let folder = profile.place();
    let mut write = store.write().await?;
    if known > here.count {
        let why = if here.folder == folder {
            Renewed::Restored
        } else {
            Renewed::Copied
        };
        tracing::warn!(
            why = why.word(),
            "this profile is an older copy of itself: its devices begin anew"
        );
        epoch::set_rolled_back(&mut write, why).await?;
        if why == Renewed::Copied {
            name_sessions(&mut write).await?;
        }
    }
    // Another copy may go on with the count of the old name: what was parted from it once does not see it again.
    if here.name.is_empty() || known > here.count {
        here.name = random_id()?;
    }
    here.count = known.max(here.count).saturating_add(1);
    here.folder = folder;
    // The database first: should the program end in between, it is ahead of the keychain, which is no sign of anything.
    epoch::set(&mut write, &here).await?;
    write.commit().await?;
    remember(keychain, here).await;
    Ok(())
}

/// Steps on once more, so that a copy that was made while the program ran is older than what is left behind.
pub(crate) async fn closing(profile: &Profile, store: &Store) -> Result<()> {
    let Some(keychain) = profile.keychain()? else {
        return Ok(());
    };
    let mut write = store.write().await?;
    let mut here = epoch::get(&mut write).await?;
    if here.name.is_empty() {
        return Ok(());
    }
    here.count = here.count.saturating_add(1);
    epoch::set(&mut write, &here).await?;
    write.commit().await?;
    remember(Arc::new(keychain), here).await;
    Ok(())
}

/// The sessions of a copy bear other names, so that both can be online.
async fn name_sessions(write: &mut Write) -> Result<()> {
    for account in accounts::all(write).await? {
        accounts::rename(write, account.id, &random_uuid()?, &random_resource()?).await?;
    }
    Ok(())
}

/// The count that the keychain has under this name; 0 if there is none.
fn known(keychain: &Keychain, name: &str) -> Result<i64> {
    if name.is_empty() {
        return Ok(0);
    }
    Ok(keychain.epoch(name)?.unwrap_or_default())
}

async fn remember(keychain: Arc<Keychain>, here: Epoch) {
    if let Err(error) = patiently(move || keychain.set_epoch(&here.name, here.count)).await {
        log_failure("telling the keychain how old the profile is", &error);
    }
}

async fn patiently<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(work))
        .await
        .map_err(|_| Error::new(Code::KeychainUnavailable, "the keychain does not answer"))?
        .map_err(|_| Error::new(Code::Internal, "asking the keychain broke off"))?
}
