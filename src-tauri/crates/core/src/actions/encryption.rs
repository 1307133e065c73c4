//! Devices and trust.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::oneshot;
use waxwing_omemo::{DeviceId, Fingerprint, Profile};

use crate::Core;
use crate::account::{Command, command, decide_trust, encryption_report, show_devices};
use crate::error::{Code, Error, Result};
use crate::model::{AccountId, BareJid, Device, EncryptionReport};
use crate::publish::{Changes, publish};
use crate::request::{Nothing, OfAccount, OfChat, OfContact, OfDevice, OfOwnDevice, SetTrust};
use crate::store::omemo::{Due, What};
use crate::store::{Write, accounts, chats, omemo};

pub(crate) async fn list_devices(core: &Arc<Core>, params: OfContact) -> Result<Vec<Device>> {
    let own = own_address(core, params.account).await?;
    // What is known is shown at once; what the server says comes as a change of the chat.
    let read = Command::ReadDevices {
        address: params.address.clone(),
    };
    if_online(command(core, params.account, read).await)?;
    let mut db = core.store.read().await?;
    let this = match omemo::own(&mut db, params.account).await? {
        Some(this) if own == params.address => Some(this),
        _ => None,
    };
    let rows = omemo::devices(&mut db, params.account, &params.address).await?;
    Ok(show_devices(rows, this.as_ref(), Timestamp::now()))
}

pub(crate) async fn set_trust(core: &Arc<Core>, params: SetTrust) -> Result<Nothing> {
    let fingerprint: Fingerprint = params
        .fingerprint
        .parse()
        .map_err(|_| Error::invalid("a fingerprint has 64 hexadecimal digits"))?;
    let mut write = core.store.write().await?;
    accounts::get(&mut write, params.account).await?;
    let key = omemo::devices(&mut write, params.account, &params.address)
        .await?
        .into_iter()
        .filter_map(|row| row.identity)
        .find(|key| key.fingerprint() == fingerprint)
        .ok_or_else(|| Error::not_found("key"))?;
    let of = decide_trust(&mut write, params.account, &params.address, &key, params.trust).await?;
    trust_decided(core, write, params.account, &of).await?;
    Ok(Nothing {})
}

/// Commits what was decided about these people's keys, and tells of it. What waited for the decision goes out, or fails
/// visibly.
pub(super) async fn trust_decided(
    core: &Core,
    mut write: Write,
    account: AccountId,
    of: &BTreeSet<BareJid>,
) -> Result<()> {
    let chats = chats::with(&mut write, account, of).await?;
    write.commit().await?;
    let changes = Changes {
        chats: chats.into_iter().collect(),
        ..Changes::default()
    };
    publish(core, account, changes).await?;
    if let Some(running) = core.running.lock().await.get(&account) {
        running.wake_outbox();
    }
    Ok(())
}

/// The device gets a new session, now or as soon as the account is online. The one that there is goes on until then, and
/// opens what is still on its way in it.
pub(crate) async fn reset_session(core: &Arc<Core>, params: OfDevice) -> Result<Nothing> {
    let OfDevice { account, address, .. } = params;
    let device = device_id(params.device)?;
    let mut write = core.store.write().await?;
    accounts::get(&mut write, account).await?;
    let row = omemo::device(&mut write, account, &address, device).await?;
    let row = row.ok_or_else(|| Error::not_found("device"))?;
    if omemo::own(&mut write, account)
        .await?
        .is_some_and(|own| own.device == device)
        && own_address(core, account).await? == address
    {
        return Err(Error::invalid("this device has no session with itself"));
    }
    let listed = || Profile::ALL.into_iter().filter(|profile| row.listed(*profile));
    let mut anew: Vec<Profile> = listed().filter(|profile| row.has_session(*profile)).collect();
    if anew.is_empty() {
        anew.extend(listed().next());
    }
    if anew.is_empty() {
        return Err(Error::invalid("the device is on no device list any more"));
    }
    for profile in anew {
        omemo::set_bundle_fault(&mut write, account, &address, (device, profile), None).await?;
        let due = Due {
            address: address.clone(),
            device,
            profile,
            what: What::Reset,
        };
        omemo::put_due(&mut write, account, &due).await?;
    }
    let chat = chats::find(&mut write, account, &address).await?;
    write.commit().await?;
    if let Some(chat) = chat {
        publish(core, account, Changes::chat(chat)).await?;
    }
    if_online(command(core, account, Command::PayDue).await)?;
    Ok(Nothing {})
}

pub(crate) async fn renewal_seen(core: &Arc<Core>, params: OfAccount) -> Result<Nothing> {
    let mut write = core.store.write().await?;
    accounts::get(&mut write, params.account).await?;
    omemo::renewal_seen(&mut write, params.account).await?;
    write.commit().await?;
    let changes = Changes {
        account: true,
        ..Changes::default()
    };
    publish(core, params.account, changes).await?;
    Ok(Nothing {})
}

/// Takes another device of ours off our lists, and waits until the server has them.
pub(crate) async fn remove_device(core: &Arc<Core>, params: OfOwnDevice) -> Result<Nothing> {
    let device = device_id(params.device)?;
    {
        let mut db = core.store.read().await?;
        let own = accounts::get(&mut db, params.account).await?.address.0;
        if omemo::own(&mut db, params.account)
            .await?
            .is_some_and(|own| own.device == device)
        {
            return Err(Error::invalid("this device cannot take itself off the list"));
        }
        if omemo::device(&mut db, params.account, &own, device)
            .await?
            .is_none()
        {
            return Err(Error::not_found("device"));
        }
    }
    let (done, outcome) = oneshot::channel();
    command(core, params.account, Command::RemoveDevice { device, done }).await?;
    let broken = || Error::new(Code::Disconnected, "the connection broke before the answer");
    outcome.await.map_err(|_| broken())??;
    Ok(Nothing {})
}

fn device_id(number: u32) -> Result<DeviceId> {
    DeviceId::try_from(number).map_err(|_| Error::invalid("a device has a number from 1 to 2^31 - 1"))
}

/// What is told to an account's task may wait until there is one.
pub(super) fn if_online(told: Result<()>) -> Result<()> {
    told.or_else(|error| match error.code {
        Code::NotOnline => Ok(()),
        _ => Err(error),
    })
}

pub(crate) async fn report(core: &Arc<Core>, params: OfChat) -> Result<EncryptionReport> {
    encryption_report(core, params.chat).await
}

pub(crate) async fn read_devices_again(core: &Arc<Core>, params: OfChat) -> Result<Nothing> {
    let (account, address) = chats::place(&mut *core.store.read().await?, params.chat).await?;
    command(core, account, Command::ReadDevicesAgain { address }).await?;
    Ok(Nothing {})
}

pub(crate) async fn republish_keys(core: &Arc<Core>, params: OfAccount) -> Result<Nothing> {
    accounts::get(&mut *core.store.read().await?, params.account).await?;
    command(core, params.account, Command::RepublishKeys).await?;
    Ok(Nothing {})
}

async fn own_address(core: &Core, account: AccountId) -> Result<BareJid> {
    Ok(accounts::get(&mut *core.store.read().await?, account)
        .await?
        .address
        .0)
}
