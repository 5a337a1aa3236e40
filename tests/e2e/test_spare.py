"""--spare: children that are forked ahead. (All other tests of launches run with spares too: ctest -R spare.)"""

import os
import signal
import subprocess

import pytest

from conftest import (BY_MOONLET, COMPARE, LUA, MOONLETD, PATIENCE, Pair, Result, environment, needs_root, run,
                      wait_gone)

ALL = "local t = {} for i = 1, 4 do t[i] = math.random(1, 1 << 30) end print(table.concat(t, ' '))"


def is_spare(pid):
    """A child that has become a script has another name."""
    try:
        with open(f"/proc/{pid}/comm") as comm:
            return comm.read() == "moonletd\n"
    except (FileNotFoundError, ProcessLookupError):
        return False


def spares(zygote, count):
    """Waits until that many spares are there, of a zygote without launches, and returns their pids."""
    while True:
        children = zygote.children()
        if len(children) == count and all(map(is_spare, children)):
            return children
        os.sched_yield()


def launch(zygote, code):
    return run(BY_MOONLET, ["lua", "-e", code], environment(MOONLET_SOCKET=zygote.socket))


def test_a_launch_takes_the_spare_and_another_is_forked(start_zygote):
    zygote = start_zygote(options=["--spare", "1"])
    for _ in range(5):
        (spare,) = spares(zygote, 1)
        result = launch(zygote, "print(require 'probe'.pid())")
        assert result == Result(0, b"%d\n" % spare, b"")
        wait_gone(spare)


def test_more_launches_than_spares(start_zygote, tmp_path):
    zygote = start_zygote(options=["--spare", "2"])
    spares(zygote, 2)
    env = environment(MOONLET_SOCKET=zygote.socket)
    running = [subprocess.Popen(BY_MOONLET.argv("lua", "-e", "io.write(io.read('*a'))"),
                                executable=BY_MOONLET.program, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
               for _ in range(20)]
    for number, process in enumerate(running):
        assert process.communicate(b"%d" % number, timeout=PATIENCE)[0] == b"%d" % number
        assert process.returncode == 0
    spares(zygote, 2)


def test_a_spare_that_dies_is_replaced(start_zygote):
    zygote = start_zygote(options=["--spare", "2"])
    before = spares(zygote, 2)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
        wait_gone(pid)
    assert launch(zygote, "print 'served'").out == b"served\n"
    while len(zygote.children()) != 2 or set(zygote.children()) & set(before):
        os.sched_yield()
    assert f"spare {before[0]} has ended" in zygote.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_a_spare_is_not_its_script_s(start_zygote, number):
    zygote = start_zygote(options=["--spare", "1"])
    (spare,) = spares(zygote, 1)
    os.kill(spare, number)
    wait_gone(spare)
    assert launch(zygote, "print 'served'") == Result(0, b"served\n", b"")


def test_a_stopped_spare_holds_up_one_launch_alone(start_zygote):
    """Who stops a spare stops the script that it becomes; it goes on when it is continued."""
    zygote = start_zygote(options=["--spare", "1"])
    (spare,) = spares(zygote, 1)
    os.kill(spare, signal.SIGSTOP)
    env = environment(MOONLET_SOCKET=zygote.socket)
    held = subprocess.Popen(BY_MOONLET.argv("lua", "-e", "print 'held'"), executable=BY_MOONLET.program, env=env, stdout=subprocess.PIPE)
    while len(zygote.children()) < 2:  # it has been handed its launch, and been replaced
        os.sched_yield()
    assert launch(zygote, "print 'served'").out == b"served\n"
    os.kill(spare, signal.SIGCONT)
    assert held.communicate(timeout=PATIENCE)[0] == b"held\n"


def test_spares_end_with_the_zygote(start_zygote):
    for number in (signal.SIGTERM, signal.SIGKILL):
        zygote = start_zygote(options=["--spare", "3"])
        pids = spares(zygote, 3)
        os.kill(zygote.pid, number)
        zygote.process.wait(PATIENCE)
        for pid in pids:
            wait_gone(pid)


def test_spares_do_not_count_towards_max(start_zygote, tmp_path):
    zygote = start_zygote(options=["--spare", "2", "--max", "1"])
    spares(zygote, 2)
    log = tmp_path / "log"
    script = f"local f = io.open('{log}', 'a') f:write('in ') f:flush() f:write('out ') f:close()"
    env = environment(MOONLET_SOCKET=zygote.socket)
    running = [subprocess.Popen(BY_MOONLET.argv("lua", "-e", script), executable=BY_MOONLET.program, env=env) for _ in range(10)]
    assert [process.wait(PATIENCE) for process in running] == [0] * 10
    assert log.read_text() == "in out " * 10


def test_spares_have_random_numbers_of_their_own(start_zygote):
    zygote = start_zygote(options=["--spare", "2"])
    if LUA in ("5.4", "5.5"):
        assert len({launch(zygote, ALL).out for _ in range(8)}) == 8
    else:  # as in lua: the same ones each time
        code = ALL.replace("1 << 30", "1000000")
        assert len({launch(zygote, code).out for _ in range(8)}) == 1
        Pair(zygote)("-e", code)


@needs_root
def test_a_spare_of_root_serves_another_user_as_that_user(start_zygote, open_directory):
    path = open_directory / "socket"
    process = subprocess.Popen([MOONLETD, "--socket", path, "--mode", "666", "--spare", "1", "--ready-fd", "1", *COMPARE],
                               stdout=subprocess.PIPE, env=environment())
    try:
        assert process.stdout.read(1) == b"\n"
        for _ in range(3):
            done = subprocess.run(BY_MOONLET.argv("lua", "-e", "local f = io.open('/proc/self/status') for line in f:lines() do"
                                   " if line:find('^[UG]id:') or line:find('^Groups:') then print(line) end end"),
                                  executable=BY_MOONLET.program, env=environment(MOONLET_SOCKET=str(path)), capture_output=True,
                                  user=65534, group=65534, extra_groups=[7, 8], cwd="/")
            assert done.stdout.split() == (b"Uid: 65534 65534 65534 65534 Gid: 65534 65534 65534 65534 Groups: 7 8"
                                           .split()), done
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_how_many_spares_may_be_asked_for():
    for wrong in ("-1", "x", "", "1001"):
        done = run(MOONLETD, ["moonletd", "--spare", wrong], environment())
        assert done.status == 1 and b"--spare: '%s' is no number" % wrong.encode() in done.err
