"""Sets the crate against every other implementation of OMEMO there is: both generations, whoever starts, long disordered
talks, both sides restarted from what they stored.

    cargo build -p waxwing-omemo --example lines
    python check.py [--all] <path of that example> [rounds]

A line for each generation, implementation and side that starts, or the first difference. What is not installed is named,
and with `--all` it is a failure.
"""

import argparse
import pathlib
import sys
import tempfile

import gajim
import libsignal
import python_omemo
from talk import Ours, Talk


def main(program, rounds):
    """Checks against all that is installed; gives the names of what is not."""
    missing = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for peers in (python_omemo, gajim, libsignal):
            for number, (name, profile, make) in enumerate(peers.devices(folder)):
                if make is None:
                    missing.append(f"{name} ({profile})")
                    print(f"{profile}, {name}: not installed, not checked", flush=True)
                    continue
                for first, who in enumerate(("we start", "they start")):
                    state = lambda side: folder / f"{peers.__name__}-{number}-{first}-{side}"
                    opened = Talk(Ours(program, profile, state("ours")), make(state("theirs"))).hold(first, rounds)
                    print(f"{profile}, {name}, {who}: {opened} messages opened", flush=True)
    return missing


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--all", action="store_true")
    arguments.add_argument("program")
    arguments.add_argument("rounds", type=int, nargs="?", default=40)
    given = arguments.parse_args()
    unchecked = main(given.program, given.rounds)
    if unchecked and given.all:
        sys.exit(f"The check is not complete: {', '.join(unchecked)} could not be checked against, not being installed.")
