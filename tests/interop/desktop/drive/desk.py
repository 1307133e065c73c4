"""A desk for a program with windows: a screen in memory, a session bus, and hands that find things by their names.

What is on the screen is read as assistive technology reads it (AT-SPI), so neither places nor pictures are compared.
"""

import os
import subprocess

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, Gio, GLib  # noqa: E402

from program import Program, until  # noqa: E402

State = Atspi.StateType


class Windowed(Program):
    # Its name on the bus, and its command.
    application = ""
    command = ""

    def __init__(self, home, given):
        super().__init__(home, given)
        # There is neither a graphics card nor a network that the desktop could know of.
        os.environ.update(GDK_BACKEND="x11", LIBGL_ALWAYS_SOFTWARE="1", GSK_RENDERER="cairo",
                          GIO_USE_NETWORK_MONITOR="base", GSETTINGS_BACKEND="memory")
        self.children = [self.open_screen(), self.open_bus()]

    @staticmethod
    def open_screen():
        read, write = os.pipe()
        command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1200x800x24", "-nolisten", "tcp", "-noreset"]
        screen = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as number:
            os.environ["DISPLAY"] = f":{number.readline().strip()}"
        return screen

    def open_bus(self):
        socket = self.home / "run/bus"
        os.environ["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={socket}"
        command = ["dbus-daemon", "--session", "--nofork", f"--address=unix:path={socket}"]
        # What it starts says that on standard output.
        bus = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until("the bus is there", socket.exists)
        return bus

    def start(self):
        self.process = self.launch([self.command])
        until("the window is there", lambda: any(True for _ in self.things()))

    def stop(self):
        """As by the menu's "Quit"."""
        bus = Gio.bus_get_sync(Gio.BusType.SESSION)
        path = "/" + self.application.replace(".", "/")
        bus.call_sync(self.application, path, "org.gtk.Actions", "Activate",
                      GLib.Variant("(sava{sv})", ("quit", [], {})), None, Gio.DBusCallFlags.NONE, 30_000, None)
        self.ended()

    def say(self, to, body):
        self.open_chat(to)
        if not self.encrypts(to):
            self.choose_encryption()
            until("the chat is encrypted", lambda: self.encrypts(to))
            self.open_chat(to)
        self.write(body)

    def open_chat(self, address):
        """As by a link to the chat, which puts the cursor where one writes."""
        subprocess.run([self.command, f"xmpp:{address}?message"], stdout=2, timeout=60, check=True)
        until("the chat is open", lambda: self.input(State.FOCUSED) or self.choose(address))

    def choose(self, address):
        """Answers if it asks who is meant."""

    def write(self, text):
        field = until("one can write", lambda: self.input(State.FOCUSED))
        field.set_text_contents(text)
        until("it is written", lambda: Atspi.Text.get_text(field, 0, -1) == text)
        self.press("Return")
        until("it is sent", lambda: Atspi.Text.get_text(field, 0, -1) == "")

    def input(self, *states):
        """Where one writes a message."""
        wanted = {State.EDITABLE, State.MULTI_LINE, *states}
        return self.find("text", lambda thing: all(thing.get_state_set().contains(state) for state in wanted))

    def click(self, role, name):
        """Clicks on the first thing of this kind with this name or this hint."""
        def named(thing):
            return name in (thing.get_name(), thing.get_description())
        until(f"{name!r} was clicked on", lambda: self.act(self.find(role, named)))

    @staticmethod
    def act(thing):
        try:
            return thing is not None and thing.do_action(0)
        except GLib.Error:
            return False

    def find(self, role, fits):
        for thing in self.things():
            try:
                if thing.get_role_name() == role and fits(thing):
                    return thing
            except GLib.Error:
                continue  # it is gone already
        return None

    def things(self):
        """All that is in the program's windows, from the outside in."""
        desktop = Atspi.get_desktop(0)
        desktop.clear_cache()
        waiting = [desktop]
        while waiting:
            thing = waiting.pop(0)
            try:
                children = [thing.get_child_at_index(number) for number in range(thing.get_child_count())]
            except GLib.Error:
                continue
            waiting[:0] = [child for child in children if child is not None]
            if thing is not desktop:
                yield thing

    @staticmethod
    def press(key):
        subprocess.run(["xdotool", "key", key], check=True)

    def picture(self):
        subprocess.run(["import", "-window", "root", self.home / "screen.png"], check=False)
