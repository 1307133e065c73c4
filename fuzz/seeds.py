#!/usr/bin/env python3
"""Writes the seeds in corpus/: what honest and hostile servers say, in the form that the targets read.

guard: the first byte is the size of the pieces in which the rest comes in.
omemo_wire: a key element. omemo_xml: a device list, bundle or message. omemo_envelope: what omemo:2 seals.
omemo_session: the first byte says what is altered (the target), then three bytes for each alteration, or with 0x80 the
whole key element.
login: the first byte says who signs in (fuzz.rs, `variant`); a zero byte begins what the server says after the next wait.
The login there is alice@waxwing.test with the password `secret`, the token `token` and fixed random numbers.
"""

import base64
import hashlib
import hmac
import json
import pathlib

HERE = pathlib.Path(__file__).parent / "corpus"
HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams' id='s' from='waxwing.test' version='1.0'>"
)
PLAIN_ALLOWED, SEEN_SCRAM, TOKEN, TOKEN_UNBOUND, TOKEN_LASTS, INACTIVE, RESUMES, TAPPED = (1 << bit for bit in range(8))
EXPORTER = bytes([1]) * 32
NONCE = base64.b64encode(bytes([7]) * 24).decode()
BIND = (
    "<iq type='result' id='0707070707070707'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
    "<jid>alice@waxwing.test/test</jid></bind></iq>"
)
SM = "<sm xmlns='urn:xmpp:sm:3'/>"
ENABLED = "<enabled xmlns='urn:xmpp:sm:3' id='session' resume='true' max='300' location='[::1]:5223'/>"
BINDINGS = "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding>"
SASL2 = "urn:xmpp:sasl:2"
SASL1 = "urn:ietf:params:xml:ns:xmpp-sasl"
TOKEN_GIVEN = "<token xmlns='urn:xmpp:fast:0' token='another' expiry='2027-06-01T00:00:00Z'/>"
IDENTITY = "<authorization-identifier>alice@waxwing.test/1</authorization-identifier>"


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def mechanisms(*names):
    return "".join(f"<mechanism>{name}</mechanism>" for name in names)


def classic(*names):
    return f"{HEADER}<stream:features><mechanisms xmlns='{SASL1}'>{mechanisms(*names)}</mechanisms></stream:features>"


def modern(*names, beside=BINDINGS):
    inline = (
        "<inline><bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/>"
        "<feature var='urn:xmpp:carbons:2'/><feature var='urn:xmpp:csi:0'/></inline></bind>"
        f"<fast xmlns='urn:xmpp:fast:0'>{mechanisms('HT-SHA-256-EXPR', 'HT-SHA-256-NONE')}</fast>{SM}</inline>"
    )
    return (
        f"{HEADER}<stream:features><authentication xmlns='{SASL2}'>{mechanisms(*names)}{inline}</authentication>"
        f"{beside}</stream:features>"
    )


def scram(digest, gs2, binding=b"", rounds=4096, salt=b"salt", extra="", name="alice"):
    """The server's challenge and what proves that it knows the password."""
    first = f"r={NONCE}server,s={b64(salt)},i={rounds}{extra}"
    salted = hashlib.pbkdf2_hmac(digest, b"secret", salt, rounds)
    without_proof = f"c={b64(gs2.encode() + binding)},r={NONCE}server"
    message = f"n={name},r={NONCE},{first},{without_proof}"
    key = hmac.digest(salted, b"Server Key", digest)
    return b64(first), b64("v=" + b64(hmac.digest(key, message.encode(), digest)))


def bound(content=""):
    return f"<bound xmlns='urn:xmpp:bind:0'>{content}</bound>"


def succeeded(content, proof=None):
    proof = f"<additional-data>{proof}</additional-data>" if proof else ""
    return f"<success xmlns='{SASL2}'>{proof}{content}{IDENTITY}</success><stream:features/>"


def responder(binding=b""):
    return b64(hmac.digest(b"token", b"Responder" + binding, "sha256"))


def failure(namespace, condition):
    return f"<failure xmlns='{namespace}'><{condition} xmlns='{SASL1}'/><text>no</text></failure>"


def logins():
    y_challenge, y_proof = scram("sha256", "y,,")
    p_challenge, p_proof = scram("sha256", "p=tls-exporter,,", EXPORTER)
    long_challenge, long_proof = scram("sha512", "p=tls-exporter,,", EXPORTER)
    hash_challenge, hash_proof = scram("sha256", "y,,", extra=",h=" + b64(bytes(32)))
    session = f"{HEADER}<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>{SM}</stream:features>"
    challenge = lambda text, of=SASL2: f"<challenge xmlns='{of}'>{text}</challenge>"
    success = lambda text: f"<success xmlns='{SASL1}'>{text}</success>"
    scram_offer = classic("SCRAM-SHA-256")
    yield "classic_plain", PLAIN_ALLOWED, [classic("PLAIN") + success(""), session + BIND + ENABLED]
    yield "classic_scram", 0, [scram_offer, challenge(y_challenge, SASL1), success(y_proof), session, BIND, ENABLED]
    yield "classic_resumed", RESUMES, [
        scram_offer, challenge(y_challenge, SASL1), success(y_proof), session,
        "<resumed xmlns='urn:xmpp:sm:3' previd='session' h='0'/><r xmlns='urn:xmpp:sm:3'/>",
    ]
    yield "classic_resumption_refused", RESUMES | TAPPED, [
        scram_offer, challenge(y_challenge, SASL1), success(y_proof), session,
        "<failed xmlns='urn:xmpp:sm:3' h='3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
        BIND, ENABLED,
    ]
    yield "classic_refused", SEEN_SCRAM, [scram_offer, failure(SASL1, "not-authorized")]
    yield "classic_downgrade_hash", 0, [scram_offer, challenge(hash_challenge, SASL1), success(hash_proof)]
    yield "only_plain", SEEN_SCRAM, [classic("PLAIN")]
    yield "modern_plain", PLAIN_ALLOWED, [modern("PLAIN") + succeeded(bound())]
    yield "modern_bound_to_the_channel", INACTIVE, [
        modern("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"), challenge(p_challenge),
        succeeded(bound(ENABLED + "<enabled xmlns='urn:xmpp:carbons:2'/>") + TOKEN_GIVEN, p_proof),
    ]
    yield "modern_long_hash", TAPPED, [
        modern("SCRAM-SHA-512", "SCRAM-SHA-512-PLUS"), challenge(long_challenge),
        succeeded(bound("<failed xmlns='urn:xmpp:sm:3'/>"), long_proof),
    ]
    yield "modern_resumption_refused", RESUMES, [
        modern("SCRAM-SHA-256-PLUS"), challenge(p_challenge),
        succeeded("<failed xmlns='urn:xmpp:sm:3' h='2'/>" + bound(ENABLED), p_proof),
    ]
    yield "modern_without_bind", 0, [
        modern("SCRAM-SHA-256-PLUS"), challenge(p_challenge),
        f"<success xmlns='{SASL2}'><additional-data>{p_proof}</additional-data>{IDENTITY}</success>"
        f"<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>{SM}</stream:features>",
        BIND, ENABLED,
    ]
    yield "modern_goes_on", 0, [
        modern("SCRAM-SHA-256-PLUS"), challenge(p_challenge),
        f"<continue xmlns='{SASL2}'><additional-data>{p_proof}</additional-data><tasks><task>HOTP</task></tasks></continue>",
    ]
    yield "modern_failed", 0, [modern("SCRAM-SHA-256-PLUS"), failure(SASL2, "temporary-auth-failure")]
    yield "token_unbound", TOKEN | TOKEN_UNBOUND, [modern("SCRAM-SHA-256") + succeeded(bound(ENABLED), responder())]
    yield "token_bound_and_resumed", TOKEN | TOKEN_LASTS | RESUMES, [
        modern("SCRAM-SHA-256-PLUS")
        + succeeded("<resumed xmlns='urn:xmpp:sm:3' previd='session' h='0'/>" + TOKEN_GIVEN, responder(EXPORTER))
    ]
    yield "token_refused_then_password", TOKEN, [
        modern("SCRAM-SHA-256-PLUS") + failure(SASL2, "credentials-expired"), challenge(p_challenge),
        succeeded(bound(ENABLED) + TOKEN_GIVEN, p_proof),
    ]
    yield "token_lie", TOKEN | TOKEN_UNBOUND, [modern("SCRAM-SHA-256") + succeeded(bound(), b64(bytes(32)))]
    yield "stream_error", 0, [
        f"{HEADER}<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>[::1]:5222"
        "</see-other-host></stream:error></stream:stream>"
    ]
    yield "many_rounds", 0, [scram_offer, challenge(b64(f"r={NONCE}x,s=c2FsdA==,i=2147483648"), SASL1)]
    yield "foreign_nonce", 0, [scram_offer, challenge(b64("r=other,s=c2FsdA==,i=4096"), SASL1)]
    yield "foreign_address", PLAIN_ALLOWED, [
        modern("PLAIN") + succeeded(bound()).replace("alice@", "mallory@"),
    ]
    yield "stanza_before_success", PLAIN_ALLOWED, [classic("PLAIN") + "<message><body>hello</body></message>" + success("")]


def streams():
    chat = (
        "<message from='heron@waxwing.test/x' to='alice@waxwing.test' type='chat' id='m1' xml:lang='en'>"
        "<body>a &lt;b&gt; &amp; &#x1F600; <![CDATA[<c>]]></body><request xmlns='urn:xmpp:receipts'/>"
        "<stanza-id xmlns='urn:xmpp:sid:0' by='alice@waxwing.test' id='1'/></message>"
    )
    roster = (
        "<iq type='result' id='r'><query xmlns='jabber:iq:roster' ver='1'>"
        "<item jid='heron@waxwing.test' subscription='both' name='H&apos;'/><item jid='@' subscription='odd'/></query></iq>"
    )
    end = "</stream:stream>"
    yield "ordinary", 255, HEADER + chat + roster + "<presence from='a@b/c'><show>away</show></presence>\n " + end
    yield "byte_by_byte", 1, HEADER + chat + "<r xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='4'/>" + end
    yield "deep", 200, HEADER + "<message>" + "<x>" * 80 + "</x>" * 80 + "</message>" + chat
    yield "long_attribute", 250, HEADER + f"<message from='x@y' id='{'a' * 8200}'/>" + chat
    yield "many_attributes", 100, HEADER + "<iq " + " ".join(f"a{n}='{n}'" for n in range(260)) + "/>" + chat
    yield "entities", 64, "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>" + HEADER[21:] + "&b;"
    yield "comment_and_instruction", 30, HEADER + "<!-- <x> --><?php x ?><message/>"
    yield "second_header", 50, HEADER + HEADER[21:] + chat
    yield "namespaces", 40, HEADER + "<a:message xmlns:a='jabber:client'><a:body b:c='' xmlns:b='u'/></a:message><x xmlns=''/>"
    yield "bad_text", 20, HEADER.encode() + b"<message><body>\xff\xfe\xc0\x80\xed\xa0\x80&#0;&#xFFFF;</body></message>"
    yield "mismatched", 16, HEADER + "<message><body></message></body>"
    yield "text_between", 12, HEADER + "text" + chat
    yield "whitespace", 3, HEADER + " \t\r\n" * 40 + chat


def recorded():
    """Conversations of other implementations."""
    vectors = pathlib.Path(__file__).parent.parent / "src-tauri/crates/omemo/tests/vectors"
    for generation in ("legacy", "omemo2"):
        conversation = json.loads((vectors / f"{generation}.json").read_text())[0]
        yield generation, conversation, [step for step in conversation["steps"] if step["op"] == "send"]


def key_elements():
    for generation, _, sent in recorded():
        for name, at in (("exchange", 0), ("message", 6), ("last_of_long_chain", 22)):
            yield f"{generation}_{name}", bytes.fromhex(sent[at]["key"])


def omemo_xml():
    legacy, omemo2 = "eu.siacs.conversations.axolotl", "urn:xmpp:omemo:2"
    yield "legacy_list", f"<list xmlns='{legacy}'><device id='1'/><device id='2147483647'/><device id='1'/></list>"
    label = "<device id='1' label='Phone &amp; more' labelsig='c2ln'/>"
    yield "omemo2_devices", f"<devices xmlns='{omemo2}'>{label}<device id='2'/></devices>"
    for generation, conversation, sent in recorded():
        yield f"{generation}_bundle", conversation["a"]["bundle"]
        key, payload = (b64(bytes.fromhex(sent[0][name])) for name in ("key", "payload"))
        if generation == "legacy":
            keys, space = f"<key rid='2' prekey='true'>{key}</key><key rid='2'>{key}</key><iv>{b64(bytes(12))}</iv>", legacy
        else:
            keys, space = f"<keys jid='a@b'><key rid='2' kex='1'>{key}</key><key rid='3'>{key}</key></keys>", omemo2
        payload = f"<payload>{payload}</payload>"
        yield f"{generation}_message", f"<encrypted xmlns='{space}'><header sid='1'>{keys}</header>{payload}</encrypted>"
        yield f"{generation}_empty", f"<encrypted xmlns='{space}'><header sid='1'>{keys}</header></encrypted>"


def envelopes():
    inside = "<body xmlns='jabber:client'>a &lt;b&gt; &#x1F600;</body><reply xmlns='urn:xmpp:reply:0' id='1'/>"
    addresses = "<from jid='alice@waxwing.test'/><to jid='bob@waxwing.test'/>"
    whole = lambda content, affixes: f"<envelope xmlns='urn:xmpp:sce:1'><content>{content}</content>{affixes}</envelope>"
    yield "ordinary", whole(inside, f"<rpad>aaaa</rpad><time stamp='2026-08-01T00:00:00Z'/>{addresses}")
    yield "for_nobody", whole(inside, "<from jid='Alice@waxwing.test/phone'/>")
    yield "for_somebody_else", whole(inside, addresses.replace("bob@", "eve@"))
    yield "what_servers_say", whole("<delay xmlns='urn:xmpp:delay' stamp='x'/><x xmlns='jabber:x:delay'/>", addresses)
    yield "empty", whole("", addresses)
    yield "deep", whole("<x>" * 40 + "</x>" * 40, addresses)


def write(target, name, data):
    folder = HERE / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


for name, kind, parts in logins():
    write("login", name, bytes([kind]) + b"\0".join(part.encode() for part in parts))
for name, size, text in streams():
    write("guard", name, bytes([size]) + (text if isinstance(text, bytes) else text.encode()))
for name, key in key_elements():
    write("omemo_wire", name, key)
    write("omemo_session", name, b"\xc0" + key)
for kind in range(10):
    write("omemo_session", f"whole_{kind}", bytes([kind]))
    write("omemo_session", f"altered_{kind}", bytes([kind, 3, 40, 1, 0, 2, 200]))
for name, text in omemo_xml():
    write("omemo_xml", name, text.encode())
for name, text in envelopes():
    write("omemo_envelope", name, text.encode())
