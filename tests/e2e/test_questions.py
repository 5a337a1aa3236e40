"""The questions of an image: all that a warm-up asks of the world is recorded, and asked again."""

import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest
from conftest import BUILD, REAL_LUA, SANITIZED, environment

RECORDER = os.path.join(BUILD, "tests", "recorder")
STRACE = shutil.which("strace")
GDB = shutil.which("gdb")
needs_strace = pytest.mark.skipif(STRACE is None or SANITIZED, reason="NO STRACE to compare with")
# LeakSanitizer does not work in a process that is traced.
# luacheck's and others' modules, which run under each Lua, lie in 5.1's directory.
ENV = environment(ASAN_OPTIONS="detect_leaks=0", LUA_PATH="/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua;;")

WAYS = {"filtered": [], "each-call": ["--each-call"], "untraced": ["--untraced"]}
TRACED = ["filtered", "each-call"]

# Each of them, under strace and under the recorder.
WARM_UPS = {
    "nothing": "",
    "luacheck": "require 'luacheck.runner'",
    "penlight": "require 'pl.pretty' require 'pl.path' require 'pl.dir'",
    "posix": "require 'posix'",
    "socket": "require 'socket' require 'socket.http'",
    "lfs": "local lfs = require 'lfs'; for name in lfs.dir('/usr/share') do lfs.attributes('/usr/share/' .. name) end "
           "lfs.symlinkattributes('/bin') lfs.currentdir()",
    "locale": "os.setlocale('') os.setlocale('C.UTF-8')",
    "time": "os.date('%c') os.time{year=2020, month=1, day=1}",
    "temporary": "local f = io.tmpfile(); f:close() os.remove(os.tmpname())",
    "process": "local f = io.popen('uname -s; ls /usr/share > /dev/null; cat /etc/passwd'); f:read('*a'); f:close()",
    "shell": "os.execute('test -d /etc && test ! -e /none/of/these')",
}


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


class Warm:
    """A warm-up in a directory of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.image = directory.parent / "questions"

    def record(self, code, *options, status=0, env=ENV, before=(), **arguments):
        script = self.directory / "warm.lua"
        if not script.exists() or script.read_text() != code:
            script.write_text(code)
        arguments = {"stdin": subprocess.DEVNULL, **arguments}
        done = subprocess.run([*before, RECORDER, "record", *options, self.image, "warm.lua"], cwd=self.directory,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, timeout=60, **arguments)
        assert done.returncode == status, done
        return done.stdout.splitlines()

    def difference(self, env=ENV, **arguments):
        arguments = {"stdin": subprocess.DEVNULL, "cwd": self.directory, **arguments}
        done = subprocess.run([RECORDER, "ask", self.image], stdout=subprocess.PIPE, text=True, env=env, timeout=60,
                              **arguments)
        assert done.returncode in (0, 1), done
        return done.stdout.splitlines()[0]

    def questions(self):
        """(kind, number, whether it is there, text) of each."""
        shown = subprocess.run([RECORDER, "show", self.image], stdout=subprocess.PIPE, text=True, check=True).stdout
        line = re.compile(r"(working directory|\w+) (\d+) (there|absent) (.*)")
        return [line.fullmatch(each).groups() for each in shown.splitlines()]


SAME = "nothing differs"


@pytest.fixture
def warm(tmp_path):
    (tmp_path / "directory").mkdir()
    made = Warm(tmp_path / "directory")
    return made


def skip_without_modules(code):
    if subprocess.run([REAL_LUA, "-e", code], env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip(f"NO SUCH MODULE for this Lua: {code}")


def asked_paths(directory, code, env=ENV):
    """What strace sees lua ask for, with the error or "": relative paths as they are."""
    (directory / "warm.lua").write_text(code)
    log = directory.parent / "strace"
    subprocess.run([STRACE, "-f", "-y", "-s", "4096", "-e", "trace=%file,%network", "-o", log, REAL_LUA, "warm.lua"],
                   cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=60)
    asked = set()
    for line in log.read_text().splitlines():
        call = re.match(r'\d+ +(\w+)\((?:(AT_FDCWD|\d+)(?:<([^>]*)>)?, )?"((?:[^"\\]|\\.)*)"(.*)', line)
        if call is None:
            continue
        name, at, base, path, rest = call.groups()
        if path == "" or name in ("getcwd", "unlink", "unlinkat") or re.search(r"O_WRONLY|O_CREAT|O_TMPFILE", rest):
            continue
        if at not in (None, "AT_FDCWD") and not path.startswith("/"):
            path = f"{base}/{path}"
        error = re.search(r"= -1 (E\w+)", rest)
        asked.add((path, error.group(1) if error else ""))
    return asked


def is_covered(path, error, questions):
    for kind, _, there, text in questions:
        if kind in ("file", "link", "kind", "target", "content") and text == path:
            return True
        # Nothing is there either, below what is not there.
        if error == "ENOENT" and there == "absent" and kind == "file" and path.startswith(text + "/"):
            return True
        if kind == "directory" and text == path:
            return True
    return False


@needs_strace
@pytest.mark.parametrize("how", TRACED)
@pytest.mark.parametrize("name", WARM_UPS)
def test_each_path_that_strace_sees_is_a_question(warm, name, how):
    code = WARM_UPS[name]
    skip_without_modules(code)
    # What a lua asks that runs nothing, for its libraries, is no part of a warm-up.
    before = asked_paths(warm.directory, "")
    paths = asked_paths(warm.directory, code) - before
    warm.record(code, *WAYS[how])
    questions = warm.questions()
    # Of files that the warm-up has made nothing is asked.
    missed = {(path, error) for path, error in paths
              if not is_covered(path, error, questions) and not path.startswith("/tmp/lua_")}
    assert missed == set()
    assert warm.difference() == SAME


@needs_strace
@pytest.mark.parametrize("name", ["luacheck", "penlight", "posix", "socket"])
def test_without_a_tracer_each_module_is_a_question(warm, name):
    code = WARM_UPS[name]
    skip_without_modules(code)
    paths = {each for each in asked_paths(warm.directory, code) if "lua" in each[0] and "liblua" not in each[0]
             and REAL_LUA not in each[0]}
    warm.record(code, "--untraced")
    questions = warm.questions()
    assert {each for each in paths if not is_covered(*each, questions)} == set()
    assert warm.difference() == SAME


@pytest.mark.skipif(GDB is None or SANITIZED or os.uname().machine != "x86_64",
                    reason="NO GDB FOR x86-64 to see libc's own getenv")
@pytest.mark.parametrize("name", ["locale", "time", "temporary", "process", "luacheck", "socket", "posix"])
def test_each_variable_that_is_read_inside_libc_is_a_question(warm, way, name):
    code = WARM_UPS[name]
    skip_without_modules(code)
    (warm.directory / "warm.lua").write_text(code)
    commands = warm.directory.parent / "commands"
    commands.write_text("set breakpoint pending on\n" + "".join(
        f'break {function}\ncommands\nsilent\nprintf "ASKED %s\\n", (char*)$rdi\ncontinue\nend\n'
        for function in ("getenv", "secure_getenv")) + "run\n")
    seen = subprocess.run([GDB, "-nx", "-batch", "-x", commands, "--args", REAL_LUA, "warm.lua"], cwd=warm.directory, env=ENV,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    names = set(re.findall(r"ASKED (\w+)", seen.stdout))
    assert "LUA_INIT" in names, seen.stdout  # by lua(1) itself, which this recorder is not
    warm.record(code, *way)
    questions = warm.questions()
    known = {text.split("=")[0] for kind, _, _, text in questions if kind == "variable"}
    whole = any(kind == "variables" and text == "" for kind, _, _, text in questions)
    missed = {each for each in names - known if not each.startswith("LUA_INIT")}
    assert not missed or whole, missed


def test_what_every_program_asks_is_always_a_question(warm, way):
    warm.record("", *way)
    questions = {(kind, text) for kind, _, _, text in warm.questions()}
    assert {("variables", "LD_"), ("variables", "MALLOC_"), ("variable", "GLIBC_TUNABLES"),
            ("file", "/etc/ld.so.preload"), ("file", "/etc/ld.so.cache")} <= questions
    assert warm.difference({**ENV, "LD_BIND_NOW": "1"}) == "LD_* differs from the image's"
    assert warm.difference({**ENV, "GLIBC_TUNABLES": "glibc.malloc.check=0"}) == "GLIBC_TUNABLES differs from the image's"


def test_a_variable_is_a_question_only_if_it_was_asked_for(warm, way):
    warm.record("os.getenv('SET') os.getenv('NOT_SET')", *way, env={**ENV, "SET": "1", "OTHER": "1"})
    env = {**ENV, "SET": "1"}
    assert warm.difference({**env, "OTHER": "2"}) == SAME
    assert warm.difference({**env, "SET": "2"}) == "SET differs from the image's"
    assert warm.difference({**env, "NOT_SET": ""}) == "NOT_SET differs from the image's"


def test_a_variable_that_the_warm_up_has_set_itself_is_no_question(warm, way):
    code = "require 'luv'.os_setenv('ITS_OWN', '1'); assert(os.getenv('ITS_OWN') == '1')"
    skip_without_modules(code)
    warm.record(code, *way)
    assert warm.difference({**ENV, "ITS_OWN": "2"}) == SAME


LOAD = "package.path = './?.lua;' .. package.path; require 'module'"


def test_a_changed_module_differs(warm, way):
    module = warm.directory / "module.lua"
    module.write_text("return 1")
    warm.record(LOAD, *way)
    assert warm.difference() == SAME
    module.write_text("return 2")
    assert warm.difference() == "./module.lua has changed"


def test_a_module_that_changes_right_after_it_was_read_differs(warm, way):
    """Whatever the clock of files' times is: there is no moment in which a change goes unseen."""
    module = warm.directory / "module.lua"
    for i in range(20):
        module.write_text(f"return {i % 10}")
        warm.record(LOAD + f"; io.open('module.lua', 'w'):write('return {(i + 5) % 10}')", *way)
        assert warm.difference() == "./module.lua has changed"


def test_a_module_that_comes_in_front_of_another_differs(warm, way):
    for name in ("first", "second"):
        (warm.directory / name).mkdir()
    (warm.directory / "second/module.lua").write_text("return 1")
    code = "package.path = 'first/?.lua;none/?.lua;second/?.lua'; require 'module'"
    warm.record(code, *way)
    assert warm.difference() == SAME
    (warm.directory / "first/.module.lua.swp").write_text("")  # an editor's
    (warm.directory / "first/other.lua").write_text("")
    assert warm.difference() == SAME
    (warm.directory / "none").mkdir()
    assert warm.difference() == "none is there now"
    (warm.directory / "none").rmdir()
    (warm.directory / "first/module.lua").write_text("")
    assert warm.difference() == "first/module.lua is there now"


def test_a_relative_path_is_asked_in_the_launchs_directory(warm, way, tmp_path):
    (warm.directory / "module.lua").write_text("return 1")
    warm.record(LOAD, *way)
    (tmp_path / "other").mkdir()
    assert warm.difference(cwd=tmp_path / "other") == "warm.lua has changed"


def test_a_file_that_is_there_already_when_it_is_looked_for_again_is_one_answer(warm, way):
    """The first answer counts: what the warm-up has read before is not what it would read now."""
    module = warm.directory / "module.lua"
    module.write_text("return 1")
    said = warm.record(LOAD + "; os.execute('sleep 0.1; echo return 2 > module.lua'); dofile 'module.lua'", *way)
    assert "refused: a file changed while it was read: ./module.lua" in said
    assert warm.difference() == "./module.lua has changed"


def test_files_of_the_warm_up_itself_are_no_questions(warm, way):
    (warm.directory / "log").write_text("before\n")
    said = warm.record("""
      local name = os.tmpname(); io.open(name, 'w'):close(); io.open(name):close(); os.remove(name)
      local f = io.open('made', 'w'); f:write('1'); f:close(); assert(io.open('made')):close(); os.remove('made')
      io.open('log', 'a'):write('more\\n')""", *way)
    assert not any(line.startswith("refused") for line in said)
    assert not {text for _, _, _, text in warm.questions()} & {"made", "log"}
    with open(warm.directory / "log", "a") as log:
        log.write("more\n")
    assert warm.difference() == SAME


def test_proc_is_compared_by_content(warm, way):
    said = warm.record("io.open('/proc/sys/kernel/ostype'):read('*a')", *way)
    assert ("content", "/proc/sys/kernel/ostype") in {(kind, text) for kind, _, _, text in warm.questions()}
    assert not any(line.startswith("refused") for line in said)
    assert warm.difference() == SAME


@pytest.mark.parametrize("path", ["/proc/uptime", "/proc/self/stat"])
def test_what_is_never_the_same_is_refused(warm, path):
    said = warm.record(f"io.open('{path}'):read('*a')")
    assert f"refused: a file that is never the same was read: {path}" in said
    said = warm.record(f"io.open('{path}'):read('*a')", "--ignore", path)
    assert not any(line.startswith("refused") for line in said)


@pytest.mark.parametrize("how", TRACED)
def test_standard_input_that_is_read_is_refused(warm, how):
    said = warm.record("io.read()", *WAYS[how])
    assert "refused: what no other run can read again was read: standard input" in said


def test_a_device_that_is_opened_is_refused_but_for_those_that_hold_nothing(warm, way):
    names = "{'null', 'zero', 'full', 'urandom'}"
    said = warm.record(f"for _, name in ipairs{names} do io.open('/dev/' .. name):close() end", *way)
    assert not any(line.startswith("refused") for line in said)
    assert "told: random numbers were drawn: /dev/urandom" in said
    os.mkfifo(warm.directory / "fifo")
    said = warm.record("io.open('fifo', 'r+'):close()", *way)
    assert "refused: a device was opened: fifo" in said


@pytest.mark.skipif(subprocess.run([REAL_LUA, "-e", "require 'socket'"], stderr=subprocess.DEVNULL).returncode != 0,
                    reason="NO LUASOCKET for this Lua")
def test_a_connection_is_refused(warm, way):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = warm.record(f"assert(require 'socket'.connect('127.0.0.1', {port})):close()", *way)
    assert any(line.startswith("refused: a connection was made: ") for line in said)


def test_child_processes_are_told_and_ask_for_the_environment(warm, way):
    said = warm.record("os.execute('true')", *way)
    assert any(line.startswith("told: a child process was started: ") for line in said)
    assert warm.difference() == SAME
    assert warm.difference({**ENV, "_": "/other/program", "MOONLET_VERBOSE": "1"}) == SAME
    assert warm.difference({**ENV, "SOMETHING": "1"}) == "the environment differs from the image's"


@pytest.mark.parametrize("how", TRACED)
def test_files_of_child_processes_are_questions(warm, how):
    (warm.directory / "data").write_text("1")
    warm.record("os.execute('cat data > /dev/null')", *WAYS[how])
    assert warm.difference() == SAME
    (warm.directory / "data").write_text("2")
    assert warm.difference() == "data has changed"


@pytest.mark.parametrize("how", TRACED)
def test_a_terminal_is_no_file(warm, how):
    warm.record("os.execute('test -t 0')", *WAYS[how])
    assert warm.difference() == SAME
    ours, its = pty.openpty()
    assert warm.difference(stdin=its) == "standard input is another terminal"
    os.close(ours)
    os.close(its)


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: no other user can be become")
def test_a_file_that_not_everybody_may_read_is_the_users_question(warm, way):
    shared = pathlib.Path(tempfile.mkdtemp(prefix="moonlet-test-"))
    shared.chmod(0o755)
    secret = shared / "secret.lua"
    secret.write_text("return 1")
    shutil.copy(RECORDER, shared / "recorder")
    try:
        def of_another():
            done = subprocess.run([shared / "recorder", "ask", shared / "image"], stdout=subprocess.PIPE, text=True, env=ENV,
                                  user=65534, group=65534, extra_groups=[], cwd=shared)
            return done.stdout.splitlines()[0]

        for mode, expected in (0o644, SAME), (0o600, "the user is another"):
            secret.chmod(mode)
            subprocess.run([RECORDER, "record", *way, shared / "image", secret], cwd=shared, env=ENV, check=True,
                           stdout=subprocess.DEVNULL)
            (shared / "image").chmod(0o644)
            assert of_another() == expected
    finally:
        shutil.rmtree(shared)


def test_ignored_names_are_no_questions(warm, way):
    (warm.directory / "data").mkdir()
    (warm.directory / "data/file").write_text("1")
    code = "os.getenv('IGNORED') io.open('data/file'):close() io.open('data/none') io.open('other')"
    warm.record(code, *way, "--ignore", "IGNORED", "--ignore", "data", "--ignore", "LD_LIBRARY_PATH")
    (warm.directory / "data/file").write_text("2")
    (warm.directory / "data/none").write_text("2")
    assert warm.difference({**ENV, "IGNORED": "1", "LD_LIBRARY_PATH": "/none"}) == SAME
    (warm.directory / "other").write_text("1")
    assert warm.difference() == "other is there now"


def test_trusted_files_are_no_questions(warm, way):
    (warm.directory / "module.lua").write_text("return 1")
    warm.record(LOAD + " os.getenv('ASKED')", *way, "--trust")
    (warm.directory / "module.lua").write_text("return 2")
    assert warm.difference() == SAME
    assert warm.difference({**ENV, "ASKED": "1"}) == "ASKED differs from the image's"


def test_a_warm_up_has_the_descriptors_that_lua_has(warm, way):
    """It opens one, and prints its number by the file that it finds there."""
    code = """local f = io.open('warm.lua'); for fd = 0, 9 do
      local found = io.open('/proc/self/fd/' .. fd); print(fd, found ~= nil); if found then found:close() end end"""
    said = warm.record(code, *way)
    lua = subprocess.run([REAL_LUA, "warm.lua"], cwd=warm.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         text=True, check=True).stdout.splitlines()
    assert said[:len(lua)] == lua


def test_a_warm_up_that_exits_or_dies_ends_the_program_in_the_same_way(warm, way):
    warm.record("os.exit(7)", *way, status=7)
    warm.record("os.execute('kill -KILL $PPID')", *way, status=-signal.SIGKILL)
    warm.record("os.execute('kill -TERM $PPID')", *way, status=-signal.SIGTERM)


def started(warm, way):
    """A warm-up that has begun, and waits."""
    (warm.directory / "warm.lua").write_text(
        "print(io.open('/proc/self/stat'):read('*a'):match('^%d+')) io.stdout:flush() while true do end")
    running = subprocess.Popen([RECORDER, "record", *way, warm.image, "warm.lua"], cwd=warm.directory, env=ENV,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    return running, int(running.stdout.readline())


def test_a_signal_reaches_the_warm_up(warm, way):
    running, _ = started(warm, way)
    running.send_signal(signal.SIGTERM)
    assert running.wait(20) == -signal.SIGTERM


@pytest.mark.parametrize("how", TRACED)
def test_a_warm_up_does_not_outlive_its_tracer(warm, how):
    running, pid = started(warm, WAYS[how])
    assert pid != running.pid
    pidfd = os.pidfd_open(pid)
    running.kill()
    running.wait(20)
    assert select.select([pidfd], [], [], 20)[0], "the warm-up lives"
    os.close(pidfd)


@needs_strace
def test_where_nobody_may_be_traced_the_functions_of_libc_tell(warm):
    """Here by a strace that has the child already."""
    (warm.directory / "module.lua").write_text("return 1")
    said = warm.record(LOAD, before=[STRACE, "-f", "-o", "/dev/null"])
    assert said[-1].startswith("untraced")
    assert warm.difference() == SAME
    (warm.directory / "module.lua").write_text("return 2")
    assert warm.difference() == "./module.lua has changed"


def test_the_tracer_goes_on_while_threads_and_processes_of_the_warm_up_come_and_go(warm, way):
    warm.record("for i = 1, 50 do os.execute('true & true & wait') end", *way)
    assert warm.difference() == SAME


def mounted(where, *arguments):
    """Mounts for a test, or skips it."""
    where.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *arguments, where], stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        pytest.skip(f"CANNOT MOUNT {arguments}: {done.stderr}")
    return where


MKFS = shutil.which("mkfs.ext4", path="/sbin:/usr/sbin:/bin:/usr/bin")


@pytest.mark.skipif(os.geteuid() != 0 or MKFS is None, reason="NOT ROOT, or no mkfs.ext4: nothing can be mounted")
def test_a_clock_of_seconds_hides_no_change(tmp_path, way):
    """ext4 with inodes of 128 bytes keeps no more, and gives a new file the inode of the one before."""
    disk = tmp_path / "disk"
    with open(disk, "wb") as file:
        file.truncate(8 << 20)
    subprocess.run([MKFS, "-q", "-I", "128", disk], check=True, stderr=subprocess.DEVNULL)
    directory = mounted(tmp_path / "mounted", "-o", "loop", disk)
    try:
        warm = Warm(directory)
        module = directory / "module.lua"
        module.write_text("return 1")
        warm.record(LOAD + "; os.remove('module.lua') io.open('module.lua', 'w'):write('return 2')", *way)
        assert warm.difference() == "./module.lua has changed"
        module.unlink()
        warm.record("package.path = './?.lua'; pcall(require, 'module') pcall(require, 'other')", *way)
        assert warm.difference() == SAME
        module.write_text("return 1")
        assert warm.difference() == "./module.lua is there now"
    finally:
        subprocess.run(["umount", directory], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: nothing can be mounted")
@pytest.mark.parametrize("layer", ["lower", "upper"])
def test_a_change_below_an_overlay_differs(tmp_path, way, layer):
    mounted(tmp_path / "layers", "-t", "tmpfs", "none")
    layers = tmp_path / "layers"
    try:
        for name in ("lower/modules", "upper/modules", "work"):
            (layers / name).mkdir(parents=True)
        (layers / "lower/modules/module.lua").write_text("return 1")
        (layers / "upper/modules/other.lua").write_text("return 1")
        merged = mounted(tmp_path / "merged", "-t", "overlay", "-o",
                         f"lowerdir={layers}/lower,upperdir={layers}/upper,workdir={layers}/work", "none")
        try:
            warm = Warm(tmp_path / "directory")
            warm.directory.mkdir()
            code = (f"package.path = '{merged}/modules/?.lua'; require 'module' require 'other'"
                    " pcall(require, 'a') pcall(require, 'b')")
            warm.record(code, *way)
            assert warm.difference() == SAME
            (layers / layer / "modules/a.lua").write_text("")
            # Below an overlay that has looked already, what it sees is the kernel's affair: it and lua agree.
            appears = (merged / "modules/a.lua").exists()
            assert warm.difference() == (f"{merged}/modules/a.lua is there now" if appears else SAME)
            module = {"lower": "module", "upper": "other"}[layer]
            (layers / layer / f"modules/{module}.lua").write_text("return 2")
            if not appears:
                assert warm.difference() == f"{merged}/modules/{module}.lua has changed"
        finally:
            subprocess.run(["umount", merged], check=True)
    finally:
        subprocess.run(["umount", layers], check=True)
