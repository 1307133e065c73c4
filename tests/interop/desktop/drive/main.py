"""Drives a messenger as a person would, in a small world of its own, and tells in lines of JSON what it received.

Runs as the first process of a mount and a PID namespace (client.rs makes them): what is mounted here nobody else sees,
and whatever is started here ends with this process. A request is {"id": 1, "do": "say", ...}, its answer {"id": 1,
"result": {}} or {"id": 1, "error": "..."}; whatever the messenger received is {"event": "message", ...}.
"""

import argparse
import ctypes
import json
import os
import pathlib
import select
import sys
import traceback

from dino import Dino
from gajim import Gajim
from profanity import Profanity

PROGRAMS = {"dino": Dino, "gajim": Gajim, "profanity": Profanity}
# The home of the messenger's user, in which the messenger sees the folder that the test gave.
HOME = pathlib.Path("/home")
# Where Debian has the authorities of OpenSSL and GnuTLS.
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
FOLDERS = {"CONFIG_HOME": "config", "DATA_HOME": "data", "CACHE_HOME": "cache", "STATE_HOME": "state",
           "RUNTIME_DIR": "run"}
NOBODY = 65534
MS_BIND = 4096
# How often it is looked whether the messenger has received something.
INTERVAL = 0.2


def mount(source, target, kind=None, flags=0):
    libc = ctypes.CDLL(None, use_errno=True)
    words = [None if word is None else str(word).encode() for word in (source, target, kind)]
    if libc.mount(*words, flags, None) != 0:
        raise OSError(ctypes.get_errno(), f"cannot mount {target}")


def replace(path, text, home):
    """Lets this process and all that it starts see another text in a file of the system."""
    own = home / pathlib.Path(path).name
    own.write_text(text)
    mount(own, path, flags=MS_BIND)


def build_world(given):
    """Names, authorities, temporary files and a home that only the messenger sees."""
    home = pathlib.Path(given.home)
    replace("/etc/hosts", f"127.0.0.1 localhost {os.uname().nodename}\n{given.server} {given.domain}\n", home)
    # Nobody answers there, and says so at once: the address of the domain and the standard port are what is left.
    replace("/etc/resolv.conf", f"nameserver {given.server}\n", home)
    authorities = pathlib.Path(AUTHORITIES).read_text() + pathlib.Path(given.ca).read_text()
    replace(AUTHORITIES, authorities, home)
    if os.getuid() == 0:
        # Gajim refuses to run as root.
        os.chown(home, NOBODY, NOBODY)
    mount(home, HOME, flags=MS_BIND)
    mount("none", "/tmp", "tmpfs")
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def set_environment():
    """Nothing of the desktop at which the tests are run."""
    path = os.environ["PATH"]
    os.environ.clear()
    os.environ.update(PATH=path, HOME=str(HOME), LANG="C.UTF-8", SHELL="/bin/sh", TERM="xterm-256color", TZ="UTC")
    for name, folder in FOLDERS.items():
        (HOME / folder).mkdir(mode=0o700)
        os.environ[f"XDG_{name}"] = str(HOME / folder)
    os.chdir(HOME)


def emit(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def answer(program, line):
    request = json.loads(line)
    number, name = request.pop("id"), request.pop("do")
    try:
        getattr(program, name)(**request)
        emit({"id": number, "result": {}})
    except Exception as error:  # every failure is the test's to judge
        traceback.print_exc()
        program.picture()
        emit({"id": number, "error": repr(error)})


def serve(program):
    pending = b""
    while True:
        if select.select([0], [], [], INTERVAL)[0]:
            piece = os.read(0, 65536)
            if not piece:
                break
            *lines, pending = (pending + piece).split(b"\n")
            for line in lines:
                answer(program, line)
        for message in program.received():
            emit({"event": "message", **message})
    if program.runs():
        program.stop()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("program", choices=sorted(PROGRAMS))
    for name in ("home", "server", "domain", "ca", "address", "password"):
        arguments.add_argument(f"--{name}", required=True)
    given = arguments.parse_args()
    build_world(given)
    set_environment()
    serve(PROGRAMS[given.program](HOME, given))


if __name__ == "__main__":
    main()
