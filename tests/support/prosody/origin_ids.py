"""Prints the origin ids (XEP-0359) of an account's archive in a database of Prosody's mod_storage_sql, in its order, and
of texts without one the stanza's id in brackets: origin_ids.py DATABASE HOST USER
"""

import sqlite3
import sys
import xml.etree.ElementTree as xml


def main(database, host, user):
    with sqlite3.connect(database) as db:
        stanzas = db.execute(
            "SELECT value FROM prosodyarchive WHERE host = ? AND user = ? AND store = 'archive' ORDER BY sort_id",
            (host, user),
        )
        for (stanza,) in stanzas:
            stanza = xml.fromstring(stanza)
            origins = [origin.get("id") for origin in stanza.iter("{urn:xmpp:sid:0}origin-id")]
            if not origins and any(child.tag.rpartition("}")[2] == "body" for child in stanza):
                origins = [f"[{stanza.get('id')}]"]
            for origin in origins:
                print(origin)


main(*sys.argv[1:])
