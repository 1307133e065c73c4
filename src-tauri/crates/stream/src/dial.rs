//! From a domain to a TCP connection: SRV records (RFC 6120 §3.2, XEP-0368), addresses, the race between them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::rdata::SRV;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::{ConnectError, Endpoint, Step, Target, Tls};

const DNS_LIMIT: Duration = Duration::from_secs(10);
const TCP_LIMIT: Duration = Duration::from_secs(10);
/// The head start of each address before the next (RFC 8305 §8).
const STAGGER: Duration = Duration::from_millis(250);
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
}

fn usual_port(tls: Tls) -> u16 {
    match tls {
        Tls::Direct => 5223,
        Tls::StartTls => 5222,
    }
}

/// What to try, in order.
pub(crate) async fn targets(domain: &str, endpoint: Option<&Endpoint>) -> Result<Vec<Target>, ConnectError> {
    let wanted = endpoint.and_then(|e| e.tls);
    if let Some(given) = given_targets(domain, endpoint) {
        return Ok(given);
    }
    let (direct, start) = tokio::join!(srv("_xmpps-client", domain), srv("_xmpp-client", domain));
    let found = merge(domain, direct, start).ok_or(ConnectError::NoServer)?;
    let found: Vec<_> = found
        .into_iter()
        .filter(|t| wanted.is_none_or(|tls| t.tls == tls))
        .collect();
    if found.is_empty() {
        Err(ConnectError::NoServer)
    } else {
        Ok(found)
    }
}

/// The targets that need no SRV lookup: explicit host or port, an IP address, `localhost`.
fn given_targets(domain: &str, endpoint: Option<&Endpoint>) -> Option<Vec<Target>> {
    let endpoint = endpoint.cloned().unwrap_or_default();
    let literal = domain.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let local = domain == "localhost" || domain.ends_with(".localhost");
    if endpoint.host.is_none() && endpoint.port.is_none() && !literal && !local {
        return None;
    }
    let host = endpoint.host.as_deref().unwrap_or(domain);
    let kinds = match endpoint.tls {
        Some(tls) => vec![tls],
        None => vec![Tls::Direct, Tls::StartTls],
    };
    let target = |tls| Target::new(host, endpoint.port.unwrap_or(usual_port(tls)), tls);
    Some(kinds.into_iter().map(target).collect())
}

/// The outcome of one SRV lookup.
#[derive(Debug, PartialEq, Eq)]
enum Service {
    /// No records, or no answer.
    Unknown,
    /// The one record with the target `.`: decidedly not offered.
    Absent,
    Records(Vec<Record>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    priority: u16,
    weight: u16,
    port: u16,
    host: String,
}

async fn srv(service: &str, domain: &str) -> Service {
    let Ok(ascii) = idna::domain_to_ascii(domain) else {
        return Service::Unknown;
    };
    let name = format!("{service}._tcp.{ascii}.");
    let Ok(builder) = TokioResolver::builder_tokio() else {
        return Service::Unknown;
    };
    let Ok(resolver) = builder.build() else {
        return Service::Unknown;
    };
    match timeout(DNS_LIMIT, resolver.srv_lookup(name)).await {
        Ok(Ok(lookup)) => service_of(lookup.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(srv),
            _ => None,
        })),
        Ok(Err(error)) => {
            tracing::debug!(service, %error, "no SRV records");
            Service::Unknown
        }
        Err(_) => Service::Unknown,
    }
}

fn service_of<'a>(records: impl Iterator<Item = &'a SRV>) -> Service {
    let all: Vec<&SRV> = records.collect();
    if all.is_empty() {
        return Service::Unknown;
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

/// Direct TLS first, then STARTTLS; the domain itself where DNS says nothing at all. `None`: no service.
fn merge(domain: &str, direct: Service, start: Service) -> Option<Vec<Target>> {
    let mut targets = Vec::new();
    match (direct, start) {
        // RFC 6120 §3.2.2 knows port 5222 only, so that is tried first.
        (Service::Unknown, Service::Unknown) => {
            targets.push(Target::new(domain, usual_port(Tls::StartTls), Tls::StartTls));
            targets.push(Target::new(domain, usual_port(Tls::Direct), Tls::Direct));
        }
        (direct, start) => {
            for (service, tls) in [(direct, Tls::Direct), (start, Tls::StartTls)] {
                if let Service::Records(records) = service {
                    let records = in_order(records, random_below);
                    targets.extend(records.into_iter().map(|r| Target::new(&r.host, r.port, tls)));
                }
            }
        }
    }
    targets.truncate(TARGETS);
    (!targets.is_empty()).then_some(targets)
}

/// By priority, and among equals by chance according to weight (RFC 2782). `draw(n)` is a number below or equal to n.
fn in_order(mut records: Vec<Record>, mut draw: impl FnMut(u32) -> u32) -> Vec<Record> {
    // Weight 0 in front, as RFC 2782 asks, so that it has a small chance.
    records.sort_by_key(|r| (r.priority, r.weight != 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|r| r.priority) {
        let total = records
            .iter()
            .filter(|r| r.priority == priority)
            .map(|r| u32::from(r.weight))
            .sum();
        let drawn = draw(total);
        let mut sum = 0;
        let position = records
            .iter()
            .take_while(|r| r.priority == priority)
            .position(|r| {
                sum += u32::from(r.weight);
                sum >= drawn
            });
        ordered.push(records.remove(position.unwrap_or(0)));
    }
    ordered
}

fn random_below(limit: u32) -> u32 {
    let entropy = getrandom::u32().expect("no system that this runs on is without randomness");
    entropy % limit.saturating_add(1)
}

/// Opens a TCP connection to a target: all its addresses, each a little after the one before.
pub(crate) async fn tcp(target: &Target) -> Result<TcpStream, ConnectError> {
    let lookup = tokio::net::lookup_host((target.host.as_str(), target.port));
    let addresses: Vec<SocketAddr> = match timeout(DNS_LIMIT, lookup).await {
        Ok(Ok(found)) => found.take(TARGETS).collect(),
        Ok(Err(error)) => return Err(ConnectError::Dns(error.to_string())),
        Err(_) => return Err(ConnectError::Timeout(Step::Dns)),
    };
    match timeout(TCP_LIMIT, race(addresses)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(ConnectError::Unreachable(error.to_string())),
        Err(_) => Err(ConnectError::Timeout(Step::Tcp)),
    }
}

async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut waiting = addresses.into_iter();
    let mut under_way = FuturesUnordered::new();
    loop {
        let next = waiting.next();
        let more = next.is_some();
        under_way.extend(next.map(TcpStream::connect));
        // Until the head start is over, or an attempt fails and the next need not wait.
        tokio::select! {
            done = under_way.next() => match done {
                Some(Ok(stream)) => {
                    // Stanzas are small and wait for nothing.
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Some(Err(error)) => last = error,
                None => return Err(last),
            },
            () = sleep(STAGGER), if more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, host: &str) -> Record {
        Record {
            priority,
            weight,
            port: 1,
            host: host.to_owned(),
        }
    }

    fn hosts(records: &[Record]) -> Vec<&str> {
        records.iter().map(|r| r.host.as_str()).collect()
    }

    #[test]
    fn lower_priorities_come_first_and_weights_decide_among_equals() {
        let records = vec![
            record(20, 9, "c"),
            record(10, 1, "a"),
            record(10, 3, "b"),
            record(10, 0, "z"),
        ];
        assert_eq!(hosts(&in_order(records.clone(), |_| 0)), ["z", "a", "b", "c"]);
        assert_eq!(
            hosts(&in_order(records.clone(), |total| total)),
            ["b", "a", "z", "c"]
        );
        assert_eq!(
            hosts(&in_order(records, |total| total.min(1))),
            ["a", "b", "z", "c"]
        );
    }

    #[test]
    fn direct_tls_is_tried_before_starttls_whatever_the_priorities() {
        let direct = Service::Records(vec![record(50, 0, "direct")]);
        let start = Service::Records(vec![record(1, 0, "start")]);
        let targets = merge("example.org", direct, start).unwrap();
        let order: Vec<_> = targets.iter().map(|t| (t.host.as_str(), t.tls)).collect();
        assert_eq!(order, [("direct", Tls::Direct), ("start", Tls::StartTls)]);
    }

    #[test]
    fn a_dot_says_that_the_service_is_not_there() {
        assert_eq!(merge("example.org", Service::Absent, Service::Absent), None);
        assert_eq!(merge("example.org", Service::Unknown, Service::Absent), None);
        let start = Service::Records(vec![record(1, 0, "start")]);
        let targets = merge("example.org", Service::Absent, start).unwrap();
        assert_eq!(targets, [Target::new("start", 1, Tls::StartTls)]);
        let root = SRV::new(0, 0, 0, hickory_resolver::proto::rr::Name::root());
        assert_eq!(service_of([&root].into_iter()), Service::Absent);
        assert_eq!(service_of(std::iter::empty()), Service::Unknown);
    }

    #[test]
    fn without_records_the_domain_itself_is_tried() {
        let targets = merge("example.org", Service::Unknown, Service::Unknown).unwrap();
        let expected = [
            Target::new("example.org", 5222, Tls::StartTls),
            Target::new("example.org", 5223, Tls::Direct),
        ];
        assert_eq!(targets, expected);
    }

    #[test]
    fn an_explicit_host_or_port_a_literal_and_localhost_need_no_lookup() {
        let endpoint = |host: Option<&str>, port, tls| Endpoint {
            host: host.map(str::to_owned),
            port,
            tls,
        };
        let given = |domain, endpoint: Option<Endpoint>| given_targets(domain, endpoint.as_ref());
        assert_eq!(given("example.org", None), None);
        assert_eq!(
            given("example.org", Some(endpoint(None, None, Some(Tls::Direct)))),
            None
        );
        assert_eq!(
            given("example.org", Some(endpoint(Some("h"), Some(443), None))),
            Some(vec![
                Target::new("h", 443, Tls::Direct),
                Target::new("h", 443, Tls::StartTls)
            ])
        );
        assert_eq!(
            given(
                "example.org",
                Some(endpoint(None, Some(5300), Some(Tls::StartTls)))
            ),
            Some(vec![Target::new("example.org", 5300, Tls::StartTls)])
        );
        assert_eq!(
            given("[::1]", None),
            Some(vec![
                Target::new("::1", 5223, Tls::Direct),
                Target::new("::1", 5222, Tls::StartTls)
            ])
        );
        assert_eq!(given("localhost", None).map(|t| t.len()), Some(2));
    }
}
