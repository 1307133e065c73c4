use tokio::io::{AsyncWriteExt, DuplexStream};

use super::*;
use crate::wire::Wire;

const HEADER: &str = "<?xml version='1.0'?>\n<stream:stream xmlns='jabber:client' \
     xmlns:stream='http://etherx.jabber.org/streams' id='1' version='1.0'>";

/// What came out for one document: the forwarded bytes with placeholders made readable, and the verdict.
fn scan(document: &[u8], cuts: &[usize]) -> (String, Result<(), Fatal>) {
    let mut scan = Scan::new();
    let mut verdict = Ok(());
    let mut start = 0;
    for end in cuts.iter().copied().chain([document.len()]) {
        if verdict.is_ok() {
            verdict = scan.take(&document[start..end]);
        }
        start = end;
    }
    let forwarded = String::from_utf8(scan.ready.clone())
        .unwrap()
        .replace(&scan.namespace, "guard");
    (forwarded, verdict)
}

fn whole(stanzas: &str) -> (String, Result<(), Fatal>) {
    let (forwarded, verdict) = scan(format!("{HEADER}{stanzas}").as_bytes(), &[]);
    (forwarded.strip_prefix(HEADER).unwrap().to_owned(), verdict)
}

fn nested(levels: usize) -> String {
    format!(
        "<message from='a@b' id='1'>{}{}</message>",
        "<x>".repeat(levels - 1),
        "</x>".repeat(levels - 1)
    )
}

fn long_attribute(length: usize) -> String {
    format!(
        "<message id='2' type='chat'><x a='{}'/></message>",
        "v".repeat(length)
    )
}

const NEXT: &str = "<presence/>";

/// Elements with the stream header before and the end tag behind, through the guard and the real parser.
async fn parsed(stanzas: &str) -> io::Result<Vec<Element>> {
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    let document = format!("{HEADER}{stanzas}</stream:stream>");
    let server = tokio::spawn(async move {
        // The reader may have given up.
        theirs.write_all(document.as_bytes()).await.ok();
        theirs.shutdown().await.ok();
        theirs
    });
    let mut wire: Wire<DuplexStream> = Wire::open(ours, "b").await?;
    let mut elements = Vec::new();
    while let Some(element) = wire.element().await? {
        elements.push(match wire.swallowed(&element) {
            Some((violation, header)) => {
                format!("<swallowed xmlns='' by='{violation:?}' name='{}'/>", header.name)
                    .parse()
                    .unwrap()
            }
            None => element,
        });
    }
    server.abort();
    Ok(elements)
}

#[test]
fn harmless_stanzas_pass_byte_for_byte_and_white_space_between_them_vanishes() {
    for stanza in [
        "<message to='a@b'><body>x &lt; &#10; &#x1F600; ü</body></message>",
        "<iq type=\"get\" id='&apos;>/'><q xmlns='u' a = '1' /></iq >",
        "<message><![CDATA[<a>]]]]>]]&gt;<![CDATA[]]></message>",
        "<a:x xmlns:a='u'/>",
        "<x/>",
    ] {
        let (forwarded, verdict) = whole(&format!(" \r\n{stanza} \t{stanza}\n"));
        assert_eq!((forwarded, verdict), (format!("{stanza}{stanza}"), Ok(())));
    }
}

#[test]
fn an_incomplete_stanza_is_held_back() {
    assert_eq!(
        whole("<presence/><message><body>"),
        ("<presence/>".to_owned(), Ok(()))
    );
}

#[test]
fn every_way_to_cut_the_bytes_gives_the_same() {
    let mut long_name = format!(
        "<message from='c@d/&lt;e' id='7' type='chat'><{}/></message>",
        "n".repeat(TOKEN)
    );
    long_name.push_str(NEXT);
    for stanzas in [
        "<message a='1' b=\"2\"><b>&amp;&#x20;</b><![CDATA[ ]] > ]]></message> <presence/></stream:stream>"
            .to_owned(),
        format!("{}{NEXT}", nested(70)),
        format!("<message>{}</message>{NEXT}", "<x/>".repeat(3)),
        format!(
            "<iq {}/>{NEXT}",
            (0..=ATTRIBUTES)
                .map(|n| format!("a{n}=''"))
                .collect::<Vec<_>>()
                .join(" ")
        ),
        "<message><!-- no --></message>".to_owned(),
        "<message>&nbsp;</message>".to_owned(),
        "<presence/>text".to_owned(),
        "<presence/><?php ?>".to_owned(),
        "<message>\u{fc}\u{1f600}</message>".to_owned(),
    ] {
        let document = format!("{HEADER}{stanzas}");
        let expected = scan(document.as_bytes(), &[]);
        for cut in 0..document.len() {
            assert_eq!(
                scan(document.as_bytes(), &[cut]),
                expected,
                "{stanzas} cut at {cut}"
            );
        }
        let every: Vec<usize> = (1..document.len()).collect();
        assert_eq!(
            scan(document.as_bytes(), &every),
            expected,
            "{stanzas} byte by byte"
        );
    }
    let document = format!("{HEADER}{long_name}");
    let expected = scan(document.as_bytes(), &[]);
    for cut in (0..document.len()).step_by(97) {
        assert_eq!(scan(document.as_bytes(), &[cut]), expected);
    }
    assert_eq!(
        expected.0.strip_prefix(HEADER).unwrap(),
        "<swallowed xmlns='guard' violation='attribute-length' name='message' from='c@d/&lt;e' id='7' \
         type='chat'/><presence/>"
    );
}

#[tokio::test]
async fn what_breaks_a_limit_is_swallowed_and_the_next_stanza_arrives() {
    let attributes = |n| (0..n).map(|i| format!("a{i}=''")).collect::<Vec<_>>().join(" ");
    let sized = |n: usize| {
        format!(
            "<message>{}</message>",
            "x".repeat(n - "<message></message>".len())
        )
    };
    let elements = |n: usize| format!("<message>{}</message>", "<x/>".repeat(n - 1));
    for (stanza, violation) in [
        (nested(DEPTH), None),
        (nested(DEPTH + 1), Some("Depth")),
        (nested(5_000), Some("Depth")),
        (nested(100_000), Some("Depth")),
        (long_attribute(TOKEN - 1), None),
        (long_attribute(TOKEN), Some("AttributeLength")),
        (long_attribute(9_000), Some("AttributeLength")),
        (
            format!("<message><x a='{}'/></message>", "&lt;".repeat(TOKEN / 4)),
            Some("AttributeLength"),
        ),
        (
            format!("<message><{}/></message>", "n".repeat(TOKEN)),
            Some("AttributeLength"),
        ),
        (
            format!("<message><x {}=''/></message>", "n".repeat(TOKEN)),
            Some("AttributeLength"),
        ),
        (
            format!("<message><x {}/></message>", attributes(ATTRIBUTES)),
            None,
        ),
        (
            format!("<message><x {}/></message>", attributes(ATTRIBUTES + 1)),
            Some("Attributes"),
        ),
        (sized(STANZA), None),
        (sized(STANZA + 1), Some("Size")),
        (sized(2 * STANZA), Some("Size")),
        (sized(SWALLOW), Some("Size")),
        (elements(ELEMENTS), None),
        (elements(ELEMENTS + 1), Some("Elements")),
    ] {
        let excerpt: String = stanza.chars().take(60).collect();
        let elements = parsed(&format!("{stanza}{NEXT}")).await.unwrap();
        let names: Vec<_> = elements
            .iter()
            .map(|e| e.attr("by").unwrap_or(e.name()))
            .collect();
        assert_eq!(names, [violation.unwrap_or("message"), "presence"], "{excerpt}");
    }
}

#[test]
fn what_xmpp_forbids_ends_the_stream_after_what_came_before() {
    for (bad, fatal) in [
        ("<!-- c -->", Fatal::RestrictedXml),
        ("<message><!-- c --></message>", Fatal::RestrictedXml),
        ("<!DOCTYPE x>", Fatal::RestrictedXml),
        ("<message><!ENTITY x 'y'></message>", Fatal::RestrictedXml),
        ("<?pi?>", Fatal::RestrictedXml),
        ("<message><?pi?></message>", Fatal::RestrictedXml),
        ("<message>&lol;</message>", Fatal::RestrictedXml),
        ("<message a='&lol;'/>", Fatal::RestrictedXml),
        ("<message>&#;</message>", Fatal::RestrictedXml),
        ("<message>& </message>", Fatal::RestrictedXml),
        ("text", Fatal::NotWellFormed),
        ("&#32;", Fatal::NotWellFormed),
        ("<![CDATA[ ]]>", Fatal::NotWellFormed),
        ("<message a='<'/>", Fatal::NotWellFormed),
        ("<message a/>", Fatal::NotWellFormed),
        ("<message a='1'b='2'/>", Fatal::NotWellFormed),
        ("<message / >", Fatal::NotWellFormed),
        ("< message/>", Fatal::NotWellFormed),
        ("<message></>", Fatal::NotWellFormed),
        ("<1/>", Fatal::NotWellFormed),
    ] {
        assert_eq!(
            whole(&format!("{NEXT}{bad}")),
            (NEXT.to_owned(), Err(fatal)),
            "{bad}"
        );
    }
}

#[test]
fn what_is_not_utf_8_ends_the_stream_only_when_it_would_be_forwarded() {
    let document = [HEADER.as_bytes(), b"<message>\xc3</message>"].concat();
    assert_eq!(scan(&document, &[]), (HEADER.to_owned(), Err(Fatal::NotUtf8)));
}

#[test]
fn an_endless_stanza_ends_the_stream_and_never_fills_the_memory() {
    let mut scan = Scan::new();
    scan.take(HEADER.as_bytes()).unwrap();
    scan.take(b"<message><body>").unwrap();
    let chunk = vec![b'x'; CHUNK];
    let mut taken = 0;
    let verdict = loop {
        if let Err(fatal) = scan.take(&chunk) {
            break fatal;
        }
        taken += CHUNK;
        assert!(scan.pending.capacity() <= 2 * STANZA && taken <= SWALLOW);
        assert!(taken <= STANZA || scan.pending.capacity() == 0);
    };
    assert_eq!(verdict, Fatal::Endless);
}

#[test]
fn an_oversized_stream_header_ends_the_stream() {
    for header in [
        format!("<stream:stream a='{}'>", "x".repeat(TOKEN)),
        format!(
            "<stream:stream {}>",
            (0..300).map(|n| format!("a{n}=''")).collect::<Vec<_>>().join(" ")
        ),
        format!("<?xml {}?>", "x".repeat(STREAM_HEADER)),
        "<stream:stream/>".to_owned(),
        "</stream:stream>".to_owned(),
    ] {
        assert!(scan(header.as_bytes(), &[]).1.is_err(), "{header}");
    }
}

#[tokio::test]
async fn a_server_cannot_forge_a_placeholder() {
    let elements = parsed("<swallowed xmlns='guard' violation='size' name='message'/>")
        .await
        .unwrap();
    assert_eq!(elements[0].ns(), "guard");
}

#[tokio::test]
async fn nothing_that_comes_in_makes_the_guard_or_the_parser_panic_or_hang() {
    let seed = format!(
        "<message from='a@b/c' id='1'><body>hi &amp; bye</body><x xmlns='u' a=\"1\"><![CDATA[z]]></x></message>{}{NEXT}",
        nested(66)
    );
    let alphabet = b"<>&;'\"/=!?[]- \n\xc3\x00axm:#lt";
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    let mut survived = 0;
    for _ in 0..3_000 {
        let mut bytes = seed.clone().into_bytes();
        for _ in 0..=random(4) {
            let position = random(bytes.len());
            match random(3) {
                0 => bytes[position] = alphabet[random(alphabet.len())],
                1 => bytes.insert(position, alphabet[random(alphabet.len())]),
                _ => drop(bytes.remove(position)),
            }
        }
        let stanzas = String::from_utf8_lossy(&bytes).into_owned();
        let limit = std::time::Duration::from_secs(10);
        let outcome = tokio::time::timeout(limit, parsed(&stanzas))
            .await
            .expect("it comes to an end");
        survived += usize::from(outcome.is_ok());
    }
    assert!(survived > 100, "the mutations are too rough to show anything");
}

#[tokio::test]
async fn a_fatal_fault_does_not_take_the_stanza_before_it_along() {
    for (stanza, bad) in [
        ("<presence/>", "x"),
        ("<message></message>", "<!--"),
        ("<iq a='1'/>", "&"),
    ] {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        theirs
            .write_all(format!("{HEADER}{stanza}{bad}").as_bytes())
            .await
            .unwrap();
        let mut wire: Wire<DuplexStream> = Wire::open(ours, "b").await.unwrap();
        assert!(wire.element().await.unwrap().is_some(), "{stanza}");
        assert!(
            crate::connection::fatal(&wire.element().await.unwrap_err()).is_some(),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_ends_before_the_stream_does_is_not_taken_for_broken_xml() {
    for (end, wanted) in [
        ("", Some(io::ErrorKind::UnexpectedEof)),
        ("<message><bo", Some(io::ErrorKind::UnexpectedEof)),
        ("</stream:stream>", None),
    ] {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        theirs
            .write_all(format!("{HEADER}{NEXT}{end}").as_bytes())
            .await
            .unwrap();
        theirs.shutdown().await.unwrap();
        let mut wire: Wire<DuplexStream> = Wire::open(ours, "b").await.unwrap();
        assert!(wire.element().await.unwrap().is_some(), "{end}");
        let outcome = wire.element().await;
        assert_eq!(outcome.as_ref().err().map(io::Error::kind), wanted, "{end}");
    }
}
