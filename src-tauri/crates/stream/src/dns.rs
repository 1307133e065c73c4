//! Asking DNS: SRV records with a resolver of our own, addresses with the system's, which also knows about local names
//! and about what a private network adds.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolverOpts;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::rdata::SRV;
use tokio::time::timeout;

use crate::targets::{Record, Service};
use crate::{ConnectError, Step};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(8);
/// And where the server was found before, so that something better than waiting can be done.
const IMPATIENCE: Duration = Duration::from_secs(3);
/// A question is lost as easily as any packet; it is asked again after this time.
const REPEAT: Duration = Duration::from_millis(1_500);
/// More addresses of one host than this are not tried.
const ADDRESSES: usize = 8;

/// Who is asked for names, during one attempt to connect.
pub(crate) struct Names {
    records: Option<TokioResolver>,
    addresses: Addresses,
}

enum Addresses {
    System,
    /// The few hosts of a test.
    #[cfg(test)]
    Table(std::collections::HashMap<String, Vec<IpAddr>>),
}

impl Names {
    /// As this machine is set up. Reads files, so it goes to the blocking threads.
    pub(crate) async fn system() -> Self {
        let records = tokio::task::spawn_blocking(|| {
            let mut builder = TokioResolver::builder_tokio()?;
            patient(builder.options_mut());
            builder.build()
        });
        let records = match records.await {
            Ok(Ok(resolver)) => Some(resolver),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the system's name servers are unknown");
                None
            }
            Err(_) => None,
        };
        Self {
            records,
            addresses: Addresses::System,
        }
    }

    /// Of which nobody may ask for SRV records.
    pub(crate) fn addresses_only() -> Self {
        Self {
            records: None,
            addresses: Addresses::System,
        }
    }

    /// Looks one kind of records up; `in_haste` if there is something to try without an answer.
    pub(crate) async fn service(&self, kind: &'static str, domain: &str, in_haste: bool) -> Service {
        let (Some(resolver), Ok(ascii)) = (&self.records, idna::domain_to_ascii(domain)) else {
            return Service::Silent;
        };
        let patience = if in_haste { IMPATIENCE } else { PATIENCE };
        let lookup = resolver.srv_lookup(format!("{kind}._tcp.{}.", ascii.trim_end_matches('.')));
        match timeout(patience, lookup).await {
            Ok(Ok(lookup)) => service_of(lookup.answers().iter().filter_map(|record| match &record.data {
                RData::SRV(srv) => Some(srv),
                _ => None,
            })),
            Ok(Err(error)) if error.is_no_records_found() => Service::Unnamed,
            Ok(Err(error)) => {
                tracing::debug!(kind, %error, "DNS does not answer");
                Service::Silent
            }
            Err(_) => Service::Silent,
        }
    }

    /// The addresses of a host, which may be an IP literal, in the order in which they are to be tried.
    pub(crate) async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        if let Ok(literal) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(literal, port)]);
        }
        let found = match &self.addresses {
            Addresses::System => {
                let ascii =
                    idna::domain_to_ascii(host).map_err(|error| ConnectError::Dns(error.to_string()))?;
                match timeout(PATIENCE, tokio::net::lookup_host((ascii, port))).await {
                    Ok(Ok(found)) => found.collect(),
                    Ok(Err(error)) => return Err(ConnectError::Dns(error.to_string())),
                    Err(_) => return Err(ConnectError::Timeout(Step::Dns)),
                }
            }
            #[cfg(test)]
            Addresses::Table(table) => {
                let known = table
                    .get(host)
                    .ok_or(ConnectError::Dns("not in the table".to_owned()))?;
                known
                    .iter()
                    .map(|address| SocketAddr::new(*address, port))
                    .collect()
            }
        };
        Ok(interleaved(found))
    }
}

fn patient(options: &mut ResolverOpts) {
    options.timeout = REPEAT;
    options.attempts = 5;
}

/// One of each family in turn, IPv6 first (RFC 8305 §4), each family in the system's order.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (six, four): (Vec<_>, Vec<_>) = addresses.into_iter().partition(SocketAddr::is_ipv6);
    let longer = six.len().max(four.len());
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    (0..longer)
        .flat_map(|_| [six.next(), four.next()])
        .flatten()
        .take(ADDRESSES)
        .collect()
}

fn service_of<'a>(records: impl Iterator<Item = &'a SRV>) -> Service {
    let all: Vec<&SRV> = records.collect();
    if all.is_empty() {
        return Service::Unnamed;
    }
    let named = all.iter().filter(|srv| !srv.target.is_root());
    let records: Vec<Record> = named
        .map(|srv| Record {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            host: srv.target.to_ascii().trim_end_matches('.').to_owned(),
        })
        .collect();
    if records.is_empty() {
        Service::Absent
    } else {
        Service::Records(records)
    }
}

#[cfg(test)]
pub(crate) mod tests;
