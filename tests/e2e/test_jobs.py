"""A launch at a terminal is a job of its shell as lua is: Ctrl-Z, fg, bg, kill, hang-up."""

import os
import re
import select
import signal

import pytest
from conftest import PATIENCE, Pair
from test_signals import wait_for_state
from test_terminal import PROMPT, at_terminal


@pytest.fixture(scope="module")
def pair(image):
    return Pair(image)


AT_TERMINAL = """
    local pid, rest = io.open('/proc/self/stat'):read('*a'):match('^(%d+) .*%) (.*)$')
    local state, parent, group, session, terminal, foreground = rest:match('(%S+) (%S+) (%S+) (%S+) (%S+) (%S+)')
    print('leads its group', group == pid, 'in the foreground', foreground == group, 'has a terminal', terminal ~= '0',
          'the session is the shell\\'s', session == parent, 'tty', io.open('/dev/tty') ~= nil)
"""


def test_the_terminal_and_its_foreground(pair, tmp_path):
    def scenario(shell):
        in_front, behind = shell.command("lua look.lua"), shell.command("lua look.lua & wait")
        return in_front, re.search("leads its group.*", behind).group()

    shown = at_terminal(pair, tmp_path, {"look.lua": AT_TERMINAL}, scenario)
    assert shown[0].count("true") == 5 and "in the foreground\tfalse" in shown[1]


ANSWERS = """
    for line in io.lines() do
        if line == 'end' then os.exit(5) end
        print('answered ' .. line) io.flush()
    end
"""


def test_jobs_of_a_shell(pair, tmp_path):
    """Ctrl-Z, bg, fg: the shell hears of each."""
    def scenario(shell):
        def in_the_foreground(command, line):
            shell.type(f"{command}\n{line}\n")
            shell.hear("answered " + line)  # only who is in the foreground gets it

        def stop():
            shell.type("\x1a")
            shell.hear("Stopped")
            shell.hear(PROMPT)

        in_the_foreground("lua answer.lua", "first")
        stop()
        shown = [shell.command("jobs")]
        # It reads from a terminal that is not its own.
        shown.append("status 149" in shell.command("bg; wait %1; echo status $?"))
        in_the_foreground("fg", "second")
        stop()
        in_the_foreground("fg", "third")
        shell.type("end\n")
        shell.hear(PROMPT)
        return shown, shell.command("echo status $?")

    shown = at_terminal(pair, tmp_path, {"answer.lua": ANSWERS}, scenario)
    assert shown[0][1] and "status 5" in shown[1]


def test_a_background_job_that_is_stopped_and_killed(pair, tmp_path):
    def scenario(shell):
        heard = shell.command("lua wait.lua &")
        if "ready" not in heard:
            heard += shell.hear("ready\r\n")
        pid = int(re.search(r"(\d+) is ready", heard).group(1))
        stopped = "status 147" in shell.command("kill -STOP %1; wait %1; echo status $?")
        shell.type("fg; echo status $?\n")
        wait_for_state(pid, "S")
        os.kill(pid, signal.SIGKILL)
        shell.hear("status 137\r\n")
        return stopped

    script = "print(require('probe').pid() .. ' is ready') io.flush() while true do require('probe').pause() end"
    assert at_terminal(pair, tmp_path, {"wait.lua": script}, scenario) is True


def test_a_terminal_that_hangs_up_ends_it(pair, tmp_path):
    script = "print(require('probe').pid(), 'is ready') io.flush() while true do require('probe').pause() end"

    def scenario(shell):
        shell.type("lua wait.lua\n")
        heard = shell.hear("is ready")
        pid = int(heard.split()[-3])
        pidfd = os.pidfd_open(pid)
        os.kill(shell.pid, signal.SIGHUP)
        ended = select.select([pidfd], [], [], PATIENCE)[0]
        os.close(pidfd)
        return bool(ended)

    assert at_terminal(pair, tmp_path, {"wait.lua": script}, scenario) is True
