"""Clients and scripts that take all they can get: others get service within a bound, which docs/security.md states."""

import array
import contextlib
import fcntl
import os
import pathlib
import resource
import select
import signal
import socket
import struct
import subprocess
import termios
import time

import client
import pytest
from conftest import BUILD, BY_MOONLET, MOONLETD, PATIENCE, environment, needs_root, run, serves_other_users
from test_hostile import answer, connected, send, serves, settled

ATTENTION = 10  # seconds that moonletd has for the rest of a request (kPatience in src/child/request.cc)
AT_ONCE = 5  # seconds: no bound of moonletd's own, but far below that one, on a machine with other things to do
LARGE = 1 << 20  # bytes of a request that never comes


@contextlib.contextmanager
def descriptors(count):
    """Room for as many in this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < count + 100:
        pytest.skip(f"NEEDS {count} DESCRIPTORS: the hard limit here is {before[1]}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def user(uid):
    """Who connects is that one, to the kernel."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


def takes(action, *arguments):
    start = time.monotonic()
    assert action(*arguments)
    return time.monotonic() - start


@pytest.mark.parametrize("options", [[], ["--max", "1"]], ids=["no limit", "one at once"])
def test_two_thousand_clients_that_send_nothing(start_zygote, options):
    zygote = start_zygote(options=options)
    before = settled(zygote)
    with descriptors(2000), contextlib.ExitStack() as idle:
        for _ in range(2000):
            idle.enter_context(connected(zygote))
        for _ in range(5):
            assert takes(serves, zygote) < AT_ONCE
    assert settled(zygote) == before


@serves_other_users
def test_more_clients_than_may_wait(start_zygote):
    """Of those that send nothing the oldest are hung up on: each turn and each fork takes longer for every one."""
    zygote = start_zygote()
    with descriptors(5000), contextlib.ExitStack() as idle:
        first = idle.enter_context(connected(zygote))
        for _ in range(4999):
            idle.enter_context(connected(zygote))
        assert takes(serves, zygote) < AT_ONCE
        assert answer(first) is None
        assert len(zygote.descriptors()) < 4200


@needs_root
@serves_other_users
def test_idle_clients_of_two_users_by_turns(start_zygote, open_directory):
    """Under a limit each user has a share: to see whether there is room for one does not take all others."""
    zygote = start_zygote(options=["--max", "4", "--mode", "0666", "--socket", str(open_directory / "s")])
    zygote.socket = str(open_directory / "s")
    with descriptors(4000), contextlib.ExitStack() as idle:
        for i in range(4000):
            with user(65534 - i % 2):
                idle.enter_context(connected(zygote))
        assert takes(serves, zygote) < AT_ONCE / 5


def begin_large(connection, *fds):
    """The beginning of a request of which more is to come than will."""
    fixed, _ = client.request(["client", "-e", "x" * LARGE], [], {})
    send(connection, fixed, fds)


def test_requests_that_never_end_hold_up_nobody(start_zygote):
    """A byte now and then gains no time, nor does a client that leaves its own end of the connection in the request,
    so that moonletd cannot see that it has gone. Each is told, or forgotten, when its ten seconds are over."""
    zygote = start_zygote()
    before = settled(zygote)
    start = time.monotonic()
    slow = [connected(zygote) for _ in range(40)]
    for connection in slow:
        begin_large(connection)
    for _ in range(40):
        with connected(zygote) as connection:
            begin_large(connection, connection.fileno())
    waiting = list(slow)
    last = time.monotonic() + PATIENCE
    while waiting:
        assert time.monotonic() < last
        assert takes(serves, zygote) < AT_ONCE
        for connection in list(waiting):
            if select.select([connection], [], [], 0)[0]:
                assert answer(connection)[0] == client.DECLINED
                assert time.monotonic() - start > ATTENTION - 1  # it counts in whole seconds
                waiting.remove(connection)
            else:
                send(connection, b"x")
    for connection in slow:
        connection.close()
    assert settled(zygote) == before


def test_requests_that_never_end_under_a_limit(start_zygote):
    """With --max they do hold up others of their user: for ten seconds at most."""
    zygote = start_zygote(options=["--max", "2"])
    for _ in range(2):
        with connected(zygote) as connection:
            begin_large(connection, connection.fileno())
    assert takes(serves, zygote) < ATTENTION + AT_ONCE


def test_a_script_that_eats_all_memory(start_zygote):
    """Under a limit it ends as under lua; until then others are served."""
    zygote = start_zygote()
    eat = "local t = {} print('eating') io.stdout:flush() io.read() for i = 1, math.huge do t[i] = ('x'):rep(1 << 20) .. i end"
    with subprocess.Popen(["prlimit", f"--as={1 << 28}", *BY_MOONLET.words, "-e", eat], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=environment(MOONLET_SOCKET=zygote.socket)) as eater:
        assert eater.stdout.readline() == b"eating\n"
        eater.stdin.close()
        while eater.poll() is None:
            assert takes(serves, zygote) < AT_ONCE
        assert eater.returncode == 1 and eater.stderr.read().endswith(b": not enough memory\n")


@needs_root
def test_a_script_that_forks_without_end(start_zygote, open_directory):
    """Its user's limit on processes is the end of it; other users are served."""
    path = str(open_directory / "s")
    env = environment(LUA_CPATH=f"{open_directory}/?.so")
    zygote = start_zygote(options=["--mode", "0666", "--socket", path], env=env)
    zygote.socket = path
    probe = pathlib.Path(BUILD, "modules", "probe.so").read_bytes()
    (open_directory / "probe.so").write_bytes(probe)
    env["MOONLET_SOCKET"] = path
    bomb = """
local probe = require 'probe'
print(probe.pid()) io.stdout:flush()
while probe.fork() >= 0 do end
print('full') io.stdout:flush()
probe.pause()
"""
    who = dict(user=54321, group=54321, extra_groups=[], cwd="/")
    with subprocess.Popen(["prlimit", "--nproc=60", *BY_MOONLET.words, "-e", bomb], stdout=subprocess.PIPE, env=env, **who) as bomber:
        script = int(bomber.stdout.readline())
        try:
            assert bomber.stdout.readline() == b"full\n"
            for other in (dict(), dict(user=65534, group=65534, extra_groups=[])):
                assert takes(lambda: run(BY_MOONLET, ["lua", "-e", "print(1)"], env, cwd="/", **other).out == b"1\n") < AT_ONCE
        finally:
            os.killpg(script, signal.SIGKILL)
        assert bomber.wait(PATIENCE) == -signal.SIGKILL


def lingering(listener):
    """A TCP socket whose last close waits until `listener` reads, which it does not."""
    connection = socket.create_connection(listener.getsockname())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 10 * PATIENCE))
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            connection.send(bytes(LARGE))
    return connection


@needs_root
@serves_other_users
def test_descriptors_whose_close_takes_long(start_zygote, open_directory):
    """They lie in a request of another user that waits for its turn, and whose client leaves."""
    zygote = start_zygote(options=["--max", "2", "--mode", "0666", "--socket", str(open_directory / "s")])
    zygote.socket = str(open_directory / "s")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with user(65534):
            running, waiting = connected(zygote), connected(zygote)
        with running, waiting:
            send(running, b"M")  # of a request that lasts: that user's share
            with lingering(listener) as slow:
                send(waiting, b"M", [slow.fileno()])
            waiting.close()
        assert takes(serves, zygote) < AT_ONCE
    while zygote.children():  # nor is anything left of whatever closed them
        os.sched_yield()


def test_a_script_that_stops_again_and_again_for_who_does_not_read(start_zygote):
    """What its client is told has no room any more, and is lost."""
    zygote = start_zygote()
    with connected(zygote) as connection:
        stop = "local probe = require 'probe' while true do probe.kill(probe.pid(), 19) end"
        client.send(connection, ["client", "-e", stop], environment(), {}, "/")
        kind, script, *_ = client.receive(connection)
        assert kind == client.STARTED
        unread = array.array("i", [0])
        before = -1
        while unread[0] > before:
            before = unread[0]
            wait_stopped(script)
            assert takes(serves, zygote) < AT_ONCE  # and what has stopped before has been noticed
            fcntl.ioctl(connection, termios.FIONREAD, unread)
            os.kill(script, signal.SIGCONT)
    assert settled(zygote)


def wait_stopped(pid):
    while "\nState:\tT" not in pathlib.Path(f"/proc/{pid}/status").read_text():
        os.sched_yield()


def fill(terminal, most=LARGE):
    """Writes as many bytes, or as many as there is room for, and returns how many that were."""
    own = os.open(os.ttyname(terminal), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    written = 0
    with contextlib.suppress(BlockingIOError):
        while written < most:
            written += os.write(own, b"x" * min(64, most - written))
    os.close(own)
    return written


@serves_other_users
def test_a_log_on_a_terminal_that_nobody_reads(tmp_path):
    """One has room for a byte where it has none for a line."""
    path = str(tmp_path / "s")
    ready, told = os.pipe()
    others_reader, other = os.openpty()
    reader, terminal = os.openpty()
    fill(terminal, fill(other) - 2000)
    process = subprocess.Popen([MOONLETD, "--socket", path, "--ready-fd", str(told)], stderr=terminal, pass_fds=(told,),
                               env=environment())
    os.close(told)
    assert os.read(ready, 1) == b"\n"
    os.close(ready)
    for _ in range(100):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(path)
            connection.sendall(bytes(352))
            assert client.receive(connection)[0] == client.DECLINED
    assert run(BY_MOONLET, ["lua", "-e", "print('served')"], environment(MOONLET_SOCKET=path)).out == b"served\n"
    process.terminate()
    assert process.wait(PATIENCE) == 0
    for descriptor in (others_reader, other, reader, terminal):
        os.close(descriptor)


def test_a_log_on_a_full_disk(tmp_path):
    path = str(tmp_path / "s")
    ready, told = os.pipe()
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen([MOONLETD, "--socket", path, "--ready-fd", str(told)], stderr=full, pass_fds=(told,),
                                   env=environment())
    os.close(told)
    assert os.read(ready, 1) == b"\n"
    os.close(ready)
    env = environment(MOONLET_SOCKET=path)
    with socket.socket(socket.AF_UNIX) as connection:  # what a child has to say is lost too
        connection.connect(path)
        connection.sendall(bytes(4096))
        assert client.receive(connection)[0] == client.DECLINED
    assert run(BY_MOONLET, ["lua", "-e", "print('served')"], env).out == b"served\n"
    process.terminate()
    assert process.wait(PATIENCE) == 0
