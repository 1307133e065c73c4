"""Sets the crate against every other implementation of OMEMO there is: both generations, whoever starts, long disordered
talks, both sides restarted from what they stored.

    cargo build -p waxwing-omemo --example lines
    python check.py <path of that example> [rounds]

A line for each generation, implementation and side that starts, or the first difference. What is not installed is named.
"""

import pathlib
import sys
import tempfile

import gajim
import libsignal
import python_omemo
from talk import Ours, Talk


def main(program, rounds):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for peers in (python_omemo, gajim, libsignal):
            for number, (name, profile, make) in enumerate(peers.devices(folder)):
                for first, who in enumerate(("we start", "they start")):
                    state = lambda side: folder / f"{peers.__name__}-{number}-{first}-{side}"
                    opened = Talk(Ours(program, profile, state("ours")), make(state("theirs"))).hold(first, rounds)
                    print(f"{profile}, {name}, {who}: {opened} messages opened", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 40)
