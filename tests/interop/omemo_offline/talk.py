"""Our device, and the talk that it has with each of the others: every message must open."""

import random
import subprocess

US, THEM = "us@example.org", "them@example.org"


class Lines:
    """A device in a program of its own, spoken to in lines; it keeps all that it needs in a file."""

    def __init__(self, program, profile, state):
        self.program, self.profile, self.state = program, profile, state
        self.process = subprocess.Popen([program, profile, state], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer and not answer.startswith("error"), f"{line[:60]} -> {answer}"
        return answer

    def restarted(self):
        self.close()
        return type(self)(self.program, self.profile, self.state)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


class Ours(Lines):
    """The crate's device (the example `lines`)."""

    def bundle_xml(self):
        return self.ask("bundle")

    def start(self, bundle_xml):
        self.ask("start " + bundle_xml)

    def send(self, text):
        words = self.ask("send " + ("-" if text is None else text.hex())).split()
        unhex = lambda word: None if word == "-" else bytes.fromhex(word)
        return words[0] == "1", unhex(words[1]), unhex(words[2]), unhex(words[3])

    def open(self, is_prekey, key, iv, payload):
        word = lambda data: "-" if data is None else data.hex()
        answer = self.ask(f"open {int(is_prekey)} {key.hex()} {word(iv)} {word(payload)}").split()[1]
        return None if answer == "-" else bytes.fromhex(answer)


class Talk:
    def __init__(self, ours, theirs):
        self.sides = [ours, theirs]
        self.opened = 0

    def send(self, side, texts):
        return [(side, text, self.sides[side].send(text)) for text in texts]

    def open(self, messages):
        for side, text, message in messages:
            got = self.sides[1 - side].open(*message)
            assert got == text, f"{got} is not {text}"
            self.opened += 1

    def restart(self):
        self.sides = [side.restarted() for side in self.sides]

    def hold(self, first, rounds):
        """`first` starts: 0 is us, 1 is them. Gives how many messages were opened."""
        chance, second = random.Random(7), 1 - first
        texts = lambda name, count: [f"{name} {number} çöß".encode() for number in range(count)]
        self.sides[first].start(self.sides[second].bundle_xml())
        # The first message, its reply, five in a row each way.
        self.open(self.send(first, texts("first", 1)))
        self.restart()
        self.open(self.send(second, texts("reply", 1)))
        for side in (first, second):
            self.open(self.send(side, texts("in a row", 5)))
        # Out of order with an empty message among them, and two that arrive behind the next answer.
        batch = self.send(first, texts("disorder", 7) + [None])
        late = [batch.pop(2), batch.pop(4)]
        self.open(batch[::-1])
        self.restart()
        self.open(self.send(second, texts("between", 2)))
        self.open(self.send(first, texts("next chain", 1)))
        self.open(late)
        late = []
        for number in range(rounds):
            side = number % 2
            batch = self.send(side, texts(f"round {number}", chance.randint(1, 5)) + [None] * (chance.random() < 0.2))
            chance.shuffle(batch)
            if len(batch) > 2:
                late.append((number, batch.pop()))
            # What was kept back arrives two ratchet steps later.
            due = [message for sent, message in late if sent == number - 2]
            self.open(batch + due)
            if chance.random() < 0.2:
                self.restart()
        for side in self.sides:
            side.close()
        return self.opened
