//! Which targets to try, and in which order (RFC 6120 §3.2, RFC 2782, XEP-0368).

use std::net::IpAddr;

use crate::{Endpoint, Target, Tls};

/// More targets than this are not tried.
const TARGETS: usize = 16;

impl Target {
    pub(crate) fn new(host: &str, port: u16, tls: Tls) -> Self {
        Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            tls,
        }
    }

    fn usual(host: &str, tls: Tls) -> Self {
        let port = match tls {
            Tls::Direct => 5223,
            Tls::StartTls => 5222,
        };
        Self::new(host, port, tls)
    }
}

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    pub(crate) host: String,
}

/// The outcome of one SRV lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Service {
    Records(Vec<Record>),
    /// The one record with the target `.`: decidedly not offered.
    Absent,
    /// DNS says that there are no records.
    Unnamed,
    /// DNS does not answer.
    Silent,
}

/// The targets of a domain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) targets: Vec<Target>,
    /// How they were found.
    pub(crate) by: FoundBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoundBy {
    /// SRV records.
    Records,
    /// DNS says that there are none, so the domain itself is tried.
    Domain,
    /// DNS said nothing.
    Guess,
}

/// Both kinds of records as one list (XEP-0368 §3), or the domain itself where there are none; no target means that
/// the domain says it has no service. `draw(n)` is a number below or equal to n.
pub(crate) fn merge(domain: &str, direct: Service, start: Service, draw: impl FnMut(u32) -> u32) -> Found {
    let silent = direct == Service::Silent || start == Service::Silent;
    let usual: Vec<_> = match (&direct, &start) {
        // RFC 6120 §3.2.1 takes this for an end to it; nobody speaks of direct TLS.
        (Service::Unnamed, Service::Absent) => Vec::new(),
        // RFC 6120 §3.2.2 knows port 5222 only, so that is tried first.
        _ => [(&start, Tls::StartTls), (&direct, Tls::Direct)]
            .into_iter()
            .filter(|(service, _)| **service != Service::Absent)
            .map(|(_, tls)| Target::usual(domain, tls))
            .collect(),
    };
    let kinds = [(direct, Tls::Direct), (start, Tls::StartTls)];
    let records: Vec<_> = kinds
        .into_iter()
        .flat_map(|(service, tls)| match service {
            Service::Records(records) => records.into_iter().map(|record| (record, tls)).collect(),
            _ => Vec::new(),
        })
        .collect();
    let (targets, by) = if records.is_empty() {
        (usual, if silent { FoundBy::Guess } else { FoundBy::Domain })
    } else {
        (in_order(records, draw), FoundBy::Records)
    };
    Found { targets, by }
}

/// By priority, and among equals by chance according to weight (RFC 2782).
fn in_order(mut records: Vec<(Record, Tls)>, mut draw: impl FnMut(u32) -> u32) -> Vec<Target> {
    // Weight 0 in front, as RFC 2782 asks, so that it has a small chance.
    records.sort_by_key(|(record, _)| (record.priority, record.weight != 0));
    let mut ordered = Vec::new();
    while let Some(priority) = records.first().map(|(record, _)| record.priority) {
        if ordered.len() == TARGETS {
            break;
        }
        let equals = || {
            records
                .iter()
                .map(|(record, _)| record)
                .take_while(|r| r.priority == priority)
        };
        let drawn = draw(equals().map(|r| u32::from(r.weight)).sum());
        let mut sum = 0;
        let position = equals().position(|record| {
            sum += u32::from(record.weight);
            sum >= drawn
        });
        let (record, tls) = records.remove(position.unwrap_or(0));
        ordered.push(Target::new(&record.host, record.port, tls));
    }
    ordered
}

/// The domain's host itself, at the usual ports.
pub(crate) fn usual(host: &str) -> Vec<Target> {
    vec![
        Target::usual(host, Tls::StartTls),
        Target::usual(host, Tls::Direct),
    ]
}

/// The targets that need no SRV lookup: explicit host or port, an IP address, `localhost`.
pub(crate) fn given(domain: &str, endpoint: Option<&Endpoint>) -> Option<Vec<Target>> {
    let endpoint = endpoint.cloned().unwrap_or_default();
    let literal = domain.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let local = domain == "localhost" || domain.ends_with(".localhost");
    if endpoint.host.is_none() && endpoint.port.is_none() && !literal && !local {
        return None;
    }
    let host = endpoint.host.as_deref().unwrap_or(domain);
    let target = |tls| match endpoint.port {
        Some(port) => Target::new(host, port, tls),
        None => Target::usual(host, tls),
    };
    Some([Tls::Direct, Tls::StartTls].map(target).into())
}

/// Where a server wants us instead: `host`, `host:port`, an IPv6 address with a port in brackets
/// (RFC 6120 §4.9.3.19, XEP-0198 §5). None if it is nothing of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Elsewhere {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (host, port) = match text.parse::<IpAddr>() {
            Ok(_) => (text, None),
            Err(_) => match text.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
                _ => (text, None),
            },
        };
        let port = match port {
            Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
            None => None,
        };
        Some(Self {
            host: host_name(host)?,
            port,
        })
    }

    /// Nothing says how TLS begins there: as before is likeliest.
    pub(crate) fn targets(&self, before: Tls) -> Vec<Target> {
        let other = match before {
            Tls::Direct => Tls::StartTls,
            Tls::StartTls => Tls::Direct,
        };
        let target = |tls| match self.port {
            Some(port) => Target::new(&self.host, port, tls),
            None => Target::usual(&self.host, tls),
        };
        vec![target(before), target(other)]
    }
}

/// A host as it may stand in a request to a proxy: an IP literal without brackets, or a name in ASCII.
pub(crate) fn host_name(host: &str) -> Option<String> {
    let bare = host.trim_matches(['[', ']']);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    let ascii = idna::domain_to_ascii(host).ok()?;
    let fits = (1..=253).contains(&ascii.len());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (fits && ascii.chars().all(plain)).then_some(ascii)
}

/// Only the wanted kind of TLS, what was good the last time in front, and not too many. What was good counts only if it
/// is in the list, or if the list is a guess.
pub(crate) fn arranged(found: Found, wanted: Option<Tls>, last_good: Option<&Target>) -> Vec<Target> {
    let Found { mut targets, by } = found;
    if let Some(good) = last_good
        && (by == FoundBy::Guess || targets.contains(good))
    {
        targets.retain(|target| target != good);
        targets.insert(0, good.clone());
    }
    targets.retain(|target| wanted.is_none_or(|tls| target.tls == tls));
    targets.truncate(TARGETS);
    targets
}

#[cfg(test)]
mod tests;
