"""Clients that are broken or mean: the server keeps serving, says what was wrong, and keeps nothing of them."""

import contextlib
import os
import pathlib
import random
import resource
import signal
import socket
import struct
import subprocess

import client
import pytest
from conftest import BY_MOONLET, LUA, MOONLETD, PATIENCE, SANITIZED, environment, needs_root, run

FIXED, VARIABLE = client.request(["client", "-e", "print(1)"], ["A=1"], {})


def changed(offset, kind, value):
    """A request with one field of its fixed part replaced."""
    data = bytearray(FIXED)
    struct.pack_into("=" + kind, data, offset, value)
    return bytes(data)


MAGIC, VERSION, SIZE, ARGC, ENVC, FDC, BYTES, LUA_CODE = 0, 4, 6, 8, 12, 16, 20, 24
LIES = [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 1 << 24, 1 << 22]

BAD = {
    "garbage": os.urandom(4096),
    "a request of HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20,
    "another magic": changed(MAGIC, "I", 0) + VARIABLE,
    "another version": changed(VERSION, "H", 77) + VARIABLE,
    "another size": changed(SIZE, "H", 8) + VARIABLE,
    "no arguments": changed(ARGC, "I", 0) + VARIABLE,
    "a length of 0": FIXED + struct.pack("=I", 0) + VARIABLE[4:],
    "a length that is too large": FIXED + struct.pack("=I", 0xffffffff) + VARIABLE[4:],
    "a length that is too small": FIXED + struct.pack("=I", 1) + VARIABLE[4:],
    "strings without an end": FIXED + VARIABLE.replace(b"\0", b"x"),
    "zeros": bytes(100_000),
    "ones": b"\xff" * 100_000,
}
BAD.update({f"field {offset} is {value:#x}": changed(offset, "I", value) + VARIABLE
            for offset in (ARGC, ENVC, FDC, BYTES) for value in LIES if value not in (0, 1, 3) or offset != ENVC})
del BAD[f"field {FDC} is 0x0"]


def connected(zygote):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    connection.connect(zygote.socket)
    return connection


def send(connection, data, fds=()):
    """Sends what the server takes: it may hang up on the way."""
    try:
        if fds:
            socket.send_fds(connection, [data], list(fds))
        else:
            connection.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass


def answer(connection):
    """The first report, or None at the end of the connection."""
    try:
        return client.receive(connection)
    except (EOFError, ConnectionResetError):
        return None


def serves(zygote):
    return run(BY_MOONLET, ["lua", "-e", "print('served')"], environment(MOONLET_SOCKET=zygote.socket)).out == b"served\n"


def settled(zygote):
    """Waits until nothing is left of any client, and returns how many descriptors are open."""
    assert serves(zygote)  # whatever came before it has been accepted
    while not zygote.is_idle():
        os.sched_yield()
    return len(zygote.descriptors())


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request(zygote, name):
    """It is told why, or hung up on; nothing runs; the next is served; the log has a line of that, once."""
    before = len(zygote.log().splitlines())
    with connected(zygote) as connection:
        directory = os.open("/", os.O_PATH)
        send(connection, BAD[name], [directory])
        os.close(directory)
        connection.shutdown(socket.SHUT_WR)
        first = answer(connection)
        assert first is None or first[0] == client.DECLINED, first
        reason = connection.recv(first[1]).decode() if first is not None else ": "
    assert serves(zygote)
    log = zygote.log().splitlines()
    assert len(log) <= before + 1 and log[-1].startswith("moonletd: "), log
    assert [line.endswith(f": {reason}") for line in log].count(True) <= 1, log


def test_the_log_says_what_was_wrong(start_zygote):
    for data, expected in ((BAD["garbage"], "not a moonlet request"), (BAD["another version"], "another version"),
                           (BAD["a length of 0"], "its strings are out of bounds"), (FIXED[:100], "in the middle"),
                           (FIXED + VARIABLE, "descriptors do not match")):
        zygote = start_zygote()
        with connected(zygote) as connection:
            send(connection, data)
            connection.shutdown(socket.SHUT_WR)
            assert answer(connection)[0] == client.DECLINED
        line = zygote.log().splitlines()[-1]
        assert expected in line and f"pid {os.getpid()}" in line, (expected, zygote.log())


def test_a_request_for_another_lua(zygote):
    codes = {"5.1": 501, "5.2": 502, "5.3": 503, "5.4": 504, "5.5": 505, "luajit": 0x10000}
    for code in (*codes.values(), 0, 1):
        with connected(zygote) as connection:
            directory = os.open("/", os.O_PATH)
            send(connection, changed(LUA_CODE, "I", code) + VARIABLE, [directory])
            os.close(directory)
            kind, value, *_ = answer(connection)
            if code in (0, codes[LUA]):
                assert kind == client.STARTED, code
            else:
                assert kind == client.DECLINED and b"this moonletd is for" in connection.recv(value), code


def test_too_many_descriptors_and_none(zygote):
    null = os.open("/dev/null", os.O_RDONLY)
    try:
        for count in (1, 2, 100, 253):
            with connected(zygote) as connection:
                send(connection, FIXED + VARIABLE, [null] * count)
                # One is what this request passes, but a file is no directory.
                assert answer(connection)[0] == client.DECLINED
        with connected(zygote) as connection:
            for _ in range(20):
                send(connection, FIXED[:10], [null] * 253)
            assert answer(connection)[0] == client.DECLINED
        with connected(zygote) as connection:  # two, where one is a directory and the other belongs to no number
            directory = os.open("/", os.O_PATH)
            send(connection, FIXED + VARIABLE, [directory] * 2)
            os.close(directory)
            kind, length, *_ = answer(connection)
            assert kind == client.DECLINED and b"descriptors do not match" in connection.recv(length)
        with connected(zygote) as connection:  # one more than the most with a directory
            for count in [250] * 16 + [98]:
                send(connection, FIXED[:10], [null] * count)
            connection.shutdown(socket.SHUT_WR)
            kind, length = answer(connection)
            assert kind == client.DECLINED and connection.recv(length) == b"too many descriptors"
        with connected(zygote) as connection:
            send(connection, FIXED + VARIABLE)
            assert answer(connection)[0] == client.DECLINED
    finally:
        os.close(null)
    assert serves(zygote)


def test_descriptor_numbers_that_are_wrong(zygote):
    for numbers in ((-1, 5), (5, 5), (7, 3), (0x7fffffff,), (1 << 20,)):
        fixed, variable = client.request(["client", "-e", "print(1)"], [], {})
        fixed = bytearray(fixed)
        struct.pack_into("=I", fixed, FDC, len(numbers))
        lengths = 3 * 4
        variable = variable[:lengths] + struct.pack(f"={len(numbers)}i", *numbers) + variable[lengths:]
        with connected(zygote) as connection:
            directory = os.open("/", os.O_PATH)
            send(connection, bytes(fixed) + variable, [directory] * (len(numbers) + 1))
            os.close(directory)
            assert answer(connection)[0] == client.DECLINED, numbers
    assert serves(zygote)


def test_clients_that_send_nothing_hold_up_nobody(start_zygote):
    zygote = start_zygote(options=["--max", "2"])
    idle = [connected(zygote) for _ in range(200)]
    for _ in range(20):
        assert serves(zygote)
    for connection in idle:
        connection.close()
    assert serves(zygote)
    assert settled(zygote) < 20


def test_clients_that_send_half_hold_up_nobody(start_zygote):
    """Each holds a process until it leaves, or until its time is up (10 seconds)."""
    zygote = start_zygote()
    before = settled(zygote)
    halves = [connected(zygote) for _ in range(30)]
    for i, connection in enumerate(halves):
        send(connection, (FIXED + VARIABLE)[:1 + 12 * i])
    for _ in range(20):
        assert serves(zygote)
    for connection in halves[:15]:
        connection.close()
    for connection in halves[15:]:
        assert answer(connection)[0] == client.DECLINED  # by the end of its patience
        connection.close()
    assert "takes too long" in zygote.log()
    assert settled(zygote) == before


def test_more_connections_than_descriptors(start_zygote):
    """Those that have said nothing give way, and their clients fall back; nobody waits for ever."""
    zygote = start_zygote(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)))
    idle = [connected(zygote) for _ in range(100)]
    env = environment(MOONLET_SOCKET=zygote.socket)
    # The child of such a server has no room for a higher limit than its own, so that this one must be low too.
    lower = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    for _ in range(5):
        assert run(BY_MOONLET, ["lua", "-e", "print('served')"], env, preexec_fn=lower).out == b"served\n"
    assert "descriptors are short" in zygote.log()
    for connection in idle:
        connection.close()


@pytest.mark.parametrize("clients", [500 if SANITIZED else 10_000])
def test_ten_thousand_bad_clients_leave_nothing(start_zygote, clients):
    """Of every kind, in a random but repeatable order; a good one now and then."""
    zygote = start_zygote()
    before = settled(zygote)
    choose = random.Random(4711)
    kinds = list(BAD.values())
    directory = os.open("/", os.O_PATH)
    for turn in range(clients):
        with connected(zygote) as connection:
            kind = choose.randrange(6)
            if kind == 0:
                pass  # nothing
            elif kind == 1:
                send(connection, (FIXED + VARIABLE)[:choose.randrange(1, len(FIXED + VARIABLE))])
            elif kind == 2:
                data = bytearray(FIXED + VARIABLE)
                for _ in range(choose.randrange(1, 20)):
                    data[choose.randrange(16, len(data))] = choose.randrange(256)
                send(connection, bytes(data), [directory])
            else:
                send(connection, choose.choice(kinds), [directory] * choose.randrange(4))
            if choose.randrange(3) == 0:  # one of three stays to hear what is wrong
                connection.shutdown(socket.SHUT_WR)
                answer(connection)
        if turn % 500 == 0:
            assert serves(zygote)
    os.close(directory)
    assert settled(zygote) == before


def test_a_request_of_the_largest_size_and_one_beyond(zygote):
    """As much as exec takes of a program with such a stack: then the next program would be too much."""
    long = "x" * (1 << 16)
    most = min(resource.getrlimit(resource.RLIMIT_STACK)[0] // 4, 6 << 20) if resource.getrlimit(
        resource.RLIMIT_STACK)[0] != resource.RLIM_INFINITY else 6 << 20
    for count, served in ((most // (1 << 16) - 1, True), (most // (1 << 16) + 1, False), (17 << 4, False)):
        arguments = ["client", "-e", "", "-", *[long] * count]
        fixed, variable = client.request(arguments, [], {})
        with connected(zygote) as connection:
            directory = os.open("/", os.O_PATH)
            send(connection, fixed, [directory])
            os.close(directory)
            send(connection, variable)
            kind = answer(connection)[0]
            assert (kind == client.STARTED) == served
    assert serves(zygote)


def test_a_client_that_does_not_read_its_answer(start_zygote):
    zygote = start_zygote()
    before = settled(zygote)
    for _ in range(50):
        with connected(zygote) as connection:
            directory = os.open("/", os.O_PATH)
            send(connection, FIXED + VARIABLE, [directory])
            os.close(directory)
    assert settled(zygote) == before


def test_a_stolen_child_is_no_way_in(zygote):
    """Signals to a child that is about to start do not reach the server: it has a group of its own."""
    result = run(BY_MOONLET, ["lua", "-e", "require('probe').kill(0, 9)"], environment(MOONLET_SOCKET=zygote.socket))
    assert result.status == -9
    assert serves(zygote)


def test_a_script_that_closes_everything(zygote):
    script = "for fd = 0, 1023 do require('probe').close(fd) end os.exit(5)"
    assert run(BY_MOONLET, ["lua", "-e", script], environment(MOONLET_SOCKET=zygote.socket)).status == 5


def fill(pipe):
    own = os.open(f"/proc/self/fd/{pipe}", os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(own, bytes(4096))
    os.close(own)


def test_a_log_that_nobody_reads(tmp_path):
    """A pipe whose reader has gone, and one whose reader sleeps: neither ends nor holds up the server."""
    for reader_stays in (False, True):
        path = str(tmp_path / f"s{reader_stays}")
        reader, writer = os.pipe()
        ready, told = os.pipe()
        process = subprocess.Popen([MOONLETD, "--socket", path, "--ready-fd", str(told)], stderr=writer,
                                   pass_fds=(told,), env=environment())
        os.close(writer)
        os.close(told)
        assert os.read(ready, 1) == b"\n"
        os.close(ready)
        if reader_stays:
            fill(reader)
        else:
            os.close(reader)
        process.send_signal(signal.SIGHUP)  # who keeps the image has to say something
        env = environment(MOONLET_SOCKET=path)
        with socket.socket(socket.AF_UNIX) as connection:  # a child has to say something too
            connection.connect(path)
            connection.sendall(BAD["garbage"])
            assert client.receive(connection)[0] == client.DECLINED
        assert run(BY_MOONLET, ["lua", "-e", "print('served')"], env).out == b"served\n"
        process.terminate()
        assert process.wait(PATIENCE) == 0
        if reader_stays:
            os.close(reader)


@needs_root
def test_a_child_of_root_s_gives_nothing_away_before_it_starts(start_zygote, open_directory):
    """Another user's child that waits for its request holds root's log and environment: nobody may look."""
    path = str(open_directory / "s")
    zygote = start_zygote(options=["--mode", "0666", "--socket", path], env=environment(SECRET="of root"))
    spy = """
import os, socket, struct, sys, time
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.sendall(b'MOON')
children = []
while True:  # until its child has become this user
    children = open(f'/proc/{sys.argv[2]}/task/{sys.argv[2]}/children').read().split()
    if children and f'Uid:\\t{os.getuid()}' in open(f'/proc/{children[0]}/status').read():
        break
child = int(children[0])
for what in ('environ', 'fd', 'mem', 'maps'):
    try:
        os.listdir(f'/proc/{child}/fd') if what == 'fd' else open(f'/proc/{child}/{what}', 'rb').read(1)
        print('may read', what)
    except PermissionError:
        pass
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(438, os.pidfd_open(child), 2, 0) >= 0:
    print('may take its descriptors')
if libc.ptrace(16, child, 0, 0) == 0:
    print('may trace it')
"""
    done = subprocess.run(["/usr/bin/python3", "-c", spy, path, str(zygote.server)], user=65534, group=65534, extra_groups=[],
                          cwd="/", capture_output=True, text=True, timeout=PATIENCE)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
