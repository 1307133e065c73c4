"""Fills an account's archive in a database of Prosody's mod_storage_sql: fill_archive.py DATABASE HOST USER FIRST COUNT

Messages of twenty contacts and answers to them, a second apart and the last one a minute ago.
"""

import sqlite3
import sys
import time


def row(host, user, number, when):
    contact = f"contact{number % 20}@{host}"
    own = number % 5 == 4
    sender, to = (f"{user}@{host}/phone", contact) if own else (f"{contact}/phone", f"{user}@{host}")
    key = f"archived-{number}"
    stanza = (
        f"<message xmlns='jabber:client' type='chat' id='m{number}' from='{sender}' to='{to}'>"
        f"<body>Archived message {number}, of about the length that people write to each other</body>"
        f"<origin-id xmlns='urn:xmpp:sid:0' id='m{number}'/></message>"
    )
    return host, user, "archive", key, when, contact, "xml", stanza


def main(database, host, user, first, count):
    first, count = int(first), int(count)
    begin = int(time.time()) - 60 - count
    rows = (row(host, user, first + number, begin + number) for number in range(count))
    with sqlite3.connect(database) as db:
        db.executemany(
            'INSERT INTO prosodyarchive (host, user, store, key, "when", "with", type, value)'
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )


main(*sys.argv[1:])
