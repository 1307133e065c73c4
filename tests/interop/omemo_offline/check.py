"""Sets the crate against the foreign implementations: who starts, long disordered talks, both generations.

    cargo build -p waxwing-omemo --example lines
    python check.py <path of that example> [rounds]

Ends with a line per generation and side, or with the first difference.
"""

import asyncio
import random
import subprocess
import sys

import oracle

US, THEM = "us@example.org", "them@example.org"


class Ours:
    """The crate's device, spoken to in lines."""

    def __init__(self, program, profile):
        self.process = subprocess.Popen([program, profile], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer and not answer.startswith("error"), f"{line[:60]} -> {answer}"
        return answer

    def send(self, text):
        words = self.ask("send " + ("-" if text is None else text.hex())).split()
        unhex = lambda word: None if word == "-" else bytes.fromhex(word)
        return words[0] == "1", unhex(words[1]), unhex(words[2]), unhex(words[3])

    def open(self, is_prekey, key, iv, payload):
        word = lambda data: "-" if data is None else data.hex()
        answer = self.ask(f"open {int(is_prekey)} {key.hex()} {word(iv)} {word(payload)}").split()[1]
        return None if answer == "-" else bytes.fromhex(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


async def talk(program, profile, we_start, sign_bit, rounds):
    chance = random.Random(7)
    ours = Ours(program, profile)
    theirs = await oracle.Device(profile, THEM, 4711, sign_bit).set_up(5)
    bundle_xml = ours.ask("bundle")
    our_public = theirs.etree.parse_bundle(oracle.ET.fromstring(bundle_xml), US, 1).identity_key
    if we_start:
        ours.ask("start " + await theirs.bundle_xml())
    opened = 0
    late = []
    for number in range(rounds):
        ours_speak = (number % 2 == 0) == we_start
        batch = []
        for each in range(chance.randint(1, 6)):
            text = None if chance.random() < 0.2 and number else f"{number}/{each} çöß".encode()
            if ours_speak:
                batch.append((text, ours.send(text)))
                continue
            content, material = await theirs.seal(text)
            if theirs.session is None:
                is_prekey, key = await theirs.start(US, 1, bundle_xml, material)
            else:
                is_prekey, key = await theirs.send(material)
            iv = content.initialization_vector if profile == "legacy" else None
            batch.append((text, (is_prekey, key, iv, None if content.empty else content.ciphertext)))
        chance.shuffle(batch)
        if number > 1 and len(batch) > 2:
            late.append((ours_speak, batch.pop()))
        # What was kept back arrives two ratchet steps later.
        due = [message for side, message in late[:-2] if side == ours_speak]
        late = [entry for entry in late if entry[1] not in due]
        for text, (is_prekey, key, iv, payload) in batch + due:
            if ours_speak:
                got = await theirs.open(US, 1, our_public, is_prekey, key, payload, iv)
            else:
                got = ours.open(is_prekey, key, iv, payload)
            assert got == text, f"{got} is not {text}"
            opened += 1
    ours.close()
    starter = "we start" if we_start else "they start"
    print(f"{profile}, {starter}, their sign bit {sign_bit}: {opened} messages opened over {rounds} ratchet steps")


async def main(program, rounds):
    for profile in oracle.PROFILES:
        for we_start in (True, False):
            for sign_bit in (0, 1):
                await talk(program, profile, we_start, sign_bit, rounds)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 40))
