"""Gajim with its OMEMO plugin, on GTK 3."""

import json
import sqlite3

from desk import Atspi, State, Windowed
from program import until

SETTINGS = "config/gajim/settings.sqlite"
# Its numbers for whereto.
RECEIVED = 4
SENT = 6


class Gajim(Windowed):
    application = "org.gajim.Gajim"
    command = "gajim"

    def __init__(self, home, given):
        super().__init__(home, given)
        self.keys = (f"data/gajim/omemo_{self.address}.db",)
        self.write_settings()

    def write_settings(self):
        """All that it has after its first start and its assistant for accounts."""
        name, domain = self.address.split("@")
        account = {"name": name, "hostname": domain, "address": self.address, "password": self.password,
                   "savepass": True, "active": True, "autoconnect": True, "resource": self.resource,
                   "default_workspace": "first"}
        settings = {"app": {"use_keyring": False, "check_for_update": False, "is_window_visible": True},
                    "plugins": {"omemo": {"active": True}}, "workspaces": {"first": {}},
                    "soundevents": {}, "status_presets": {}, "proxies": {}}
        accounts = {name: {"account": account, "contact": {}, "group_chat": {}}}
        (self.home / SETTINGS).parent.mkdir(parents=True)
        with sqlite3.connect(self.home / SETTINGS) as database:
            for table, column, rows in (("settings", "name", settings), ("account_settings", "account", accounts)):
                database.execute(f"CREATE TABLE {table} ({column} TEXT UNIQUE, settings TEXT)")
                database.executemany(f"INSERT INTO {table} VALUES (?, ?)",
                                     [(row, json.dumps(value)) for row, value in rows.items()])
            database.execute("PRAGMA user_version = 5")
        database.close()

    def choose(self, address):
        """It asks if there is no such chat yet. The first one in its list is chosen."""
        def asks(field):
            return field.get_state_set().contains(State.FOCUSED) and Atspi.Text.get_text(field, 0, -1) == address
        if self.find("text", asks):
            self.press("Return")

    def ended(self):
        """It asks first if something has not been read."""
        def gone():
            self.act(self.find("push button", lambda button: button.get_name() == "Quit"))
            return self.process.poll() is not None
        until("Gajim has ended", gone)
        super().ended()

    def encrypts(self, address):
        for (settings,) in self.query(SETTINGS, "SELECT settings FROM account_settings"):
            return json.loads(settings)["contact"].get(address, {}).get("encryption") == "OMEMO"
        return False

    def choose_encryption(self):
        self.click("toggle button", "Choose encryption")
        self.click("radio button", "OMEMO")

    def devices_of(self, address):
        rows = self.query(self.keys[0], "SELECT device_id FROM sessions WHERE recipient_id = ? AND active", address)
        return [device for (device,) in rows]

    def rows_after(self, number):
        text = ("SELECT log_line_id, iif(kind = ?, ?, jid), message, additional_data LIKE '%\"OMEMO\"%' "
                "FROM logs NATURAL JOIN jids WHERE kind IN (?, ?) AND log_line_id > ? ORDER BY log_line_id")
        return self.query("data/gajim/logs.db", text, SENT, self.address, SENT, RECEIVED, number)
