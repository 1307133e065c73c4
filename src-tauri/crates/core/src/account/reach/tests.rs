use waxwing_omemo::OsEntropy;

use super::*;
use crate::model::{BundleFault, DeviceFailure, UndecryptableReason};
use crate::store::Write;
use crate::store::tests::keys::list;
use crate::store::tests::{Scene, at as after, scene};

const NOW: i64 = 1_700_000_000;

fn row(omemo1: bool, omemo2: bool, trust: Option<Trust>, has_session: bool) -> DeviceRow {
    DeviceRow {
        device: DeviceId::try_from(7_u32).expect("a device id"),
        omemo1,
        omemo2,
        identity: None,
        trust,
        decided: None,
        taken_back_by: None,
        label: None,
        label_signature: None,
        first_seen: None,
        last_seen: None,
        failure: None,
        healed_at: None,
        wrote_unlisted: None,
        sessions: [has_session; 2],
        faults: [None; 2],
        anew: [false; 2],
        other: None,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

fn decide(row: &DeviceRow) -> Next {
    next(row, None, Profile::Legacy, at(NOW))
}

#[test]
fn trust_decides_before_anything_is_asked_for_or_sent() {
    const READY: Next = Next::Encrypts(Profile::Legacy);
    const BEGINS: Next = Next::Begins(Profile::Legacy);
    for (trust, with_session, without) in [
        (None, READY, BEGINS),
        (Some(Trust::Blind), READY, BEGINS),
        (Some(Trust::Verified), READY, BEGINS),
        (Some(Trust::Undecided), Next::Waits, Next::Waits),
        (Some(Trust::Untrusted), Next::Distrusted, Next::Distrusted),
    ] {
        let with = decide(&row(true, true, trust, true));
        assert_eq!(with, with_session, "{trust:?} with a session");
        let with = decide(&row(true, true, trust, false));
        assert_eq!(with, without, "{trust:?} without a session");
    }
}

#[test]
fn a_device_is_written_to_in_a_generation_that_lists_it() {
    for (omemo1, omemo2, preferred, wanted) in [
        (true, false, Profile::Omemo2, Next::Encrypts(Profile::Legacy)),
        (false, true, Profile::Legacy, Next::Encrypts(Profile::Omemo2)),
        (true, true, Profile::Legacy, Next::Encrypts(Profile::Legacy)),
        (true, true, Profile::Omemo2, Next::Encrypts(Profile::Omemo2)),
        (false, false, Profile::Legacy, Next::NotListed),
    ] {
        let row = row(omemo1, omemo2, None, true);
        assert_eq!(
            next(&row, None, preferred, at(NOW)),
            wanted,
            "{omemo1} {omemo2} {preferred:?}"
        );
    }
}

#[test]
fn a_bundle_that_could_not_be_had_is_not_asked_for_again_at_once() {
    let mut row = row(true, false, None, false);
    for (ago, wanted) in [
        (0, Next::WithoutKeys),
        (599, Next::WithoutKeys),
        (600, Next::Begins(Profile::Legacy)),
    ] {
        row.faults = [Some((BundleFault::Missing, at(NOW - ago))), None];
        assert_eq!(decide(&row), wanted, "{ago} seconds ago");
    }
    for (seen_ago, failed_ago, wanted) in [
        (30, 19, Next::WithoutKeys),
        (30, 20, Next::Begins(Profile::Legacy)),
        (330, 31, Next::Begins(Profile::Legacy)),
        (330, 30, Next::WithoutKeys),
    ] {
        row.first_seen = Some(at(NOW - seen_ago));
        row.faults = [Some((BundleFault::Missing, at(NOW - failed_ago))), None];
        assert_eq!(decide(&row), wanted, "new {seen_ago} seconds ago, {failed_ago}");
    }
    row.faults = [Some((BundleFault::Missing, at(NOW + 1_000_000))), None];
    assert_eq!(decide(&row), Next::Begins(Profile::Legacy), "the clock was ahead");
    // The other generation is a way round.
    row.faults = [Some((BundleFault::Missing, at(NOW))), None];
    row.omemo2 = true;
    assert_eq!(decide(&row), Next::Begins(Profile::Omemo2));
    row.sessions = [true, false];
    assert_eq!(decide(&row), Next::Encrypts(Profile::Legacy));
}

#[test]
fn a_session_that_is_to_be_replaced_is_used_only_if_no_new_one_can_be_begun() {
    let mut row = row(true, false, None, true);
    row.anew = [true, false];
    assert_eq!(decide(&row), Next::Begins(Profile::Legacy));
    row.faults = [Some((BundleFault::Missing, at(NOW))), None];
    assert_eq!(decide(&row), Next::Encrypts(Profile::Legacy));
}

#[test]
fn this_very_device_is_never_written_to() {
    let row = row(true, true, Some(Trust::Verified), true);
    assert_eq!(
        next(&row, Some(row.device), Profile::Legacy, at(NOW)),
        Next::ThisDevice
    );
}

fn survey(theirs: &[Next], ours: &[Next]) -> Survey {
    let devices = |all: &[Next]| {
        all.iter()
            .map(|next| Surveyed {
                of: "juliet@capulet.lit".parse().expect("an address"),
                row: row(true, true, None, false),
                next: *next,
            })
            .collect()
    };
    Survey {
        theirs: devices(theirs),
        ours: devices(ours),
        preferred: Profile::Legacy,
    }
}

/// The decision about a message from Romeo, who may send it in no other way than encrypted.
fn decided(survey: &Survey, to: &str) -> Decision {
    let own = "romeo@montague.lit".parse().expect("an address");
    let to = to.parse().expect("an address");
    let route = Route {
        own: &own,
        to: &to,
        encrypt: Encrypt::Must,
    };
    survey.decide(&route, None)
}

fn to_juliet(survey: &Survey) -> Decision {
    decided(survey, "juliet@capulet.lit")
}

const READY: Next = Next::Encrypts(Profile::Legacy);

#[test]
fn a_message_waits_for_each_undecided_key_of_either_side() {
    for (theirs, ours) in [
        (&[READY, Next::Waits][..], &[][..]),
        (&[READY], &[Next::Waits]),
        (&[Next::Waits], &[READY]),
    ] {
        assert_eq!(
            to_juliet(&survey(theirs, ours)),
            Decision::Undecided,
            "{theirs:?} {ours:?}"
        );
    }
}

#[test]
fn nothing_goes_out_that_nobody_on_the_other_side_can_read() {
    for (theirs, code) in [
        (&[][..], Code::NoDevices),
        (&[Next::WithoutKeys], Code::NoDevices),
        (&[Next::Distrusted], Code::NoTrustedDevices),
        (&[Next::WithoutKeys, Next::Distrusted], Code::NoTrustedDevices),
    ] {
        assert!(
            matches!(to_juliet(&survey(theirs, &[READY])), Decision::Fails(fault) if fault.code == code),
            "{theirs:?}"
        );
    }
    let others = [READY, Next::Distrusted, Next::WithoutKeys, Next::NotListed];
    assert_eq!(
        to_juliet(&survey(&others, &[Next::ThisDevice])),
        Decision::Encrypted
    );
    assert_eq!(
        decided(&survey(&[], &[Next::ThisDevice]), "romeo@montague.lit"),
        Decision::Encrypted,
        "a note to oneself"
    );
}

#[test]
fn keys_are_asked_for_before_anything_is_decided() {
    let begins = Next::Begins(Profile::Omemo2);
    assert!(
        matches!(to_juliet(&survey(&[begins, Next::Waits], &[])), Decision::Wants(wants) if wants.len() == 1)
    );
}

#[test]
fn plain_text_needs_certainty_that_there_are_no_devices_and_that_nothing_else_was_promised() {
    let (own, to) = (
        "romeo@montague.lit".parse().expect("an address"),
        "juliet@capulet.lit".parse().expect("an address"),
    );
    let failed = |fault| Decision::Fails(Fault::new(fault, ""));
    for (encrypt, uncertain, decision) in [
        (Encrypt::May, None, Decision::Plain),
        (Encrypt::May, Some(ListFault::Unreachable), failed(Code::Timeout)),
        (
            Encrypt::May,
            Some(ListFault::Forbidden),
            failed(Code::DevicesForbidden),
        ),
        (
            Encrypt::May,
            Some(ListFault::ServerNotFound),
            failed(Code::ServerNotFound),
        ),
        (Encrypt::Must, None, failed(Code::NoDevices)),
        (Encrypt::Must, Some(ListFault::Unreachable), failed(Code::Timeout)),
    ] {
        let route = Route {
            own: &own,
            to: &to,
            encrypt,
        };
        let decided = match survey(&[], &[]).decide(&route, uncertain) {
            Decision::Fails(fault) => failed(fault.code),
            other => other,
        };
        assert_eq!(decided, decision, "{encrypt:?} {uncertain:?}");
    }
}

async fn shown(write: &mut Write, scene: &Scene, of: &BareJid, device: DeviceId) -> Device {
    let row = omemo::device(write, scene.account, of, device).await;
    let row = row.expect("asked").expect("known");
    let mut all = show_devices(vec![row], None, after(7));
    all.pop().expect("the device")
}

#[tokio::test]
async fn of_a_device_it_is_known_what_failed_and_whether_the_next_message_reaches_it() {
    let scene = scene().await;
    let juliet: BareJid = "juliet@capulet.lit".parse().expect("an address");
    let device = DeviceId::random(&mut OsEntropy);
    let (account, of_device) = (scene.account, (device, Profile::Legacy));
    let mut write = scene.store.write().await.expect("a write");
    list(&mut write, &scene, &juliet, [device]).await;
    let first = shown(&mut write, &scene, &juliet, device).await;
    assert_eq!((first.active, first.first_seen), (true, Some(after(0))));
    assert_eq!(first.reach, Reach::Untried);

    let fault = Some((BundleFault::Missing, after(1)));
    let noted = omemo::set_bundle_fault(&mut write, account, &juliet, of_device, fault).await;
    assert_eq!(noted, Ok(()));
    for (at, reason, kept) in [
        (5, UndecryptableReason::NoSession, UndecryptableReason::NoSession),
        // What the archive tells of an earlier time is no news.
        (4, UndecryptableReason::Malformed, UndecryptableReason::NoSession),
        (6, UndecryptableReason::KeyGone, UndecryptableReason::KeyGone),
    ] {
        let at = after(at);
        let noted = omemo::failed(
            &mut write,
            account,
            &juliet,
            device,
            &DeviceFailure { reason, at },
        )
        .await;
        assert_eq!(noted, Ok(()));
        let now = shown(&mut write, &scene, &juliet, device).await;
        assert_eq!(now.last_failure.map(|failure| failure.reason), Some(kept));
        assert_eq!((now.active, now.bundle_fault), (true, Some(BundleFault::Missing)));
        assert_eq!(now.reach, Reach::NoKeys);
    }
    omemo::forget_faults(&mut write, account, &juliet)
        .await
        .expect("forgotten");
    omemo::take_off_lists(&mut write, account, &juliet, device)
        .await
        .expect("taken off");
    let gone = shown(&mut write, &scene, &juliet, device).await;
    assert_eq!((gone.active, gone.reach), (false, Reach::Inactive));
    list(&mut write, &scene, &juliet, [device]).await;
    let again = shown(&mut write, &scene, &juliet, device).await;
    assert_eq!((again.active, again.bundle_fault), (true, None));
    assert_eq!(again.reach, Reach::Untried);
}
