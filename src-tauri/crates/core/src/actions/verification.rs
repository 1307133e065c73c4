//! Keys are verified by a link or by a picture of one. A link only says what it would do, until the person accepts it.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use waxwing_omemo::{DeviceId, Fingerprint};

use super::encryption::trust_decided;
use crate::Core;
use crate::account::{decide_trust, expect_trust};
use crate::error::{Code, Error, Result};
use crate::model::{AccountId, KeyLinkReading, KeyStanding, LinkedKey, OwnCode, Trust};
use crate::request::{Nothing, OfAccount, OfKeyLink, ReadCode};
use crate::store::omemo::DeviceRow;
use crate::store::{Connection, accounts, omemo};
use crate::verification::code;
use crate::verification::link::{self, KeyLink};

pub(crate) async fn own_code(core: &Arc<Core>, params: OfAccount) -> Result<OwnCode> {
    let mut db = core.store.read().await?;
    let address = accounts::get(&mut db, params.account).await?.address.0;
    let this = omemo::own(&mut db, params.account).await?.ok_or_else(|| {
        Error::new(
            Code::NotOnline,
            "this device has no key before it was online first",
        )
    })?;
    let mut keys = vec![(this.device, this.identity.public().fingerprint())];
    // With those of our devices that are verified, whoever reads it verifies all of them at once.
    let others = omemo::devices(&mut db, params.account, &address).await?;
    let verified = others
        .into_iter()
        .filter(|row| row.active() && row.trust == Some(Trust::Verified));
    keys.extend(verified.filter_map(|row| Some((row.device, row.identity?.fingerprint()))));
    let link = link::write(&KeyLink { address, keys });
    Ok(OwnCode {
        rows: code::draw(&link)?,
        link,
    })
}

pub(crate) async fn read_code(_core: &Arc<Core>, params: ReadCode) -> Result<Vec<String>> {
    let pixels = STANDARD
        .decode(params.pixels)
        .map_err(|_| Error::invalid("pixels are bytes in base64"))?;
    // It is work for a while, and a picture from anywhere.
    tokio::task::spawn_blocking(move || code::read(params.width, params.height, &pixels))
        .await
        .map_err(|_| Error::invalid("this picture cannot be read"))?
}

pub(crate) async fn read_key_link(core: &Arc<Core>, params: OfKeyLink) -> Result<KeyLinkReading> {
    let link = read_link(&params.link)?;
    let mut db = core.store.read().await?;
    let own = accounts::get(&mut db, params.account).await?.address.0;
    let keys = examine(&mut db, params.account, &link).await?;
    Ok(KeyLinkReading {
        ours: own == link.address,
        address: link.address,
        keys: keys.into_iter().map(|(key, _)| key).collect(),
    })
}

/// Verifies the keys of a link that are known, remembers those that are not seen yet, and distrusts the key of a device
/// for which the link names another one: that takes its place if the device has shown it, or as soon as it does.
pub(crate) async fn accept_key_link(core: &Arc<Core>, params: OfKeyLink) -> Result<Nothing> {
    let link = read_link(&params.link)?;
    let account = params.account;
    let mut write = core.store.write().await?;
    accounts::get(&mut write, account).await?;
    let mut changed = BTreeSet::new();
    for (key, row) in examine(&mut write, account, &link).await? {
        let print = read_print(&key.fingerprint)?;
        if let (KeyStanding::Differs, Some(row)) = (key.standing, &row)
            && let Some((shown, _)) = row.other.filter(|(shown, _)| shown.fingerprint() == print)
            && let Some(old) = row.identity
        {
            // The device has shown this very key, and the person has compared it now.
            let (of, device) = (&link.address, row.device);
            changed.extend(decide_trust(&mut write, account, of, &old, Trust::Untrusted).await?);
            changed.extend(decide_trust(&mut write, account, of, &shown, Trust::Verified).await?);
            omemo::replace_identity(&mut write, account, of, device, &shown).await?;
            continue;
        }
        let known = row.and_then(|row| row.identity);
        let trust = match (key.standing, known) {
            (KeyStanding::Known, Some(known)) => Some((known, Trust::Verified)),
            (KeyStanding::Differs, Some(known)) => Some((known, Trust::Untrusted)),
            _ => None,
        };
        if let Some((known, trust)) = trust {
            changed.extend(decide_trust(&mut write, account, &link.address, &known, trust).await?);
        }
        if matches!(key.standing, KeyStanding::Unseen | KeyStanding::Differs) {
            expect_trust(&mut write, account, &link.address, &print.0, Trust::Verified).await?;
        }
    }
    trust_decided(core, write, account, &changed).await?;
    Ok(Nothing {})
}

fn read_link(text: &str) -> Result<KeyLink> {
    link::read(text).ok_or_else(|| Error::new(Code::NoKeyLink, "this is no link that names keys"))
}

fn read_print(text: &str) -> Result<Fingerprint> {
    text.parse()
        .map_err(|_| Error::invalid("a fingerprint has 64 hexadecimal digits"))
}

/// How each key of a link stands, with the known device that it is about.
async fn examine(
    db: &mut Connection,
    account: AccountId,
    link: &KeyLink,
) -> Result<Vec<(LinkedKey, Option<DeviceRow>)>> {
    let own = accounts::get(db, account).await?.address.0;
    let this = omemo::own(db, account).await?.filter(|_| own == link.address);
    let rows = omemo::devices(db, account, &link.address).await?;
    let mut keys = Vec::with_capacity(link.keys.len());
    for (device, print) in &link.keys {
        let (standing, row) = match &this {
            Some(this) if this.identity.public().fingerprint() == *print => (KeyStanding::ThisDevice, None),
            _ => standing(&rows, *device, print),
        };
        keys.push((
            LinkedKey {
                device: device.get(),
                fingerprint: print.to_string(),
                standing,
            },
            row.cloned(),
        ));
    }
    Ok(keys)
}

/// Trust belongs to the key: it is looked for among all devices of its owner, then that device is looked at.
fn standing<'a>(
    rows: &'a [DeviceRow],
    device: DeviceId,
    print: &Fingerprint,
) -> (KeyStanding, Option<&'a DeviceRow>) {
    let has_key = |row: &&DeviceRow| row.identity.is_some_and(|key| key.fingerprint() == *print);
    if let Some(row) = rows.iter().find(has_key) {
        let standing = match row.trust {
            Some(Trust::Verified) => KeyStanding::Verified,
            _ => KeyStanding::Known,
        };
        return (standing, Some(row));
    }
    let other = rows
        .iter()
        .find(|row| row.device == device && row.identity.is_some());
    match other {
        Some(row) => (KeyStanding::Differs, Some(row)),
        None => (KeyStanding::Unseen, None),
    }
}
