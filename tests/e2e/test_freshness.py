"""Never stale: a launch that begins after a file has changed runs the new one, as with lua."""

import itertools
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import time

import client
import pytest
from conftest import (BY_MOONLET, KERNEL, LUA, MOONLETD, PATIENCE, REAL_LUA, SANITIZED, Launch, Result, about_the_file,
                      environment, run, wait_gone, without_addresses)


CODE = "print((require 'module'))"  # the parentheses drop what 5.4's adds


class Tree:
    """Modules below a directory, found through two entries of the path, the first of which is a symbolic link."""

    def __init__(self, top):
        self.top = top
        for name in ("first", "second", "store/a", "store/b"):
            (top / name).mkdir(parents=True)
        (top / "linked").symlink_to("store/a")
        self.path = f"{top}/linked/?.lua;{top}/first/?.lua;{top}/second/?.lua"
        self.env = environment(LUA_PATH=self.path)
        self.version = 0

    def text(self):
        self.version += 1
        return f"return {self.version}"

    def zygote(self, start, *warm_up, **arguments):
        return start(*(warm_up or ("-l", "module")), env=self.env, **arguments)

    def launch(self, zygote, code=CODE):
        return run(BY_MOONLET, ["lua", "-e", code], {**self.env, "MOONLET_SOCKET": zygote.socket})

    def is_current(self, zygote):
        result = self.launch(zygote)
        assert result == Result(0, b"%d\n" % self.version, b""), f"{result}, not {self.version}; {zygote.log()}"


def in_place(tree):
    (tree.top / "second/module.lua").write_text(tree.text())


def appended_in_steps(tree):
    with open(tree.top / "second/module.lua", "w") as file:
        file.write("return")
        file.flush()
        file.write(tree.text()[len("return"):])


def renamed_into_place(tree):
    (tree.top / "second/.new").write_text(tree.text())
    os.rename(tree.top / "second/.new", tree.top / "second/module.lua")


def deleted_and_created(tree):
    os.unlink(tree.top / "second/module.lua")
    in_place(tree)


def through_another_name(tree):
    """Of a hard link."""
    other = tree.top / "other"
    other.unlink(missing_ok=True)
    os.link(tree.top / "second/module.lua", other)
    other.write_text(tree.text())


def shadowed_by_a_new_file(tree):
    (tree.top / "first/module.lua").write_text(tree.text())
    return lambda: (in_place(tree), os.unlink(tree.top / "first/module.lua"))


def directory_link_swapped(tree):
    """As Nix and other package managers do."""
    target = "b" if os.readlink(tree.top / "linked").endswith("a") else "a"
    (tree.top / "store" / target / "module.lua").write_text(tree.text())
    (tree.top / ".link").symlink_to("store/" + target)
    os.rename(tree.top / ".link", tree.top / "linked")
    return lambda: (in_place(tree), os.unlink(tree.top / "store" / target / "module.lua"))


def file_link_swapped(tree):
    (tree.top / f"store/{tree.version}.lua").write_text(tree.text())
    (tree.top / ".link").symlink_to(f"../store/{tree.version - 1}.lua")
    os.rename(tree.top / ".link", tree.top / "second/module.lua")
    return lambda: (os.unlink(tree.top / "second/module.lua"), in_place(tree))


def directory_replaced(tree):
    shutil.copytree(tree.top / "second", tree.top / "third", symlinks=True)
    (tree.top / "third/module.lua").write_text(tree.text())
    os.rename(tree.top / "second", tree.top / "old")
    os.rename(tree.top / "third", tree.top / "second")
    shutil.rmtree(tree.top / "old")


WAYS = [in_place, appended_in_steps, renamed_into_place, deleted_and_created, through_another_name,
        shadowed_by_a_new_file, directory_link_swapped, file_link_swapped, directory_replaced]


tells = pytest.mark.skipif(KERNEL == "no-inotify", reason="NO INOTIFY: it looks when a launch begins")


@pytest.fixture
def tree(tmp_path):
    made = Tree(tmp_path / "tree")
    in_place(made)
    return made


@pytest.mark.parametrize("change", WAYS, ids=lambda way: way.__name__)
def test_a_launch_after_a_change_runs_what_is_there_now(tree, start_zygote, change):
    zygote = tree.zygote(start_zygote)
    tree.is_current(zygote)
    for _ in range(3):
        undo = change(tree)
        tree.is_current(zygote)
        if undo:
            undo()
            tree.is_current(zygote)


def test_it_stays_warm(tree, start_zygote):
    """What was loaded anew is in the image, not read by each script."""
    zygote = tree.zygote(start_zygote)
    in_place(tree)
    tree.is_current(zygote)
    assert tree.launch(zygote, "print(package.loaded.module)").out == b"%d\n" % tree.version


def test_pid_socket_and_command_line_stay(tree, start_zygote):
    def identity():
        proc = pathlib.Path(f"/proc/{zygote.pid}")
        return os.stat(zygote.socket).st_ino, (proc / "cmdline").read_bytes(), (proc / "comm").read_bytes(), [
            variable for variable in (proc / "environ").read_bytes().split(b"\0")
            if not variable.startswith((b"MOONLET_HANDOVER=", b"LD_BIND_NOW="))]

    zygote = tree.zygote(start_zygote, "-l", "name=module" if LUA in ("5.4", "5.5") else "module")
    before = identity()
    for _ in range(3):
        in_place(tree)
        tree.is_current(zygote)
    assert identity() == before
    assert tree.launch(zygote, "print(os.getenv('MOONLET_HANDOVER'))").out == b"nil\n"


@pytest.mark.parametrize("warm_up", ["script", "dofile", "loadfile", "io.open", "c"])
def test_whatever_the_warm_up_has_loaded_is_watched(tmp_path, start_zygote, warm_up):
    source = tmp_path / "warm.lua"
    if warm_up == "c":  # a C module
        module = shutil.copy(os.path.join(os.environ["MOONLET_BUILD"], "modules", "probe.so"), tmp_path)
        zygote = start_zygote("-l", "probe", env=environment(LUA_CPATH=f"{tmp_path}/?.so"))
        os.unlink(module)
        shutil.copy(os.path.join(os.environ["MOONLET_BUILD"], "modules", "probe.so"), tmp_path / "new")
        os.rename(tmp_path / "new", module)
        image = run(BY_MOONLET, ["lua", "-e", "io.write(io.open('/proc/self/maps'):read('*a'))"],
                    environment(LUA_CPATH=f"{tmp_path}/?.so", MOONLET_SOCKET=zygote.socket)).out.decode()
        assert "probe.so" in image and "probe.so (deleted)" not in image
        return
    source.write_text("value = 1")
    code = {"dofile": f"dofile '{source}'", "loadfile": f"loadfile '{source}'()",
            "io.open": f"local f = io.open '{source}' value = f:read('*a'):match('%d') f:close()"}
    zygote = start_zygote(*(["-e", code[warm_up]] if warm_up in code else [str(source)]))
    env = environment(MOONLET_SOCKET=zygote.socket)
    assert run(BY_MOONLET, ["lua", "-e", "print(value)"], env).out == b"1\n"
    source.write_text("value = 2")
    assert run(BY_MOONLET, ["lua", "-e", "print(value)"], env).out == b"2\n"


def test_a_file_that_was_looked_for_in_vain(tree, start_zygote):
    zygote = tree.zygote(start_zygote, "-e", "pcall(require, 'late')")
    code = "print((pcall(require, 'late')))"
    assert tree.launch(zygote, code).out == b"false\n"
    (tree.top / "first/late.lua").write_text("return 1")
    assert tree.launch(zygote, "print(package.loaded.late)").out == b"1\n"


def test_a_directory_that_was_not_there(tree, start_zygote):
    tree.env["LUA_PATH"] = f"{tree.top}/not/yet/there/?.lua;{tree.path}"
    zygote = tree.zygote(start_zygote)
    tree.is_current(zygote)
    (tree.top / "not/yet/there").mkdir(parents=True)
    (tree.top / "not/yet/there/module.lua").write_text(tree.text())
    tree.is_current(zygote)


def test_other_files_in_the_same_directories_do_not_matter(tree, start_zygote):
    zygote = tree.zygote(start_zygote)
    tree.is_current(zygote)
    log = zygote.log()
    (tree.top / "second/log").write_text("a line\n")
    (tree.top / "neighbour").mkdir()
    for _ in range(20):
        tree.is_current(zygote)
    assert zygote.log() == log


def test_what_the_warm_up_writes_is_no_source(tmp_path, start_zygote):
    """A log that it keeps would call for a new image without end."""
    zygote = start_zygote("-e", f"log = io.open('{tmp_path}/log', 'a') log:write('warm\\n') log:flush()")
    run(BY_MOONLET, ["lua", "-e", "log:write('script\\n')"], environment(MOONLET_SOCKET=zygote.socket))
    run(BY_MOONLET, ["lua", "-e", ""], environment(MOONLET_SOCKET=zygote.socket))
    assert (tmp_path / "log").read_text() == "warm\nscript\n"


def test_a_pipe_that_the_warm_up_reads_is_no_source(tmp_path, start_zygote):
    """What comes through it comes once."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text("once"))
    writer.start()
    zygote = start_zygote("-e", f"value = io.open('{tmp_path}/pipe'):read('*a')")
    writer.join()
    result = run(BY_MOONLET, ["lua", "-e", "print(value)"], environment(MOONLET_SOCKET=zygote.socket))
    assert result == Result(0, b"once\n", b"")


@pytest.mark.parametrize("before", ["link to a device", "directory"])
@pytest.mark.parametrize("by", ["loadfile", "moonlet.watch"])
def test_what_was_no_file_and_becomes_one(tmp_path, start_zygote, before, by):
    """A link to /dev/null is a file that an administrator has switched off."""
    path = tmp_path / "extra.lua"
    if before == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/null")
    zygote = start_zygote("-e", {
        "loadfile": f"local load = loadfile '{path}' value = load and load()",
        "moonlet.watch": f"""
            require 'moonlet'.watch '{path}'
            local load = io.popen("cat '{path}' 2>/dev/null")
            value = load:read '*a':match 'return (%d)' load:close()""",
    }[by])
    env = environment(MOONLET_SOCKET=zygote.socket)
    assert run(BY_MOONLET, ["lua", "-e", "print(value)"], env).out == b"nil\n"
    (tmp_path / "new").write_text("return 1")
    if before == "directory":
        path.rmdir()
    os.rename(tmp_path / "new", path)
    assert run(BY_MOONLET, ["lua", "-e", "print(value)"], env).out == b"1\n"


def test_a_device_is_no_source(tmp_path, start_zygote):
    """What is written to it is not there to be read."""
    zygote = start_zygote("-e", "here = tostring({}) io.open '/dev/null':read '*a'")
    env = environment(MOONLET_SOCKET=zygote.socket)
    before = run(BY_MOONLET, ["lua", "-e", "print(here)"], env)
    pathlib.Path("/dev/null").write_text("something")
    assert run(BY_MOONLET, ["lua", "-e", "print(here)"], env) == before


def test_links_that_make_a_way_longer_than_a_path_may_be(tmp_path, start_zygote, monkeypatch):
    """The kernel takes one link after another, and never has the whole of it before it."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("target")
    os.symlink(f"{tmp_path}/{'./' * 1500}target", "link")
    behind = "/".join(["d" * 200] * 9)
    os.makedirs(f"target/{behind}")
    (tmp_path / "target" / behind / "warm.lua").write_text("value = 1")
    zygote = start_zygote(f"{tmp_path}/link/{behind}/warm.lua")
    env = environment(MOONLET_SOCKET=zygote.socket)
    assert run(BY_MOONLET, ["lua", "-e", "print(value)"], env).out == b"1\n"
    (tmp_path / "target" / behind / "warm.lua").write_text("value = 2")
    assert run(BY_MOONLET, ["lua", "-e", "print(value)"], env).out == b"2\n"


def serving(zygote, times):
    """Waits until it has said so often that it serves."""
    with subprocess.Popen(["tail", "-n", "+1", "-f", zygote.log_path], stdout=subprocess.PIPE) as tail:
        said = b""
        while said.count(b"moonletd: serving ") < times:
            assert select.select([tail.stdout], [], [], PATIENCE)[0], zygote.log()
            said += os.read(tail.stdout.fileno(), 4096)
        tail.kill()


@tells
def test_it_renews_itself_also_when_nobody_asks(tree, start_zygote):
    zygote = tree.zygote(start_zygote)
    in_place(tree)
    serving(zygote, 2)
    assert tree.launch(zygote, "print(package.loaded.module)").out == b"%d\n" % tree.version


def test_launches_in_flight_are_reported_by_the_new_image(tree, start_zygote, launch):
    zygote = tree.zygote(start_zygote)
    env = {**tree.env, "MOONLET_SOCKET": zygote.socket}
    exits, killed, stops = [
        launch(BY_MOONLET, env, text) for text in (
            "print 'ready' io.flush() io.read() os.exit(7)",
            "print 'ready' io.flush() io.read() os.execute('kill -9 $PPID')",
            "print 'ready' io.flush() io.read() print 'again' io.flush() io.read()")]
    for script in (exits, killed, stops):
        assert script.hear() == "ready"
    for _ in range(2):
        in_place(tree)
        tree.is_current(zygote)
    exits.say("")
    killed.say("")
    assert exits.process.wait(PATIENCE) == 7
    assert killed.process.wait(PATIENCE) == -signal.SIGKILL
    # A client that is killed takes its script along.
    script = zygote.children()[0] if not int(os.environ.get("MOONLET_SPARE", "0")) else None
    stops.process.kill()
    if script:
        wait_gone(script)


@tells
def test_connections_that_wait_are_served_by_the_new_image(tree, start_zygote):
    """One that has sent nothing yet, and one that waits behind --max."""
    zygote = tree.zygote(start_zygote, options=("--max", "1"))
    slow = socket.socket(socket.AF_UNIX)
    slow.connect(zygote.socket)
    blocker = Launch(BY_MOONLET, ["lua", "-e", "print 'ready' io.flush() io.read()"], {**tree.env, "MOONLET_SOCKET": zygote.socket})
    assert blocker.hear() == "ready"
    in_place(tree)
    waiting = Launch(BY_MOONLET, ["lua", "-e", CODE], {**tree.env, "MOONLET_SOCKET": zygote.socket})
    serving(zygote, 2)
    blocker.say("")
    assert waiting.hear() == str(tree.version)
    assert blocker.end().status == waiting.end().status == 0
    with slow:
        client.send(slow, ["lua", "-e", "os.exit(3)"], tree.env, {0: 0, 1: 1, 2: 2})
        assert client.receive(slow)[0] == client.STARTED
        assert client.receive(slow) == (client.EXITED, 3)


FAILURES = {
    "syntax": ("return (", b"unexpected symbol"),
    "error": ("error 'broken'", b"broken"),
    "half-way": ("package.loaded.module = {half = true} error 'half'", b"half"),
    "needs another": ("return require 'nowhere'", b"module 'nowhere' not found"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_warm_up_that_fails_now(tree, start_zygote, failure):
    """What has loaded is served, a script meets the error that lua would give, and the next change mends it."""
    (tree.top / "second/before.lua").write_text("return 'before'")
    zygote = tree.zygote(start_zygote, "-l", "before", "-l", "module")
    text, message = FAILURES[failure]
    (tree.top / "second/module.lua").write_text(text)
    got = tree.launch(zygote)
    cold = run(REAL_LUA, ["lua", "-e", CODE], tree.env)
    assert without_addresses(got) == without_addresses(cold) and message in got.err
    assert tree.launch(zygote, "print(package.loaded.before)").out == b"before\n"
    assert zygote.log().count("moonletd: the warm-up fails, what it has loaded is served: ") == 1
    in_place(tree)
    tree.is_current(zygote)
    assert tree.launch(zygote, "print(package.loaded.module)").out == b"%d\n" % tree.version


def test_the_warm_up_script_itself_is_gone_and_comes_back(tmp_path, start_zygote):
    script = tmp_path / "warm.lua"
    script.write_text("value = 1")
    zygote = start_zygote(str(script))
    env = environment(MOONLET_SOCKET=zygote.socket)
    script.unlink()
    assert run(BY_MOONLET, ["lua", "-e", "print(value)"], env).out == b"nil\n"
    script.write_text("value = 2")
    assert run(BY_MOONLET, ["lua", "-e", "print(value)"], env).out == b"2\n"


def test_sighup_makes_a_new_image(tmp_path, start_zygote):
    """Also of what is not watched."""
    zygote = start_zygote("-e", "value = os.tmpname() os.remove(value)")
    env = environment(MOONLET_SOCKET=zygote.socket)
    values = set()
    for times in range(1, 4):
        values.add(run(BY_MOONLET, ["lua", "-e", "print(value)"], env).out)
        os.kill(zygote.pid, signal.SIGHUP)
        serving(zygote, times + 1)
    assert len(values) == 3


def test_what_a_new_image_s_warm_up_leaves_running_has_nothing_of_its(tmp_path, start_zygote, launch):
    """A socket that it had would be one that somebody seems to listen on when moonletd has ended."""
    pids = tmp_path / "pids"
    zygote = start_zygote("-e", f"os.execute('sleep 1000 >/dev/null 2>&1 & echo $! >>{pids}')")
    env = environment(MOONLET_SOCKET=zygote.socket)
    running = launch(BY_MOONLET, env, "print('runs') io.flush() io.read()")
    assert running.hear() == "runs"
    try:
        zygote.process.send_signal(signal.SIGHUP)
        while len(pids.read_text().splitlines()) < 2:
            os.sched_yield()
            assert run(BY_MOONLET, ["lua", "-e", ""], env).status == 0
        for pid in pids.read_text().split():
            descriptors = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            assert not any(it.startswith(("socket:", "/memfd:", "anon_inode:")) for it in descriptors), descriptors
    finally:
        for pid in pids.read_text().split():
            os.kill(int(pid), signal.SIGKILL)


@about_the_file
def test_sighup_takes_over_a_new_moonletd(tmp_path, start_zygote):
    """An upgrade: a package manager renames the new file into the place of the old one."""
    program = tmp_path / "moonletd"
    shutil.copy(MOONLETD, program)
    zygote = start_zygote(command=(str(program),))
    shutil.copy(MOONLETD, tmp_path / "new")
    os.rename(tmp_path / "new", program)
    os.kill(zygote.pid, signal.SIGHUP)
    serving(zygote, 2)
    assert os.stat(f"/proc/{zygote.pid}/exe").st_ino == os.stat(program).st_ino


@about_the_file
def test_a_program_that_cannot_start_anew(tmp_path, tree, start_zygote):
    """Nothing stale runs: scripts go to lua, until it can."""
    program = tmp_path / "moonletd"
    shutil.copy(MOONLETD, program)
    zygote = tree.zygote(start_zygote, command=(str(program),))
    program.rename(tmp_path / "away")
    in_place(tree)
    env = {**tree.env, "MOONLET_SOCKET": zygote.socket}
    refused = run(BY_MOONLET, ["lua", "-e", CODE], env)
    assert refused == Result(125, b"", f"moonlet: launch through {zygote.socket}: moonletd cannot start anew: see its "
                             "log\n".encode())
    del env["MOONLET_FALLBACK"]
    assert run(BY_MOONLET, ["lua", "-e", CODE], {**env, "MOONLET_FALLBACK": REAL_LUA}).out == \
        b"%d\n" % tree.version
    assert "moonletd: start anew: No such file or directory" in zygote.log()
    (tmp_path / "away").rename(program)
    tree.is_current(zygote)


def test_trust_watches_nothing(tree, start_zygote):
    zygote = tree.zygote(start_zygote, options=("--trust",))
    in_place(tree)
    assert tree.launch(zygote).out == b"1\n"
    while not zygote.is_idle():
        pass
    assert not any("inotify" in os.readlink(f"/proc/{zygote.pid}/fd/{fd}") for fd in zygote.descriptors())
    os.kill(zygote.pid, signal.SIGHUP)
    serving(zygote, 2)
    tree.is_current(zygote)


@pytest.mark.parametrize("value", ["", "x", "-1", "0", "3", "99999999999999999999", "\xff"])
def test_a_handover_from_nowhere_is_none(start_zygote, value):
    """Whoever starts moonletd may have set anything. What is meant is the first variable of all."""
    zygote = start_zygote("-e", "value = tostring(os.getenv('MOONLET_HANDOVER'))",
                          env={"MOONLET_HANDOVER": value, **environment()})
    result = run(BY_MOONLET, ["lua", "-e", "print(value)"], environment(MOONLET_SOCKET=zygote.socket))
    assert result == Result(0, b"nil\n", b"")


def written(pid):
    """Kilobytes of no file. What is its own alone would not do: pages of liblua are shared while any other Lua runs,
    and are its own when none does."""
    try:
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except ProcessLookupError:  # in the middle of an exec
        return 0
    return int(re.search(r"^Anonymous: +(\d+) kB", rollup, re.M).group(1))


def test_nothing_grows(tree, start_zygote):
    """Descriptors that a warm-up leaves open, those of waiting connections, memory."""
    zygote = tree.zygote(start_zygote, "-e", f"left = io.open('{tree.top}/second/module.lua') require 'module'")
    states = []
    for _ in range(30 if SANITIZED else 100):
        in_place(tree)
        tree.is_current(zygote)
        # While it starts anew, a launch goes to lua: what is measured is an image that is ready.
        while tree.launch(zygote, "print(package.loaded.module)").out != b"%d\n" % tree.version:
            pass
        while not zygote.is_idle():  # the launch is being reaped
            pass
        states.append((zygote.descriptors(), written(zygote.pid)))
    assert len(states[5][0]) == len(states[-1][0])
    assert states[-1][1] <= states[5][1] * 1.1 + 64


def test_edits_in_a_tight_loop(tree, start_zygote):
    """In every way, each followed by a launch, which must see it, while others launch all the time. MOONLET_EDITS is how
    many; docs/reliability.md has ten thousand."""
    edits = int(os.environ.get("MOONLET_EDITS", "30" if SANITIZED else "100"))
    zygote = tree.zygote(start_zygote)
    done, over, wrong, answers = [tree.version], threading.Event(), [], []

    def launches():
        while not over.is_set():
            before = done[-1]
            got = tree.launch(zygote)
            answers.append(got)
            # In the middle of a change the file may be gone, empty or half there, for lua too.
            if got.status == 1 and re.search(b"not found|near|cannot (open|read)", got.err) or got.out == b"true\n":
                continue
            if got.status != 0 or int(got.out) < before:
                wrong.append((before, got))

    threads = [threading.Thread(target=launches) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        states = []
        for i in range(edits):
            undo = WAYS[i % len(WAYS)](tree)
            done.append(tree.version)
            tree.is_current(zygote)
            if undo:
                undo()
                done.append(tree.version)
                tree.is_current(zygote)
            states.append(written(zygote.pid))
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert len(answers) > edits / 10
    last = [state for state in states[-5:] if state]
    assert not last or min(last) <= max(states[:20]) * 1.2 + 128, states
    while not zygote.is_idle():
        pass
    assert len(zygote.descriptors()) <= 10


def test_a_storm_of_reloads(tree, start_zygote):
    """Each launch ends with its right status while SIGHUP comes every 20 ms. MOONLET_STORM is for how many seconds at least;
    docs/reliability.md has a minute."""
    ends = time.monotonic() + float(os.environ.get("MOONLET_STORM", "0"))
    zygote = tree.zygote(start_zygote)
    over = threading.Event()

    def storm():
        while not over.wait(0.02):
            os.kill(zygote.pid, signal.SIGHUP)

    def launches(number, wrong):
        for i in itertools.count():
            if i >= (20 if SANITIZED else 60) and time.monotonic() > ends:
                break
            done.append(i)
            status = (number + i) % 100 + 1
            last = f"os.exit({status})" if i % 3 else "os.execute('kill -9 $PPID')"
            got = tree.launch(zygote, f"io.write((require 'module')) {last}")
            if got != Result(status if i % 3 else -9, b"%d" % tree.version if i % 3 else b"", b""):
                wrong.append(got)

    wrong, done = [], []
    threads = [threading.Thread(target=launches, args=(number, wrong)) for number in range(3)]
    hangups = threading.Thread(target=storm)
    hangups.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    hangups.join()
    assert wrong == []
    images = zygote.log().count("serving")
    assert images > 3
    print(f"MEASURED: {len(done)} launches over {images} images")


def test_reexec_every(start_zygote):
    """So that not all scripts for ever share an address layout."""
    zygote = start_zygote("-e", "here = tostring({})", options=("--reexec-every", "3"))
    env = environment(MOONLET_SOCKET=zygote.socket)
    seen = [run(BY_MOONLET, ["lua", "-e", "print(here)"], env).out for _ in range(9)]
    serving(zygote, 4)
    assert len({*seen}) == 3 and seen[0] == seen[2] != seen[3] == seen[5] != seen[6]


def test_idle_exit(tmp_path, start_zygote):
    zygote = start_zygote(options=("--idle-exit", "1"))
    script = Launch(BY_MOONLET, ["lua", "-e", "print 'ready' io.flush() io.read()"], environment(MOONLET_SOCKET=zygote.socket))
    assert script.hear() == "ready"
    # Not while a script runs, however long that takes: here until it is clear that it would have ended.
    with pytest.raises(subprocess.TimeoutExpired):
        zygote.process.wait(1.5)
    script.say("")
    assert script.end().status == 0
    assert zygote.process.wait(PATIENCE) == 0
    assert not os.path.exists(zygote.socket)
