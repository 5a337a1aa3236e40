"""MOONLET_WARM: the first launch has its warm-up frozen in the background, and is not kept waiting for it; the next ones thaw that."""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import pty
import select
import shutil
import signal
import stat
import struct
import subprocess
import sys
import termios
import time

import images
import pytest
from conftest import BUILD, LUA, MOONLET, MOONLETCTL, PATIENCE, REAL_LUA, Result, World, environment, needs_root, run

LIBC = ctypes.CDLL(None, use_errno=True)
SET_CHILD_SUBREAPER = 36  # prctl(2)
IOPRIO_GET = {"x86_64": 252, "aarch64": 31}.get(os.uname().machine)
IS_WARM = ["-e", "print(warm)"]
WARM = "-e 'warm = true'"


def children():
    return [int(pid) for pid in pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def ended():
    """Waits for one of those that were left behind, and returns how it ended."""
    return os.waitstatus_to_exitcode(os.waitpid(-1, 0)[1])


def all_ended():
    statuses = []
    with contextlib.suppress(ChildProcessError):
        while True:
            statuses.append(ended())
    return statuses


class Home:
    """A home directory, and who launches there. What is left behind by a launch becomes a child of this process, which so can
    wait for it."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(mode=0o700)
        self.cache = directory / ".cache" / "moonlet"

    def env(self, value, **changes):
        return environment(**{"HOME": str(self.directory), "MOONLET_WARM": value, "MOONLET_IMAGE": None, "MOONLET_SOCKET": "/nonexistent",
                              "MOONLET_FALLBACK": REAL_LUA, **changes})

    def launch(self, value, *arguments, changes={}, **options):
        return run(MOONLET, ["lua", *arguments], self.env(value, **changes), **options)

    def thaw(self, value, *arguments, changes={}, **options):
        """A launch that must not be lua's."""
        return self.launch(value, *arguments, changes={"MOONLET_FALLBACK": "", **changes}, **options)

    def freeze(self, value, *arguments, status=0, **options):
        """A launch that is lua's, and the freeze that it starts."""
        result = self.launch(value, *(arguments or IS_WARM), **options)
        assert all_ended() == [status], self.log()
        return result

    def why(self, value, **changes):
        """Why a launch is not thawed."""
        refused = self.thaw(value, "-e", "", changes=changes)
        all_ended()
        assert refused.status == 125, refused
        return refused.err.decode()

    def files(self, suffix):
        return sorted(self.cache.glob(f"{'?' * 16}{suffix}"))

    def images(self):
        return self.files("-?.image")

    def log(self):
        return "".join(path.read_text(errors="replace") for path in self.files(".log"))

    def delay(self):
        """Seconds until the only warm-up is tried again."""
        [log] = self.files(".log")
        return round(log.stat().st_mtime - log.stat().st_atime)

    def make_due(self):
        for log in self.files(".log"):
            os.utime(log, (1, 1))


@pytest.fixture(autouse=True)
def reaper():
    LIBC.prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    LIBC.prctl(SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    for pid in children():
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it ends by itself
            for below in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                os.kill(int(below), signal.SIGKILL)
            os.killpg(pid, signal.SIGKILL)
    all_ended()


class Gate:
    """Where a warm-up waits until it is let through. It is not asked for again by launches."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self.warm_up = f"--ignore {path} -e 'io.open([[{path}]]):read() warm = true'"

    def open(self):
        with open(self.path, "w"):  # waits for the warm-up
            pass

    def reached(self):
        """Waits for the warm-up, and returns what keeps it there."""
        return open(self.path, "w")


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path / "gate")


def test_the_first_launch_is_lua_s_and_later_ones_are_thawed(home):
    assert home.freeze(WARM) == Result(0, b"nil\n", b"")
    assert home.thaw(WARM, *IS_WARM) == Result(0, b"true\n", b"")
    assert children() == []


def test_its_image_is_for_nobody_else(home):
    home.freeze(WARM)
    [image], [log] = home.images(), home.files(".log")
    for path, mode in ((home.cache, 0o700), (home.cache.parent, 0o700), (image, 0o600), (log, 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
    assert {path.name for path in home.cache.iterdir()} == {image.name, log.name, "lock"}


def test_xdg_cache_home_is_where_it_lies(home, tmp_path):
    (tmp_path / "cache").mkdir(mode=0o700)
    changes = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    home.freeze(WARM, changes=changes)
    assert home.thaw(WARM, *IS_WARM, changes=changes).out == b"true\n"
    assert not home.cache.exists()
    # One that is no absolute path counts as none (XDG Base Directory Specification).
    home.freeze(WARM, changes={"XDG_CACHE_HOME": "cache"}, cwd=tmp_path)
    assert len(home.images()) == 1


def test_another_warm_up_has_another_image(home):
    home.freeze(WARM)
    assert home.freeze("-e 'warm = 2'").out == b"nil\n"
    assert home.thaw(WARM, *IS_WARM).out == b"true\n" and home.thaw("-e 'warm = 2'", *IS_WARM).out == b"2\n"


def test_verbose_says_what_was_thawed_and_why_not(home):
    path = f"{home.cache}/"
    told = home.freeze(WARM, changes={"MOONLET_VERBOSE": "1"}).err.decode()
    assert told.startswith(f"moonlet: {REAL_LUA}: thaw {path}") and told.endswith("-0.image: No such file or directory\n")
    told = home.thaw(WARM, "-e", "", changes={"MOONLET_VERBOSE": "1"}).err.decode()
    assert told == f"moonlet: thawed {home.images()[0]}\n"
    told = home.launch(WARM, "-e", "", changes={"MOONLET_VERBOSE": "1", "LD_OF_NOBODY": "1"}).err.decode()
    assert told == f"moonlet: {REAL_LUA}: LD_* differs from the image's\n"


# The caller


def test_nobody_waits_for_a_freeze(home, gate):
    """Neither for the end of the launch nor for that of its output, at the other end of a pipe."""
    assert home.launch(gate.warm_up, *IS_WARM) == Result(0, b"nil\n", b"")  # with the output to its end
    with gate.reached():
        assert home.images() == [] and len(children()) == 1  # still at it
    assert all_ended() == [0]


def test_nobody_waits_for_a_freeze_at_a_terminal(home, gate):
    assert at_terminal(home, gate.warm_up) == (0, b"nil\r\n")  # all others have closed it
    with gate.reached():
        assert home.images() == [] and len(children()) == 1
    assert all_ended() == [0]


def end_of(terminal):
    heard = b""
    with contextlib.suppress(OSError):  # all others have closed it
        while True:
            ready, _, _ = select.select([terminal], [], [], PATIENCE)
            assert ready, heard
            heard += os.read(terminal, 1000)
    os.close(terminal)
    return heard


SHOWS = """
local pid = io.open('/proc/self/stat'):read('*n')
print(io.open(('/proc/%d/task/%d/children'):format(pid, pid)):read('*a') == '')
print(io.open('/proc/self/status'):read('*a'):match('ShdPnd:%s*(%x+)'))
"""


def test_lua_finds_neither_a_child_nor_a_signal_of_the_start(home):
    def block_all():
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    assert home.freeze(WARM, "-e", SHOWS, preexec_fn=block_all).out == b"true\n" + b"0" * 16 + b"\n"


def test_lua_has_no_descriptor_of_it(home):
    shown = home.freeze(WARM, "-e", "io.write(require('probe').fds())").out.decode()
    assert [line.split()[0] for line in shown.splitlines()] == ["0", "1", "2"]


def test_a_thawed_script_has_no_descriptor_of_images_that_do_not_fit(home):
    value = "-e 'warm = os.getenv [[TOKEN]]'"
    for token in ("a", "b", "c"):
        home.freeze(value, changes={"TOKEN": token})
    code = "print(warm) io.write(require('probe').fds())"
    shown = home.thaw(value, "-e", code, changes={"TOKEN": "c"}).out.decode().splitlines()
    assert shown[0] == "c" and [line.split()[0] for line in shown[1:]] == ["0", "1", "2"]


def test_a_freeze_has_nothing_of_the_caller_s_but_what_a_warm_up_may_ask_for(home, gate, tmp_path):
    def change():
        os.umask(0o027)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    ours, theirs = os.pipe()
    os.dup2(theirs, 77, inheritable=True)
    os.dup2(theirs, 300, inheritable=True)
    env = home.env(gate.warm_up)
    done = subprocess.run([MOONLET, *IS_WARM], env=env, pass_fds=(77, 300), stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL,
                          timeout=PATIENCE, cwd=tmp_path, preexec_fn=change)
    for descriptor in (theirs, 77, 300):
        os.close(descriptor)
    with gate.reached():
        with os.fdopen(ours, "rb") as pipe:
            assert done.returncode == 0 and pipe.read() == b"nil\n"  # to its end
        [pid] = children()
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        assert all(link == "/dev/null" or link.startswith((str(home.cache), "anon_inode:", "pipe:")) for link in links), links
        status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        assert os.readlink(f"/proc/{pid}/cwd") == str(tmp_path)
        assert os.getsid(pid) == pid
        assert status["Umask"] == "0027" and int(status["SigIgn"], 16) == 0
        assert int(status["SigBlk"], 16) == 1 << signal.SIGCHLD - 1
        assert os.getpriority(os.PRIO_PROCESS, pid) == 19
        if IOPRIO_GET:
            assert LIBC.syscall(IOPRIO_GET, 1, pid) >> 13 == 3  # IOPRIO_CLASS_IDLE
        below = int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text())
        assert os.getpriority(os.PRIO_PROCESS, below) == 19
    assert all_ended() == [0]


def test_a_launch_under_nice_has_one_made(home):
    home.freeze(WARM, preexec_fn=lambda: os.nice(5))
    assert home.thaw(WARM, *IS_WARM).out == b"true\n"


def test_with_no_environment_but_these(home):
    """As cron or a container may have it."""
    env = {"HOME": str(home.directory), "MOONLET_WARM": WARM, "MOONLET_FALLBACK": REAL_LUA}
    for expected in (b"nil\n", b"true\n"):
        assert run(MOONLET, ["lua", *IS_WARM], env, cwd="/") == Result(0, expected, b"")
        all_ended()


@pytest.mark.parametrize("options, changes", [
    (["--image", "/nonexistent"], {}), ([], {"MOONLET_IMAGE": "/nonexistent"}), ([], {"MOONLET_IMAGE": ""}), (["--socket", "/nonexistent"], {}),
    (["-i"], {}), ([], {"MOONLET_WARM": ""})])
def test_where_it_does_not_count(home, options, changes):
    home.launch(WARM, *options, "-e", "", changes=changes)
    assert children() == [] and not home.cache.exists()


def test_it_goes_before_what_lies_beside_the_socket(home, tmp_path):
    beside = {"MOONLET_SOCKET": str(tmp_path / "s.sock")}
    assert run(MOONLET, ["lua", "--freeze", str(tmp_path / "s.image"), "-e", "warm = 'beside'"], home.env(WARM)).status == 0
    assert home.freeze(WARM, changes=beside).out == b"nil\n"
    assert home.thaw(WARM, *IS_WARM, changes=beside).out == b"true\n"


# One at a time


def test_firsts_at_once_have_one_made(home, gate):
    env = home.env(gate.warm_up)
    firsts = [subprocess.Popen([MOONLET, "-e", "os.exit(7)"], env=env) for _ in range(6)]
    assert [os.waitstatus_to_exitcode(os.waitpid(first.pid, 0)[1]) for first in firsts] == [7] * 6
    with gate.reached():
        assert len(children()) == 1
        assert home.launch(gate.warm_up, *IS_WARM).out == b"nil\n"
        assert len(children()) == 1
    assert all_ended() == [0] and len(home.images()) == 1


def test_another_warm_up_is_not_frozen_meanwhile(home, gate):
    """A later launch has it frozen."""
    home.launch(gate.warm_up, *IS_WARM)
    with gate.reached():
        freezing = children()
        assert home.launch(WARM, *IS_WARM).out == b"nil\n"
        assert children() == freezing
    assert all_ended() == [0]
    home.freeze(WARM)
    assert len(home.images()) == 2


def test_a_freeze_that_was_killed_leaves_nothing_that_stays(home, gate):
    home.launch(gate.warm_up, *IS_WARM)
    with gate.reached():
        [pid] = children()
        freezer = int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text())
        os.kill(pid, signal.SIGKILL)
        assert ended() == -signal.SIGKILL
        os.killpg(freezer, signal.SIGKILL)
    all_ended()
    for left in (".tmp123", ".x9"):
        (home.cache / f"{'a' * 16}-0.image{left}").write_text("left")
    home.launch(gate.warm_up, *IS_WARM)
    gate.open()
    assert all_ended() == [0]
    assert home.thaw(gate.warm_up, *IS_WARM).out == b"true\n"
    assert not [path for path in home.cache.iterdir() if "image." in path.name]


# Failures


def test_the_log_has_what_is_wrong_with_a_warm_up_and_the_caller_nothing(home):
    assert home.freeze("-l no.such.module") == Result(0, b"nil\n", b"")
    assert "module 'no.such.module' not found" in home.log() and home.images() == []


def test_a_warm_up_that_fails_is_tried_ever_less_often(home):
    value = "-e error()"
    delays = []
    for _ in range(19):
        home.freeze(value)
        delays.append(home.delay())
        assert home.launch(value, *IS_WARM).out == b"nil\n" and children() == []  # it is not yet time
        home.make_due()
    day = 24 * 60 * 60
    assert delays[0] == 10 and delays[-1] == day and delays == sorted(delays)
    assert all(0 <= after - 2 * before <= 1 or after in (before, day) for before, after in zip(delays, delays[1:])), delays


def test_a_time_that_cannot_be_is_none(home):
    """Of a log that was written before somebody set the clock."""
    home.freeze("-e error()")
    [log] = home.files(".log")
    os.utime(log, (time.time() + 10**6, time.time() + 10**6))
    home.freeze("-e error()")


def test_a_warm_up_that_is_put_right_is_frozen(home, tmp_path):
    module = tmp_path / "some.lua"
    module.write_text("error()")
    changes = {"LUA_PATH": f"{tmp_path}/?.lua"}
    home.freeze("-l some", changes=changes)
    module.write_text("warm = 1")
    home.make_due()
    home.freeze("-l some", changes=changes)
    assert home.thaw("-l some", *IS_WARM, changes=changes).out == b"1\n"
    assert home.delay() == 0


@pytest.mark.skipif(LUA != "5.4", reason="IT TAKES A MINUTE: with Lua 5.4 only")
def test_a_warm_up_that_never_ends_is_killed(home):
    """With what it has started."""
    home.launch("-e 'io.popen([[sleep 1000]]):read()'", *IS_WARM)
    all_ended()
    assert "it took longer than 60 seconds" in home.log() and home.images() == []
    assert home.delay() == 10


@pytest.mark.parametrize("value, complaint", [
    ("-l 'a", "a quote or a backslash without end"),
    ('-l "a', "a quote or a backslash without end"),
    ("a\\", "a quote or a backslash without end"),
    ("x " * 1001, "more than a thousand words"),
    ("--freeze /elsewhere", "--freeze is not for it to choose"),
    ("-l x --freeze=/elsewhere", "--freeze is not for it to choose"),
    ("--no-such-option", "lua cannot use option '--no-such-option'"),
    ("/no/such/script.lua", "cannot open /no/such/script.lua"),
    ("-e 'file = io.open [[/dev/null]]'", "open: /dev/null"),
    ("-e 'io.open([[/proc/uptime]]):read()'", "a file that is never the same was read: /proc/uptime"),
])
def test_what_is_wrong_with_the_value_is_in_the_log(home, value, complaint):
    assert home.launch(value, *IS_WARM) == Result(0, b"nil\n", b"")
    all_ended()
    assert complaint in home.log() and home.images() == []


@pytest.mark.parametrize("value", [" ", "-", "--", "\xff\x01", "x" * 100_000, "%n%s" * 50, "--help", "-e os.exit(3)"])
def test_no_value_keeps_a_script_from_running(home, value):
    launched = home.launch(value, "-e", "print('runs') os.exit(7)")
    assert launched == Result(7, b"runs\n", b"")


@pytest.mark.parametrize("text, words", [
    ("a  b\tc\nd", ["a", "b", "c", "d"]),
    ("'a  b' \"c  d\"", ["a  b", "c  d"]),
    ("a'b'\"c\"d", ["abcd"]),
    ("'' \"\"", ["", ""]),
    (r"a\ b \' \" \\", ["a b", "'", '"', "\\"]),
    (r"'a\b' "r'"\"\a"', [r"a\b", '"a']),
    ("'\"' \"'\"", ['"', "'"]),
    ("$HOME ~ * `id` $(id) a;b #c", ["$HOME", "~", "*", "`id`", "$(id)", "a;b", "#c"]),
    ("%s %n \xe4", ["%s", "%n", "\xe4"]),
])
def test_the_value_is_split_as_the_manual_says(home, tmp_path, text, words):
    script = tmp_path / "warm up.lua"
    script.write_text("warm = table.concat({...}, '|')")
    value = f"'{script}' {text} "
    home.freeze(value)
    assert home.thaw(value, *IS_WARM).out.decode() == "|".join(words) + "\n"


def test_a_warm_up_ends_with_who_keeps_its_time(home, gate):
    home.launch(gate.warm_up, *IS_WARM)
    with gate.reached() as writer:
        [freezer] = children()
        os.kill(freezer, signal.SIGKILL)
        nobody_reads = select.poll()
        nobody_reads.register(writer, 0)
        assert nobody_reads.poll(PATIENCE * 1000), "the warm-up goes on"
    assert set(all_ended()) == {-signal.SIGKILL}


def test_output_without_end_is_cut_in_the_log(home):
    home.freeze("-e 'for i = 1, 1e5 do print(i) end error()'")
    assert "1\n2\n3\n" in home.log() and len(home.log()) < 100_000


# Fresh


def test_a_module_that_has_changed_is_frozen_anew(home, tmp_path):
    module = tmp_path / "some.lua"
    changes = {"LUA_PATH": f"{tmp_path}/?.lua"}
    for turn in range(8):
        module.write_text(f"warm = {turn}")
        assert home.freeze("-l some", changes=changes).out == b"nil\n"
        assert home.thaw("-l some", *IS_WARM, changes=changes).out == b"%d\n" % turn
        assert len(home.images()) == 1 and home.delay() == 0


def test_a_warm_up_that_is_never_of_use_is_frozen_ever_less_often(home, tmp_path):
    """It reads what always changes."""
    (tmp_path / "file").write_text("")
    value = f"-e 'io.open([[{tmp_path}/file]]):close()'"
    delays = []
    for turn in range(8):
        (tmp_path / "file").write_text(str(turn))
        home.freeze(value)
        delays.append(home.delay())
        home.make_due()
    assert delays[:4] == [0] * 4 and delays[-1] > 60 and delays == sorted(delays)


def test_one_that_was_renamed_away_is_made_again(home):
    home.freeze(WARM)
    home.images()[0].unlink()
    home.freeze(WARM)
    assert home.thaw(WARM, *IS_WARM).out == b"true\n"


def test_a_damaged_one_is_replaced(home):
    home.freeze(WARM)
    home.images()[0].write_bytes(b"moonlet\n" * 1000)
    home.freeze(WARM)
    assert home.thaw(WARM, *IS_WARM).out == b"true\n" and len(home.images()) == 1


# Other answers


ASKS_TERMINAL = "-e 'warm = tostring((require [[probe]]).columns(1)) .. tostring((require [[probe]]).columns(2))'"


def at_terminal(home, value, columns=80, fallback=REAL_LUA, streams=(0, 1, 2)):
    """What a launch prints at a terminal that is so wide. `streams`: which of its descriptors are that."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    where = {number: slave if number in streams else subprocess.DEVNULL for number in range(3)}
    process = subprocess.Popen([MOONLET, *IS_WARM], stdin=where[0], stdout=where[1], stderr=where[2],
                               env=home.env(value, MOONLET_FALLBACK=fallback))
    os.close(slave)
    status = os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])
    return status, end_of(master)


def test_a_terminal_and_a_pipe_have_an_image_each(home):
    """Neither evicts the other, and a freeze in the background finds a terminal where its launch has one, of the same width."""
    assert home.freeze(ASKS_TERMINAL).out == b"nil\n"
    assert home.thaw(ASKS_TERMINAL, *IS_WARM).out == b"nilnil\n"
    for columns in (80, 132):
        assert at_terminal(home, ASKS_TERMINAL, columns) == (0, b"nil\r\n") and all_ended() == [0]
        assert at_terminal(home, ASKS_TERMINAL, columns, fallback="") == (0, b"%d%d\r\n" % (columns, columns))
    assert at_terminal(home, ASKS_TERMINAL, 80, streams=(1,)) == (0, b"nil\r\n") and all_ended() == [0]
    assert at_terminal(home, ASKS_TERMINAL, 80, fallback="", streams=(1,)) == (0, b"80nil\r\n")
    assert home.thaw(ASKS_TERMINAL, *IS_WARM).out == b"nilnil\n" and len(home.images()) == 4


def test_the_directory_is_the_launch_s(home, tmp_path):
    """Lua 5.1 to 5.4 look for modules there."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "here.lua").write_text(f"warm = '{name}'")
        changes = {"LUA_PATH": "./?.lua"}
        home.freeze("-l here", cwd=tmp_path / name, changes=changes)
        assert home.thaw("-l here", *IS_WARM, cwd=tmp_path / name, changes=changes).out == name.encode() + b"\n"
    assert home.thaw("-l here", *IS_WARM, cwd=tmp_path / "one", changes=changes).out == b"one\n"  # has not been evicted


def test_answers_that_are_always_others_are_not_frozen_for_each_launch(home):
    value = "-e 'warm = os.getenv [[TOKEN]]'"
    made = 0
    for token in range(12):
        assert home.launch(value, *IS_WARM, changes={"TOKEN": str(token)}).out == b"nil\n"
        made += len(all_ended())
    assert made == 5 and len(home.images()) == 4 and home.delay() == 10


def test_an_image_that_is_used_is_not_evicted_by_those_that_are_not(home):
    value = "-e 'warm = os.getenv [[TOKEN]]'"
    home.freeze(value, changes={"TOKEN": "used"})
    assert home.thaw(value, *IS_WARM, changes={"TOKEN": "used"}).out == b"used\n"
    for token in range(8):
        home.freeze(value, changes={"TOKEN": str(token)})
        home.make_due()
    assert home.thaw(value, *IS_WARM, changes={"TOKEN": "used"}).out == b"used\n"
    assert len(home.images()) == 4


def test_images_that_are_only_looked_at_do_not_count_as_used(home):
    value = "-e 'warm = os.getenv [[TOKEN]]'"
    for token in ("a", "b"):
        home.freeze(value, changes={"TOKEN": token})
    assert home.thaw(value, *IS_WARM, changes={"TOKEN": "b"}).out == b"b\n"
    first, second = (path.stat() for path in home.images())
    assert first.st_atime_ns == first.st_mtime_ns
    assert second.st_atime_ns > second.st_mtime_ns


def test_each_use_is_noted(home):
    """Also the second one on the same day, which the kernel by itself would not note (mount(8), relatime)."""
    home.freeze(WARM)
    times = [home.images()[0].stat().st_atime_ns]
    for _ in range(2):
        home.thaw(WARM, *IS_WARM)
        times.append(home.images()[0].stat().st_atime_ns)
    assert times == sorted(set(times))


def test_an_answer_that_the_background_cannot_have_is_asked_ever_less_often(home):
    """That a descriptor which is none of the three standard ones is a terminal."""
    value = "-e 'warm = (require [[probe]]).columns(77)'"
    master, slave = pty.openpty()
    os.dup2(slave, 77, inheritable=True)
    delays = []
    for _ in range(6):
        assert home.freeze(value, pass_fds=(77,)).out == b"nil\n"
        delays.append(home.delay())
        home.make_due()
    for descriptor in (master, slave, 77):
        os.close(descriptor)
    assert delays == [0, 0, 0, 0, 10, 20]


# Room


def large(megabytes, name="x"):
    """A warm-up whose image is so large."""
    return f"-e '{name} = {{}} for i = 1, {megabytes} do {name}[i] = ([[{name}]]):rep(2 ^ 20) .. i end warm = true'"


def test_the_oldest_go_where_all_are_too_large(home):
    for name in ("a", "b", "c"):
        home.freeze(large(25, name))
    assert sum(path.stat().st_blocks for path in home.images()) * 512 <= 64 << 20
    assert home.thaw(large(25, "c"), *IS_WARM).out == home.thaw(large(25, "b"), *IS_WARM).out == b"true\n"
    assert "No such file" in home.why(large(25, "a"))


def test_one_that_is_too_large_alone_is_not_kept(home):
    home.freeze(large(70))
    assert home.images() == [] and "larger than all images together may be" in home.log() and home.delay() == 10


# Places


@pytest.mark.parametrize("changes", [{"HOME": None}, {"HOME": "relative"}, {"HOME": ""}, {"HOME": "/nonexistent"}, {"HOME": "/dev/null"},
                                     {"HOME": "/proc"}, {"HOME": "/" + "x" * 5000}, {"XDG_CACHE_HOME": "/nonexistent/cache"}])
def test_without_a_place_the_script_runs_all_the_same(home, changes):
    for _ in range(2):
        assert home.launch(WARM, *IS_WARM, changes=changes, cwd=home.directory) == Result(0, b"nil\n", b"")
        assert children() == []
    assert list(home.directory.iterdir()) == []


def as_nobody(directory):
    if os.geteuid() != 0:
        return {}
    os.chown(directory, 65534, 65534)
    return {"user": 65534, "group": 65534, "extra_groups": []}


def test_a_home_that_cannot_be_written(open_directory):
    home = Home(open_directory / "home")
    who = as_nobody(home.directory)
    home.directory.chmod(0o500)
    for _ in range(2):
        assert home.launch(WARM, *IS_WARM, cwd="/", **who) == Result(0, b"nil\n", b"") and children() == []


def test_a_directory_where_others_may_write(home):
    home.cache.mkdir(parents=True)
    for path in (home.cache, home.cache.parent):
        path.chmod(0o777)
        assert home.launch(WARM, *IS_WARM) == Result(0, b"nil\n", b"") and children() == []
        path.chmod(0o700)
    assert list(home.cache.iterdir()) == []
    home.freeze(WARM)


@needs_root
@pytest.mark.parametrize("made", [False, True])
def test_root_does_nothing_in_a_directory_of_another_user(open_directory, made):
    """sudo -E: the home is the user's. Nothing is written, thawed or removed there."""
    home = Home(open_directory / "home")
    who = as_nobody(home.directory)
    if made:
        home.freeze(WARM, cwd="/", **who)
        assert home.thaw(WARM, *IS_WARM, cwd="/", **who).out == b"true\n"
    before = sorted(path.name for path in home.directory.rglob("*"))
    assert home.launch(WARM, *IS_WARM) == Result(0, b"nil\n", b"") and children() == []
    assert made == ("belongs to another user" in home.why(WARM))
    for task in ("--images", "--forget"):
        done = run(MOONLET, ["moonlet", task], home.env(WARM))
        assert (done.status, b"others could write there" in done.err) == ((125, True) if made else (0, False)), done
    assert sorted(path.name for path in home.directory.rglob("*")) == before


@needs_root
def test_a_user_does_nothing_in_a_directory_of_another_user(open_directory):
    home = Home(open_directory / "home")
    os.chown(home.directory, 12345, 12345)
    home.directory.chmod(0o755)
    home.cache.mkdir(parents=True, mode=0o755)
    home.cache.parent.chmod(0o755)
    for path in (home.cache, home.cache.parent):
        os.chown(path, 12345, 12345)
    who = {"user": 65534, "group": 65534, "extra_groups": []}
    assert home.launch(WARM, *IS_WARM, cwd="/", **who) == Result(0, b"nil\n", b"") and children() == []


@pytest.fixture
def mounted(tmp_path):
    """mounted(options...): a World whose /home is that mount."""
    worlds = []

    def make(*options):
        (tmp_path / "mounted").mkdir()
        worlds.append(World(f"mount {' '.join(options)} {tmp_path}/mounted || echo CANNOT MOUNT", "sleep infinity", log=tmp_path / "log",
                            env=environment()))
        if "CANNOT MOUNT" in worlds[0].log():
            pytest.skip("CANNOT BE MOUNTED: " + worlds[0].log())
        return worlds[0], str(tmp_path / "mounted")

    yield make
    for world in worlds:
        world.end()


def inside(world, home, value, *arguments, command=()):
    """A launch in that world, and what its freeze leaves behind: all of it ends before this returns."""
    variables = [f"{name}={text}" for name, text in {"HOME": home, "MOONLET_WARM": value, "MOONLET_FALLBACK": REAL_LUA}.items()]
    done = world.run(*command, "env", "-u", "MOONLET_IMAGE", *variables, MOONLET, *arguments)
    wait = "while pgrep --runstates RSD moonletctl >/dev/null; do :; done"
    world.run("sh", "-c", wait)
    return done


@needs_root
def test_a_disk_that_is_full(mounted):
    world, home = mounted("-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs")
    for _ in range(3):
        assert inside(world, home, WARM, *IS_WARM).out == b"nil\n"
    shown = world.run("sh", "-c", f"ls {home}/.cache/moonlet; cat {home}/.cache/moonlet/*.log").out.decode()
    assert "image\n" not in shown and "No space left on device" in shown and "tries 1," in shown, shown


@needs_root
def test_a_file_system_that_is_not_known_to_be_local(mounted):
    """Here one for huge pages: not one of those on which it is known that nobody else can keep a call waiting."""
    world, home = mounted("-t", "hugetlbfs", "-o", "mode=700", "none")
    assert inside(world, home, WARM, *IS_WARM).out == b"nil\n"
    assert b".log" not in world.run("find", home).out


@needs_root
def test_a_file_system_in_user_space(tmp_path):
    """Nothing is made there."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("NO FUSE: there is no /dev/fuse")
    home = tmp_path / "mounted"
    home.mkdir()
    server = f"{sys.executable} {os.path.join(os.path.dirname(__file__), 'fuse.py')} {home}"
    world = World(f"{server} >{tmp_path}/fuse.log & until grep -q serves {tmp_path}/fuse.log; do kill -0 $!; done", "sleep infinity",
                  log=tmp_path / "log", env=environment())
    try:
        assert inside(world, str(home), WARM, *IS_WARM).out == b"nil\n"
        assert world.run("ls", "-a", home).out == b""  # it serves
        assert (tmp_path / "fuse.log").read_text() == "serves\n"
    finally:
        world.end()


@needs_root
def test_a_home_that_is_read_only(mounted):
    world, home = mounted("-t", "tmpfs", "-o", "ro,mode=700", "tmpfs")
    assert inside(world, home, WARM, *IS_WARM).out == b"nil\n"


@needs_root
def test_another_host_has_others(mounted):
    world, home = mounted("-t", "tmpfs", "-o", "mode=700", "tmpfs")
    inside(world, home, WARM, *IS_WARM)
    assert inside(world, home, WARM, *IS_WARM).out == b"true\n"
    world.run("sh", "-c", "hostname another")
    assert inside(world, home, WARM, *IS_WARM).out == b"nil\n"
    names = world.run("sh", "-c", f"ls {home}/.cache/moonlet | grep image").out.split()
    assert len({name[:16] for name in names}) == 2


@needs_root
def test_another_root_file_system_has_others(mounted):
    """A container's, whose home is the host's."""
    world, home = mounted("-t", "tmpfs", "-o", "mode=755", "tmpfs")
    inside(world, home, WARM, *IS_WARM)
    assert inside(world, home, WARM, *IS_WARM).out == b"true\n"
    root = f"{home}/root"
    binds = f"for each in /*; do [ -L $each ] && cp -P $each {root}; [ ! -L $each ] && [ -d $each ] || continue; mkdir {root}$each; mount --rbind $each {root}$each; done"
    made = world.run("sh", "-c", f"mkdir {root} && mount -t tmpfs -o mode=755 tmpfs {root} && {{ {binds}; }}")
    assert made.err == b"", made
    for expected in (b"nil\n", b"true\n"):
        assert inside(world, home, WARM, *IS_WARM, command=["chroot", root]).out == expected
    names = world.run("sh", "-c", f"ls {home}/.cache/moonlet | grep image").out.split()
    assert len({name[:16] for name in names}) == 2


def test_without_moonletctl_the_script_runs_all_the_same(home, tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("moonlet", "moonlet-lua"):
        shutil.copy(os.path.join(BUILD, name), tmp_path / "bin")
    launched = run(str(tmp_path / "bin" / "moonlet"), ["lua", *IS_WARM], home.env(WARM, PATH="/nonexistent"))
    assert launched == Result(0, b"nil\n", b"")
    all_ended()


# For people


def told(home, *arguments, program=MOONLET, **changes):
    return run(program, ["moonlet", *arguments], home.env(None, **changes))


def test_images_are_listed(home, tmp_path):
    empty = told(home, "--images")
    assert empty == Result(0, f"{home.cache}/: no images\n".encode(), b"")
    value = "-e 'warm = os.getenv [[TOKEN]]'"
    path = {"LUA_PATH": f"{tmp_path}/?.lua"}
    home.freeze(value, changes={"TOKEN": "a", **path})
    home.freeze(value, changes={"TOKEN": "b", **path})
    home.thaw(value, *IS_WARM, changes={"TOKEN": "b", **path})
    (tmp_path / "some.lua").write_text("")
    home.freeze("-l some", changes=path)
    os.utime(tmp_path / "some.lua")
    home.freeze("-l no.such.module", changes=path)
    for program in (MOONLET, MOONLETCTL):
        shown = told(home, "--images", program=program, TOKEN="b", **path)
        text = shown.out.decode()
        assert shown.status == 0 and shown.err == b"" and text.startswith(f"{home.cache}/: 3 images, "), shown
        assert "not used yet: not here: TOKEN differs from the image's" in text
        assert f": outdated: {tmp_path}/some.lua has changed" in text
        assert "0s ago: fits here" in text or "1s ago: fits here" in text
        assert text.count("\n    some\n") == 1  # the modules that are in it
        assert "failed " in text and "will be tried again in " in text and "module 'no.such.module' not found" in text


def test_a_trusted_image_is_listed_as_it_is_thawed(home):
    value = "--trust " + WARM
    home.freeze(value)
    home.thaw(value, *IS_WARM)
    assert ": fits here\n" in told(home, "--images").out.decode()


def test_an_image_of_another_lua_is_not_outdated(home):
    """It is another moonlet's."""
    home.freeze(WARM)
    image = images.Image.read(str(home.images()[0]))
    image.lua += 1
    image.write(str(home.images()[0]))
    assert "not here: is of another Lua" in told(home, "--images").out.decode()


def test_what_a_warm_up_is_called_cannot_steer_the_terminal(home):
    home.freeze("-e 'x = [[\x1b[2J]]'")
    assert b"\x1b" not in told(home, "--images").out


def test_images_are_forgotten(home):
    home.freeze(WARM)
    home.freeze("-e error()")
    assert told(home, "--forget") == Result(0, b"", b"")
    assert [path.name for path in home.cache.iterdir()] == ["lock"]
    assert told(home, "--forget") == Result(0, b"", b"")
    home.freeze(WARM)


def test_an_image_that_is_forgotten_goes_on_for_who_has_it(home, launch):
    home.freeze(WARM)
    running = launch(MOONLET, home.env(WARM, MOONLET_FALLBACK=""), "print(warm) io.flush() io.read() print(warm)")
    assert running.hear() == "true"
    told(home, "--forget")
    running.say("")
    assert running.end().out == b"true\n"
