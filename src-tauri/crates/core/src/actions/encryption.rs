//! Devices and trust.

use std::sync::Arc;

use waxwing_omemo::Fingerprint;

use crate::Core;
use crate::account::{Command, command};
use crate::error::{Code, Error, Result};
use crate::model::{BareJid, Device};
use crate::publish::{Changes, publish};
use crate::request::{Nothing, OfContact, SetTrust};
use crate::store::{accounts, chats, omemo};

pub(crate) async fn list_devices(core: &Arc<Core>, params: OfContact) -> Result<Vec<Device>> {
    let own = own_address(core, &params).await?;
    // What is known is shown at once; what the server says comes as a change of the chat.
    let read = Command::ReadDevices {
        address: params.address.clone(),
    };
    match command(core, params.account, read).await {
        Err(Error {
            code: Code::NotOnline,
            ..
        })
        | Ok(()) => {}
        Err(error) => return Err(error),
    }
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
            trust: crate::model::Trust::Verified,
            protocols: Vec::new(),
            active: false,
            own: true,
            label: None,
            last_seen: None,
        });
    }
    for device in devices.iter_mut().filter(|device| device.device == id) {
        device.fingerprint = Some(this.identity.public().fingerprint().to_string());
        device.trust = crate::model::Trust::Verified;
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

async fn own_address(core: &Core, params: &OfContact) -> Result<BareJid> {
    Ok(accounts::get(&mut *core.store.read().await?, params.account)
        .await?
        .address
        .0)
}
