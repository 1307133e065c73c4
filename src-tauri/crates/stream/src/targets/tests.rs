use super::*;

fn record(priority: u16, weight: u16, host: &str) -> Record {
    Record {
        priority,
        weight,
        port: 1,
        host: host.to_owned(),
    }
}

fn records(given: &[(u16, u16, &str)]) -> Service {
    Service::Records(given.iter().map(|(p, w, host)| record(*p, *w, host)).collect())
}

fn order(direct: Service, start: Service, draw: impl FnMut(u32) -> u32) -> Vec<String> {
    let found = merge("example.org", direct, start, draw);
    found.targets.into_iter().map(|target| target.host).collect()
}

const DIRECT: Tls = Tls::Direct;
const START: Tls = Tls::StartTls;

#[test]
fn both_kinds_of_records_are_one_list_by_priority_and_drawn_weight() {
    let direct = || records(&[(20, 9, "c"), (10, 1, "a"), (10, 0, "z")]);
    let start = || records(&[(10, 3, "b"), (30, 0, "e"), (15, 1, "d")]);
    assert_eq!(order(direct(), start(), |_| 0), ["z", "a", "b", "d", "c", "e"]);
    assert_eq!(
        order(direct(), start(), |total| total),
        ["b", "a", "z", "d", "c", "e"]
    );
    assert_eq!(
        order(direct(), start(), |total| total.min(1)),
        ["a", "b", "z", "d", "c", "e"]
    );
    let found = merge("example.org", direct(), start(), |_| 0);
    assert_eq!(found.by, FoundBy::Records);
    let kinds: Vec<_> = found.targets.iter().map(|target| target.tls).collect();
    assert_eq!(kinds, [DIRECT, DIRECT, START, START, DIRECT, START]);
}

#[test]
fn among_equals_each_comes_first_as_often_as_its_weight_says() {
    let mut entropy = 7_u64;
    let mut draw = move |limit: u32| {
        // A generator by Knuth; its upper half is even enough for a count.
        entropy = entropy
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(entropy >> 33).unwrap() % (limit + 1)
    };
    let mut first = std::collections::HashMap::<String, u32>::new();
    for _ in 0..10_000 {
        let direct = records(&[(5, 10, "tenth"), (5, 60, "most"), (5, 0, "hardly")]);
        let hosts = order(direct, records(&[(5, 30, "third")]), &mut draw);
        assert_eq!(hosts.len(), 4);
        *first.entry(hosts.into_iter().next().unwrap()).or_default() += 1;
    }
    for (host, expected) in [
        ("most", 5_600..6_250),
        ("third", 2_700..3_250),
        ("tenth", 850..1_150),
        ("hardly", 50..160),
    ] {
        let count = first.get(host).copied().unwrap_or_default();
        assert!(expected.contains(&count), "{host}: {count}");
    }
}

#[test]
fn a_list_without_end_is_cut() {
    let many: Vec<_> = (0..500).map(|number| (number, 0, "host")).collect();
    assert_eq!(order(records(&many), records(&many), |_| 0).len(), TARGETS);
    let good = Target::new("good", 5223, DIRECT);
    let found = Found {
        targets: (0..40).map(|port| Target::new("host", port, DIRECT)).collect(),
        by: FoundBy::Guess,
    };
    assert_eq!(arranged(found, None, Some(&good)).len(), TARGETS);
}

#[test]
fn a_dot_says_that_the_service_is_not_there() {
    use Service::{Absent, Silent, Unnamed};
    let found = |direct, start| merge("example.org", direct, start, |_| 0);
    for (direct, start) in [(Absent, Absent), (Unnamed, Absent)] {
        assert_eq!(found(direct, start).targets, []);
    }
    for start in [Unnamed, Silent] {
        let only_start = found(Absent, start).targets;
        assert_eq!(only_start, [Target::new("example.org", 5222, START)]);
    }
    let only_direct = found(Silent, Absent).targets;
    assert_eq!(only_direct, [Target::new("example.org", 5223, DIRECT)]);
    let named = found(Absent, records(&[(1, 0, "start")])).targets;
    assert_eq!(named, [Target::new("start", 1, START)]);
}

#[test]
fn without_records_the_domain_itself_is_tried() {
    use Service::{Silent, Unnamed};
    let expected = [
        Target::new("example.org", 5222, START),
        Target::new("example.org", 5223, DIRECT),
    ];
    for (direct, start, by) in [
        (Unnamed, Unnamed, FoundBy::Domain),
        (Unnamed, Silent, FoundBy::Guess),
        (Silent, Unnamed, FoundBy::Guess),
        (Silent, Silent, FoundBy::Guess),
    ] {
        let found = merge("example.org", direct, start, |_| 0);
        assert_eq!((found.targets.as_slice(), found.by), (expected.as_slice(), by));
    }
    assert_eq!(usual("example.org"), expected);
}

#[test]
fn what_was_good_the_last_time_comes_first_if_it_is_still_named_or_nobody_knows() {
    let (one, two) = (Target::new("one", 5223, DIRECT), Target::new("two", 5222, START));
    let listed = |by| Found {
        targets: vec![one.clone(), two.clone()],
        by,
    };
    let stranger = Target::new("two", 5223, START);
    for by in [FoundBy::Records, FoundBy::Domain, FoundBy::Guess] {
        assert_eq!(arranged(listed(by), None, Some(&two)), [two.clone(), one.clone()]);
        assert_eq!(arranged(listed(by), None, None), [one.clone(), two.clone()]);
        let guessed = arranged(listed(by), None, Some(&stranger));
        let first = if by == FoundBy::Guess { &stranger } else { &one };
        assert_eq!(guessed.first(), Some(first));
        assert_eq!(
            arranged(listed(by), Some(DIRECT), Some(&two)),
            std::slice::from_ref(&one)
        );
    }
}

#[test]
fn an_explicit_host_or_port_a_literal_and_localhost_need_no_lookup() {
    let endpoint = |host: Option<&str>, port| Endpoint {
        host: host.map(str::to_owned),
        port,
        tls: None,
    };
    let given = |domain, endpoint: Option<Endpoint>| given(domain, endpoint.as_ref());
    let both = |host: &str, direct, start| {
        Some(vec![
            Target::new(host, direct, DIRECT),
            Target::new(host, start, START),
        ])
    };
    assert_eq!(given("example.org", None), None);
    assert_eq!(given("example.org", Some(endpoint(None, None))), None);
    assert_eq!(
        given("example.org", Some(endpoint(Some("h"), Some(443)))),
        both("h", 443, 443)
    );
    assert_eq!(
        given("example.org", Some(endpoint(None, Some(5300)))),
        both("example.org", 5300, 5300)
    );
    assert_eq!(given("[::1]", None), both("::1", 5223, 5222));
    assert_eq!(given("localhost", None), both("localhost", 5223, 5222));
}

#[test]
fn where_a_server_sends_us_is_read_in_each_form() {
    for (text, host, port) in [
        ("example.org", "example.org", None),
        (" example.org:5223\n", "example.org", Some(5223)),
        ("192.0.2.1", "192.0.2.1", None),
        ("192.0.2.1:80", "192.0.2.1", Some(80)),
        ("[2001:db8::1]:5222", "2001:db8::1", Some(5222)),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("2001:db8::1", "2001:db8::1", None),
        ("m\u{fc}nchen.example:1", "xn--mnchen-3ya.example", Some(1)),
    ] {
        let host = host.to_owned();
        assert_eq!(Elsewhere::parse(text), Some(Elsewhere { host, port }), "{text}");
    }
    for text in [
        "",
        ":5222",
        "host:",
        "host:0",
        "host:65536",
        "host:-1",
        "a b",
        "a\r\nb:1",
        "a/b",
        "a@b",
        "http://a",
        &"a".repeat(300),
    ] {
        assert_eq!(Elsewhere::parse(text), None, "{text:?}");
    }
    let elsewhere = Elsewhere::parse("host:7").unwrap();
    let expected = [Target::new("host", 7, START), Target::new("host", 7, DIRECT)];
    assert_eq!(elsewhere.targets(START), expected);
}
