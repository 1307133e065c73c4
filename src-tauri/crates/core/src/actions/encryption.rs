//! Devices and trust.

use std::sync::Arc;

use tokio::sync::oneshot;
use waxwing_omemo::{DeviceId, Fingerprint, Profile};

use crate::Core;
use crate::account::{Command, command};
use crate::error::{Code, Error, Result};
use crate::model::{AccountId, BareJid, Device, Reach, Trust};
use crate::publish::{Changes, publish};
use crate::request::{Nothing, OfAccount, OfContact, OfDevice, OfOwnDevice, SetTrust};
use crate::store::omemo::{Due, What};
use crate::store::{accounts, chats, omemo};

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
    let mut devices: Vec<Device> = omemo::devices(&mut db, params.account, &params.address)
        .await?
        .into_iter()
        .map(|row| row.show(this.as_ref().map(|this| this.device)))
        .collect();
    if let Some(this) = this {
        show_this(&mut devices, &this);
    }
    Ok(devices)
}

/// This very installation: its key is our own, and verified by nature.
fn show_this(devices: &mut Vec<Device>, this: &omemo::Own) {
    let id = this.device.get();
    if devices.iter().all(|device| device.device != id) {
        devices.push(Device {
            device: id,
            fingerprint: None,
            trust: Trust::Verified,
            protocols: Vec::new(),
            active: false,
            own: true,
            label: None,
            first_seen: None,
            last_seen: None,
            last_failure: None,
            last_repaired: None,
            reach: Reach::ThisDevice,
            bundle_fault: None,
        });
    }
    for device in devices.iter_mut().filter(|device| device.device == id) {
        device.fingerprint = Some(this.identity.public().fingerprint().to_string());
        device.trust = Trust::Verified;
    }
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
    omemo::put_trust(&mut write, params.account, &params.address, &key, params.trust).await?;
    let chat = chats::find(&mut write, params.account, &params.address).await?;
    write.commit().await?;
    if let Some(chat) = chat {
        publish(core, params.account, Changes::chat(chat)).await?;
    }
    Ok(Nothing {})
}

/// The device gets a new session, now or as soon as the account is online. What it sent in the old one and is still on its
/// way cannot be read any more, and says so.
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
    omemo::drop_sessions(&mut write, account, &address, device).await?;
    for profile in anew {
        omemo::set_bundle_fault(&mut write, account, &address, (device, profile), None).await?;
        let due = Due {
            address: address.clone(),
            device,
            profile,
            what: What::Heal,
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
fn if_online(told: Result<()>) -> Result<()> {
    told.or_else(|error| match error.code {
        Code::NotOnline => Ok(()),
        _ => Err(error),
    })
}

async fn own_address(core: &Core, account: AccountId) -> Result<BareJid> {
    Ok(accounts::get(&mut *core.store.read().await?, account)
        .await?
        .address
        .0)
}
