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
from conftest import (BY_MOONLET, KERNEL, MOONLETCTL, MOONLETD, PATIENCE, REAL_LUA, SANITIZED, SERVED, THAWED, Result, Zygote, about_the_file,
                      environment, may_be_cold, run, wait_gone, without_addresses)


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
        """Through lua, as long as there is no image that is right."""
        return run(BY_MOONLET, ["lua", "-e", code], may_be_cold({**self.env, "MOONLET_SOCKET": zygote.socket}))

    def is_current(self, zygote):
        result = self.launch(zygote)
        assert result == Result(0, b"%d\n" % self.version, b""), f"{result}, not {self.version}; {zygote.log()}"

    def is_warm(self, zygote):
        """Waits until there is a new image, which has what is there now."""
        ends = time.monotonic() + PATIENCE
        while (shown := self.launch(zygote, "print(package.loaded.module)").out) != b"%d\n" % self.version:
            assert shown == b"nil\n" and time.monotonic() < ends, (shown, self.version, zygote.log())


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


tells = pytest.mark.skipif(KERNEL == "no-inotify", reason="NO INOTIFY: it looks when a launch has begun")


def value_of(zygote, code="print(value)"):
    """What a launch prints, from an image only; None as long as there is none that is right."""
    result = run(BY_MOONLET, ["lua", "-e", code], environment(MOONLET_SOCKET=zygote.socket))
    return result.out if result.status == 0 else None


def until_value(zygote, wanted, code="print(value)"):
    ends = time.monotonic() + PATIENCE
    while (found := value_of(zygote, code)) != wanted:
        assert found is None and time.monotonic() < ends, (found, wanted, zygote.log())


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
    """What was loaded anew is in a new image, not read by each script."""
    zygote = tree.zygote(start_zygote)
    for _ in range(3):
        in_place(tree)
        tree.is_current(zygote)
        tree.is_warm(zygote)


@pytest.mark.parametrize("warm_up", ["script", "dofile", "loadfile", "io.open", "c"])
def test_whatever_the_warm_up_has_loaded_is_watched(tmp_path, start_zygote, warm_up):
    source = tmp_path / "warm.lua"
    if warm_up == "c":  # a C module
        module = shutil.copy(os.path.join(os.environ["MOONLET_BUILD"], "modules", "probe.so"), tmp_path)
        zygote = start_zygote("-l", "probe", env=environment(LUA_CPATH=f"{tmp_path}/?.so"))
        os.unlink(module)
        shutil.copy(os.path.join(os.environ["MOONLET_BUILD"], "modules", "probe.so"), tmp_path / "new")
        os.rename(tmp_path / "new", module)
        code = "local maps = '' for line in io.lines '/proc/self/maps' do maps = maps .. line .. '\\n' end io.write(maps)"
        while True:
            shown = run(BY_MOONLET, ["lua", "-e", code], environment(LUA_CPATH=f"{tmp_path}/?.so", MOONLET_SOCKET=zygote.socket))
            if shown.status == 0:
                break
        assert b"probe.so" in shown.out and b"probe.so (deleted)" not in shown.out
        return
    source.write_text("value = 1")
    code = {"dofile": f"dofile '{source}'", "loadfile": f"loadfile '{source}'()",
            "io.open": f"local f = io.open '{source}' value = f:read('*a'):match('%d') f:close()"}
    zygote = start_zygote(*(["-e", code[warm_up]] if warm_up in code else [str(source)]))
    assert value_of(zygote) == b"1\n"
    source.write_text("value = 2")
    until_value(zygote, b"2\n")


def test_a_file_that_was_looked_for_in_vain(tree, start_zygote):
    zygote = tree.zygote(start_zygote, "-e", "pcall(require, 'late')")
    code = "print((pcall(require, 'late')))"
    assert tree.launch(zygote, code).out == b"false\n"
    (tree.top / "first/late.lua").write_text("return 1")
    assert tree.launch(zygote, code).out == b"true\n"
    while tree.launch(zygote, "print(package.loaded.late)").out != b"1\n":
        pass


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


def test_a_warm_up_that_changes_what_it_reads(tmp_path, start_zygote):
    """There are ever fewer new images of it; the last one serves as long as it is right."""
    counter = tmp_path / "counter"
    counter.write_text("1")
    zygote = start_zygote("-e", f"local file = io.open('{counter}') local n = file:read('*n') file:close() "
                          f"file = io.open('{counter}', 'w') file:write(n + 1) file:close()", env=environment())
    seen = []
    while len(seen) < 5:
        if counter.read_text() not in ("", str(seen[-1][0]) if seen else "") :
            seen.append((int(counter.read_text()), time.monotonic()))
    gaps = [after[1] - before[1] for before, after in zip(seen[1:], seen[2:])]
    assert gaps[-1] > gaps[0], gaps


def test_a_warm_up_that_looks_at_the_directory_of_the_image(tmp_path, start_zygote):
    """The freeze itself changes that, and each time: there are ever fewer."""
    starts = tmp_path / "starts"
    starts.touch()
    image = tmp_path / "beside" / "some.image"
    image.parent.mkdir()
    start_zygote("-e", f"io.open('{image.parent}') io.open('{starts}', 'a'):write('x')", options=("--image", str(image)), env=environment())
    seen = []
    while len(seen) < 6:
        if starts.stat().st_size > len(seen):
            seen.append(time.monotonic())
    gaps = [after - before for before, after in zip(seen, seen[1:])]
    assert gaps[-1] > 0.8, gaps  # 50 ms, doubled four times


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
    assert value_of(zygote) == b"nil\n"
    (tmp_path / "new").write_text("return 1")
    if before == "directory":
        path.rmdir()
    os.rename(tmp_path / "new", path)
    until_value(zygote, b"1\n")


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
    assert value_of(zygote) == b"1\n"
    (tmp_path / "target" / behind / "warm.lua").write_text("value = 2")
    until_value(zygote, b"2\n")


def has_said(zygote, what, times=1):
    """Waits until it has said that so often."""
    with subprocess.Popen(["tail", "-n", "+1", "-f", zygote.log_path], stdout=subprocess.PIPE) as tail:
        said = b""
        while said.count(what.encode()) < times:
            assert select.select([tail.stdout], [], [], PATIENCE)[0], zygote.log()
            said += os.read(tail.stdout.fileno(), 4096)
        tail.kill()


@tells
def test_it_makes_a_new_image_also_when_nobody_asks(tree, start_zygote):
    """And says why."""
    zygote = tree.zygote(start_zygote)
    in_place(tree)
    has_said(zygote, f"moonletd: a new image: {tree.top}/second/module.lua has changed\n")
    assert tree.launch(zygote, "print(package.loaded.module)").out == b"%d\n" % tree.version


@tells
def test_what_is_changed_back_and_forth_makes_no_image(tree, start_zygote):
    """An editor's swap file; and a file of another name in a directory that was looked into."""
    zygote = tree.zygote(start_zygote)
    log = zygote.log()
    for name in (".module.lua.swp", "other.lua"):
        (tree.top / "second" / name).write_text("")
        tree.is_current(zygote)
        (tree.top / "second" / name).unlink()
    for _ in range(20):
        tree.is_current(zygote)
    assert zygote.log() == log


def test_launches_in_flight_are_reported_when_there_is_a_new_image(tree, start_zygote, launch):
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
        tree.is_warm(zygote)
    exits.say("")
    killed.say("")
    assert exits.process.wait(PATIENCE) == 7
    assert killed.process.wait(PATIENCE) == -signal.SIGKILL
    # A client that is killed takes its script along.
    (script,) = zygote.children()
    stops.process.kill()
    wait_gone(script)


FAILURES = {
    "syntax": ("return (", b"unexpected symbol"),
    "error": ("error 'broken'", b"broken"),
    "half-way": ("package.loaded.module = {half = true} error 'half'", b"half"),
    "needs another": ("return require 'nowhere'", b"module 'nowhere' not found"),
}


@tells
@pytest.mark.parametrize("failure", FAILURES)
def test_a_warm_up_that_fails_now(tree, start_zygote, failure):
    """Scripts are lua's, and meet the error that it gives; the log has it once, and the next change mends it."""
    (tree.top / "second/before.lua").write_text("return 'before'")
    zygote = tree.zygote(start_zygote, "-l", "before", "-l", "module")
    text, message = FAILURES[failure]
    (tree.top / "second/module.lua").write_text(text)
    has_said(zygote, "moonletd: no new image: the warm-up failed\n")
    got = tree.launch(zygote)
    cold = run(REAL_LUA, ["lua", "-e", CODE], tree.env)
    assert without_addresses(got) == without_addresses(cold) and message in got.err
    assert message.decode() in zygote.log()
    in_place(tree)
    tree.is_current(zygote)
    tree.is_warm(zygote)
    assert zygote.log().count("no new image") == 1


def test_the_warm_up_script_itself_is_gone_and_comes_back(tmp_path, start_zygote):
    script = tmp_path / "warm.lua"
    script.write_text("value = 1")
    zygote = start_zygote(str(script))
    script.unlink()
    assert value_of(zygote) is None
    script.write_text("value = 2")
    until_value(zygote, b"2\n")


def test_sighup_makes_a_new_image(tmp_path, start_zygote):
    """Also of what is not watched."""
    zygote = start_zygote("-e", "value = tostring({})")
    values = set()
    for times in range(1, 4):
        values.add(value_of(zygote))
        os.kill(zygote.pid, signal.SIGHUP)
        has_said(zygote, "moonletd: a new image: it was asked for\n", times)
    assert len(values) == 3 and None not in values


def test_what_the_warm_up_starts_has_nothing_of_moonletd_s(tmp_path, start_zygote):
    """A socket that it had would be one that somebody seems to listen on when moonletd has ended."""
    listed = tmp_path / "listed"
    start_zygote("-e", f"os.execute('ls -l /proc/self/fd >{listed}')", wait=False)
    links = [line.rsplit(" -> ")[-1] for line in listed.read_text().splitlines() if "->" in line]
    assert len(links) == 4 and not any(it.startswith(("socket:", "anon_inode:")) for it in links), links


@about_the_file
def test_a_moonlet_that_is_gone_for_a_while(tmp_path, tree, start_zygote):
    """As in an upgrade. Who has no moonlet has no image, and says so."""
    for name in ("moonletd", "moonlet", "moonlet-lua"):
        shutil.copy(os.path.join(os.path.dirname(MOONLETD), name), tmp_path)
    zygote = tree.zygote(start_zygote, command=(str(tmp_path / "moonletd"),))
    os.rename(tmp_path / "moonlet", tmp_path / "away")
    in_place(tree)
    refused = tree.launch(zygote)
    assert refused == Result(125, b"", b"moonlet: exec moonlet, beside moonletd: No such file or directory\n")
    has_said(zygote, "moonletd: exec moonlet, beside moonletd: No such file or directory\n")
    os.rename(tmp_path / "away", tmp_path / "moonlet")
    tree.is_current(zygote)


@tells
def test_an_image_that_is_gone_is_made_anew(tree, start_zygote):
    zygote = tree.zygote(start_zygote)
    os.unlink(zygote.image)
    tree.is_current(zygote)
    tree.is_warm(zygote)
    has_said(zygote, "moonletd: a new image: the last one is gone\n")


def test_an_image_that_is_cut_short_is_made_anew(tree, start_zygote):
    zygote = tree.zygote(start_zygote)
    os.truncate(zygote.image, 100)
    tree.is_current(zygote)  # through lua: that it begins is what the keeper is told
    has_said(zygote, "moonletd: a new image: the last one is gone\n")
    tree.is_warm(zygote)


def test_trust_watches_nothing(tree, start_zygote):
    zygote = tree.zygote(start_zygote, options=("--trust",))
    in_place(tree)
    assert tree.launch(zygote).out == b"1\n"
    while not zygote.is_idle():
        pass
    links = [os.readlink(f"/proc/{zygote.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{zygote.pid}/fd")]
    assert not any("inotify" in link or "mountinfo" in link for link in links)
    os.kill(zygote.pid, signal.SIGHUP)
    has_said(zygote, "a new image")
    tree.is_current(zygote)
    assert zygote.log().count("a new image") == 1  # and none because the keeper thought that a library had changed


def written(pid):
    """Kilobytes of no file."""
    try:
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except ProcessLookupError:  # in the middle of an exec
        return 0
    return int(re.search(r"^Anonymous: +(\d+) kB", rollup, re.M).group(1))


def test_nothing_grows(tree, start_zygote):
    """Descriptors and memory of the two processes."""
    zygote = tree.zygote(start_zygote)
    states = []
    for _ in range(30 if SANITIZED else 60):
        in_place(tree)
        tree.is_current(zygote)
        tree.is_warm(zygote)
        while not (zygote.is_idle() and zygote.is_fresh()):  # the launch is being reaped, and the warm-up
            pass
        states.append((len(os.listdir(f"/proc/{zygote.pid}/fd")), len(zygote.descriptors()), written(zygote.pid), written(zygote.server)))
    # The keeper may just be reading the new image: it has as few open as after the first ones when it is done.
    early = [min(counts) for counts in zip(*(state[:2] for state in states[:6]))]
    deadline = time.monotonic() + PATIENCE
    while not all(now <= then for now, then in zip((len(os.listdir(f"/proc/{zygote.pid}/fd")), len(zygote.descriptors())), early)):
        assert time.monotonic() < deadline, states
    # AddressSanitizer keeps what was freed.
    assert SANITIZED or all(last <= early + 16 for early, last in zip(states[5][2:], states[-1][2:])), states


class Served:
    """Launches through a moonletd."""

    def __init__(self, tree, directory):
        self.zygote = Zygote(directory, "-l", "module", env=tree.env)
        self.ways = [(SERVED, {**tree.env, "MOONLET_SOCKET": self.zygote.socket})]

    def begin(self):
        self.states = []

    def renew(self):
        pass

    def note(self):
        self.states.append(written(self.zygote.pid) + written(self.zygote.server))

    def end(self):
        zygote, last = self.zygote, [state for state in self.states[-5:] if state]
        assert not last or min(last) <= max(self.states[:20]) * 1.2 + 128, self.states
        while not zygote.is_idle():
            pass
        assert len(zygote.descriptors()) <= 10
        assert zygote.stop() == 0


class Killed:
    """Launches through one that is killed each second, and started anew in the same moment; or from the image beside its socket."""

    def __init__(self, tree, directory):
        self.tree = tree
        self.start = lambda: Zygote(directory, "-l", "module", env=tree.env, wait=False)
        self.zygote, self.over, self.kills = self.start(), threading.Event(), 0
        env = {**tree.env, "MOONLET_SOCKET": self.zygote.socket}
        self.ways = [(SERVED, env), (THAWED, {name: value for name, value in env.items() if name != "MOONLET_IMAGE"})]

    def begin(self):
        self.thread = threading.Thread(target=self.kill)
        self.thread.start()

    def kill(self):
        while not self.over.wait(1):
            self.zygote.process.kill()
            self.zygote.process.wait()
            self.zygote = self.start()
            self.kills += 1

    def renew(self):
        pass

    def note(self):
        pass

    def end(self):
        self.over.set()
        self.thread.join()
        self.tree.is_warm(self.zygote)
        assert self.zygote.stop() == 0


class Alone:
    """Launches by MOONLET_WARM: no moonletd."""

    def __init__(self, tree, directory):
        env = {**tree.env, "MOONLET_WARM": "-l module", "XDG_CACHE_HOME": str(directory), "MOONLET_SOCKET": str(directory / "none")}
        del env["MOONLET_IMAGE"]
        self.ways = [(THAWED, env)]

    def begin(self):
        pass

    def renew(self):
        """Else a freeze that has met a module that is half there would be tried again after ten seconds, after twenty, ..."""
        run(MOONLETCTL, ["moonletctl", "--forget"], self.ways[0][1])

    def note(self):
        pass

    def end(self):
        pass


@pytest.mark.parametrize("form", [Served, Killed, Alone], ids=lambda form: form.__name__.lower())
def test_edits_in_a_tight_loop(tree, tmp_path, form):
    """In every way, each followed by a launch, which must see it, while others launch all the time. MOONLET_EDITS is how
    many; docs/reliability.md has ten thousand."""
    edits = int(os.environ.get("MOONLET_EDITS", "30" if SANITIZED else "100"))
    done, over, wrong, answers = [tree.version], threading.Event(), [], []
    form = form(tree, tmp_path)
    turns = itertools.cycle(form.ways)
    code = "local is_warm = package.loaded.module ~= nil print((require 'module'), is_warm)"

    def launched():
        program, env = next(turns)
        return run(program, ["lua", "-e", code], may_be_cold(env))

    def launches():
        while not over.is_set():
            before = done[-1]
            got = launched()
            answers.append(got)
            # In the middle of a change the file may be gone, empty or half there, for lua too.
            if got.status == 1 and re.search(b"not found|near|cannot (open|read)", got.err) or got.out.startswith(b"true\t"):
                continue
            if got.status != 0 or int(got.out.split()[0]) < before:
                wrong.append((before, got))

    def look():
        got = launched()
        answers.append(got)
        assert (got.status, got.out.split()[:1]) == (0, [b"%d" % tree.version]), (got, tree.version)
        return got.out.endswith(b"true\n")

    threads = [threading.Thread(target=launches) for _ in range(2)]
    form.begin()
    for thread in threads:
        thread.start()
    try:
        for i in range(edits):
            undo = WAYS[i % len(WAYS)](tree)
            done.append(tree.version)
            look()
            if undo:
                undo()
                done.append(tree.version)
                look()
            if i % 10 == 9:  # else there is hardly ever an image that the next change could outdate
                ends = time.monotonic() + PATIENCE
                renewed = -1
                while not look():
                    now = time.monotonic()
                    assert now < ends, "no new image"
                    if now > renewed + 2:
                        form.renew()
                        renewed = now
            form.note()
    finally:
        over.set()
        for thread in threads:
            thread.join()
        form.end()
    assert wrong == []
    warm = sum(answer.out.endswith(b"true\n") for answer in answers)
    assert warm > edits / 10
    print(f"MEASURED: {edits} edits, {len(answers)} launches, {warm} of them warm, {getattr(form, 'kills', 0)} kills")


def test_a_storm_of_reloads(tree, start_zygote):
    """Each launch ends with its right status while SIGHUP comes every 20 ms. MOONLET_STORM is for how many seconds at least;
    docs/reliability.md has a minute."""
    begun = time.monotonic()
    ends = begun + float(os.environ.get("MOONLET_STORM", "0"))
    zygote = tree.zygote(start_zygote)
    over = threading.Event()

    def has_seen_enough():
        now = time.monotonic()
        return now > ends and (zygote.log().count("a new image") > 3 or now > begun + PATIENCE)

    def storm():
        while not over.wait(0.02):
            os.kill(zygote.pid, signal.SIGHUP)

    def launches(number, wrong):
        for i in itertools.count():
            if i >= (20 if SANITIZED else 60) and has_seen_enough():
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
    images = zygote.log().count("a new image")
    assert images > 3
    print(f"MEASURED: {len(done)} launches over {images} images")
