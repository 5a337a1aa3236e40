"""At a terminal, under a shell with job control: Ctrl-C, Ctrl-Z, fg, bg, hang-up."""

import os
import pty
import re
import select
import signal
import time

import pytest
from conftest import BY_MOONLET, COMPARE, MOONLETD, PATIENCE, about_moonletd, both, needs_os_execute, wait_gone
from test_signals import wait_for_state

PROMPT = "next> "


class Shell:
    """bash at a terminal of its own."""

    def __init__(self, env, directory):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            env = {**env, "PS1": PROMPT, "TERM": "dumb", "HISTFILE": "", "BASH_SILENCE_DEPRECATION_WARNING": "1"}
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], env)
        self.heard = ""
        self.hear(PROMPT)

    def hear(self, text):
        """Reads until `text` comes, and returns what came up to its end."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.heard:
            ready, _, _ = select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"the terminal does not show {text!r}, but {self.heard!r}"
            self.heard += os.read(self.terminal, 4096).decode(errors="replace")
        at = self.heard.index(text) + len(text)
        heard, self.heard = self.heard[:at], self.heard[at:]
        return heard

    def type(self, text):
        os.write(self.terminal, text.encode())

    def command(self, text):
        """Types a command and returns what it shows, up to the next prompt."""
        self.type(text + "\n")
        self.hear("\n")  # the echo
        return self.hear(PROMPT)

    def close(self):
        os.close(self.terminal)
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)


def at_terminal(pair, tmp_path, scripts, scenario):
    """scenario(shell) under both, with `lua` for the program: what the terminal shows is compared."""
    def act(program, env):
        directory = tmp_path / os.path.basename(program.program)
        directory.mkdir()
        program.install(directory / "lua")
        for name, text in scripts.items():
            (directory / name).write_text(text)
        shell = Shell({**env, "PATH": f"{directory}:{env['PATH']}"}, directory)
        try:
            return scenario(shell)
        finally:
            shell.close()

    return both(pair, act)


# LuaJIT's compiled loops are not interrupted, under luajit neither.
LOOP = "if jit then jit.off() end io.stdout:write('ready\\n') io.flush() local function spin() while true do end end spin()"


def test_control_c_interrupts_with_a_traceback(same, tmp_path):
    def scenario(shell):
        shell.type("lua loop.lua\n")
        shell.hear("ready\r\n")
        shell.type("\x03")
        shown = shell.hear(PROMPT)
        # Where exactly the loop is interrupted is chance; the rest is not.
        assert "interrupted!" in shown, shown
        return re.sub(r"0x[0-9a-f]+", "", shown.splitlines()[-2]), shell.command("echo $?")

    assert "1" in at_terminal(same, tmp_path, {"loop.lua": LOOP}, scenario)[1]


def catches_interrupts(pid):
    with open(f"/proc/{pid}/status") as status:
        return any(line.startswith("SigCgt") and int(line.split()[1], 16) & 2 for line in status)


def ticks_of(pid):
    """User time, in clock ticks (proc(5))."""
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[11])


def test_a_second_control_c_kills(same, tmp_path):
    """Where no hook runs, as in a long call into C, the second one is what helps."""
    def scenario(shell):
        shell.type("lua wait.lua\n")
        shell.hear("pid ")
        script = int(shell.hear("\r\n"))
        while ticks_of(script) < 5:  # it is in the call
            os.sched_yield()
        shell.type("\x03")
        while catches_interrupts(script):  # the first one has been taken when it does no more
            os.sched_yield()
        shell.type("\x03")
        shell.hear(PROMPT)
        return shell.command("echo $?")

    # A match that backtracks for longer than anybody waits.
    script = "print('pid ' .. require('probe').pid()) io.flush() string.find(('a'):rep(1e5), ('.-'):rep(9) .. 'b')"
    assert "130" in at_terminal(same, tmp_path, {"wait.lua": script}, scenario)


@needs_os_execute
def test_control_c_reaches_what_the_script_has_started(same, tmp_path):
    def scenario(shell):
        shell.type("lua system.lua\n")
        shell.hear("in a shell\r\n")
        shell.type("\x03")
        return shell.hear(PROMPT), shell.command("echo $?")

    script = "print(os.execute('echo in a shell; exec sleep 1000')) print('goes on') os.exit(3)"
    shown = at_terminal(same, tmp_path, {"system.lua": script}, scenario)
    assert "goes on" in shown[0] and "3" in shown[1]


def test_control_backslash_quits(same, tmp_path):
    def scenario(shell):
        shell.command("ulimit -c 0")
        shell.type("lua loop.lua\n")
        shell.hear("ready\r\n")
        shell.type("\x1c")
        shell.hear(PROMPT)
        return shell.command("echo $?")

    assert "131" in at_terminal(same, tmp_path, {"loop.lua": LOOP}, scenario)


def test_control_z_and_fg(same, tmp_path):
    def scenario(shell):
        shell.type("lua ask.lua\n")
        shell.hear("what? ")
        shell.type("\x1a")
        stopped = shell.hear(PROMPT)
        jobs = shell.command("jobs")
        shell.type("fg\n")
        shell.hear("lua ask.lua\r\n")
        shell.type("an answer\n")
        shell.hear("got an answer")
        shell.hear(PROMPT)
        return "Stopped" in stopped, jobs, shell.command("echo $?")

    script = "io.write('what? ') io.flush() local line = io.read() print('got ' .. tostring(line)) os.exit(4)"
    shown = at_terminal(same, tmp_path, {"ask.lua": script}, scenario)
    assert shown[0] and "Stopped" in shown[1] and "4" in shown[2]


def test_control_z_stops_what_the_script_has_started(same, tmp_path):
    def scenario(shell):
        shell.type("lua system.lua\n")
        shell.hear("pid ")
        sleeper = int(shell.hear("\r\n"))
        shell.type("\x1a")
        shell.hear(PROMPT)
        wait_for_state(sleeper, "T")
        shell.type("fg\n")
        wait_for_state(sleeper, "S")  # then the terminal is the job's again
        shell.type("\x03")
        shell.hear(PROMPT)
        wait_gone(sleeper)
        return shell.command("echo $?")

    at_terminal(same, tmp_path, {"system.lua": "os.execute('echo pid $$; exec sleep 1000') os.exit(5)"}, scenario)


def test_background_and_kill_by_job(same, tmp_path):
    def scenario(shell):
        shell.command("lua wait.lua > out 2>&1 &")
        shell.command("until grep -q ready out; do :; done")
        shell.command("kill -STOP %1; kill -CONT %1; kill %1; wait %1; echo status $?")
        return shell.command("echo; jobs; cat out")

    at_terminal(same, tmp_path,
                {"wait.lua": "print('ready') io.flush() require('probe').pause()"}, scenario)


def test_output_to_a_terminal(same, tmp_path):
    def scenario(shell):
        shell.type("lua out.lua\n")
        return shell.hear(PROMPT)

    at_terminal(same, tmp_path, {"out.lua": "io.write('a') io.stderr:write('b') print('c') io.stderr:write('d\\n')"}, scenario)


def test_a_window_that_changes_its_size(same, tmp_path):
    import fcntl
    import struct
    import termios

    def scenario(shell):
        shell.type("lua winch.lua\n")
        shell.hear("ready\r\n")
        fcntl.ioctl(shell.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
        return shell.hear("28"), shell.hear(PROMPT)

    script = "local p = require 'probe' p.catch(28) print('ready') io.flush() print('signal', p.next_signal())"
    at_terminal(same, tmp_path, {"winch.lua": script}, scenario)


def test_a_hang_up_ends_the_script(same, tmp_path):
    def act(program, env):
        directory = tmp_path / os.path.basename(program.program)
        directory.mkdir()
        (directory / "wait.lua").write_text("local p = require 'probe' print('pid ' .. p.pid()) io.flush() p.pause()")
        program.install(directory / "lua")
        shell = Shell({**env, "PATH": f"{directory}:{env['PATH']}"}, directory)
        shell.type("lua wait.lua\n")
        shell.hear("pid ")
        script = int(shell.hear("\r\n"))
        shell.close()  # the terminal is gone
        wait_gone(script)
        return True

    both(same, act)


@about_moonletd
def test_a_job_of_a_zygote_that_has_a_terminal_itself(start_zygote, tmp_path):
    """A moonletd that somebody started by hand: its terminal is not its scripts'."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("sh", ["sh", "-c", f"{' '.join([MOONLETD, *COMPARE])} --socket {tmp_path}/t.sock --ready-fd 1; exit $?"],
                   dict(os.environ))
    heard = b""
    while b"\n" not in heard:
        heard += os.read(terminal, 100)
    try:
        import subprocess
        shown = subprocess.run([*BY_MOONLET.words, "--socket", f"{tmp_path}/t.sock", "-e", "print(io.open('/dev/tty'))"],
                               capture_output=True, env={"MOONLET_FALLBACK": ""}, start_new_session=True)
        assert b"No such device" in shown.stdout, shown
    finally:
        os.write(terminal, b"\x03")
        os.waitpid(pid, 0)
        os.close(terminal)
    assert not os.path.exists(tmp_path / "t.sock")
