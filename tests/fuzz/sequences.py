#!/usr/bin/python3
"""sequences.py COUNT [SEED]: a hostile client on the socket of a real moonletd, in sequences of random steps.

Each sequence holds a few connections at once, and sends over them headers in part or changed, lengths and numbers that
lie, descriptors of odd kinds, and nothing; it half-closes, vanishes, waits, and does not read what is said. A launch
between the steps must end as it should. After each sequence, the zygote has the descriptors and children that it had
at its start, and serves. $MOONLET_BUILD names the directory of moonletd. A sequence is made of the seed and its number
alone: SEED/NUMBER as the seed repeats that one."""

import os
import pathlib
import random
import select
import shutil
import socket
import struct
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
os.environ.setdefault("MOONLET_SOURCE", str(HERE.parent.parent))
os.environ.setdefault("MOONLET_LUA", "5.4")
os.environ.setdefault("MOONLET_REAL_LUA", shutil.which("lua5.4") or shutil.which("lua") or "/usr/bin/lua")

import client  # noqa: E402
from conftest import PATIENCE, Zygote  # noqa: E402

INTERESTING = [0, 1, 2, 249, 250, 251, 352, 4096, 4097, 1 << 16, 1 << 22, 1 << 24, (1 << 24) + 1, 0x7fffffff, 0x80000000,
               0xfffffffe, 0xffffffff]
# (offset, struct's kind) of the header's fields, without the resource limits and what makes a signal blocked.
FIELDS = [(0, "I"), (4, "H"), (6, "H"), (8, "I"), (12, "I"), (16, "I"), (20, "I"), (24, "I"), (28, "I"), (32, "I"),
          (36, "I"), (40, "I"), (44, "I")]
BRIEF = ["", "os.exit(3)", "error('x')", "os.exit(true, true)"]
ENDLESS = ["while true do end", "io.read('a')", "print(('x'):rep(1 << 20))"]  # until their client leaves


class OddDescriptors:
    """What a client may pass that is no file to read or write."""

    def __init__(self, zygote):
        self.full_reader, self.full = os.pipe()
        os.set_blocking(self.full, False)
        try:
            while True:
                os.write(self.full, bytes(65536))
        except BlockingIOError:
            pass
        self.gone_reader, self.gone = os.pipe()
        os.close(self.gone_reader)
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind("\0moonlet-fuzz-%d" % os.getpid())
        self.listening.listen(1)
        self.own_pair = socket.socketpair()
        self.all = [self.full, self.full_reader, self.gone, self.listening.fileno(), self.own_pair[0].fileno(),
                    os.open("/", os.O_PATH), os.open("/proc/self/mem", os.O_RDWR), os.open("/proc/self/maps", os.O_RDONLY),
                    os.open(f"/proc/{zygote.pid}/fd", os.O_RDONLY), os.open(f"/proc/{zygote.pid}/status", os.O_RDONLY),
                    os.open(zygote.socket, os.O_PATH), os.open("/dev/null", os.O_RDWR), os.open("/dev/full", os.O_RDWR),
                    os.pidfd_open(zygote.pid), os.eventfd(0), os.memfd_create("odd"), select.epoll().fileno()]
        self.all[-1] = os.dup(self.full_reader) if self.all[-1] < 0 else self.all[-1]
        self.directory = os.open("/", os.O_PATH | os.O_DIRECTORY)


class Sequence:
    MOST_STEPS = 12
    MOST_OPEN = 4

    def __init__(self, zygote, odd, choose):
        self.zygote, self.odd, self.choose = zygote, odd, choose
        self.connections = []
        self.steps = []

    def connect(self):
        if len(self.connections) == self.MOST_OPEN:
            self.vanish()
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(self.zygote.socket)
        self.connections.append(connection)

    def one(self):
        if not self.connections:
            self.connect()
        return self.choose.choice(self.connections)

    def data(self, scripts):
        """A request, most often with something wrong in it, and how many descriptors shall go along."""
        choose = self.choose
        count = choose.choice([0, 1, 3, 3, 3, 8, 260])
        numbers = dict.fromkeys(range(count))
        if choose.randrange(4) == 0:
            numbers = dict.fromkeys(sorted(choose.sample(range(300), min(count, 8))))
        argv = ["lua", "-e", choose.choice(scripts)][:choose.choice([1, 3, 3, 3])]
        env = choose.choice([[], ["A=1"], ["x" * 9000] * 2, ["LD_PRELOAD=x"], ["LUA_INIT=error()"], ["A"] * 2000])
        fixed, variable = client.request(argv, env, numbers)
        data = bytearray(fixed + variable)
        for _ in range(choose.choice([0, 0, 1, 1, 2, 8])):
            if choose.randrange(2) == 0:
                offset, kind = choose.choice(FIELDS)
                value = choose.choice([*INTERESTING, choose.getrandbits(32)])
                struct.pack_into("=" + kind, data, offset, value & (0xffff if kind == "H" else 0xffffffff))
            elif choose.randrange(2) == 0:  # a length, or a number, or a string
                data[choose.randrange(352, len(data))] = choose.randrange(256)
            else:
                struct.pack_into("=I", data, choose.randrange(352, len(data) - 4) & ~3, choose.choice(INTERESTING))
        if choose.randrange(4) == 0:
            del data[choose.randrange(len(data)):]
        return bytes(data), len(numbers)

    def send(self):
        """In one message or in pieces, with as many descriptors as belong to it or not."""
        connection = self.one()
        # A script that is given its own client's end of the connection would hear of no end of it; and a child
        # whose half of a request holds it waits for all of its 10 seconds: so this is rare.
        is_own = self.choose.randrange(200) == 0
        data, count = self.data(BRIEF if is_own else BRIEF + ENDLESS)
        kinds = [*self.odd.all, *[connection.fileno()] * (4 if is_own else 0)]
        passed = [self.choose.choice(kinds) for _ in range(count)] + [self.odd.directory]
        if self.choose.randrange(4) == 0:
            passed = passed[self.choose.randrange(len(passed)):] or [self.choose.choice(kinds)]
        cuts = sorted(self.choose.sample(range(len(data) + 1), min(len(data), self.choose.choice([0, 0, 1, 4]))))
        connection.setblocking(False)
        try:
            for start, end in zip([0, *cuts], [*cuts, len(data)]):
                if start < end:
                    socket.send_fds(connection, [data[start:end]], passed[:250])
                    passed = passed[250:] if self.choose.randrange(3) else []
        except (BrokenPipeError, ConnectionResetError, BlockingIOError):
            pass
        except OSError as error:
            if error.errno not in (109, 40):  # ETOOMANYREFS: descriptors in flight. ELOOP: sockets within sockets
                raise
        connection.settimeout(PATIENCE)

    def half_close(self):
        try:
            self.one().shutdown(self.choose.choice([socket.SHUT_WR, socket.SHUT_RD]))
        except OSError:
            pass

    def vanish(self):
        if self.connections:
            self.connections.pop(self.choose.randrange(len(self.connections))).close()

    def listen(self):
        """Reads what is said so far, or a byte of it."""
        connection = self.one()
        connection.setblocking(False)
        try:
            connection.recv(self.choose.choice([1, 8, 600]))
        except (BlockingIOError, ConnectionResetError):
            pass
        connection.settimeout(PATIENCE)

    def wait(self):
        time.sleep(self.choose.choice([0, 0.001, 0.005]))  # no event: it is the client that dawdles

    def launch(self):
        status = self.choose.randrange(256)
        assert serve(self.zygote, status) == status

    def run(self):
        steps = [self.connect, self.send, self.send, self.send, self.half_close, self.vanish, self.listen, self.wait]
        for _ in range(self.choose.randrange(2, self.MOST_STEPS)):
            step = self.choose.choice(steps)
            self.steps.append(step.__name__)
            step()
        if self.choose.randrange(4) == 0:
            self.steps.append("launch")
            self.launch()
        for connection in self.connections:
            connection.close()


def serve(zygote, status):
    null = os.open("/dev/null", os.O_RDWR)
    try:
        return client.launch(zygote.socket, ["lua", "-e", f"os.exit({status})"], fds={0: null, 1: null, 2: null})
    finally:
        os.close(null)


def settle(zygote):
    """Waits until nothing is left of any client: the descriptors that the zygote has then."""
    end = time.monotonic() + PATIENCE
    assert serve(zygote, 7) == 7  # whatever came before it has been accepted
    while not zygote.is_idle():
        assert zygote.process.poll() is None, "moonletd has ended"
        assert time.monotonic() < end, f"children {zygote.children()}, descriptors {zygote.descriptors()}"
        os.sched_yield()
    return zygote.descriptors()


def main():
    count = int(sys.argv[1])
    seed = sys.argv[2] if len(sys.argv) > 2 else str(random.SystemRandom().getrandbits(32))
    names = [seed] if "/" in seed else [f"{seed}/{number}" for number in range(count)]
    print(f"sequences: {len(names)}, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="moonlet-fuzz-") as directory:
        zygote = Zygote(directory)
        odd = OddDescriptors(zygote)
        before = settle(zygote)
        launches = steps = 0
        for name in names:
            sequence = Sequence(zygote, odd, random.Random(name))
            try:
                sequence.run()
                after = settle(zygote)
                assert after == before, f"descriptors {after}, not {before}"
            except BaseException:
                print(f"sequences: broken by seed {name}: {sequence.steps}\n{zygote.log()[-2000:]}", file=sys.stderr)
                zygote.process.kill()
                raise
            launches += 1 + sequence.steps.count("launch")
            steps += len(sequence.steps)
        assert zygote.stop() == 0, zygote.log()[-2000:]
    print(f"sequences: {len(names)} of {steps} steps ran, {launches} launches ended as they should, 0 findings")


if __name__ == "__main__":
    main()
