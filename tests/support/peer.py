"""A foreign XMPP person on slixmpp and slixmpp-omemo, driven by lines of JSON on standard input and output.

A command is `{"id": 1, "do": "send", ...}`, its answer `{"id": 1, "result": ...}` or `{"id": 1, "error": "..."}`.
What happens meanwhile comes as `{"event": "message", ...}`. The end of standard input ends the program.
The OMEMO state lies in the file given with `--state`, so that a restart is the same device.
"""

import argparse
import asyncio
import datetime
import json
import logging
import os
import secrets
import sys
import uuid
from xml.etree import ElementTree as ET

import oldmemo
import oldmemo.etree
import oldmemo.oldmemo
import twomemo
import twomemo.etree
import twomemo.twomemo
from omemo.session_manager import MessageNotForUs
from omemo.storage import Just, Nothing, Storage
from slixmpp import JID, ClientXMPP
from slixmpp.plugins import register_plugin
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath
from slixmpp_omemo import XEP_0384, TrustLevel
from slixmpp_omemo import xep_0384 as plugin_module

LEGACY = oldmemo.oldmemo.NAMESPACE
OMEMO2 = twomemo.twomemo.NAMESPACE
NAMESPACES = {"omemo1": [LEGACY], "omemo2": [OMEMO2], "both": [OMEMO2, LEGACY]}
WORDS = {LEGACY: "omemo1", OMEMO2: "omemo2"}
SCE = "urn:xmpp:sce:1"
CLIENT = "jabber:client"
CARBONS = "urn:xmpp:carbons:2"
RECEIPTS = "urn:xmpp:receipts"
MARKERS = "urn:xmpp:chat-markers:0"
FALLBACK = "This message is encrypted."


def emit(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class StateFile(Storage):
    """OMEMO state in one JSON file, replaced whole on each change."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.state = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                self.state = json.load(file)

    def write(self):
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.state, file)
        os.replace(self.path + ".new", self.path)

    async def _load(self, key):
        return Just(self.state[key]) if key in self.state else Nothing()

    async def _store(self, key, value):
        if key not in self.state or self.state[key] != value:
            self.state[key] = value
            self.write()

    async def _delete(self, key):
        if key in self.state:
            del self.state[key]
            self.write()


class Omemo(XEP_0384):
    """The plugin with its state in a file, blind trust, and the generations of OMEMO that the test asks for."""

    state_path = None
    namespaces = (OMEMO2, LEGACY)

    def plugin_init(self):
        self.state_file = StateFile(self.state_path)
        self.preparing = None
        super().plugin_init()

    async def get_session_manager(self):
        if self.preparing is None:
            self.preparing = asyncio.create_task(self.prepare())
        return await self.preparing

    async def prepare(self):
        """What the plugin does by itself, but for the choice of the backends, which it always takes both of."""
        backends = {OMEMO2: twomemo.Twomemo, LEGACY: oldmemo.Oldmemo}
        session_manager = await plugin_module._make_session_manager(self.xmpp, self).create(
            [backends[namespace](self.storage) for namespace in self.namespaces],
            self.storage,
            self.xmpp.boundjid.bare,
            initial_own_label=None,
            undecided_trust_level_name=TrustLevel.UNDECIDED.value,
        )
        await session_manager.ensure_data_consistency()
        await session_manager.after_history_sync()
        return session_manager

    async def _on_device_list_update(self, msg):
        item = msg["pubsub_event"]["items"]["item"].xml
        if any(element.tag.startswith(f"{{{namespace}}}") for element in item for namespace in self.namespaces):
            await super()._on_device_list_update(msg)

    async def refresh(self, address):
        """Asks for the device lists anew: the first message may be sent before a notification has come."""
        session_manager = await self.get_session_manager()
        for namespace in self.namespaces:
            await session_manager.refresh_device_list(namespace, address)

    @property
    def storage(self):
        return self.state_file

    @property
    def _btbv_enabled(self):
        return True

    async def _prompt_manual_trust(self, manually_trusted, identifier):
        session_manager = await self.get_session_manager()
        for device in manually_trusted:
            await session_manager.set_trust(device.bare_jid, device.identity_key, TrustLevel.TRUSTED.value)


register_plugin(Omemo)


def envelope(body, sender, recipient):
    """The XEP-0420 envelope around a body."""
    element = ET.Element(f"{{{CLIENT}}}body")
    element.text = body
    return envelope_around([element], sender, recipient)


def envelope_around(elements, sender, recipient):
    """The XEP-0420 envelope around elements."""
    root = ET.Element(f"{{{SCE}}}envelope")
    content = ET.SubElement(root, f"{{{SCE}}}content")
    content.extend(elements)
    ET.SubElement(root, f"{{{SCE}}}rpad").text = secrets.token_hex(1 + secrets.randbelow(100))
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    ET.SubElement(root, f"{{{SCE}}}time", stamp=now)
    ET.SubElement(root, f"{{{SCE}}}to", jid=recipient)
    ET.SubElement(root, f"{{{SCE}}}from", jid=sender)
    return ET.tostring(root)


def open_envelope(plaintext):
    """Body, sender and recipient of a XEP-0420 envelope."""
    root = ET.fromstring(plaintext)
    body = root.find(f"{{{SCE}}}content/{{{CLIENT}}}body")
    sender = root.find(f"{{{SCE}}}from")
    recipient = root.find(f"{{{SCE}}}to")
    return (
        None if body is None else body.text,
        None if sender is None else sender.get("jid"),
        None if recipient is None else recipient.get("jid"),
    )


class Person(ClientXMPP):
    def __init__(self, address, password, state_path, ca, direct_tls):
        super().__init__(address, password)
        Omemo.state_path = state_path
        for plugin in ("xep_0030", "xep_0060", "xep_0163", "xep_0184", "xep_0199", "xep_0280", "xep_0334"):
            self.register_plugin(plugin)
        self.register_plugin("xep_0384", module=sys.modules[__name__])
        self.plugin["xep_0184"].auto_request = False
        self.plugin["xep_0184"].auto_ack = False
        self.auto_authorize = None
        self.auto_subscribe = False
        self.auto_receipts = True
        self.ignores_empty = False
        self.ca_certs = ca
        self.enable_direct_tls = direct_tls
        self.enable_starttls = not direct_tls
        self.inbox = asyncio.Queue()
        self.online = asyncio.get_running_loop().create_future()
        self.presence_wanted = True
        self.add_event_handler("session_start", self.on_session_start)
        self.add_event_handler("failed_all_auth", lambda _: self.fail("authentication failed"))
        self.add_event_handler("connection_failed", lambda why: self.fail(f"connection failed: {why}"))
        self.add_event_handler("disconnected", lambda why: emit({"event": "disconnected", "reason": str(why or "")}))
        # slixmpp's own event for messages leaves out those without a body, as empty OMEMO messages are.
        self.register_handler(Callback("everything", MatchXPath(f"{{{CLIENT}}}message"), self.inbox.put_nowait))
        self.add_event_handler("message_error", self.on_message_error)
        self.add_event_handler("receipt_received", self.on_receipt)
        for kind in ("subscribe", "subscribed", "unsubscribe", "unsubscribed"):
            self.add_event_handler(f"presence_{kind}", self.on_subscription)
        for kind in ("available", "dnd", "xa", "chat", "away", "unavailable"):
            self.add_event_handler(f"presence_{kind}", self.on_presence)

    def fail(self, why):
        if not self.online.done():
            self.online.set_exception(ConnectionError(why))

    async def on_session_start(self, _):
        try:
            await self.get_roster()
            if self.presence_wanted:
                self.send_presence()
            await self.plugin["xep_0280"].enable()
            await self.plugin["xep_0384"].get_session_manager()
        except Exception as error:  # reported to whoever waits for the connection
            self.fail(repr(error))
            return
        if not self.online.done():
            self.online.set_result(None)
        emit({"event": "online", "address": str(self.boundjid)})

    def on_message_error(self, stanza):
        emit({"event": "error", "from": str(stanza["from"]), "id": stanza["id"], "condition": stanza["error"]["condition"]})

    def on_receipt(self, stanza):
        emit({"event": "receipt", "from": str(stanza["from"]), "id": stanza["receipt"]})

    def on_subscription(self, stanza):
        emit({"event": stanza["type"], "from": stanza["from"].bare})

    def on_presence(self, stanza):
        kind = stanza["type"]
        show = "offline" if kind == "unavailable" else kind
        emit({"event": "presence", "from": stanza["from"].bare, "resource": stanza["from"].resource,
              "presence": show, "status": stanza["status"] or None})

    async def read_inbox(self):
        """Messages one after the other: the ratchet must see them in the order in which they came."""
        while True:
            stanza = await self.inbox.get()
            if stanza["type"] == "error":
                continue
            carbon = None
            for way in ("received", "sent"):
                wrapper = stanza.xml.find(f"{{{CARBONS}}}{way}")
                if wrapper is not None and stanza["from"].bare == self.boundjid.bare:
                    carbon = way
                    stanza = stanza[f"carbon_{way}"]
            try:
                await self.report(stanza, carbon)
            except Exception as error:  # a message that cannot be read must be seen by the test
                emit({"event": "unreadable", "from": str(stanza["from"]), "id": stanza["id"], "error": repr(error)})

    async def report(self, stanza, carbon):
        marker = stanza.xml.find(f"{{{MARKERS}}}displayed")
        if marker is not None:
            emit({"event": "marker", "from": str(stanza["from"]), "to": str(stanza["to"]), "id": marker.get("id"),
                  "carbon": carbon})
        namespaces = self.plugin["xep_0384"].is_encrypted(stanza)
        outer = stanza["body"] or None
        body, encryption, device, to_affix, step = outer, "none", None, None, None
        error = None
        if namespaces and self.ignores_empty and self.is_empty(stanza, namespaces):
            emit({"event": "ignored", "from": str(stanza["from"])})
            return
        if namespaces:
            body = None
            try:
                body, encryption, device, to_affix, step = await self.open(stanza)
            except Exception as why:
                encryption, error = "/".join(sorted(WORDS[n] for n in namespaces)), repr(why)
            if body is None and error is None:
                emit({"event": "empty", "from": str(stanza["from"]), "encryption": encryption, "device": device})
                return
        elif body is None:
            return
        wants_receipt = stanza.xml.find(f"{{{RECEIPTS}}}request") is not None
        emit({"event": "message", "from": str(stanza["from"]), "to": str(stanza["to"]), "type": stanza["type"],
              "id": stanza["id"], "body": body, "outer_body": outer, "encryption": encryption, "error": error,
              "namespaces": sorted(WORDS[n] for n in namespaces), "device": device, "to_affix": to_affix,
              "step": step, "carbon": carbon, "wants_receipt": wants_receipt, "xml": str(stanza)[:100_000]})
        if wants_receipt and self.auto_receipts and carbon is None and error is None and stanza["id"]:
            self.acknowledge(stanza["from"], stanza["id"])

    @staticmethod
    def is_empty(stanza, namespaces):
        elements = [stanza.xml.find(f"{{{namespace}}}encrypted") for namespace in namespaces]
        return all(e is None or e.find("{*}payload") is None for e in elements)

    async def open(self, stanza):
        """Body, namespace, device and ratchet step of an encrypted stanza; the body is None for an empty message."""
        session_manager = await self.plugin["xep_0384"].get_session_manager()
        sender = stanza["from"].bare
        refusal = ValueError("in a generation that this program does not speak")
        # One stanza may hold both generations, each for the devices that speak it.
        for namespace in self.plugin["xep_0384"].namespaces:
            element = stanza.xml.find(f"{{{namespace}}}encrypted")
            if element is None:
                continue
            if namespace == OMEMO2:
                message = twomemo.etree.parse_message(element, sender)
            else:
                message = await oldmemo.etree.parse_message(element, sender, self.boundjid.bare, session_manager)
            try:
                plaintext, device = (await session_manager.decrypt(message))[:2]
                break
            except MessageNotForUs as error:
                refusal = error
        else:
            raise refusal
        word = WORDS[message.namespace]
        step = self.step_of(message, (await session_manager.get_own_device_information())[0].device_id)
        if plaintext is None:
            return None, word, device.device_id, None, step
        if message.namespace == LEGACY:
            return plaintext.decode("utf-8"), word, device.device_id, None, step
        body, from_affix, to_affix = open_envelope(plaintext)
        if from_affix != sender:
            raise ValueError(f"the envelope says it is from {from_affix}")
        return body, word, device.device_id, to_affix, step

    def step_of(self, message, own):
        """The chain and the place in it of the message key that our own device needs: never the same twice."""
        for key, _ in message.keys:
            if (key.bare_jid, key.device_id) == (self.boundjid.bare, own):
                header = key.encrypted_message.header
                return [header.ratchet_pub.hex(), header.sending_chain_length]
        return None

    def acknowledge(self, to, message_id):
        receipt = self.make_message(mto=to, mtype="chat")
        receipt["id"] = str(uuid.uuid4())
        receipt.append(ET.Element(f"{{{RECEIPTS}}}received", id=message_id))
        receipt.send()

    async def say(self, to, body, encryption, receipt, markable, addressed_to):
        stanza = self.make_message(mto=JID(to), mtype="chat")
        stanza["id"] = str(uuid.uuid4())
        if encryption == "none":
            stanza["body"] = body
        else:
            await self.encrypt(stanza, JID(to).bare, body, NAMESPACES[encryption], addressed_to or JID(to).bare)
        if receipt:
            stanza.append(ET.Element(f"{{{RECEIPTS}}}request"))
        if markable:
            stanza.append(ET.Element(f"{{{MARKERS}}}markable"))
        stanza.send()
        return stanza["id"]

    async def say_content(self, to, content):
        """Sends elements in an envelope of version 2 and nothing beside it."""
        stanza = self.make_message(mto=JID(to), mtype="chat")
        stanza["id"] = str(uuid.uuid4())
        elements = list(ET.fromstring(f"<content>{content}</content>"))
        plaintext = envelope_around(elements, self.boundjid.bare, JID(to).bare)
        await self.seal(stanza, JID(to).bare, {OMEMO2: plaintext}, [OMEMO2])
        stanza.send()
        return stanza["id"]

    async def encrypt(self, stanza, to, body, namespaces, addressed_to):
        plaintexts = {LEGACY: body.encode("utf-8"), OMEMO2: envelope(body, self.boundjid.bare, addressed_to)}
        await self.seal(stanza, to, plaintexts, namespaces)

    async def seal(self, stanza, to, plaintexts, namespaces):
        plugin = self.plugin["xep_0384"]
        await plugin.refresh(to)
        session_manager = await plugin.get_session_manager()
        messages, errors = await session_manager.encrypt(
            frozenset({to}), {n: plaintexts[n] for n in namespaces}, backend_priority_order=namespaces)
        if errors:
            raise RuntimeError(f"not encrypted for every device: {errors}")
        for message in messages:
            codec = twomemo if message.namespace == OMEMO2 else oldmemo
            stanza.append(codec.etree.serialize_message(message))
        stanza["body"] = FALLBACK
        stanza.enable("store")

    async def devices(self, address):
        """The devices of somebody, or of ourselves with the own one first."""
        session_manager = await self.plugin["xep_0384"].get_session_manager()
        if address == self.boundjid.bare:
            own, others = await session_manager.get_own_device_information()
            known = [own, *others]
        else:
            await self.plugin["xep_0384"].refresh(address)
            known = sorted(await session_manager.get_device_information(address), key=lambda d: d.device_id)
        return [{
            "device": device.device_id,
            "fingerprint": "".join(session_manager.format_identity_key(device.identity_key)),
            "protocols": sorted(WORDS[n] for n in device.namespaces),
            "active": sorted(WORDS[n] for n, active in device.active if active),
            "trust": device.trust_level_name,
        } for device in known]


class Commands:
    """What the other end of the pipe can ask for: one method per command."""

    def __init__(self, state_path, namespaces):
        self.state_path = state_path
        Omemo.namespaces = namespaces
        self.person = None
        self.reader = None

    async def connect(self, address, password, host, port, ca, direct_tls=True, presence=True):
        self.person = Person(address, password, self.state_path, ca, direct_tls)
        self.person.presence_wanted = presence
        self.reader = asyncio.create_task(self.person.read_inbox())
        self.person.connect(host, port)
        await asyncio.wait_for(asyncio.shield(self.person.online), 30)
        return {"address": str(self.person.boundjid)}

    async def disconnect(self):
        await self.person.disconnect()
        self.reader.cancel()
        return {}

    async def roster(self):
        roster = self.person.client_roster
        return [{"address": address, "subscription": roster[address]["subscription"], "name": roster[address]["name"]}
                for address in sorted(roster) if address != self.person.boundjid.bare]

    async def subscribe(self, to):
        self.person.send_presence(pto=to, ptype="subscribe")
        return {}

    async def answer(self, to, accept):
        self.person.send_presence(pto=to, ptype="subscribed" if accept else "unsubscribed")
        return {}

    async def presence(self, show=None, status=None):
        self.person.send_presence(pshow=show, pstatus=status)
        return {}

    async def send(self, to, body, encryption="none", receipt=True, markable=False, addressed_to=None):
        """Sends text; the envelope of version 2 may say that it is addressed to somebody else."""
        return {"id": await self.person.say(to, body, encryption, receipt, markable, addressed_to)}

    async def send_content(self, to, content):
        return {"id": await self.person.say_content(to, content)}

    async def receipts(self, automatic):
        self.person.auto_receipts = automatic
        return {}

    async def ignore_empty(self):
        """From now on encrypted messages without a text are left alone, as some programs do."""
        self.person.ignores_empty = True
        return {}

    async def acknowledge(self, to, message):
        self.person.acknowledge(JID(to), message)
        return {}

    async def devices(self, address):
        return await self.person.devices(address)

    async def refresh(self, address):
        await self.person.plugin["xep_0384"].refresh(address)
        return {}

    async def published(self, of, node, item=None):
        """What an item of a node holds, as XML; the newest one if none is named."""
        wanted = None if item is None else {item}
        answer = await self.person.plugin["xep_0060"].get_items(JID(of), node, item_ids=wanted)
        return ET.tostring(answer["pubsub"]["items"].xml[0][0], encoding="unicode")

    async def raw(self, xml):
        self.person.send_raw(xml)
        return {}

    async def ping(self):
        """Answers once the server has read everything that was sent before."""
        await self.person.plugin["xep_0199"].ping(self.person.boundjid.host, timeout=60)
        return {}


async def serve(commands):
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        request = json.loads(line)
        number, name = request.pop("id"), request.pop("do")
        try:
            emit({"id": number, "result": await getattr(commands, name)(**request)})
        except Exception as error:  # every failure is the caller's to judge
            emit({"id": number, "error": repr(error)})
    if commands.person is not None:
        await commands.disconnect()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--state", required=True)
    arguments.add_argument("--protocols", choices=sorted(NAMESPACES), default="both")
    arguments.add_argument("--verbose", action="store_true")
    given = arguments.parse_args()
    logging.basicConfig(level=logging.DEBUG if given.verbose else logging.WARNING, stream=sys.stderr)
    asyncio.run(serve(Commands(given.state, NAMESPACES[given.protocols])))


if __name__ == "__main__":
    main()
