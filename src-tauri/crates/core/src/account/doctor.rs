//! How the encryption of a chat stands, told by what decides about sending; and its repairs.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::Instant;
use waxwing_omemo::Profile;

use super::devices::lists_wanted;
use super::online::{Online, Session, Stop};
use super::publishing::{Step, What};
use super::reach::{self, Decision, Route, Survey, Surveyed};
use super::{Command, batch::Batch, command};
use crate::Core;
use crate::error::{Code, Result};
use crate::model::{
    AccountId, BareJid, ChatId, DeviceReport, EncryptionReport, ListFault, ListReport, NextMessage, Published,
};
use crate::store::outbox::Encrypt;
use crate::store::{Connection, accounts, chats, omemo};

/// Whose chat it is, and what was promised about its next message.
#[derive(Clone, Debug)]
pub(crate) struct Patient {
    chat: ChatId,
    account: AccountId,
    own: BareJid,
    to: BareJid,
    encrypt: Encrypt,
}

impl Patient {
    fn route(&self) -> Route<'_> {
        Route {
            own: &self.own,
            to: &self.to,
            encrypt: self.encrypt,
        }
    }
}

/// The report of one chat: of what the running session knows, or of what was known last. Errors: `not_found`.
pub(crate) async fn encryption_report(core: &Core, chat: ChatId) -> Result<EncryptionReport> {
    let patient = {
        let mut db = core.store.read().await?;
        let (account, to) = chats::place(&mut db, chat).await?;
        let lock = chats::get(&mut db, chat, 0).await?.lock;
        let mode = chats::mode(&mut db, chat).await?;
        let own = accounts::get(&mut db, account).await?.address.0;
        let encrypt = Encrypt::by(mode, lock);
        Patient {
            chat,
            account,
            own,
            to,
            encrypt,
        }
    };
    let (done, report) = oneshot::channel();
    let asked = Command::EncryptionReport {
        patient: patient.clone(),
        done,
    };
    match command(core, patient.account, asked).await {
        Ok(()) => {}
        Err(error) if error.code == Code::NotOnline => {}
        Err(error) => return Err(error),
    }
    // A task without a connection drops the question.
    match report.await {
        Ok(report) => report,
        Err(_) => examine(&mut *core.store.read().await?, &patient, None, Timestamp::now()).await,
    }
}

/// Looks at all that sending looks at. `session` is what is known in the session with the server, if there is one.
async fn examine(
    db: &mut Connection,
    patient: &Patient,
    session: Option<&Session>,
    now: Timestamp,
) -> Result<EncryptionReport> {
    let lists = session.map(|session| &session.lists);
    let route = patient.route();
    let survey = reach::survey(db, patient.account, &route, now).await?;
    let decision = match lists {
        Some(lists) => route
            .decide(lists, Instant::now())
            .unwrap_or_else(|| survey.decide(&route, reach::uncertain(lists, route.to))),
        // As soon as there is a session, the lists are asked for first.
        None if route.encrypt == Encrypt::None => Decision::Plain,
        None => match survey.decide(&route, Some(ListFault::Unreachable)) {
            Decision::Fails(fault) if fault.code == Code::Timeout => Decision::Wants(BTreeSet::new()),
            decision => decision,
        },
    };
    let mut reports = Vec::new();
    let mut published = Vec::new();
    for profile in Profile::ALL {
        for ours in [false, true] {
            let of = if ours { route.own } else { route.to };
            if !ours && of == route.own {
                continue;
            }
            let listed = lists.and_then(|lists| lists.get(&(of.clone(), profile)));
            reports.push(ListReport {
                ours,
                protocol: omemo::encryption(profile),
                read_at: omemo::list_read_at(db, patient.account, of, profile).await?,
                failed: listed.is_some_and(|listed| listed.outcome.fault().is_some()),
                fault: match listed {
                    Some(listed) => listed.outcome.fault(),
                    None => omemo::list_fault(db, patient.account, of, profile).await?,
                },
            });
        }
        published.push(Published {
            protocol: omemo::encryption(profile),
            at: omemo::published_at(db, patient.account, profile).await?,
            closed: session.is_some_and(|session| {
                let ours = [What::Bundle(profile), What::List(profile)];
                ours.iter().any(|what| session.closed.contains(what))
            }),
        });
    }
    let this = omemo::own(db, patient.account).await?;
    Ok(EncryptionReport {
        chat: patient.chat,
        online: lists.is_some(),
        next: next_message(&decision),
        lists: reports,
        published,
        devices: devices(survey, this.as_ref()),
    })
}

fn devices(survey: Survey, this: Option<&omemo::Own>) -> Vec<DeviceReport> {
    let Survey { theirs, ours, .. } = survey;
    let mut reports: Vec<_> = theirs.into_iter().map(|device| show(device, false)).collect();
    let mut own: Vec<_> = ours.into_iter().map(|device| show(device, true)).collect();
    if let Some(this) = this {
        if own.iter().all(|report| !report.device.own) {
            own.push(DeviceReport {
                ours: true,
                device: this.show(),
                protocol: None,
                again_at: None,
            });
        }
        for report in own.iter_mut().filter(|report| report.device.own) {
            report.device.be_this(this.identity.public());
        }
    }
    reports.extend(own);
    reports
}

fn show(device: Surveyed, ours: bool) -> DeviceReport {
    DeviceReport {
        ours,
        protocol: device.next.profile().map(omemo::encryption),
        again_at: device.again_at(),
        device: device.row.show(device.next.reach(), device.next.profile()),
    }
}

fn next_message(decision: &Decision) -> NextMessage {
    match decision {
        Decision::Plain => NextMessage::Plain,
        Decision::Encrypted => NextMessage::Encrypted,
        Decision::Wants(_) => NextMessage::Asks,
        Decision::Undecided => NextMessage::Undecided,
        Decision::Fails(fault) => match fault.code {
            Code::NoTrustedDevices => NextMessage::NoTrustedDevices,
            Code::NoDevices => NextMessage::NoDevices,
            Code::DevicesForbidden => NextMessage::Forbidden,
            Code::ServerNotFound => NextMessage::ServerNotFound,
            _ => NextMessage::Unknown,
        },
    }
}

impl Online<'_> {
    /// Answers with the report of a chat. What is not known yet is asked for meanwhile.
    pub(super) async fn report_encryption(
        &mut self,
        patient: Patient,
        done: oneshot::Sender<Result<EncryptionReport>>,
    ) -> std::result::Result<(), Stop> {
        let mut db = self.core.store.read().await?;
        let report = examine(&mut db, &patient, Some(&self.session), Timestamp::now()).await;
        drop(db);
        // Whoever asked may have gone.
        let _ = done.send(report);
        let wants = lists_wanted(&self.session.lists, [&patient.to, &self.own], Instant::now());
        self.ask_for(wants).await
    }

    /// Reads both sides' device lists anew, and bundles that could not be had; sessions that wait for those are replaced.
    pub(super) async fn read_devices_again(&mut self, address: &BareJid) -> std::result::Result<(), Stop> {
        let own = self.own.clone();
        let mut batch = Batch::begin(&self.core.store).await?;
        for of in [address, &own] {
            omemo::forget_faults(&mut batch.write, self.account, of).await?;
            self.session.lists.retain(|(whose, _), _| whose != of);
        }
        batch
            .wants
            .extend(lists_wanted(&self.session.lists, [address, &own], Instant::now()));
        (batch.outbox, batch.due) = (true, true);
        self.finish(batch).await
    }

    /// Publishes our bundles and, where they are known, our device lists again, whatever the server took before, and looks
    /// again who can read them.
    pub(super) async fn republish_keys(&mut self) -> std::result::Result<(), Stop> {
        let mut batch = Batch::begin(&self.core.store).await?;
        self.session.access_asked.clear();
        for profile in Profile::ALL {
            self.publish(&mut batch, Step::bundle(profile)).await?;
            let list = self.session.lists.get(&(self.own.clone(), profile));
            if list.is_some_and(|list| list.outcome.fault().is_none()) {
                self.publish(&mut batch, Step::list(profile)).await?;
            }
        }
        self.finish(batch).await
    }
}
