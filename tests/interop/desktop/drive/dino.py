"""Dino, on GTK 4."""

from desk import Atspi, State, Windowed
from program import until

DATABASE = "data/dino/dino.db"
# Its numbers for how and whereto.
OMEMO = 2
SENT = 1


class Dino(Windowed):
    application = "im.dino.Dino"
    command = "dino-im"
    keys = ("data/dino/omemo.db",)

    def start(self):
        super().start()
        if not self.query(DATABASE, "SELECT id FROM account"):
            self.sign_in()

    def sign_in(self):
        """Through the first screen: the address, the password, each confirmed by Return."""
        self.click("push button", "Set up account")
        for text in (self.address, self.password):
            field = until("something is asked for", lambda: self.find("text", self.is_empty_and_focused))
            field.set_text_contents(text)
            self.press("Return")
            until("the next page is there", lambda: not self.is_focused(field))
        until("the account is there", lambda: self.query(DATABASE, "SELECT id FROM account"))
        until("the end is told", lambda: self.find("label", lambda label: label.get_name() == "All set up!"))
        self.press("Return")

    @staticmethod
    def is_focused(field):
        return field.get_state_set().contains(State.FOCUSED)

    def is_empty_and_focused(self, field):
        return self.is_focused(field) and Atspi.Text.get_text(field, 0, -1) == ""

    def encrypts(self, address):
        text = ("SELECT encryption FROM conversation JOIN jid ON jid.id = jid_id WHERE active AND bare_jid = ?")
        return self.query(DATABASE, text, address) == [(OMEMO,)]

    def choose_encryption(self):
        """The button with the lock has no name: it stands behind the field and the one with the smile."""
        things = list(self.things())
        field = things.index(self.input())
        _smile, lock, *_ = [thing for thing in things[field:] if self.can_be_clicked(thing)]
        lock.do_action(0)
        self.click("menu item", "OMEMO")

    @staticmethod
    def can_be_clicked(thing):
        return thing.get_role_name() == "push button" and thing.get_n_actions() > 0

    def may_miss_keys_of(self, address):
        """It announces a device before its keys are there, and does not soon ask again if it found none."""
        return address == self.address

    def devices_of(self, address):
        text = ("SELECT device_id FROM identity_meta WHERE address_name = ? AND now_active "
                "AND identity_key_public_base64 IS NOT NULL")
        return [device for (device,) in self.query(self.keys[0], text, address)]

    def rows_after(self, number):
        text = ("SELECT message.id, iif(direction = ?, ?, bare_jid), body, encryption = ? "
                "FROM message JOIN jid ON jid.id = counterpart_id WHERE message.id > ? ORDER BY message.id")
        return self.query(DATABASE, text, SENT, self.address, OMEMO, number)
