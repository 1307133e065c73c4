"""What all messengers have in common: a process, a home with its files, a database with what was received."""

import contextlib
import secrets
import shutil
import sqlite3
import subprocess
import time

# For what takes a blink on an idle machine.
LIMIT = 60
# For what happens by itself, or not at all.
SOON = 10


def until(what, look, limit=LIMIT):
    """Looks again and again until there is an answer."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise TimeoutError(f"waited {limit} s in vain until {what}")


class Program:
    # Where it keeps its keys and sessions, in its home.
    keys = ()

    def __init__(self, home, given):
        self.home = home
        self.address = given.address
        self.password = given.password
        self.server = given.server
        # Somebody may have it on several devices.
        self.resource = secrets.token_hex(4)
        self.process = None
        self.last_row = 0
        # How far it was when its files were copied.
        self.kept_row = 0

    def runs(self):
        return self.process is not None

    def launch(self, command):
        """Starts a process; what it says goes to the test's log."""
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2)

    def ended(self):
        """Waits for the end that was asked for."""
        self.process.wait(timeout=LIMIT)
        self.process = None

    def knows(self, address, devices):
        """Waits until it has the keys of these devices."""
        def known():
            return set(devices) <= set(self.devices_of(address))
        if self.may_miss_keys_of(address):
            with contextlib.suppress(TimeoutError):
                until(f"{devices} are known", known, SOON)
                return
            self.learn(address)
        until(f"{devices} are known", known)

    def may_miss_keys_of(self, address):
        """Whether it may need help to ask for the keys of a new device of this account: a fault of its own."""
        return False

    def learn(self, address):
        """Has it ask for the keys of all devices anew, which it does after it was started."""
        self.stop()
        self.start()

    def announce(self):
        """Makes the list of the account's devices, where that does not happen by itself."""

    def picture(self):
        """Keeps what is on the screen as a file in the home, for whoever looks into a failure."""

    def received(self):
        """The messages that came since this was asked for the last time."""
        try:
            rows = self.rows_after(self.last_row)
        except sqlite3.Error:
            return []  # not there yet, or read while it was written
        messages = []
        for number, sender, body, encrypted in rows:
            self.last_row = max(self.last_row, number)
            messages.append({"from": sender, "body": body, "encrypted": bool(encrypted)})
        return messages

    def query(self, database, text, *values, mode="mode=ro"):
        with contextlib.closing(sqlite3.connect(f"file:{self.home / database}?{mode}", uri=True)) as connection:
            return connection.execute(text, values).fetchall()

    # What can be asked for while the program does not run.

    def lose_keys(self):
        """Throws away its keys and sessions, as somebody does who cleans up, or whose disk breaks."""
        for name in self.keys:
            path = self.home / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def back_up(self):
        """Keeps a copy of all its files."""
        self.kept_row = self.last_row
        for name in ("config", "data"):
            shutil.copytree(self.home / name, self.home / "backup" / name)

    def restore(self):
        """Goes back to the copy."""
        self.last_row = self.kept_row
        for name in ("config", "data"):
            shutil.rmtree(self.home / name)
            shutil.copytree(self.home / "backup" / name, self.home / name)
