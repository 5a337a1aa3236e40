"""moonletctl: what it tells of a moonletd, against what is the case; and that nobody who asks can harm that moonletd."""

import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

import client
import pytest
from conftest import (BUILD, BY_MOONLET, JIT, LUA, MOONLET, MOONLETCTL, MOONLETD, PATIENCE, PROGRAMS, REAL_LUA, SOURCE, Result,
                      environment, needs_root, run, wait_gone)

MOONLETCTL = os.path.join(PROGRAMS, "moonletctl")
WAITS = "print('runs') io.flush() io.read()"
# What a terminal might act on: all controls, and what begins a sequence where 8 bits do.
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def its(zygote, **changes):
    return environment(MOONLET_SOCKET=zygote.socket, **changes)


def moonlet(zygote, *arguments, **changes):
    return run(MOONLET, ["moonlet", *arguments], its(zygote, **changes))


def launched(zygote, *arguments, **changes):
    return run(BY_MOONLET, ["lua", *arguments], its(zygote, **changes))


def table(zygote, **changes):
    done = moonlet(zygote, "--status", **changes)
    assert (done.status, done.err) == (0, b"")
    return done.out.decode()


def status(zygote):
    done = moonlet(zygote, "--status=json")
    assert (done.status, done.err) == (0, b"")
    return json.loads(done.out)


def until(zygote, **wanted):
    """Asks until the status has these values, and returns it."""
    ends = time.monotonic() + PATIENCE
    while True:
        found = status(zygote)
        if all(found[name] == value for name, value in wanted.items()):
            return found
        assert time.monotonic() < ends, (wanted, found)


def ask(zygote):
    """A connection that asks for the status."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    connection.bind("")  # to any name
    connection.connect(zygote.socket)
    return connection


@pytest.fixture
def running(launch):
    """running(zygote, argument...): a script that runs until it hears a line."""
    def start(zygote, *arguments, **options):
        script = launch(BY_MOONLET, its(zygote), WAITS, *arguments, **options)
        assert script.hear() == "runs"
        return script
    return start


class OnTerminal:
    """moonletctl with a terminal of its own."""

    def __init__(self, zygote, *arguments, columns=80, rows=24, **changes):
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (rows, columns))
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen([MOONLETCTL, *arguments], stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        env=its(zygote, **{"TERM": "xterm", **changes}))
        self.shown = ""

    def hear(self, wanted, times=1):
        ends = time.monotonic() + PATIENCE
        while self.shown.count(wanted) < times:
            ready, _, _ = select.select([self.master], [], [], PATIENCE)
            assert ready and time.monotonic() < ends, f"no {wanted!r} in {self.shown!r}"
            self.shown += os.read(self.master, 65536).decode()
        return self.shown

    def type(self, keys):
        os.write(self.master, keys.encode())

    def end(self):
        assert self.process.wait(PATIENCE) is not None
        while select.select([self.master], [], [], 0)[0]:
            self.shown += os.read(self.master, 65536).decode()
        self.after = termios.tcgetattr(self.slave)
        os.close(self.slave)
        os.close(self.master)
        return self.shown


# What it tells


def test_the_table_tells_of_the_zygote(start_zygote):
    zygote = start_zygote(options=["--max", "3"])
    lines = table(zygote, COLUMNS="200").splitlines()
    its_lua = "LuaJIT" if JIT else f"Lua {LUA}"
    assert re.fullmatch(rf"moonletd \d+\.\d+\.\d+, {re.escape(its_lua)}, up \d+s: warm", lines[0].removeprefix("* "))
    told = {line[:11].rstrip(): line[11:] for line in lines[1:]}
    assert re.fullmatch(r"\d+ KB", told.pop("warm heap"))
    assert re.fullmatch(r"\d\.\d MB, \d+s old, 1 so far|\d+ KB, \d+s old, 1 so far", told.pop("image"))
    assert re.fullmatch(r"\d+ files?, \d+ librar(y|ies), \d+ variables?", told.pop("asks for"))
    assert told == {"socket": zygote.socket, "pid": str(zygote.pid), "modules": "0",
                    "launches": "0 so far", "running": "0 of at most 3, 0 waiting, 0 thawed"}


def test_a_warm_up_that_fails_is_told(start_zygote):
    zygote = start_zygote("-e", "error('no such luck')")
    lines = table(zygote, COLUMNS="200").splitlines()
    assert lines[0].endswith(": cold, the warm-up fails")
    assert "image      none" in lines and "error      moonletd: (command line):1: no such luck" in lines
    assert any(re.fullmatch(r"warm-ups   \d+ failed, the last one \d+s ago", line) for line in lines)
    found = status(zygote)
    assert (found["warm_up_fails"], found["image_bytes"], found["image_age_seconds"]) == (True, None, None)
    assert found["error"] == "moonletd: (command line):1: no such luck" and 0 <= found["error_age_seconds"] < PATIENCE


def test_a_warm_up_that_runs_is_told(tmp_path):
    os.mkfifo(tmp_path / "go")
    path = str(tmp_path / "s")
    with subprocess.Popen([MOONLETD, "--socket", path, "-e", f"io.open '{tmp_path}/go':read()"], env=environment()) as process:
        with open(tmp_path / "go", "w"):  # when the warm-up has opened it
            done = run(MOONLET, ["moonlet", "--socket", path, "--status"], environment())
            assert done.out.splitlines()[0].endswith(b": cold, a warm-up runs"), done
        process.terminate()


def test_why_an_image_was_made_anew_is_told(start_zygote, tmp_path):
    (tmp_path / "one.lua").write_text("return 1")
    zygote = start_zygote("-l", "one", env=environment(LUA_PATH=f"{tmp_path}/?.lua"))
    (tmp_path / "one.lua").write_text("return 2")
    found = until(zygote, images=2)
    assert found["made_anew"] == f"{tmp_path}/one.lua has changed" and f"{tmp_path}/one.lua" in found["files"]
    assert f"made anew  {tmp_path}/one.lua has changed" in table(zygote, COLUMNS="200").splitlines()


def test_json_has_the_members_that_its_page_names_and_no_other(start_zygote, running):
    zygote = start_zygote()
    running(zygote)
    with open(os.path.join(SOURCE, "docs/moonletctl.1")) as page:
        named = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"Li ([a-z_ ,]+)", page.read()))))
    found = status(zygote)
    assert named == set(found) | set(found["scripts"][0]) | {"current"} | set(found["questions"]) | set(found["declined_for"])


def test_warm_modules_are_listed(start_zygote, tmp_path):
    (tmp_path / "warm").mkdir()
    for name in ("one", "warm/two"):
        (tmp_path / f"{name}.lua").write_text("return {}")
    zygote = start_zygote("-l", "one", "-e", "require 'warm.two'", env=environment(LUA_PATH=f"{tmp_path}/?.lua"))
    assert sorted(status(zygote)["modules"]) == ["one", "warm.two"]
    assert re.search(r"^modules.*?(?=^asks for)", table(zygote), re.M | re.S).group().split()[1:] == ["2:", "one", "warm.two"]


def test_the_size_of_the_warm_heap_is_told(start_zygote):
    small, large = start_zygote(), start_zygote("-e", "text = ('x'):rep(3000000)")
    grown = status(large)["warm_heap_bytes"] - status(small)["warm_heap_bytes"]
    assert 3_000_000 <= grown < 4_500_000  # some keep a buffer


def test_a_running_script_is_told_with_what_proc_says_of_it(start_zygote, running):
    zygote = start_zygote()
    script = running(zygote, "one", "two words")
    (pid,) = zygote.children()
    (told,) = status(zygote)["scripts"]
    with open(f"/proc/{pid}/cmdline") as file:
        command = file.read().split("\0")[:-1]
    with open(f"/proc/{pid}/smaps_rollup") as file:
        lines = re.findall(r"^(Private|Shared)_\w+: +(\d+) kB", file.read(), re.M)
    memory = {kind: sum(1024 * int(size) for its_kind, size in lines if its_kind == kind) for kind, _ in lines}
    assert 0 <= told.pop("age_seconds") < PATIENCE
    # What another process ends to share becomes private, and the other way round.
    assert told.pop("private_bytes") + told.pop("shared_bytes") == memory["Private"] + memory["Shared"]
    assert told == {"pid": pid, "client_pid": script.pid, "uid": os.getuid(), "user": subprocess.getoutput("id -un"),
                    "command": command, "script": " ".join(command[1:])}
    row = table(zygote).splitlines()[-1]
    assert row.split()[:2] == [str(pid), told["user"]] and "running0.lua" in row or row.endswith("...")


def test_scripts_are_counted_and_those_that_fail(start_zygote, running):
    zygote = start_zygote()
    scripts = [running(zygote) for _ in range(3)]
    assert launched(zygote, "-e", "os.exit(3)").status == 3
    scripts.pop().kill(signal.SIGKILL)
    scripts.pop().say("")
    found = until(zygote, running=1)
    assert (found["launches"], found["failed"], found["killed"], found["declined"], len(found["scripts"])) == (4, 2, 1, 0, 1)
    assert "launches   4 so far, 1 with another status than 0, 1 ended by a signal\n" in table(zygote)


def decline(zygote, *arguments, **changes):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(zygote.socket)
        with contextlib.suppress(BrokenPipeError):  # it need not hear all
            client.send(connection, ["lua", *arguments], {}, {}, **changes)
        assert client.receive(connection)[0] == client.DECLINED


def test_what_is_declined_is_counted_by_reason_and_logged_once_for_each(start_zygote):
    zygote = start_zygote()
    for _ in range(3):
        decline(zygote, "x" * (1 << 17))
        decline(zygote, lua=7)
    decline(zygote, flags=1 << 31)
    assert launched(zygote, "-e", "os.exit(125)").status == 125
    found = until(zygote, running=0)
    assert (found["failed"], found["declined"]) == (1, 7)
    assert {name: count for name, count in found["declined_for"].items() if count} == {"strings": 3, "other_lua": 3, "request": 1}
    assert "declined   7: 3 for another Lua, 1 without a valid request, 3 with too long arguments\n" in table(zygote, COLUMNS="200")
    assert sorted(re.findall(r"request from pid \d+, user \d+: (.*)", zygote.log())) == [
        "another version of the protocol", "its strings are more than exec takes",
        f"this moonletd is for {'LuaJIT' if JIT else 'Lua ' + LUA}"]


def test_why_a_launch_could_not_use_the_image_is_told(start_zygote):
    """One that moonletd has forked, and one by moonlet itself."""
    zygote = start_zygote()
    assert (status(zygote)["not_used"], status(zygote)["not_used_age_seconds"]) == ("", None)
    for variable, program in (("LUA_PATH", BY_MOONLET), ("LUA_CPATH", MOONLET)):
        done = run(program, ["lua", "-e", "print 'cold'"], its(zygote, **{variable: "/nonexistent", "MOONLET_FALLBACK": REAL_LUA, "MOONLET_IMAGE": None}))
        assert done == Result(0, b"cold\n", b"")
        reason = f"{variable} differs from the image's"
        assert 0 <= until(zygote, not_used=reason)["not_used_age_seconds"] < PATIENCE
        assert re.search(f"^not used   \\d+s ago: {reason}$", table(zygote), re.M)


def test_why_it_was_not_used_cannot_steer_the_terminal(start_zygote):
    zygote = start_zygote()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(zygote.socket)
        connection.sendall(b"o\x1b[2J" + b"x" * 1000)
    while not (found := status(zygote)["not_used"]):
        pass
    assert found == "\x1b[2J" + "x" * 250
    assert not CONTROLS.search(table(zygote)) and r"\027[2J" in table(zygote)


def test_an_image_that_is_outdated_is_told(start_zygote, tmp_path):
    module = tmp_path / "one.lua"
    module.write_text("return 1")
    zygote = start_zygote("-l", "one", env=environment(LUA_PATH=f"{tmp_path}/?.lua"))
    assert (status(zygote)["verdict"], status(zygote)["outdated"]) == ("warm", False)
    module.write_text("error 'no more'")
    found = until(zygote, warm_up_runs=False, verdict="cold, the warm-up fails")
    assert found["outdated"] and found["image_bytes"] is not None
    module.write_text("return 2")
    assert not until(zygote, verdict="warm")["outdated"]


def test_who_asked_for_the_time_is_told(start_zygote, tmp_path):
    """Nobody can say whether the clock would give the same answer: whoever wants to can leave these out."""
    for name, text in (("keeps", "return {at = os.time()}"), ("does_not", "return {}")):
        (tmp_path / f"{name}.lua").write_text(text)
    zygote = start_zygote("-l", "keeps", "-l", "does_not", env=environment(LUA_PATH=f"{tmp_path}/?.lua"))
    assert status(zygote)["clock_asked_by"] == ["keeps"]
    assert "clock      asked by keeps\n" in table(zygote)


def test_questions_are_counted_by_kind(start_zygote, tmp_path):
    (tmp_path / "one.lua").touch()
    zygote = start_zygote("-l", "one", "-e", "io.open '/proc/cpuinfo':read '*a' os.getenv 'SOME'", env=environment(LUA_PATH=f"{tmp_path}/?.lua"))
    found = status(zygote)
    questions = found["questions"]
    assert questions["contents"] == 1 and questions["files"] >= 1 and questions["libraries"] >= 1
    assert questions["variables"] == found["variables"] > 1
    assert "1 content of /proc" in table(zygote)


@needs_root
@pytest.mark.parametrize("way", ["replaced", "same", "side by side"])
def test_scripts_that_moonlet_has_thawed_are_found(start_zygote, launch, tmp_path, way):
    """By whom they were started does not matter. Some run in an image that has been replaced."""
    (tmp_path / "one.lua").write_text("return 1")
    env = environment(LUA_PATH=f"{tmp_path}/?.lua")
    zygote = start_zygote("-l", "one", env=env)
    its_env = {**env, "MOONLET_SOCKET": zygote.socket}
    del its_env["MOONLET_IMAGE"]
    program = MOONLET if way != "side by side" else shutil.copy(MOONLET, tmp_path / "moonlet5.9")
    thawed, forked = launch(program, its_env, WAITS, "an argument"), launch(BY_MOONLET, its_env, WAITS)
    other = launch(REAL_LUA, its_env, WAITS)
    assert [script.hear() for script in (thawed, forked, other)] == ["runs"] * 3
    if way == "replaced":
        (tmp_path / "one.lua").write_text("return 2")
        until(zygote, images=2)
    found = status(zygote)
    (told,) = found["thawed"]
    assert 0 <= told.pop("age_seconds") < PATIENCE and told.pop("private_bytes") > 0 and told.pop("shared_bytes") > 0
    assert told.pop("command")[1:] == told.pop("script").rsplit(" ", 2)[:1] + ["an argument"]
    assert told == {"pid": thawed.pid, "uid": os.getuid(), "user": subprocess.getoutput("id -un"), "current": way != "replaced"}
    assert [script["client_pid"] for script in found["scripts"]] == [forked.pid]
    shown = table(zygote)
    assert "running    1, 0 waiting, 1 thawed\n" in shown and shown.index("THAWED SCRIPT\n") < shown.index(f"\n{thawed.pid:7}  ")
    thawed.say("")
    assert thawed.end().status == 0 and status(zygote)["thawed"] == []


def test_who_asks_is_no_launch(start_zygote):
    zygote = start_zygote()
    for _ in range(5):
        found = status(zygote)
        assert [found[name] for name in ("launches", "running", "waiting", "failed", "declined")] == [0] * 5
    assert zygote.log().count("\n") == 1


def test_it_answers_while_max_scripts_run_and_others_wait(start_zygote, running):
    zygote = start_zygote(options=["--max", "1"])
    script = running(zygote)
    waiting = [subprocess.Popen([*BY_MOONLET.words, "-e", ""], env=its(zygote)) for _ in range(3)]
    found = until(zygote, waiting=3)
    assert (found["running"], found["max"], len(found["scripts"])) == (1, 1, 1)
    assert "running    1 of at most 1, 3 waiting, 0 thawed\n" in table(zygote)
    script.say("")
    assert [process.wait(PATIENCE) for process in waiting] == [0] * 3
    assert until(zygote, running=0, waiting=0)["launches"] == 4


def test_those_that_wait_run_in_the_order_in_which_they_came(start_zygote, running, tmp_path):
    zygote = start_zygote(options=["--max", "1"])
    script = running(zygote)
    code = f"local f = io.open('{tmp_path}/log', 'a') f:write(arg[1], ' ') f:close()"
    (tmp_path / "log.lua").write_text(code)
    with contextlib.ExitStack() as stack:
        connections = []
        for i in range(20):
            connections.append(stack.enter_context(socket.socket(socket.AF_UNIX)))
            connections[-1].settimeout(PATIENCE)
            connections[-1].connect(zygote.socket)
            client.send(connections[-1], ["lua", str(tmp_path / "log.lua"), str(i)], environment(), {})
            until(zygote, waiting=i + 1)
        script.say("")
        for connection in connections:
            while connection.recv(4096):
                pass
    assert (tmp_path / "log").read_text().split() == [str(i) for i in range(20)]


def test_moonlet_and_moonletctl_find_the_same_socket(start_zygote):
    zygote = start_zygote()
    pids = [json.loads(run(program, ["name", *arguments, "--status=json"], env).out)["pid"]
            for program in (MOONLET, MOONLETCTL)
            for arguments, env in ((["--socket", zygote.socket], environment(MOONLET_SOCKET="/nonexistent")),
                                   (["--socket=" + zygote.socket], environment()),
                                   ([], its(zygote)))]
    assert pids == [zygote.pid] * 6


# How it shows that


def test_what_a_script_is_called_cannot_steer_the_terminal(start_zygote, running):
    zygote = start_zygote()
    running(zygote, "\x1b[2J", "\x9b\u202e", "\udcff", "\n", name="\x1b]0;title\x07")
    for language in ("C", "C.UTF-8"):
        shown = table(zygote, LANG=language, COLUMNS="1000")
        assert not CONTROLS.search(shown) and "\u202e" not in shown
        assert r"\027[2J \194\155\226\128\174 \255 \n" in shown


def test_letters_of_any_language_are_shown_where_the_locale_has_them(start_zygote, running):
    zygote = start_zygote()
    running(zygote, "grüße")
    assert "grüße\n" in table(zygote, LANG="C.UTF-8", COLUMNS="1000")
    assert r"gr\195\188\195\159e" in table(zygote, LANG="C", COLUMNS="1000")


def test_json_is_valid_whatever_a_script_is_called(start_zygote, running):
    zygote = start_zygote()
    running(zygote, '"\\/', "\x01\n\x7f", "\udcff\udc80", "gr\u00fc\u00dfe \U0001f319", "\udced\udca0\udc80")
    (told,) = status(zygote)["scripts"]
    assert told["command"][2:] == ['"\\/', "\x01\n\x7f", "\xff\x80", "gr\u00fc\u00dfe \U0001f319", "\xed\xa0\x80"]


def test_lines_are_no_wider_than_80_columns_or_the_terminal(start_zygote, running, tmp_path):
    modules = f"package.path = '{tmp_path}/any.lua' for i = 1, 100 do package.loaded['module' .. i] = true end"
    (tmp_path / "any.lua").touch()
    zygote = start_zygote("-e", modules)
    running(zygote, "x" * 300)
    lines = {columns: table(zygote, COLUMNS=columns).splitlines() for columns in (None, "100")}
    for columns in (40, 120):
        terminal = OnTerminal(zygote, "--status", columns=columns, NO_COLOR="1")
        lines[columns] = terminal.end().splitlines()
    assert [max(map(len, its_lines)) for its_lines in lines.values()] == [80, 100, 40, 120]
    assert all(its_lines[-1].endswith("...") for its_lines in lines.values())


def test_it_is_in_colour_on_a_terminal_alone(start_zygote):
    zygote = start_zygote()
    def on_terminal(**changes):
        terminal = OnTerminal(zygote, "--status", **changes)
        terminal.hear("\r\n", times=9)
        return "\x1b[" in terminal.end()
    assert on_terminal()
    assert on_terminal(NO_COLOR="")
    assert not on_terminal(NO_COLOR="1")
    assert not on_terminal(TERM="dumb")
    assert "\x1b" not in table(zygote, TERM="xterm")


# --top


@pytest.mark.parametrize("key", ["q", "\x03"])
def test_top_shows_what_changes_until_a_key_ends_it(start_zygote, running, key):
    zygote = start_zygote()
    terminal = OnTerminal(zygote, "--top")
    terminal.hear("running")
    script = running(zygote)
    terminal.hear("SCRIPT")
    script.say("")
    terminal.hear("launches", times=3)
    terminal.type(key)
    shown = terminal.end()
    assert terminal.process.returncode == 0
    assert shown.startswith("\x1b[?1049h") and shown.endswith("\x1b[?1049l")
    assert terminal.after == terminal.before


def test_top_restores_the_terminal_when_a_signal_ends_it(start_zygote):
    terminal = OnTerminal(start_zygote(), "--top")
    terminal.hear("running")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.end().endswith("\x1b[?1049l")
    assert (terminal.process.returncode, terminal.after) == (128 + signal.SIGTERM, terminal.before)


def test_top_shows_no_more_lines_than_there_are_rows(start_zygote):
    """The last row is for the keys."""
    terminal = OnTerminal(start_zygote(), "--top", rows=5)
    terminal.hear("q quit", times=2)
    assert "1-4 of 8" in terminal.shown and "launches" not in terminal.shown
    assert terminal.shown.count("\n") == 4 * terminal.shown.count("\x1b[H")
    terminal.type("jj")
    terminal.hear("3-6 of 8")
    assert "launches" not in terminal.shown
    terminal.type("\x1b[6~")  # page down
    terminal.hear("5-8 of 8")
    assert "launches" in terminal.shown and "running" in terminal.shown
    terminal.type("\x1b[A\x1b[H")  # up, home
    terminal.hear("1-4 of 8", times=terminal.shown.count("1-4 of 8") + 1)
    terminal.type("q")
    terminal.end()


def test_top_sorts_scripts_and_folds_modules(start_zygote, launch, tmp_path):
    for name in ("a", "b", "pack.one", "pack.two", "pack"):
        path = tmp_path / (name.replace(".", "/") + ".lua")
        path.parent.mkdir(exist_ok=True)
        path.touch()
    zygote = start_zygote("-e", "for _, name in ipairs {'b', 'pack.two', 'pack', 'a', 'pack.one'} do require(name) end",
                          env=environment(LUA_PATH=f"{tmp_path}/?.lua"))
    script = "local t = ('x'):rep(%d) print('runs') io.flush() io.read()"
    for size in (1, 10_000_000):
        assert launch(BY_MOONLET, its(zygote, LUA_PATH=f"{tmp_path}/?.lua"), script % size).hear() == "runs"
    first, second = zygote.children()
    terminal = OnTerminal(zygote, "--top", columns=120, rows=50, NO_COLOR="1")
    shown = terminal.hear("arrows scroll")
    assert "modules    5: a b pack.*3" in shown and "per second" not in shown

    def order():
        begin = terminal.shown.rindex("\x1b[H", 0, terminal.shown.rindex("q quit"))
        return re.findall(r"^ *(\d+)  ", terminal.shown[begin:], re.M)

    pids = [str(pid) for pid in (first, second)]
    assert order() == pids
    for keys, wanted in (("m", pids[::-1]), ("s", pids)):
        terminal.type(keys)
        while order() != wanted:
            terminal.hear("q quit", times=terminal.shown.count("q quit") + 1)
    terminal.hear("0.0 per second")
    terminal.type("q")
    terminal.end()


def test_top_waits_for_a_zygote_that_is_started_again(start_zygote):
    zygote = start_zygote()
    terminal = OnTerminal(zygote, "--top")
    terminal.hear(str(zygote.pid))
    zygote.stop()
    terminal.hear("No such file or directory (is moonletd running?)")
    again = start_zygote(options=["--socket", zygote.socket])
    terminal.hear(str(again.pid))
    terminal.type("q")
    terminal.end()


def test_top_without_a_terminal_prints_one_table_after_another(start_zygote):
    with subprocess.Popen([MOONLETCTL, "--top"], env=its(start_zygote()), stdout=subprocess.PIPE, text=True) as process:
        titles = 0
        while titles < 2:
            line = process.stdout.readline()
            assert line and "\x1b" not in line
            titles += line.startswith("* moonletd ")
        process.terminate()


# Who asks and does not behave


def test_who_never_reads_holds_nobody_up(start_zygote):
    """All that there is to tell fits between the two."""
    zygote = start_zygote()
    with ask(zygote) as connection:
        assert launched(zygote, "-e", "print 'served'") == Result(0, b"served\n", b"")
        assert until(zygote, running=0)["launches"] == 1
        while not zygote.is_idle():
            os.sched_yield()
        assert connection.recv(4).startswith(b"MOOS")


def test_who_reads_only_a_part_leaves_nothing_behind(start_zygote):
    zygote = start_zygote()
    for _ in range(20):
        with ask(zygote) as connection:
            connection.recv(1)
    until(zygote, running=0)
    while not zygote.is_idle():
        os.sched_yield()


def test_a_thousand_who_ask_at_once(start_zygote):
    zygote = start_zygote()
    until(zygote, running=0)  # it has closed what it told of its readiness
    before = zygote.descriptors()
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(ask(zygote)) for _ in range(1000)]
        assert launched(zygote, "-e", "print 'served'") == Result(0, b"served\n", b"")
        answers = []
        for connection in connections:
            answers.append(connection.recv(4096))
        answered = [answer for answer in answers if answer]
        assert answered and all(answer.startswith(b"MOOS") for answer in answered)
    assert until(zygote, running=0)["launches"] == 1
    while not zygote.is_idle():
        os.sched_yield()
    assert zygote.descriptors() == before


def test_who_leaves_at_once(start_zygote):
    zygote = start_zygote()
    until(zygote, running=0)  # it has closed what it told of its readiness
    before = zygote.descriptors()
    for _ in range(200):
        ask(zygote).close()
    assert launched(zygote, "-e", "print 'served'") == Result(0, b"served\n", b"")
    until(zygote, running=0, waiting=0)
    while not zygote.is_idle():
        os.sched_yield()
    assert zygote.descriptors() == before


def test_who_sends_much_is_not_read(start_zygote):
    zygote = start_zygote()
    with ask(zygote) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(b"x" * 1_000_000)
    assert launched(zygote, "-e", "print 'served'") == Result(0, b"served\n", b"")
    assert zygote.log().count("\n") == 1


@needs_root
def test_another_user_is_refused(start_zygote, open_directory):
    os.chown(open_directory, 65534, 65534)
    path = str(open_directory / "s")
    start_zygote(options=["--socket", path, "--mode", "666"], user=65534, group=65534, extra_groups=[], cwd="/")
    done = run(MOONLETCTL, ["moonletctl", "--socket", path, "--status"], environment(), user=65533, group=65533, cwd="/")
    assert done == Result(125, b"", f"moonletctl: connect {path}: this moonletd serves another user\n".encode())


@needs_root
def test_a_user_sees_the_scripts_of_others_but_not_their_memory(open_directory, start_zygote, launch):
    path = str(open_directory / "s")
    start_zygote(options=["--socket", path, "--mode", "666"])
    script = launch(BY_MOONLET, environment(MOONLET_SOCKET=path), WAITS)
    assert script.hear() == "runs"
    done = run(MOONLETCTL, ["moonletctl", "--socket", path, "--status=json"], environment(), user=65534, group=65534, cwd="/")
    (told,) = json.loads(done.out)["scripts"]
    assert (told["user"], told["private_bytes"], told["shared_bytes"]) == ("root", None, None)
    assert told["command"][1].endswith("running0.lua")
    done = run(MOONLETCTL, ["moonletctl", "--socket", path, "--status"], environment(), user=65534, group=65534, cwd="/")
    assert re.search(r"^ *\d+  root +\d+s +- +- ", done.out.decode(), re.M)


# What goes wrong


def test_where_nobody_listens_it_says_so_and_there_is_no_fallback(tmp_path):
    path = tmp_path / "s"
    for option in ("--status", "--status=json", "--top", "--reload"):
        done = run(MOONLET, ["moonlet", "--socket", str(path), option], environment(MOONLET_FALLBACK=None))
        assert done == Result(125, b"", f"moonletctl: connect {path}: No such file or directory (is moonletd running?)\n".encode())


def complaint_about(answer, path):
    """What is said of somebody at `path` who answers so."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        process = subprocess.Popen([MOONLETCTL, "--socket", str(path), "--status"], stderr=subprocess.PIPE, env=environment())
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1) == b""  # who knows of no status need not wait for a request
            connection.sendall(answer)
        _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 125
    return error.decode().removeprefix(f"moonletctl: connect {path}: ").rstrip("\n")


def test_what_is_no_moonletd_is_told_from_one(tmp_path):
    answer = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    assert complaint_about(answer, tmp_path / "s") == "what answers there does not tell its status"


def test_a_moonletd_that_knows_of_no_status_declines_and_is_quoted(tmp_path):
    answer = client.REPORT.pack(client.DECLINED, 7) + b"\x1bno, no" + client.REPORT.pack(client.EXITED, 0)
    assert complaint_about(answer, tmp_path / "s") == r"\027no, no"


def test_a_moonletd_of_another_version_is_named(tmp_path):
    answer = struct.pack("=IHH12sI", 0x534f4f4d, 4, 20, b"9.9.9", 504) + bytes(100)
    expected = "moonletd is of version 9.9.9, and its status is for who is of that version too"
    assert complaint_about(answer, tmp_path / "s") == expected


def test_an_answer_that_breaks_off_is_no_answer(start_zygote, tmp_path):
    (tmp_path / "one.lua").touch()
    zygote = start_zygote("-l", "one", env=environment(LUA_PATH=f"{tmp_path}/?.lua"))
    with ask(zygote) as connection:
        whole = b"".join(iter(lambda: connection.recv(65536), b""))
    for size in range(24, len(whole)):
        assert complaint_about(whole[:size], tmp_path / f"s{size}") == "the answer broke off"


@pytest.mark.parametrize("arguments, reason", [
    ([], "what shall be done?"), (["--status", "script.lua"], "'script.lua' is not expected here"),
    (["--top", "--status"], "--top and --status: one at a time"), (["--socket"], "--socket: a path must follow"),
    (["--status=xml"], "'--status=xml' is not expected here")])
def test_a_wrong_command_line_is_refused(arguments, reason):
    done = run(MOONLETCTL, ["moonletctl", *arguments], environment())
    assert done.status == 125 and done.err.decode().startswith(f"moonletctl: {reason}")


def test_moonlet_finds_moonletctl_on_the_path_and_says_if_there_is_none(start_zygote, tmp_path):
    zygote = start_zygote()
    for name in ("alone", "elsewhere"):
        (tmp_path / name).mkdir()
    alone = tmp_path / "alone" / "moonlet"
    shutil.copy(os.path.join(BUILD, "moonlet"), alone)
    missing = run(alone, ["moonlet", "--status"], its(zygote, PATH="/nonexistent"))
    assert missing == Result(125, b"", b"moonlet: exec moonletctl (beside moonlet, or on PATH): No such file or directory\n")
    shutil.copy(os.path.join(BUILD, "moonletctl"), tmp_path / "elsewhere")
    assert run(alone, ["moonlet", "--status"], its(zygote, PATH=str(tmp_path / "elsewhere"))).status == 0


# --reload

# A zygote that does nothing but to tell its status, and to do on SIGHUP what its argument says.
STAND_IN = """
import signal, socket, struct, sys
_, path, on_hangup = sys.argv
reloads = 0
def hang_up(*_):
    global reloads
    if on_hangup == "end":
        sys.exit()
    reloads += on_hangup in ("reload", "fail")
signal.signal(signal.SIGHUP, hang_up)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
print("serves", flush=True)
while True:
    connection, name = listener.accept()
    assert name  # it asks for the status
    head = struct.pack("=IHH12sI", 0x534f4f4d, 3, 20, b"0.1.0", 504) + bytes(32)
    failures = reloads if on_hangup == "fail" else 0
    connection.sendall(head + struct.pack("=17I", reloads - failures, failures, 0, failures, *[0] * 13) + b"it fails\\0\\0\\0")
    connection.close()
"""


@pytest.fixture
def reload(tmp_path):
    """reload(what): --reload of a zygote that does that on SIGHUP, and the zygote's pid."""
    processes = []

    def start(on_hangup):
        path = str(tmp_path / "s")
        processes.append(subprocess.Popen([sys.executable, "-c", STAND_IN, path, on_hangup], stdout=subprocess.PIPE))
        assert processes[-1].stdout.readline() == b"serves\n"
        return run(MOONLETCTL, ["moonletctl", "--socket", path, "--reload"], environment()), processes[-1].pid

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_reload_says_when_the_zygote_has_reloaded(reload):
    done, pid = reload("reload")
    assert done == Result(0, f"moonletd {pid} has reloaded: 0 modules, 0 KB\n".encode(), b"")


def test_reload_says_if_the_warm_up_fails(reload):
    done, pid = reload("fail")
    assert done == Result(1, b"", f"moonletctl: reload moonletd {pid}: it fails\n".encode())


def test_reload_of_a_warm_up_that_fails_now(start_zygote, tmp_path):
    script = tmp_path / "warm.lua"
    script.write_text("warm = 1")
    zygote = start_zygote(str(script), options=["--trust"])
    assert moonlet(zygote, "--reload").status == 0
    script.write_text("error('no more')")
    done = moonlet(zygote, "--reload")
    assert (done.status, done.out) == (1, b"") and b"warm.lua:1: no more\n" in done.err, done


def test_reload_says_if_the_zygote_ends_of_it(reload):
    done, pid = reload("end")
    assert done == Result(1, b"", f"moonletctl: reload moonletd {pid}: it has ended\n".encode())


def test_reload_says_if_the_zygote_does_not_reload(reload):
    done, pid = reload("nothing")
    expected = f"moonletctl: reload moonletd {pid}: it has not done so within ten seconds (its log may say why)\n"
    assert done == Result(1, b"", expected.encode())
