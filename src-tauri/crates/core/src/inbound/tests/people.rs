//! The contact list and presence.

use super::*;

#[test]
fn a_roster_push_counts_only_from_our_own_account() {
    let push = |from: &str| {
        read_xml(&format!(
            "<iq {from} id='1' type='set'><query xmlns='jabber:iq:roster'><item jid='a@b.c' subscription='both'/>\
             </query></iq>"
        ))
    };
    for from in ["", "from='romeo@montague.lit'"] {
        assert!(
            matches!(push(from).as_slice(), [Inbound::RosterPush { .. }]),
            "{from}"
        );
    }
    for from in [
        "from='mallory@evil.lit'",
        "from='romeo@montague.lit/evil'",
        "from='montague.lit'",
    ] {
        assert!(
            matches!(
                push(from).as_slice(),
                [Inbound::Asked {
                    query: Query::Unknown,
                    ..
                }]
            ),
            "{from} must get an error and change nothing"
        );
    }
}

#[test]
fn an_odd_roster_item_loses_only_itself() {
    let iq: Element = "<iq xmlns='jabber:client' type='result'><query xmlns='jabber:iq:roster'>\
        <item jid='a@b.c' name='A' subscription='both'><group>G</group><group/></item>\
        <item jid='@broken' subscription='both'/><item subscription='both'/>\
        <item jid='d@e.f' subscription='married' ask='subscribe'/><item jid='g@h.i'><odd xmlns='x'/></item>\
        </query></iq>"
        .parse()
        .expect("well-formed");
    let items = roster_items(&iq);
    let addresses: Vec<_> = items.iter().map(|item| item.address.as_str()).collect();
    assert_eq!(addresses, ["a@b.c", "d@e.f", "g@h.i"]);
    let entries: Vec<_> = items.into_iter().filter_map(|item| item.entry).collect();
    assert_eq!(entries[0].groups, ["G"]);
    assert_eq!(entries[1].subscription, crate::model::Subscription::None);
    assert!(entries[1].asked);
}

#[test]
fn every_show_is_read_and_an_odd_one_is_available() {
    for (xml, expected) in [
        ("", Show::Available),
        ("<show>chat</show>", Show::Chat),
        ("<show>away</show>", Show::Away),
        ("<show> xa </show>", Show::Xa),
        ("<show>dnd</show>", Show::Dnd),
        ("<show>online</show>", Show::Available),
        ("<show/>", Show::Available),
    ] {
        let read = read_xml(&format!(
            "<presence from='a@b.c/d'>{xml}<priority>200</priority></presence>"
        ));
        assert!(
            matches!(read.as_slice(), [Inbound::Presence { show, priority: 0, .. }] if *show == expected),
            "{xml}"
        );
    }
}

#[test]
fn presence_that_ends_or_fails_is_offline() {
    for kind in ["unavailable", "error"] {
        let read = read_xml(&format!("<presence from='a@b.c/d' type='{kind}'/>"));
        assert!(
            matches!(
                read.as_slice(),
                [Inbound::Presence {
                    show: Show::Offline,
                    ..
                }]
            ),
            "{kind}"
        );
    }
}

#[test]
fn requests_are_told_from_presence_and_unknown_types_are_nothing() {
    let subscribe = read_xml("<presence from='a@b.c' type='subscribe'/>");
    assert!(
        matches!(subscribe.as_slice(), [Inbound::SubscriptionRequest { from }] if from.as_str() == "a@b.c")
    );
    assert!(read_xml("<presence from='a@b.c' type='nonsense'/>").is_empty());
}

#[test]
fn a_long_status_text_is_cut() {
    let read = read_xml(&format!(
        "<presence from='a@b.c/d'><status>{}</status></presence>",
        "é".repeat(5_000)
    ));
    let [
        Inbound::Presence {
            status: Some(status), ..
        },
    ] = read.as_slice()
    else {
        panic!("{read:?}")
    };
    assert_eq!(status.chars().count(), 1_000);
}
