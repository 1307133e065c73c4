//! Every derivation against values that were computed without this crate (`tests/vectors/derivations.json`), and the
//! ends of the number range.

use serde_json::Value;

use super::*;

/// Hands out what it was given.
struct Given(Vec<u8>);

impl Entropy for Given {
    fn fill(&mut self, out: &mut [u8]) {
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&std::mem::replace(&mut self.0, rest));
    }
}

fn derivations() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/derivations.json")).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    let digits: Vec<u32> = value
        .as_str()
        .unwrap()
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap())
        .collect()
}

fn with_recorded(test: impl Fn(Profile, &Value, &[Vec<u8>])) {
    let recorded = derivations();
    let secrets: Vec<_> = recorded["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .map(bytes)
        .collect();
    for (profile, name) in [(Profile::Legacy, "legacy"), (Profile::Omemo2, "omemo2")] {
        test(profile, &recorded[name], &secrets);
    }
}

#[test]
fn both_sides_of_a_key_agreement_with_fixed_keys_come_to_the_recorded_keys() {
    with_recorded(|profile, expected, secrets| {
        let [active, base, passive, signed, prekey, ratchet] = secrets else {
            panic!("six secrets are recorded")
        };
        let pair = |secret: &[u8]| IdentityKeyPair::from_bytes(secret.try_into().unwrap());
        let (active, passive) = (pair(active), pair(passive));
        let signed = SignedPreKey::from_bytes(PreKeyId(5), 0, signed).unwrap();
        let prekey = PreKey::from_bytes(PreKeyId(6), prekey).unwrap();
        let one_time = std::slice::from_ref(&prekey);
        let bundle = Bundle::of_own_keys(profile, &passive, &signed, one_time, &mut Given(vec![0; 64]));
        let mut rng = Given([base.as_slice(), ratchet].concat());
        let started = start(&active, 1, &bundle, &bundle.prekeys()[0], &mut rng).unwrap();
        assert!(rng.0.is_empty(), "base key and ratchet key, in this order");
        assert_eq!(started.root.as_slice(), bytes(&expected["next_root"]));
        assert_eq!(started.sending.chain.as_slice(), bytes(&expected["chain"]));
        let exchange = PreKeyIds {
            signed: signed.id(),
            one_time: Some(prekey.id()),
            registration: None,
            identity: *active.public(),
            base_key: started.base_key,
        };
        let mut answered = answer(profile, &passive, &signed, &prekey, &exchange).unwrap();
        assert_eq!(answered.root.as_slice(), bytes(&expected["root"]));
        answered
            .open_receiving_chain(profile, &started.sending.public)
            .unwrap();
        assert_eq!(answered.root, started.root);
        assert_eq!(answered.receiving[0].chain, started.sending.chain);
    });
}

#[test]
fn a_chain_steps_as_recorded_and_its_seed_gives_the_recorded_keys() {
    with_recorded(|profile, expected, _| {
        let mut chain = bytes(&expected["chain"]).try_into().unwrap();
        let seed = chain_step(&mut chain);
        assert_eq!(seed.as_slice(), bytes(&expected["seed"]));
        assert_eq!(chain.as_slice(), bytes(&expected["next_chain"]));
        let drawn = primitives::hkdf::<80>(&[0; 32], seed.as_slice(), constants(profile).message);
        assert_eq!(drawn.as_slice(), bytes(&expected["keys"]));
    });
}

#[test]
fn counters_end_before_they_wrap() {
    let chain = |n| {
        let mut chain = ReceivingChain::new(&[1; 32], &[2; 32]);
        chain.n = n;
        chain
    };
    let open = |from: u32, n: u32| chain(from).seed(n, &mut 4_000).map(|_| ());
    assert_eq!(open(u32::MAX - 1, u32::MAX - 1), Ok(()));
    assert_eq!(open(u32::MAX - 5, u32::MAX - 1), Ok(()));
    for from in [0, u32::MAX - 1, u32::MAX] {
        assert_eq!(
            open(from, u32::MAX),
            Err(DecryptError::TooManySkipped),
            "from {from}"
        );
    }
    assert_eq!(open(u32::MAX, u32::MAX - 1), Err(DecryptError::Duplicate));
    let identity = IdentityKeyPair::from_bytes(&[3; 32]);
    let mut session = Session {
        remote: *identity.public(),
        initiator: true,
        base_key: [0; 32],
        root: [0; 32],
        sending: SendingChain::new(&[4; 32], &[5; 32]),
        previous: u32::MAX,
        receiving: Vec::new(),
        unanswered: None,
        passed_over: 0,
    };
    session.sending.n = u32::MAX - 1;
    assert!(session.send(Profile::Legacy, &identity, b"the last one").is_ok());
    assert_eq!(
        session.send(Profile::Legacy, &identity, b"one more").err(),
        Some(EncryptError::Exhausted)
    );
}

#[test]
fn no_more_steps_are_gone_than_the_budget_holds() {
    let mut chain = ReceivingChain::new(&[1; 32], &[2; 32]);
    let mut budget = 10;
    assert_eq!(
        chain.seed(10, &mut budget).err(),
        Some(DecryptError::TooManySkipped)
    );
    assert_eq!((budget, chain.n), (10, 0));
    assert!(chain.seed(9, &mut budget).is_ok());
    assert_eq!((budget, chain.n, chain.skipped.len()), (0, 10, 9));
    assert_eq!(
        chain.seed(10, &mut budget).err(),
        Some(DecryptError::TooManySkipped)
    );
}

/// As two C libraries do it: a chain of four messages is announced as one of three.
#[test]
fn the_last_message_of_a_chain_may_come_late_from_a_peer_that_announces_one_too_few() {
    for profile in Profile::ALL {
        let mut rng = crate::OsEntropy;
        let pairs = [(); 2].map(|()| IdentityKeyPair::generate(&mut rng));
        let [active, passive] = &pairs;
        let signed = SignedPreKey::generate(PreKeyId(5), 0, &mut rng);
        let prekey = crate::generate_prekeys(PreKeyId(6), 1, &mut rng).remove(0);
        let one_time = std::slice::from_ref(&prekey);
        let bundle = Bundle::of_own_keys(profile, passive, &signed, one_time, &mut rng);
        let mut alice = start(active, 1, &bundle, &bundle.prekeys()[0], &mut rng).unwrap();
        let exchange = PreKeyIds {
            signed: signed.id(),
            one_time: Some(prekey.id()),
            registration: None,
            identity: *active.public(),
            base_key: alice.base_key,
        };
        let mut bob = answer(profile, passive, &signed, &prekey, &exchange).unwrap();
        alice.unanswered = None;
        let read = |session: &mut Session, identity, bytes: &[u8]| {
            let message = wire::read_message(profile, bytes).unwrap();
            let received = session.receive(profile, identity, &message, &mut 1_000, &mut crate::OsEntropy);
            received.unwrap().peer_went_back
        };
        let mut late = Vec::new();
        for round in 0..3 {
            let sent: Vec<_> = (0..4)
                .map(|_| alice.send(profile, active, b"x").unwrap().0)
                .collect();
            // The first chain comes whole, of the others the last message is late.
            let on_time = if round == 0 { 4 } else { 3 };
            for bytes in &sent[..on_time] {
                assert!(!read(&mut bob, passive, bytes));
            }
            late.extend(sent.into_iter().skip(on_time));
            let (answer, _) = bob.send(profile, passive, b"y").unwrap();
            read(&mut alice, active, &answer);
            alice.previous -= 1;
        }
        let (next, _) = alice.send(profile, active, b"z").unwrap();
        read(&mut bob, passive, &next);
        for bytes in late {
            assert!(!read(&mut bob, passive, &bytes), "it is late and nothing else");
        }
    }
}
