// Clippy's leave for tests ends at the functions marked as such; here all is test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice)]

use rcgen::{CertificateParams, DnType, KeyPair, SanType};

use super::*;

fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

#[test]
fn a_certificate_is_told_in_plain_words() {
    let der = made(|params| {
        params.subject_alt_names = vec![
            SanType::DnsName("example.org".try_into().unwrap()),
            SanType::Rfc822Name("someone@example.org".try_into().unwrap()),
            SanType::IpAddress("192.0.2.1".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
        ];
        params.distinguished_name.push(DnType::CommonName, "The Issuer");
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2090, 1, 1);
    });
    let certificate = Certificate::read(&der).unwrap();
    let expected = Certificate {
        fingerprint: Fingerprint::of(&der),
        names: ["example.org", "192.0.2.1", "2001:db8::1"]
            .map(str::to_owned)
            .into(),
        issuer: "The Issuer".to_owned(),
        not_before: 1_577_836_800,
        not_after: 3_786_912_000,
        self_signed: true,
    };
    assert_eq!(certificate, expected);
}

#[test]
fn where_there_are_no_alternative_names_the_common_name_tells_whose_it_is() {
    let der = made(|params| {
        params.distinguished_name.push(DnType::CommonName, "old.example");
    });
    assert_eq!(Certificate::read(&der).unwrap().names, ["old.example"]);
    let der = made(|params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Makers");
    });
    let certificate = Certificate::read(&der).unwrap();
    assert_eq!(
        (certificate.names.as_slice(), certificate.issuer.as_str()),
        (&[][..], "O=Makers")
    );
}

#[test]
fn a_strangers_words_are_bounded_and_cannot_change_how_they_are_shown() {
    let trick = "bank\u{202e}gro\u{7}.elpmaxe\u{200b}\u{2066}\u{feff}\n";
    let der = made(|params| {
        params.distinguished_name.push(DnType::CommonName, trick);
    });
    let certificate = Certificate::read(&der).unwrap();
    assert_eq!(certificate.issuer, "bankgro.elpmaxe");
    assert_eq!(certificate.names, ["bankgro.elpmaxe"]);

    let der = made(|params| {
        let name = "a".repeat(1_000);
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        let name = SanType::DnsName(name.as_str().try_into().unwrap());
        params.subject_alt_names = vec![name; 40];
    });
    let certificate = Certificate::read(&der).unwrap();
    assert_eq!(
        (certificate.names.len(), certificate.issuer.len()),
        (NAMES, LENGTH)
    );
    assert!(certificate.names.iter().all(|name| name.len() == LENGTH));
}

#[test]
fn what_is_no_certificate_is_none_and_nothing_worse() {
    let der = made(|params| {
        params.subject_alt_names = vec![SanType::DnsName("example.org".try_into().unwrap())];
    });
    for length in 0..der.len() {
        assert_eq!(Certificate::read(&der[..length]), None, "{length}");
    }
    for position in 0..der.len() {
        for bit in 0..8 {
            let mut broken = der.clone();
            broken[position] ^= 1 << bit;
            // Whatever comes out.
            let _ = Certificate::read(&broken);
        }
    }
    // Names within names, as deep as a handshake has room for.
    let mut deep = Vec::new();
    for _ in 0..10_000 {
        deep.extend_from_slice(&[0x30, 0x83, 0x00, 0xff, 0xff]);
    }
    assert_eq!(Certificate::read(&deep), None);
}

#[test]
fn a_fingerprint_is_read_as_it_is_shown_and_as_other_programs_show_it() {
    let fingerprint = Fingerprint::of(b"abc");
    let shown = fingerprint.to_string();
    assert_eq!(
        shown,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    let colons: Vec<_> = shown
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap())
        .collect();
    for text in [
        shown.clone(),
        shown.to_uppercase(),
        format!(" {}\n", colons.join(":")),
    ] {
        assert_eq!(Fingerprint::parse(&text), Some(fingerprint));
    }
    for text in ["", &shown[..63], &format!("{shown}0"), &shown.replace('b', "g")] {
        assert_eq!(Fingerprint::parse(text), None, "{text}");
    }
}
