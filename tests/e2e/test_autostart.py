"""MOONLET_AUTOSTART: the first launch starts a moonletd of one's own, in the background, and is not kept waiting by it."""

import contextlib
import ctypes
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess

import pytest
from conftest import MOONLET, PATIENCE, REAL_LUA, SOURCE, environment, needs_root, run

LIBC = ctypes.CDLL(None, use_errno=True)
SET_CHILD_SUBREAPER = 36  # prctl(2)
CREATED, CLOSED = 0x100, 0x8  # inotify(7): IN_CREATE, IN_CLOSE_WRITE
FAILED = 125
IS_WARM = ["-e", "print(warm)"]
WARM = "-e 'warm = true'"
LONG_AGO = (1, 1)


def children():
    return [int(pid) for pid in pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


class Home:
    """A runtime directory, and who launches there. What is left behind by a launch becomes a child of this process, which so
    can wait for it."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(mode=0o700)
        self.events = LIBC.inotify_init()
        LIBC.inotify_add_watch(self.events, bytes(directory), CREATED | CLOSED)

    def env(self, value, **changes):
        return environment(**{"XDG_RUNTIME_DIR": str(self.directory), "MOONLET_AUTOSTART": value,
                              "MOONLET_FALLBACK": REAL_LUA, **changes})

    def launch(self, value, *arguments, changes={}, **options):
        return run(MOONLET, ["lua", *arguments], self.env(value, **changes), **options)

    def warm_launch(self, value, *arguments, **changes):
        """One that is nothing but a launch through moonletd."""
        return self.launch(value, *arguments, changes={"MOONLET_FALLBACK": "", **changes})

    def wait(self, condition):
        """Until something that is created in the directory, or closed by its writer, makes the condition true."""
        while not condition():
            ready, _, _ = select.select([self.events], [], [], PATIENCE)
            assert ready, self.log()
            os.read(self.events, 65536)

    def served(self):
        """Waits for a moonletd that serves here, and returns its pid."""
        self.wait(lambda: self.files("sock"))
        [path] = self.files("sock")
        with socket.socket(socket.AF_UNIX) as connection:
            while connection.connect_ex(str(path)) != 0:  # between bind and listen, or it is an old one
                pass
            return struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]

    def files(self, suffix):
        return list(self.directory.glob(f"moonlet-????????.{suffix}"))

    def log(self):
        return "".join(path.read_text(errors="replace") for path in self.files("log"))

    def end(self):
        for pid in children():
            os.kill(pid, signal.SIGTERM)
        all_ended()
        os.close(self.events)


def ended():
    """Waits for one of those that were left behind, and returns how it ended."""
    return os.waitstatus_to_exitcode(os.waitpid(-1, 0)[1])


def all_ended():
    statuses = []
    with contextlib.suppress(ChildProcessError):
        while True:
            statuses.append(ended())
    return statuses


@pytest.fixture(autouse=True)
def reaper():
    LIBC.prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    LIBC.prctl(SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "runtime")
    yield home
    home.end()


def test_the_first_launch_goes_through_lua_and_later_ones_are_warm(home):
    first = home.launch(WARM, *IS_WARM)
    assert (first.status, first.out, first.err) == (0, b"nil\n", b"")
    home.served()
    later = home.warm_launch(WARM, *IS_WARM)
    assert (later.status, later.out, later.err) == (0, b"true\n", b"")


def test_firsts_at_once_start_one_moonletd(home, tmp_path):
    os.mkfifo(tmp_path / "gate")
    warm_up = f"-e 'io.popen([[cat {tmp_path}/gate]]):close()'"
    env = home.env(warm_up)
    firsts = [subprocess.Popen([MOONLET, "-e", "os.exit(7)"], env=env) for _ in range(6)]
    assert [first.wait(PATIENCE) for first in firsts] == [7] * 6
    assert [ended() for _ in range(5)] == [FAILED] * 5
    with open(tmp_path / "gate", "w"):
        pass
    assert children() == [home.served()]


def test_another_value_has_another_moonletd(home):
    home.launch(WARM, *IS_WARM)
    home.served()
    assert home.launch("-e 'warm = 2'", *IS_WARM).out == b"nil\n"
    home.wait(lambda: len(home.files("sock")) == 2)


def test_it_ends_when_it_has_been_idle_for_as_long_as_the_value_says(home):
    home.launch(WARM + " --idle-exit 1", *IS_WARM)
    assert ended() == 0
    assert "moonletd: serving" in home.log() and home.files("sock") == []


def test_the_launch_after_its_end_starts_another(home):
    value = WARM + " --idle-exit 1"
    for _ in range(2):
        assert home.launch(value, *IS_WARM).out == b"nil\n"
        assert ended() == 0
        [log] = home.files("log")
        os.utime(log, LONG_AGO)


def test_one_that_died_and_left_its_socket_is_replaced(home):
    home.launch(WARM, *IS_WARM)
    os.kill(home.served(), signal.SIGKILL)
    assert ended() == -signal.SIGKILL
    [log] = home.files("log")
    os.utime(log, LONG_AGO)
    assert home.launch(WARM, *IS_WARM).out == b"nil\n"
    home.served()
    assert home.warm_launch(WARM, *IS_WARM).out == b"true\n"


def test_the_log_has_what_is_wrong_with_a_warm_up_and_the_caller_nothing(home):
    launched = home.launch("-l no.such.module", *IS_WARM)
    assert (launched.status, launched.out, launched.err) == (0, b"nil\n", b"")
    assert ended() == 1
    assert "module 'no.such.module' not found" in home.log()


def test_a_warm_up_that_fails_is_tried_once_in_ten_seconds(home, tmp_path):
    tries = tmp_path / "tries"
    value = f"-e 'io.open([[{tries}]], [[a]]):write([[x]]):close() error()'"
    for _ in range(5):
        assert home.launch(value, *IS_WARM).status == 0
    assert sorted(all_ended()) == [1] + [FAILED] * 4
    assert tries.read_text() == "x"
    [log] = home.files("log")
    os.utime(log, LONG_AGO)
    home.launch(value, *IS_WARM)
    assert all_ended() == [1]
    assert tries.read_text() == "xx"


def test_the_log_holds_the_last_attempt_alone(home):
    for _ in range(2):
        home.launch("-e error()", *IS_WARM)
        assert ended() == 1
        [log] = home.files("log")
        os.utime(log, LONG_AGO)
    assert home.log().count("moonletctl: starts moonletd -e error()\n") == 1


def test_a_launch_while_the_warm_up_is_under_way_goes_through_lua(home, tmp_path):
    os.mkfifo(tmp_path / "gate")
    value = f"-e 'local gate = io.popen([[cat {tmp_path}/gate]]) warm = gate:read() gate:close()'"
    for _ in range(3):
        assert home.launch(value, *IS_WARM).out == b"nil\n"
    (tmp_path / "gate").write_text("now")
    home.served()
    assert home.warm_launch(value, *IS_WARM).out == b"now\n"


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
    home.launch(value, *IS_WARM)
    home.served()
    assert home.warm_launch(value, *IS_WARM).out.decode() == "|".join(words) + "\n"


@pytest.mark.parametrize("value, complaint", [
    ("-l 'a", "a quote or a backslash without end"),
    ('-l "a', "a quote or a backslash without end"),
    ("a\\", "a quote or a backslash without end"),
    ("x " * 1001, "more than a thousand words"),
    ("--socket /elsewhere", "--socket is not for it to choose"),
    ("--socket=/elsewhere", "--socket is not for it to choose"),
    ("--no-such-option", "unrecognized option '--no-such-option'"),
    ("-i", "unrecognized option"),
    ("/no/such/script.lua", "cannot open /no/such/script.lua"),
])
def test_what_is_wrong_with_the_value_is_in_the_log(home, value, complaint):
    launched = home.launch(value, *IS_WARM)
    assert (launched.status, launched.out, launched.err) == (0, b"nil\n", b"")
    assert ended() in (1, FAILED)
    assert complaint in home.log()


@pytest.mark.parametrize("value", [" ", "-", "--", "\xff\x01", "x" * 100_000, "%n%s" * 50, "--help", "-e os.exit(3)"])
def test_no_value_keeps_a_script_from_running(home, value):
    launched = home.launch(value, "-e", "print('runs') os.exit(7)")
    assert (launched.status, launched.out, launched.err) == (7, b"runs\n", b"")


def test_it_keeps_no_descriptor_of_the_first_launch(home, tmp_path):
    ours, theirs = os.pipe()
    with open(tmp_path / "file", "w") as file:
        os.dup2(theirs, 77, inheritable=True)
        os.dup2(file.fileno(), 300, inheritable=True)
        done = subprocess.run([MOONLET, *IS_WARM], env=home.env(WARM), pass_fds=(77, 300), stdout=theirs,
                              stderr=theirs, stdin=subprocess.DEVNULL, timeout=PATIENCE)
        assert done.returncode == 0
    for descriptor in (theirs, 77, 300):
        os.close(descriptor)
    pid = home.served()
    with os.fdopen(ours, "rb") as pipe:
        assert pipe.read() == b"nil\n"  # to its end, which comes
    [log] = home.files("log")
    links = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # the connection by which it was found, closed by now
            links[number] = os.readlink(f"/proc/{pid}/fd/{number}")
    assert [links.pop(number) for number in "012"] == ["/dev/null", "/dev/null", str(log)]
    # Its own, one of which is its working directory: no other file, and no pipe.
    assert all(link.startswith(("socket:", "anon_inode:")) or link in ("/", str(log)) for link in links.values()), str(links)


SHOWS = """
local pid = io.open('/proc/self/stat'):read('n')
print(io.open(('/proc/%d/task/%d/children'):format(pid, pid)):read('a') == '')
print(io.open('/proc/self/status'):read('a'):match('ShdPnd:%s*(%x+)'))
"""


def test_lua_finds_neither_a_child_nor_a_signal_of_the_start(home):
    def block_all():
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    launched = home.launch(WARM, "-e", SHOWS, preexec_fn=block_all)
    assert launched.out == b"true\n" + b"0" * 16 + b"\n"
    home.served()


def test_it_has_nothing_of_how_the_first_launch_was_started(home, tmp_path):
    def change():
        os.umask(0)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    home.launch(WARM, *IS_WARM, cwd=tmp_path, preexec_fn=change)
    pid = home.served()
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert os.getsid(pid) == pid
    assert status["Umask"] == "0077"
    assert int(status["SigIgn"], 16) == 0
    assert int(status["SigBlk"], 16) & 1 << signal.SIGUSR2 - 1 == 0


def test_a_soft_limit_of_the_first_launch_is_not_that_of_later_ones(home):
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    home.launch(WARM, *IS_WARM, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (9, hard)))
    assert resource.prlimit(home.served(), resource.RLIMIT_CPU) == (hard, hard)


def test_it_has_the_environment_of_the_first_launch(home, tmp_path):
    (tmp_path / "found.lua").write_text("warm = 'found'")
    changes = {"LUA_PATH": f"{tmp_path}/?.lua;;"}
    home.launch("-l found", *IS_WARM, changes=changes)
    home.served()
    assert home.warm_launch("-l found", *IS_WARM, **changes).out == b"found\n"


def test_it_does_not_tell_a_service_that_the_caller_is_ready(home, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        home.launch(WARM, *IS_WARM, changes={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        home.served()
        home.warm_launch(WARM, *IS_WARM)
        with pytest.raises(BlockingIOError):
            notified.recv(100, socket.MSG_DONTWAIT)


def test_a_launch_that_is_nice_starts_none(home):
    assert home.launch(WARM, *IS_WARM, preexec_fn=lambda: os.nice(5)).out == b"nil\n"
    assert all_ended() == [FAILED]
    assert home.log() == ""


@pytest.mark.parametrize("arguments, changes", [(["--socket", "/nobody"], {}), ([], {"MOONLET_SOCKET": "/nobody"})])
def test_where_a_socket_is_named_none_is_started(home, arguments, changes):
    assert home.launch(WARM, *arguments, *IS_WARM, changes=changes).out == b"nil\n"
    assert children() == [] and os.listdir(home.directory) == []


def test_an_empty_value_starts_none(home):
    assert home.warm_launch("", *IS_WARM).err.startswith(f"moonlet: connect {home.directory}/moonlet.sock: ".encode())
    assert children() == [] and os.listdir(home.directory) == []


def test_without_a_runtime_directory_the_value_does_not_count_for_others_than_root(home):
    options = {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}
    launched = home.launch(WARM, *IS_WARM, changes={"XDG_RUNTIME_DIR": None, "MOONLET_FALLBACK": ""}, cwd="/", **options)
    assert launched.status == FAILED
    assert launched.err.startswith(b"moonlet: connect /run/moonlet.sock: ")
    asked = home.launch(WARM, "--status", changes={"XDG_RUNTIME_DIR": None}, cwd="/", **options)
    assert asked.status == FAILED and asked.err.endswith(b"; without XDG_RUNTIME_DIR, MOONLET_AUTOSTART has no effect\n")
    assert children() == []


@needs_root
def test_without_a_runtime_directory_that_of_root_is_run(home):
    mounts = f"mount --bind {home.directory} /run && exec {MOONLET} -e 'print(warm)'"
    for expected in (b"nil\n", b"true\n"):
        done = run("unshare", ["unshare", "--mount", "sh", "-c", mounts],
                   home.env(WARM + " --compare-clients 0", XDG_RUNTIME_DIR=None))  # its mounts are others' each time
        if b"Operation not permitted" in done.err:
            pytest.skip("NEEDS NAMESPACES: this root may not make any")
        assert done.out == expected
        home.served()


@pytest.mark.parametrize("directory", ["missing", "others", "file", "../runtime"])
def test_a_runtime_directory_that_is_not_ones_own_gets_none(home, tmp_path, directory):
    (tmp_path / "others").mkdir()
    (tmp_path / "others").chmod(0o777)
    (tmp_path / "file").touch()
    path = directory if directory.startswith("..") else str(tmp_path / directory)
    launched = home.launch(WARM, *IS_WARM, changes={"XDG_RUNTIME_DIR": path}, cwd=home.directory)
    assert (launched.status, launched.out, launched.err) == (0, b"nil\n", b"")
    assert all_ended() in ([], [FAILED])
    assert os.listdir(tmp_path / "others") == os.listdir(home.directory) == []


def test_a_log_that_is_a_link_to_another_file_is_not_written(home, tmp_path):
    home.launch("-e error()", *IS_WARM)
    assert ended() == 1
    [log] = home.files("log")
    log.unlink()
    (tmp_path / "precious").write_text("precious")
    log.symlink_to(tmp_path / "precious")
    assert home.launch("-e error()", *IS_WARM).status == 0
    assert all_ended() == [FAILED]
    assert (tmp_path / "precious").read_text() == "precious"


def test_without_moonletctl_the_script_runs_all_the_same(home, tmp_path):
    alone = tmp_path / "bin" / "moonlet"
    alone.parent.mkdir()
    shutil.copy(MOONLET, alone)
    launched = run(str(alone), ["lua", *IS_WARM], home.env(WARM, PATH="/nonexistent"))
    assert (launched.status, launched.out, launched.err) == (0, b"nil\n", b"")
    assert all_ended() == [FAILED]


def test_the_status_is_that_of_ones_own_moonletd(home):
    home.launch(WARM, *IS_WARM)
    pid = home.served()
    status = home.launch(WARM, "--status")
    assert f"pid        {pid}\n" in status.out.decode()


def test_the_status_names_the_log_where_none_has_come_up(home):
    home.launch("-e error()", *IS_WARM)
    assert ended() == 1
    [log] = home.files("log")
    status = home.launch("-e error()", "--status")
    assert status.status == FAILED
    assert status.err.decode().endswith(f" (is moonletd running?); see {log}\n")


def test_scripts_that_are_started_from_lua_find_it(home):
    home.launch(WARM, *IS_WARM)
    home.served()
    spawns = "print(require('moonlet').spawn{'-e', 'os.exit(warm and 5 or 6)'}:wait())"
    assert home.warm_launch(WARM, "-e", spawns).out.split()[-1] == b"5"


def test_its_status_and_a_reload_are_to_be_had_from_lua(home):
    home.launch(WARM, *IS_WARM)
    pid = home.served()
    asks = "local m = require 'moonlet' print(assert(m.reload()), m.status().pid, m.status().reloads)"
    assert home.warm_launch(WARM, "-e", asks).out.split() == [b"true", str(pid).encode(), b"1"]


def aliases():
    with open(os.path.join(SOURCE, "README.md")) as text:
        return re.findall(r"^    (alias .*(?:\n      .*)*)", text.read(), re.MULTILINE)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize("line, name", [("luacheck --no-color a.lua", "luacheck"), ("busted --output=TAP a_spec.lua", "busted")])
def test_the_aliases_of_the_readme_work(home, tmp_path, shell, line, name):
    if shutil.which(shell) is None or not os.path.exists(f"/usr/bin/{name}"):
        pytest.skip(f"NOT INSTALLED: {shell}, or {name}")
    (tmp_path / "a.lua").write_text("local unused = 1\n")
    (tmp_path / "a_spec.lua").write_text("it('adds', function() assert.equal(2, 1 + 1) end)\n")
    [alias] = [text for text in aliases() if text.startswith(f"alias {name}=")]
    setup = {"bash": "shopt -s expand_aliases\n", "zsh": "setopt aliases\n"}[shell]
    script = tmp_path / "paste"
    script.write_text(f"{setup}{alias}\n{line}\n")
    path = os.path.dirname(MOONLET) + ":" + os.environ["PATH"]
    env = environment(XDG_RUNTIME_DIR=str(home.directory), PATH=path, LUA_CPATH=None, MOONLET_FALLBACK=REAL_LUA)
    cold = run(shell, [shell, str(script)], env, cwd=tmp_path)
    home.served()
    warm = run(shell, [shell, str(script)], {**env, "MOONLET_FALLBACK": ""}, cwd=tmp_path)
    assert cold.status == {"luacheck": 1, "busted": 0}[name], cold
    assert warm == cold
