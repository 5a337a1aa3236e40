"""moonlet --wrap: a file that starts a Lua program with its modules warm. And what the first line of a script asks for."""

import contextlib
import os
import pathlib
import pty
import shutil
import signal
import subprocess

import pytest
from conftest import JIT, LUA, MOONLET, MOONLETCTL, PATIENCE, REAL_LUA, environment, run
from test_warm import all_ended, end_of, home, reaper  # noqa: F401

NAME = "LuaJIT" if JIT else "Lua " + LUA
OTHER = "lua5.3" if LUA == "5.1" else "lua5.1"
OWN_FAILURE = 125


class Program:
    """A program of the test's own, beside the modules that it loads, and the file that shall start it."""

    def __init__(self, directory, home):
        self.directory, self.home = directory, home
        self.path = directory / "program"
        self.wrapper = directory / "wrapper"
        self.env = home.env(None, LUA_PATH=f"{directory}/?.lua")

    def module(self, name, text):
        (self.directory / f"{name}.lua").write_text(text)

    def write(self, text, interpreter=REAL_LUA):
        self.path.write_text(f"#!{interpreter}\n{text}")
        self.path.chmod(0o755)
        return self

    def wrap(self, *arguments, status=0, program=MOONLET):
        done = run(program, ["moonlet", "--wrap", str(self.path), "-o", str(self.wrapper), *arguments], self.env)
        assert done.status == status, done
        return (done.out + done.err).decode()

    def warm(self):
        """What the wrapper has warm."""
        line, = [line for line in self.wrapper.read_text().splitlines() if line.startswith("MOONLET_WARM=")]
        return line.split("'")[1].replace("-l ", "")

    def run(self, path, *arguments, thawed=False, **options):
        env = dict(self.env, MOONLET_FALLBACK="") if thawed else self.env
        return subprocess.run([path, *arguments], env=env, capture_output=True, timeout=PATIENCE, **options)

    def is_the_same(self, *arguments, **options):
        """Plain, when the wrapper is lua, and when it thaws."""
        plain = self.run(self.path, *arguments, **options)
        for thawed in (False, True):
            wrapped = self.run(self.wrapper, *arguments, thawed=thawed, **options)
            all_ended()
            assert (wrapped.returncode, wrapped.stdout, wrapped.stderr) == (plain.returncode, plain.stdout, plain.stderr), self.home.log()
        return plain


@pytest.fixture
def program(tmp_path, home):  # noqa: F811
    return Program(tmp_path, home)


def test_a_program_is_started_with_its_modules_warm(program):
    program.module("inner", "return 1")
    program.module("outer", "return require 'inner' + 1")
    program.write("print(require 'outer', require 'inner', ...) os.exit(3)")
    assert program.wrap("--", "a b", "c") == f"{program.wrapper} starts {program.path} with these modules warm:\n  -l outer\n"
    assert program.warm() == "outer"
    assert program.is_the_same("x", "y z").stdout == b"2\t1\tx\ty z\n"


def test_who_may_start_it(program):
    program.module("some", "")
    program.write("require 'some'")
    program.wrap()
    assert program.wrapper.stat().st_mode & 0o777 == 0o777 & ~program_umask()


def program_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_is_an_argument_is_what_it_was(program):
    program.module("some", "")
    program.write("require 'some' for i = -3, #arg do print(i, arg[i]) end error({})")
    program.wrap()
    told = program.is_the_same("a'b", "$HOME", "")
    assert told.returncode == 1 and told.stderr.startswith(REAL_LUA.encode() + b": ")


@pytest.mark.skipif(LUA in ("5.1",) or JIT, reason="IT HAS NO OPTION -E")
def test_lua_s_options_in_the_first_line_stay(program):
    program.write("print(os.getenv 'LUA_PATH' ~= nil, package.path:find('nowhere') == nil) require 'pl.compat'", f"/usr/bin/env -S {REAL_LUA} -E")
    program.env["LUA_PATH"] = "/nowhere/?.lua"
    # Nobody can look into it: what it loads is not found out, and it says so.
    assert "has loaded no module" in program.wrap(status=OWN_FAILURE)


def test_a_module_that_does_not_bear_it_is_left_out(program):
    """It looks at who loads it."""
    program.module("good", "return 'good'")
    program.module("fine", "return 'fine'")
    program.module("looks", "return arg and arg[0] or 'nothing'")
    program.module("outer", "return require 'looks' .. require 'fine'")
    program.write("print(require 'good', require 'outer')")
    assert "does not bear warm" in program.wrap()
    assert program.warm() == "good fine"
    program.is_the_same()


def test_one_that_bears_none(program):
    program.module("looks", "return arg and arg[0] or 'nothing'")
    program.write("print(require 'looks')")
    assert f"{program.path} does something else with any module warm" in program.wrap(status=OWN_FAILURE)
    assert not program.wrapper.exists()


@pytest.mark.parametrize("end", ["", "os.execute('kill -TERM ' .. io.open '/proc/self/stat':read '*a':match '%) %a (%d+)')"],
                         ids=["it fails", "it is killed"])
def test_the_image_of_its_trials_goes_with_it(program, end):
    program.module("looks", "return arg and arg[0] or 'nothing'")
    program.write(f"""print(require 'looks')
        for line in io.lines '/proc/self/maps' do
            image = image or line:match '/tmp/moonlet%-wrap%.%w+'
        end
        if image then
            local file = io.open('{program.directory}/image', 'w')
            file:write(image)
            file:close()  -- nobody waits for this one's end
            {end}
        end""")
    program.wrap(status=-signal.SIGTERM if end else OWN_FAILURE)
    image = pathlib.Path((program.directory / "image").read_text())
    assert image.parent == pathlib.Path("/tmp") and not image.exists()


def test_a_module_that_cannot_be_frozen_is_left_out(program):
    program.module("opens", "return { file = io.open '/dev/null' }")
    program.module("good", "return 'good'")
    program.write("print(require 'good', require 'opens' ~= nil)")
    program.wrap()
    assert program.warm() == "good"
    program.is_the_same()


def test_output_that_is_another_each_time_is_not_compared(program):
    program.module("some", "")
    program.write("require 'some' local f = io.open '/dev/urandom' print((f:read(20):gsub('%d', 'x')))")
    assert "prints something else each time" in program.wrap()
    assert program.warm() == "some"


def test_numbers_may_be_others(program):
    """They may be times."""
    program.module("some", "")
    program.write("require 'some' print('took', os.clock(), 'seconds')")
    assert "each time" not in program.wrap()


def test_lua_programs_that_it_starts_do_not_count(program):
    program.module("some", "")
    program.module("of_another", "")
    program.write(f"require 'some' os.execute('{REAL_LUA} -l of_another')")
    program.wrap()
    assert program.warm() == "some"


def test_a_program_that_is_a_module_is_none_that_is_warm(program):
    program.module("main", "print((require 'part')) os.exit(4)")
    program.module("part", "return 'part'")
    program.write("require 'main'")
    program.wrap()
    assert program.warm() == "part"
    assert program.is_the_same().returncode == 4


def test_without_moonlet_the_program_runs_all_the_same(program, tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("moonlet", "moonletctl", "moonlet-lua"):
        shutil.copy(os.path.join(os.path.dirname(MOONLETCTL), name), tmp_path / "bin")
    program.module("some", "return 1")
    program.write("print((require 'some'))")
    program.wrap(program=str(tmp_path / "bin" / "moonletctl"))
    shutil.rmtree(tmp_path / "bin")
    assert program.run(program.wrapper).stdout == b"1\n"


# Where it goes


def test_no_path_is_read_as_a_command(program, tmp_path):
    program.directory = tmp_path / "a\ntouch 'b' #"
    program.directory.mkdir()
    program.path = program.directory / "program"
    program.env["LUA_PATH"] = f"{program.directory}/?.lua"
    program.module("some", "return 'some'")
    program.write("print(require 'some', arg[0])")
    program.wrap()
    program.is_the_same(cwd=tmp_path)
    assert not (tmp_path / "b").exists()


def test_it_goes_where_a_user_s_programs_are(program):
    program.module("some", "")
    program.write("require 'some'")
    path = f"{program.directory}:{os.environ['PATH']}"
    behind = run(MOONLET, ["moonlet", "--wrap", "program"], dict(program.env, PATH=path))
    wrapper = program.home.directory / ".local/bin/program"
    assert behind.status == 0 and behind.out.endswith(
        f"A shell still finds {program.path} first: put the directory of the other in front of PATH.\n".encode())
    # Once more, with itself in front: it is not taken for the program.
    before = run(MOONLET, ["moonlet", "--wrap", "program"], dict(program.env, PATH=f"{wrapper.parent}:{path}"))
    assert before.out == f"{wrapper} starts {program.path} with these modules warm:\n  -l some\n".encode()
    assert {each.name for each in wrapper.parent.iterdir()} == {"program"}


def test_what_is_there_already_stays(program):
    program.module("some", "")
    program.write("require 'some'")
    program.wrapper.write_text("precious")
    assert "is there, and no wrapper" in program.wrap(status=OWN_FAILURE)
    assert program.wrapper.read_text() == "precious"


@pytest.mark.parametrize("arguments, complaint", [
    ([], "--wrap: which program?"), (["-o"], "-o: a file must follow"), (["no-such-program"], "there is no program no-such-program on PATH"),
    (["/no/such/program"], "there is no program /no/such/program"), (["a", "b"], "'b' is not expected here"),
    (["--shell"], "'--shell' is not expected here"), (["true"], "is no script"),
])
def test_what_is_wrong_with_the_command_line(home, arguments, complaint):  # noqa: F811
    told = run(MOONLET, ["moonlet", "--wrap", *arguments], home.env(None))
    assert told.status == OWN_FAILURE and complaint in told.err.decode(), told
    assert list(home.directory.iterdir()) == []


def test_what_cannot_be_wrapped(program):
    for interpreter in ("/bin/sh", "/usr/bin/python3", "/usr/bin/env python3"):
        program.write("", interpreter)
        assert "which runs no Lua here" in program.wrap(status=OWN_FAILURE)
    program.write("print(1)")
    assert "has loaded no module when it ran with --version" in program.wrap(status=OWN_FAILURE)
    program.module("some", "")
    program.write("require 'some'")
    program.wrap()
    program.path = program.wrapper
    assert "is a wrapper already" in program.wrap(status=OWN_FAILURE)


@pytest.mark.parametrize("interpreter", [shutil.which(OTHER), f"/usr/bin/env {OTHER}"])
def test_a_program_of_another_lua_is_refused(program, interpreter):
    program.write("", interpreter)
    assert f"is for Lua {OTHER[3:]} ({interpreter}" in program.wrap(status=OWN_FAILURE)
    assert not program.wrapper.exists()


def test_a_file_names_its_lua_in_a_comment(program):
    """Debian's lua-any: the first one that is there is that which runs it."""
    if shutil.which("lua-any") is None or shutil.which(f"lua{LUA}") is None:
        pytest.skip(f"NO lua-any, OR NO lua{LUA}, HERE")
    program.module("some", "")
    program.write(f"-- Lua-Versions: {LUA} {OTHER[3:]}\nrequire 'some' print(_VERSION)", "/usr/bin/env lua-any")
    program.wrap()
    assert program.is_the_same().stdout == f"{NAME}\n".encode()
    program.write(f"-- Lua-Versions: {OTHER[3:]} {LUA}\nrequire 'some'", "/usr/bin/env lua-any")
    assert f"is for Lua {OTHER[3:]}" in program.wrap(status=OWN_FAILURE)


# Debian's


def lua_of(name):
    """Which Lua runs it."""
    if name == "busted":
        return os.path.basename(os.path.realpath("/usr/bin/lua"))
    return {"luacheck": "lua5.1", "ldoc": "lua5.2", "luarocks": "lua5.1"}[name]


@pytest.fixture
def tool(home, tmp_path):  # noqa: F811
    """tool(name, argument...): Debian's program of that name, wrapped after a run with these arguments."""
    def make(name, *arguments):
        path = pathlib.Path("/usr/bin") / name
        if not path.exists():
            pytest.skip(f"{name} IS NOT INSTALLED")
        program = Program(tmp_path, home)
        program.env = environment(HOME=str(home.directory), PATH="/usr/bin:/bin", LUA_CPATH=None, MOONLET_IMAGE=None, MOONLET_FALLBACK=None,
                                  TERM="xterm")
        program.path = path
        (tmp_path / "some.lua").write_text("--- A module.\n-- @module some\nlocal unused = 1\nprint(undefined)\n")
        (tmp_path / "spec").mkdir()
        (tmp_path / "spec" / "some_spec.lua").write_text(
            "describe('some', function() it('works', function() assert.are.same({1}, {1}) end) it('fails', function() assert.is_true(false) end) end)")
        if lua_of(name) != ("luajit" if JIT else "lua" + LUA):
            assert "this moonlet is for" in program.wrap("--", *arguments, status=OWN_FAILURE)
            pytest.skip(f"REFUSED: {name} is run by {lua_of(name)}")
        done = subprocess.run([MOONLET, "--wrap", name, "-o", program.wrapper, "--", *arguments], env=program.env, cwd=tmp_path, capture_output=True,
                              timeout=PATIENCE)
        assert done.returncode == 0, done
        return program
    return make


def at_terminal(program, path, *arguments, thawed):
    """Its status, and what it prints at a terminal."""
    master, slave = pty.openpty()
    env = dict(program.env, MOONLET_FALLBACK="") if thawed else program.env
    with contextlib.closing(os.fdopen(slave, "r+b", buffering=0)) as terminal:
        process = subprocess.Popen([path, *arguments], stdin=terminal, stdout=terminal, stderr=terminal, env=env, cwd=program.directory)
    status = os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])
    return status, end_of(master)


def is_the_same_at_a_terminal(program, *arguments):
    plain = at_terminal(program, program.path, *arguments, thawed=False)
    for thawed in (False, True):
        wrapped = at_terminal(program, program.wrapper, *arguments, thawed=thawed)
        all_ended()
        assert wrapped == plain, program.home.log()
    return plain


def test_luacheck(tool):
    """As editors call it: the file at standard input, its name as an option; with a file, at a pipe; at a terminal, in colours."""
    luacheck = tool("luacheck", "some.lua")
    assert "luacheck.runner" in luacheck.warm()
    code = (luacheck.directory / "some.lua").read_bytes()
    told = luacheck.is_the_same("-", "--filename", "some.lua", "--formatter", "plain", "--codes", "--ranges", cwd=luacheck.directory, input=code)
    assert b"(W211) unused variable 'unused'" in told.stdout and told.returncode == 1
    for arguments in (["some.lua"], ["--version"], ["--help"], ["--no-such-option"], ["no_such_file.lua"]):
        luacheck.is_the_same(*arguments, cwd=luacheck.directory)
    status, shown = is_the_same_at_a_terminal(luacheck, "some.lua")
    assert status == 1 and b"\x1b[" in shown


def test_busted(tool):
    busted = tool("busted", "--version")
    told = busted.is_the_same("-o", "TAP", cwd=busted.directory)
    assert b"ok 1 - some works" in told.stdout and b"not ok 2 - some fails" in told.stdout and told.returncode == 1
    busted.is_the_same("--list", "-", cwd=busted.directory, input=b"")
    busted.is_the_same("--help", cwd=busted.directory)
    assert is_the_same_at_a_terminal(busted, "-o", "TAP")[0] == 1


def test_ldoc(tool):
    ldoc = tool("ldoc", "--help")
    ldoc.is_the_same("--help", cwd=ldoc.directory, input=b"")
    told = ldoc.is_the_same("some.lua", cwd=ldoc.directory)
    assert told.returncode == 0 and (ldoc.directory / "doc" / "index.html").exists()
    is_the_same_at_a_terminal(ldoc, "some.lua")


def test_luarocks(tool):
    """Some of its modules ask for the program that loads them: these stay cold."""
    luarocks = tool("luarocks", "--version")
    assert "luarocks.core.cfg" in luarocks.warm().split() and "luarocks.cmd" not in luarocks.warm().split()
    for arguments in (["--version"], ["help"], ["list"], ["config"], ["path"], ["no-such-command"]):
        luarocks.is_the_same(*arguments, cwd=luarocks.directory, input=b"")
    is_the_same_at_a_terminal(luarocks, "list")


# The first line


@pytest.mark.parametrize("line, is_other", [
    ("#!" + REAL_LUA, False), (f"#!/usr/bin/env {os.path.basename(REAL_LUA)}", False), ("#!/usr/bin/moonlet", False), ("#!/bin/sh", False), ("#!", False),
    ("#!/usr/bin/env", False), ("#!/usr/bin/env ", False), ("#! ", False), ("-- /usr/bin/" + OTHER, False),
    ("#!/usr/bin/" + OTHER, True), ("#! /usr/bin/" + OTHER, True), (f"#!/usr/bin/{OTHER} -E", True), (f"#!/usr/bin/env {OTHER}", True),
    (f"#!/usr/bin/env -S {OTHER} -E", True), (f"#!/opt/{OTHER.replace('.', '')}", True), (f"#!/opt/{OTHER.replace('a5', 'a-5')}", True),
    ("#!/usr/bin/luajit", not JIT), ("#!" + "x" * 5000, False),
])
def test_a_script_that_asks_for_another_lua(tmp_path, line, is_other):
    """It runs all the same, as lua would run it."""
    script = tmp_path / "script.lua"
    script.write_text(line + "\nprint(...)\n")
    env = environment(MOONLET_IMAGE="", MOONLET_FALLBACK=REAL_LUA)
    for options in ([], ["-e", "x = 1"], ["-l", "table"], ["--"]):
        quiet = run(MOONLET, ["lua", *options, str(script), "a"], env)
        assert quiet == run(REAL_LUA, ["lua", *options, str(script), "a"], env)
        told = run(MOONLET, ["lua", *options, str(script), "a"], dict(env, MOONLET_VERBOSE="1"))
        expected = f"moonlet: run {script}: its first line asks for another Lua than {NAME}\n"
        assert told.out == quiet.out and (expected in told.err.decode()) == is_other, told


@pytest.mark.parametrize("link, is_other", [(REAL_LUA, False), (shutil.which(OTHER), True)])
def test_a_lua_that_is_a_link_is_what_it_leads_to(tmp_path, link, is_other):
    (tmp_path / "lua").symlink_to(link)
    script = tmp_path / "script.lua"
    env = environment(MOONLET_IMAGE="", MOONLET_FALLBACK=REAL_LUA, MOONLET_VERBOSE="1", PATH=f"/nonexistent:{tmp_path}:{os.environ['PATH']}")
    for line in (f"#!{tmp_path}/lua", "#!/usr/bin/env lua"):
        script.write_text(line + "\n")
        assert (b"asks for another Lua" in run(MOONLET, ["lua", str(script)], env).err) == is_other


def test_a_script_that_is_a_pipe_is_left_alone(tmp_path):
    os.mkfifo(tmp_path / "script.lua")
    env = environment(MOONLET_IMAGE="", MOONLET_FALLBACK=REAL_LUA, MOONLET_VERBOSE="1")
    process = subprocess.Popen([MOONLET, tmp_path / "script.lua"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with open(tmp_path / "script.lua", "w") as script:
        script.write("#!/usr/bin/" + OTHER + "\nprint 'runs'")
    assert process.communicate(timeout=PATIENCE)[0] == b"runs\n"
