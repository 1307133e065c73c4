// Clippy's leave for tests ends at the functions marked as such; here all is test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::HashMap;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{Name, Record as Answer};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;

/// What the name server says about one name.
#[derive(Clone)]
pub(crate) enum Said {
    /// Priority, weight, port, target.
    Records(Vec<(u16, u16, u16, &'static str)>),
    /// The name is there, but has no such records.
    Nothing,
    /// The name server has trouble.
    Failure,
    /// It says nothing at all.
    Silence,
}

/// A name server on this machine; what it has not heard of does not exist.
pub(crate) struct NameServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl NameServer {
    pub(crate) async fn start(zone: impl IntoIterator<Item = (&'static str, Said)>) -> Self {
        let zone: HashMap<_, _> = zone.into_iter().collect();
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                if let Some(reply) = reply(&zone, &buffer[..length]) {
                    socket.send_to(&reply, from).await.unwrap();
                }
            }
        });
        Self { address, task }
    }

    /// Whoever asks this name server for records, and knows these hosts.
    pub(crate) fn names(&self, hosts: &[(&str, &[IpAddr])]) -> Names {
        let mut connection = ConnectionConfig::udp();
        connection.port = self.address.port();
        let server = NameServerConfig::new(self.address.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        patient(builder.options_mut());
        let hosts = hosts
            .iter()
            .map(|(host, addresses)| ((*host).to_owned(), addresses.to_vec()));
        Names {
            records: Some(builder.build().unwrap()),
            addresses: Addresses::Table(hosts.collect()),
        }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn reply(zone: &HashMap<&str, Said>, question: &[u8]) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(question).unwrap().into_response();
    let name = message.queries[0].name().clone();
    let said = zone.get(name.to_ascii().to_ascii_lowercase().as_str());
    match said {
        Some(Said::Records(records)) => {
            for (priority, weight, port, target) in records {
                let srv = SRV::new(*priority, *weight, *port, Name::from_ascii(target).unwrap());
                message.add_answer(Answer::from_rdata(name.clone(), 60, RData::SRV(srv)));
            }
        }
        Some(Said::Nothing) => {}
        Some(Said::Failure) => message.metadata.response_code = ResponseCode::ServFail,
        Some(Said::Silence) => return None,
        None => message.metadata.response_code = ResponseCode::NXDomain,
    }
    Some(message.to_vec().unwrap())
}

async fn ask(server: &NameServer) -> Service {
    server
        .names(&[])
        .service("_xmpps-client", "Example.org", false)
        .await
}

const NAME: &str = "_xmpps-client._tcp.example.org.";

#[tokio::test]
async fn an_answer_no_answer_and_no_records_are_told_apart() {
    let record = |host: &str| Record {
        priority: 3,
        weight: 4,
        port: 5,
        host: host.to_owned(),
    };
    for (said, expected) in [
        (
            Said::Records(vec![(3, 4, 5, "a.example."), (3, 4, 5, "b.example.")]),
            Service::Records(vec![record("a.example"), record("b.example")]),
        ),
        (Said::Records(vec![(0, 0, 0, ".")]), Service::Absent),
        (
            Said::Records(vec![(0, 0, 0, "."), (3, 4, 5, "a.example.")]),
            Service::Records(vec![record("a.example")]),
        ),
        (Said::Nothing, Service::Unnamed),
        (Said::Failure, Service::Silent),
    ] {
        let server = NameServer::start([(NAME, said)]).await;
        let mut found = ask(&server).await;
        if let Service::Records(records) = &mut found {
            records.sort_by(|a, b| a.host.cmp(&b.host));
        }
        assert_eq!(found, expected);
    }
    let unknown = NameServer::start([]).await;
    assert_eq!(ask(&unknown).await, Service::Unnamed);
}

#[tokio::test]
async fn a_name_server_that_says_nothing_is_given_up_and_sooner_if_there_is_something_to_try() {
    let server = NameServer::start([(NAME, Said::Silence)]).await;
    tokio::time::pause();
    for (in_haste, seconds) in [(false, 8), (true, 3)] {
        let start = Instant::now();
        let names = server.names(&[]);
        let found = names.service("_xmpps-client", "example.org", in_haste).await;
        assert_eq!((found, start.elapsed().as_secs()), (Service::Silent, seconds));
    }
}

#[tokio::test]
async fn without_a_name_server_dns_is_silent() {
    let names = Names::addresses_only();
    assert_eq!(
        names.service("_xmpps-client", "example.org", false).await,
        Service::Silent
    );
}

#[tokio::test]
async fn a_literal_needs_nobody_to_be_asked() {
    let server = NameServer::start([]).await;
    let names = server.names(&[]);
    for literal in ["127.0.0.1", "::1"] {
        let expected = vec![SocketAddr::new(literal.parse().unwrap(), 7)];
        assert_eq!(names.addresses(literal, 7).await, Ok(expected));
    }
    assert_eq!(
        names.addresses("nowhere.test", 7).await.unwrap_err().code(),
        "dns"
    );
}

#[test]
fn the_families_take_turns_and_ipv6_begins() {
    let order = |given: &[&str]| {
        let given = given.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 1));
        let found = interleaved(given.collect()).into_iter();
        found.map(|address| address.ip().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        order(&["1.1.1.1", "1.1.1.2", "1.1.1.3", "::1", "::2"]),
        ["::1", "1.1.1.1", "::2", "1.1.1.2", "1.1.1.3"]
    );
    assert_eq!(order(&["1.1.1.1"]), ["1.1.1.1"]);
    assert_eq!(order(&[]), Vec::<String>::new());
    assert_eq!(order(&["::1"; 20]).len(), ADDRESSES);
}
