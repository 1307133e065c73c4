"""Prints the origin ids (XEP-0359) of an account's archive in a database of Prosody's mod_storage_sql, in its order:
origin_ids.py DATABASE HOST USER
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
            for origin in xml.fromstring(stanza).iter("{urn:xmpp:sid:0}origin-id"):
                print(origin.get("id"))


main(*sys.argv[1:])
