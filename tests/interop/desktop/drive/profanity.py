"""Profanity, which runs in a terminal."""

import configparser
import subprocess

from program import Program, until

SETTINGS = """\
[connection]
account={address}
[logging]
dblog=on
[ui]
splash=false
[chatstates]
enabled=false
[omemo]
trustmode=blind
log=on
"""

ACCOUNT = """\
[{address}]
enabled=true
jid={address}
resource={resource}
password={password}
server={server}
port=5222
tls.policy=force
presence.last=online
presence.login=online
"""


class Profanity(Program):
    keys = ("data/profanity/omemo",)

    def __init__(self, home, given):
        super().__init__(home, given)
        for name, text in (("config/profanity/profrc", SETTINGS), ("data/profanity/accounts", ACCOUNT)):
            (home / name).parent.mkdir(parents=True)
            (home / name).write_text(text.format(**vars(self)))
        self.folder = self.address.replace("@", "_at_")
        self.encrypts = False

    def start(self):
        self.tmux("new-session", "-d", "-x", "130", "-y", "50", "profanity --log DEBUG")
        self.process = True
        self.encrypts = False
        self.shows("is online", "logged in successfully")
        if not (self.home / "data/profanity/omemo" / self.folder / "identity.txt").exists():
            self.type("/omemo gen")
            self.shows("has keys", "OMEMO crytographic materials generated")

    def announce(self):
        """Makes the list of the account's devices. Profanity adds itself to a list, but does not begin one where the
        server has none and says so in the way of Prosody; this is its command that helps."""
        self.type("/omemo clear_device_list")

    def stop(self):
        self.type("/quit")
        until("Profanity has ended", lambda: self.tmux("has-session", check=False).returncode != 0)
        self.process = None

    def may_miss_keys_of(self, address):
        """It asks for the keys of a contact's devices when encryption begins, and not when there is a new device."""
        return address != self.address

    def learn(self, address):
        self.type(f"/msg {address}")
        self.type("/omemo end")
        self.begin_encryption()

    def begin_encryption(self):
        self.type("/omemo start")
        self.shows("the chat is encrypted", "[OMEMO]")
        self.encrypts = True

    def say(self, to, body):
        if not self.encrypts:
            self.type(f"/msg {to}")
            self.begin_encryption()
        self.type(body)

    def devices_of(self, address):
        known = configparser.ConfigParser()
        known.read(self.home / "data/profanity/omemo" / self.folder / "known_devices.txt")
        return [int(device) for device in known[address]] if address in known else []

    def rows_after(self, number):
        # Read without a lock: Profanity loses what it cannot write at once.
        database = f"data/profanity/database/{self.folder}/chatlog.db"
        text = "SELECT id, from_jid, message, encryption = 'omemo' FROM ChatLogs WHERE id > ? ORDER BY id"
        return self.query(database, text, number, mode="immutable=1")

    def picture(self):
        (self.home / "screen.txt").write_text(self.screen())

    def type(self, text):
        self.tmux("send-keys", "-l", "--", text)
        self.tmux("send-keys", "Enter")

    def shows(self, what, text):
        until(f"Profanity shows that it {what}", lambda: text in self.screen())

    def screen(self):
        return self.tmux("capture-pane", "-p").stdout

    def tmux(self, *arguments, check=True):
        command = ["tmux", "-S", self.home / "tmux", *arguments]
        return subprocess.run(command, check=check, capture_output=True, text=True)
