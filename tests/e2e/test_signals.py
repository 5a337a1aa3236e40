"""Signals that are sent to moonlet are those that the script gets, and the other way round."""

import ctypes
import os
import resource
import select
import signal
import subprocess

import pytest
from conftest import (BY_MOONLET, FIRST_REAL_TIME, PATIENCE, THAW, Result, about_moonletd, both, environment, may_be_cold,
                      wait_gone)

PROBE = "local probe = require 'probe' "
HANDLES = PROBE + """
    for i = 1, #arg do probe.catch(tonumber(arg[i])) end
    print(probe.pid()) io.flush()
    while true do
        local number = probe.next_signal()
        print('got', number) io.flush()
        if number == 15 then os.exit(4) end
    end
"""
WAITS = PROBE + "print(probe.pid()) io.flush() while true do probe.pause() end"


def test_a_script_that_handles_signals_gets_them(same, launch):
    handled = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM,
               signal.SIGWINCH, signal.SIGCHLD, signal.SIGURG, signal.SIGPIPE, signal.SIGCONT, signal.SIGTSTP,
               signal.SIGTTIN, signal.SIGTTOU, signal.SIGIO, signal.SIGPWR, FIRST_REAL_TIME, 50, 64, signal.SIGTERM]

    def scenario(program, env):
        running = launch(program, env, HANDLES, *[str(int(number)) for number in handled])
        running.hear()
        heard = []
        for number in handled:
            running.kill(number)
            heard.append(running.hear())
        return heard, running.end()

    heard, result = both(same, scenario)
    assert heard == [f"got\t{int(number)}" for number in handled]
    assert result.status == 4


def test_a_signal_without_a_handler_kills(same, launch):
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT, signal.SIGALRM, 40):
        def scenario(program, env):
            running = launch(program, env, WAITS, preexec_fn=lambda: __import__("resource").setrlimit(4, (0, 0)))
            running.hear()
            running.kill(number)
            return running.end()

        assert both(same, scenario).status == -number


def test_an_interrupt_is_lua_s_own_error(same, launch):
    def scenario(program, env):
        running = launch(program, env, "if jit then jit.off() end print('ready') io.flush() while true do end", name="lua")
        running.hear()
        running.kill(signal.SIGINT)
        result = running.end()
        # Where in the loop it is met is chance.
        return result.status, result.out, b" interrupted!\nstack traceback:\n" in result.err

    assert both(same, scenario)[2]


def test_a_script_that_is_killed_takes_its_client_with_it(same, launch):
    def scenario(program, env):
        running = launch(program, env, WAITS)
        os.kill(int(running.hear()), signal.SIGKILL)
        return running.end()

    assert both(same, scenario).status == -signal.SIGKILL


def test_a_client_that_is_killed_takes_its_script_with_it(same, launch):
    """Also one that would not die of anything less."""
    def scenario(program, env):
        running = launch(program, env, HANDLES, "1", "2", "13", "15")
        script = int(running.hear())
        running.kill(signal.SIGKILL)
        status = running.end().status
        wait_gone(script)
        return status

    assert both(same, scenario) == -signal.SIGKILL


def state_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]


def wait_for_state(pid, state):
    while state_of(pid) != state:
        os.sched_yield()


def wait_stopped(process):
    """Waits until a child of this process stops, and returns the signal; or until it ends: then None."""
    pid, status = os.waitpid(process.pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return os.WSTOPSIG(status)
    process.returncode = os.waitstatus_to_exitcode(status)
    return None


# SIGSTOP stops the stand-in of a moonletd's child alone.
@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, *([signal.SIGSTOP] if THAW else [])])
def test_stop_and_continue_of_the_client(same, launch, number):
    def scenario(program, env):
        running = launch(program, env, HANDLES, "15", process_group=0)
        script = int(running.hear())
        running.kill(number)
        stopped = wait_stopped(running.process)
        wait_for_state(script, "T")
        running.kill(signal.SIGCONT)
        running.kill(signal.SIGTERM)
        return stopped, running.end()

    # A process group of its own below a living session, as a shell's job is: not orphaned.
    assert both(same, scenario)[0] == number


def test_what_has_stopped_it_once_may_be_handled_the_next_time(same, launch):
    catches = PROBE + """
        local continued, stop = tonumber(arg[1]), tonumber(arg[2])
        probe.catch(15) probe.catch(continued)
        print(probe.pid()) io.flush()
        repeat
            local number = probe.next_signal()
            if number == continued then probe.catch(stop) end
            print('got', number) io.flush()
        until number == 15
    """

    def scenario(program, env):
        running = launch(program, env, catches, str(int(signal.SIGCONT)), str(int(signal.SIGTSTP)), process_group=0)
        running.hear()
        heard = []
        running.kill(signal.SIGTSTP)
        stopped = wait_stopped(running.process)
        for number in (signal.SIGCONT, signal.SIGTSTP, signal.SIGTERM):
            running.kill(number)
            heard.append(running.hear())
        return stopped, heard, running.end()

    assert both(same, scenario)[1] == [f"got\t{number:d}" for number in (signal.SIGCONT, signal.SIGTSTP, signal.SIGTERM)]


def test_a_signal_like_a_farewell_that_is_another_s(same, launch):
    """SIGURG, with a value, as a script's last word has it."""
    libc = ctypes.CDLL(None, use_errno=True)

    def scenario(program, env):
        running = launch(program, env, HANDLES, str(int(signal.SIGURG)), str(int(signal.SIGTERM)))
        running.hear()
        assert libc.sigqueue(running.pid, signal.SIGURG, ctypes.c_void_p(7)) == 0
        heard = running.hear()
        running.kill(signal.SIGTERM)
        return heard, running.end()

    heard, result = both(same, scenario)
    assert heard == f"got\t{signal.SIGURG:d}" and result.status == 4


def test_a_script_that_stops_itself(same, launch):
    def scenario(program, env):
        running = launch(program, env, PROBE + f"print(probe.pid()) io.flush() probe.kill(probe.pid(), {int(signal.SIGSTOP)})"
                         " print('continued') os.exit(5)", process_group=0)
        script = int(running.hear())
        stopped = wait_stopped(running.process)
        wait_for_state(script, "T")
        running.kill(signal.SIGCONT)
        return stopped, running.end()

    stopped, result = both(same, scenario)
    assert stopped == signal.SIGSTOP and result == Result(5, b"continued\n", b"")


def test_timeout(same, tmp_path):
    def scenario(program, env):
        script = tmp_path / "s.lua"
        script.write_text(WAITS.replace("print(probe.pid())", ""))
        done = subprocess.run(["timeout", "0.3", *program.words, str(script)], env=env, capture_output=True)
        return done.returncode, done.stdout, done.stderr

    assert both(same, scenario)[0] == 124


def test_an_alarm_that_was_set_before(same, tmp_path):
    """alarm(2) outlives exec: perl -e 'alarm 1; exec ...' is how timeouts were written."""
    def scenario(program, env):
        return subprocess.run(program.argv("lua", "-e", WAITS.replace("print(probe.pid())", "")), executable=program.program, env=env,
                              preexec_fn=lambda: signal.setitimer(signal.ITIMER_REAL, 0.2)).returncode

    assert both(same, scenario) == -signal.SIGALRM


@about_moonletd
def test_the_zygote_is_killed_while_a_script_runs(start_zygote, launch):
    """The script goes on, takes signals, and its own exit status still arrives."""
    for end, status in (("os.exit(6)", 6), ("return", 0), ("error('x', 0)", 1), ("probe.exit(9)", 9)):
        zygote = start_zygote()
        env = environment(MOONLET_SOCKET=zygote.socket)
        running = launch(BY_MOONLET, env, PROBE + f"probe.catch({int(signal.SIGUSR1)}) print(probe.pid()) io.flush() print(probe.next_signal())"
                         " io.flush() io.read() " + end)
        script = int(running.hear())
        zygote.process.kill()
        zygote.process.wait()
        running.kill(signal.SIGUSR1)
        assert running.hear() == str(int(signal.SIGUSR1))
        running.say("")
        assert running.end().status == status
        wait_gone(script)


@about_moonletd
def test_the_zygote_is_killed_while_a_client_has_no_descriptor_left(start_zygote, launch):
    """Three are what moonlet opens before its script starts. The script's pidfd must still find room."""
    zygote = start_zygote()
    # So few are not enough for a thaw.
    env = may_be_cold(environment(MOONLET_SOCKET=zygote.socket))
    running = launch(BY_MOONLET, env, "print('ready') io.flush() io.read() os.exit(6)",
                     preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6)))
    assert running.hear() == "ready"
    zygote.process.kill()
    zygote.process.wait()
    running.say("")
    assert running.end().status == 6


@about_moonletd
def test_the_zygote_is_killed_and_the_script_dies_of_a_signal(start_zygote, launch):
    """Who serves outlives who has started it, until the last script has ended."""
    zygote = start_zygote()
    running = launch(BY_MOONLET, environment(MOONLET_SOCKET=zygote.socket), WAITS)
    running.hear()
    server = zygote.server
    zygote.process.kill()
    zygote.process.wait()
    running.kill(signal.SIGTERM)
    assert running.end() == Result(-signal.SIGTERM, b"", b"")
    wait_gone(server)


@about_moonletd
@pytest.mark.parametrize("end", ["os.exit(6)", "os.execute('kill -9 $PPID')"])
def test_who_serves_is_killed_while_a_script_runs(start_zygote, launch, end):
    """Nobody is left who could tell how it ended. moonletd ends too, so that a supervisor starts it again."""
    zygote = start_zygote()
    running = launch(BY_MOONLET, environment(MOONLET_SOCKET=zygote.socket), "print('ready') io.flush() io.read() " + end)
    assert running.hear() == "ready"
    os.kill(zygote.server, signal.SIGKILL)
    assert zygote.process.wait(PATIENCE) == 1
    assert not os.path.exists(zygote.socket)
    running.say("")
    result = running.end()
    assert result.status == 125 and b"moonletd is gone" in result.err, result


@about_moonletd
def test_the_zygote_stops_and_running_scripts_go_on(start_zygote, launch):
    for number in (signal.SIGTERM, signal.SIGINT):
        zygote = start_zygote()
        running = launch(BY_MOONLET, environment(MOONLET_SOCKET=zygote.socket),
                         PROBE + "print(probe.pid()) io.flush() print(io.read()) os.exit(8)")
        running.hear()
        zygote.process.send_signal(number)
        assert zygote.process.wait(PATIENCE) == 0
        assert not os.path.exists(zygote.socket)
        running.say("still here")
        assert running.end() == Result(8, b"still here\n", b"")


@about_moonletd
def test_a_signal_before_the_script_starts_means_the_client(tmp_path):
    """A zygote that does not answer holds up nobody who can be killed."""
    import socket
    path = str(tmp_path / "mute.sock")
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(path)
        mute.listen(1)
        process = subprocess.Popen([*BY_MOONLET.words, "-e", "print(1)"], env=environment(MOONLET_SOCKET=path))
        connection, _ = mute.accept()
        connection.recv(1)
        process.terminate()
        assert process.wait(PATIENCE) == -signal.SIGTERM
        connection.close()


@about_moonletd
def test_a_client_that_waits_takes_no_processor_time(start_zygote, launch):
    """Also where a signal that it must not take is pending: it waits for its turn, and the script gets it."""
    zygote = start_zygote(options=["--max", "1"])
    env = environment(MOONLET_SOCKET=zygote.socket)
    first = launch(BY_MOONLET, env, "print('runs') io.flush() io.read()")
    first.hear()

    def block_and_raise():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        os.kill(os.getpid(), signal.SIGUSR1)

    second = launch(BY_MOONLET, env, PROBE + "probe.pause()", preexec_fn=block_and_raise)
    wait_for_state(second.pid, "S")

    def ticks():
        with open(f"/proc/{second.pid}/stat") as stat:
            return sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))

    before = ticks()
    subprocess.run(["sleep", "0.5"], check=True)
    assert ticks() <= before + 2
    second.kill(signal.SIGTERM)  # while it waits, a signal means it
    assert second.process.wait(PATIENCE) == -signal.SIGTERM  # not its output's end: that waits in the queue
    first.say("")
    assert first.end().status == 0
