"""Scripts, their arguments, and what lua says of errors: the same bytes from both."""

import os
import re
import subprocess

import pytest
from conftest import BY_LUA, BY_MOONLET, JIT, LUA, MOONLETCTL, NAME_OF_LUA, REAL_LUA, WITHOUT, Result, about_images, about_moonletd, environment, run

SHOW_ARGUMENTS = """
local least = 0
for i in pairs(arg or {}) do if i < least then least = i end end
for i = least, #(arg or {}) do print(i, #arg[i], arg[i]) end
print(select('#', ...), ...)
"""


def test_arguments_reach_the_script(same, tmp_path):
    same.script(tmp_path, SHOW_ARGUMENTS, "a", "", "b c", "-e", "--", "-")


def test_arguments_of_any_bytes(same, tmp_path):
    same.script(tmp_path, SHOW_ARGUMENTS, b"\xff\xfe\x80", "ä\n\t\"'", b"\x01")


def test_an_argument_of_100_kb(same, tmp_path):
    same.script(tmp_path, "print(#(...), (...):sub(-5))", "x" * 100_000 + "12345")


def test_arguments_near_the_limit_of_exec(same, tmp_path):
    # Linux lets 2 MiB pass (a quarter of the stack), each string at most 128 KiB.
    same.script(tmp_path, "print(select('#', ...), #(select(-1, ...)))", *["y" * 100_000] * 20)


def test_ten_thousand_arguments(same, tmp_path):
    same.script(tmp_path, "print(select('#', ...))", *["z"] * 7_000)


def test_too_many_arguments_for_the_stack(same, tmp_path):
    same.script(tmp_path, "print(select('#', ...))", *["z"] * 100_000)


def test_options_before_the_script(same, tmp_path):
    path = tmp_path / "s.lua"
    path.write_text(SHOW_ARGUMENTS)
    same("-e", "x = 1", "-l", "string", str(path), "one")
    same("-estring.x = 3", "-lmath", str(path), "one")
    same("--", str(path), "one")


def test_the_name_of_the_program_stands_before_errors(same, tmp_path):
    for name in ("lua", "moonlet", "/usr/bin/moonlet", "", "x y"):
        same.script(tmp_path, "error('boom')", name=name)


@pytest.mark.parametrize("code", [
    "error('boom')", "error('boom', 0)", "error('boom', 2)", "error()", "error(nil)", "error({})", "error(42)",
    "error(true)", "error(setmetatable({}, {__tostring = function() return 'described' end}))",
    "error(setmetatable({}, {__tostring = function() return 42 end}))",
    "error(setmetatable({}, {__tostring = function() error('inner') end}))",
    "local t = nil; t.x = 1", "x()", "local s = 'a' + 1", "string.rep()", "('x'):bad()", "return 1, 2, 3",
    "local function f() return f() + 1 end f()", "local function f() f() end f()",
    "coroutine.wrap(function() error('in a coroutine') end)()",
    "setmetatable(_G, {__index = function(_, k) error('no ' .. k, 2) end}); print(y)",
    "debug.traceback = nil; error('x')", "debug = nil; error('x')", "debug = 1; error('x')",
    "pcall(error, 'x'); print(debug.traceback('here'))",
    "local function a() error('deep') end local function b() a() end b()",
    "string.gsub('x', '.', function() error('in gsub') end)",
    "load('x =')()", "assert(false)", "assert(nil, 'message')", "assert(false, {})",
    "require 'no.such.module'", "x = = 1", "goto nowhere", "for", "'unfinished", "[[unfinished", "\\", "print('a'",
    "return ...", "collectgarbage('bogus')", "local t = setmetatable({}, {__index = function(t, k) return t[k] end}); print(t.x)",
    "table.concat({}, 'x', 1, 2)",
])
def test_errors_and_tracebacks(same, tmp_path, code):
    same.script(tmp_path, code)
    same("-e", code)


def test_a_script_that_is_not_there(same):
    same("/nonexistent/script.lua")
    same("nonexistent.lua", "argument")


def test_a_script_that_is_a_directory(same, tmp_path):
    same(str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_script_that_must_not_be_read(same, tmp_path):
    path = tmp_path / "secret.lua"
    path.write_text("print(1)")
    path.chmod(0)
    same(str(path))


def test_an_empty_script_and_one_that_is_a_comment(same, tmp_path):
    same.script(tmp_path, "")
    same.script(tmp_path, "#!/usr/bin/lua")
    same.script(tmp_path, "#!/usr/bin/lua\nerror('line 2')")
    same.script(tmp_path, "# a comment\nprint(debug.getinfo(1, 'l').currentline)")
    same.script(tmp_path, b"\xef\xbb\xbfprint('a byte order mark')")
    same.script(tmp_path, b"print('no newline at the end')")
    same.script(tmp_path, b"\x00garbage")
    same.script(tmp_path, b"\x1bLuagarbage")


def test_bytecode(same, tmp_path):
    path = tmp_path / "chunk.luac"
    compiler = ("local f = io.open(arg[1], 'wb'); f:write(string.dump(function(...) print('bytes', ...) error('x') end));"
                " f:close()")
    script = tmp_path / "compile.lua"
    script.write_text(compiler)
    subprocess.run([REAL_LUA, str(script), str(path)], check=True)
    same(str(path), "a")
    path.write_bytes(b"# first line\n" + path.read_bytes())
    same(str(path), "a")
    path.write_bytes(path.read_bytes()[:40])
    same(str(path), "a")


def test_the_name_of_the_chunk(same, tmp_path):
    same.script(tmp_path, "local i = debug.getinfo(1, 'S'); print(i.source, i.short_src, i.what)")
    same("-e", "local i = debug.getinfo(1, 'S'); print(i.source, i.short_src, i.what)")
    (tmp_path / "named.lua").write_text("local i = debug.getinfo(1, 'S'); print(i.source, arg[0]) error('x')")
    same("named.lua", cwd=tmp_path)
    same("./named.lua", cwd=tmp_path)
    same("../" + tmp_path.name + "/named.lua", cwd=tmp_path)


def test_a_script_on_standard_input(same):
    same("-", "a", input=b"print(arg[0], ...) error('from stdin')")
    same(input=b"print(arg and arg[0], ...) print(debug.getinfo(1, 'S').source)")
    same(input=b"error('x')")
    same(input=b"x = = 1")
    same("-l", "string", input=b"print('after -l')")
    same("-e", "print('only -e')", input=b"print('not run')")
    same("-v", input=b"print('not run')")
    same("-", input=b"#! first line\nprint(io.read('*a'))")
    same("-", input=b"print(io.read('*l'))\nthe rest")


def test_a_file_that_is_called_minus(same, tmp_path):
    (tmp_path / "-").write_text("print('a file', arg[0])")
    same("--", "-", cwd=tmp_path, input=b"print('standard input')")
    same("-", cwd=tmp_path, input=b"print('standard input')")


OF_LATER_VERSIONS = {"5.1": ["-E", "-W"], "5.4": [], "5.5": []}.get(LUA, ["-W"])


@pytest.mark.parametrize("options", [
    ["-E", "-v"], ["-v"], ["-v", "-e", "print(1)"], ["--"], ["-E", "-e", "print(package.path)"], ["-W", "-e", "print(1)"],
    ["-e", "error('x')", "-e", "print('not run')"], ["-l", "nomodule"], ["-l", "nomodule", "-e", "print('not run')"],
    ["-e", "print(1)", "-e", "print(2)"], ["-e", "x = = 1"], ["-e", ""], ["-lstring", "-e", "print(string ~= nil)"],
    ["-l", "s=string", "-e", "print(s == string)"], ["-l", "=string", "-e", "print(_G[''] == string)"],
    ["-e", "print(arg and #arg, arg and arg[0], arg and arg[-1])"], ["-e", "print(...)", "nonexistent.lua"],
])
def test_options(same, options):
    if options == ["--"] and b"not enough memory" in run(REAL_LUA, ["lua", "--"], environment()).err:
        pytest.skip("LUA FAILS: that of 5.4.7 makes a table of -1 elements for arg")
    # The real lua explains its options itself: those of later versions, and those that are never right.
    same(*options, env=environment(MOONLET_FALLBACK=REAL_LUA if options[0] in OF_LATER_VERSIONS else ""))


@pytest.mark.parametrize("options", [
    ["-e"], ["-l"], ["-e", "-x"], ["-l", "-x"], ["-x"], ["--x"], ["-v", "--x"], ["-vx"], ["-ix"], ["-Ex"], ["-Wx"],
    ["-e", "print(1)", "-e"],
])
def test_options_that_lua_rejects(same, options):
    same(*options, env=environment(MOONLET_FALLBACK=REAL_LUA))


@pytest.mark.parametrize("options", [["-x"], ["-e"], ["-e", "print('not run')", "--x"]])
def test_rejected_options_without_a_fallback(zygote, options):
    result = run(BY_MOONLET, ["lua", *options], environment(MOONLET_SOCKET=zygote.socket))
    assert result.status == 125 and b"only lua itself explains options" in result.err and result.out == b""


@pytest.mark.skipif(LUA not in ("5.4", "5.5"), reason="Lua 5.4 has warnings first")
def test_warnings(same, tmp_path):
    same.script(tmp_path, "warn('not shown') warn('@on') warn('shown', ' in two') warn('@off') warn('not shown')")
    same("-W", "-e", "warn('shown')")
    same("-e", "setmetatable({}, {__gc = function() error('in a finalizer') end})")
    same("-W", "-e", "setmetatable({}, {__gc = function() error('in a finalizer') end})")


def test_arg_is_a_global_that_code_before_the_script_may_change(same, tmp_path):
    path = tmp_path / "s.lua"
    path.write_text("print(...) print(arg and arg[0])")
    same("-e", "arg = {'changed', [0] = 'zero'}", str(path), "a", "b")
    same("-e", "arg = nil", str(path), "a")
    same("-e", "arg = 42", str(path), "a")


def run_file(path, env, *arguments):
    done = subprocess.run([str(path), *arguments], env=env, capture_output=True, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


@about_images
def test_as_the_interpreter_of_a_script(zygote, tmp_path):
    """#!/usr/bin/moonlet, also with the one option that Liminix puts there."""
    env = environment(MOONLET_SOCKET=zygote.socket)
    results = []
    for program in (BY_LUA, BY_MOONLET):
        directory = tmp_path / os.path.basename(program)
        directory.mkdir()
        link = directory / "lua"
        program.install(link)
        plain = directory / "plain"
        plain.write_text(f"#!{link}\nprint(#arg, ...) print(arg[-1] ~= nil, arg[0]:match('[^/]*$')) error('x', 0)\n")
        option = directory / "option"
        # Fennel's output: a module whose main is called by the option, and which is then run as the script.
        option.write_text(f"#!{link} -e dofile(arg[0]).main()\nreturn {{main = function() print('main', arg[1]) end}}\n")
        for path in (plain, option):
            path.chmod(0o755)
            status, out, err = run_file(path, env, "a", "b c")
            # lua shortens the middle of a path: only the ends are alike.
            err = re.sub(rb"0x[0-9a-f]+", b"0x0", err)
            err = re.sub(rb"\.\.\.\S*/", b"DIR/", err.replace(str(directory).encode(), b"DIR"))
            results.append((status, out, err))
    assert results[:2] == results[2:]
    assert b"b c" in results[2][1]


@about_moonletd
def test_as_the_interpreter_of_a_script_through_moonletd(zygote, tmp_path):
    """#!/usr/bin/moonletctl run"""
    script = tmp_path / "script"
    script.write_text(f"#!{BY_MOONLET}\nprint(warm, arg[0], arg[-1], ...)")
    script.chmod(0o755)
    done = run_file(script, environment(MOONLET_SOCKET=zygote.socket), "a", "b c")
    assert done == (0, f"nil\t{script}\t{NAME_OF_LUA}\ta\tb c\n".encode(), b"")


@about_moonletd
def test_the_name_of_the_interpreter_is_lua_s_unless_it_is_given(zygote, tmp_path):
    """As in coreutils' env."""
    (tmp_path / "s.lua").write_text("print(arg[-1]) error('x', 0)")
    env = environment(MOONLET_SOCKET=zygote.socket)
    for options, name in (([], NAME_OF_LUA), (["--argv0", "some name"], "some name"), (["--argv0=other"], "other")):
        result = run(MOONLETCTL, ["moonletctl", "run", *options, str(tmp_path / "s.lua")], env)
        assert result.out.decode() == name + "\n" and result.err.decode().startswith(name + ": x"), (options, result)
    assert run(MOONLETCTL, ["moonletctl", "run", "--argv0"], env) == Result(125, b"", b"moonletctl: --argv0: a value must follow\n")


@about_images
def test_help_and_version_are_moonlets_own():
    env = environment(MOONLET_SOCKET="/nonexistent")
    shown = run(BY_MOONLET, ["moonlet", "--help"], env)
    assert shown.status == 0 and b"usage: moonlet" in shown.out and shown.err == b""
    shown = run(BY_MOONLET, ["moonlet", "--version"], env)
    name = "LuaJIT" if JIT else f"Lua {LUA}"
    assert shown.status == 0 and f"({name})" in shown.out.decode() and shown.out.startswith(b"moonlet 0.")


@about_images
@pytest.mark.skipif("WARM" in WITHOUT, reason="NO ROOM FOR THAT: left out of this build")
def test_an_option_that_is_misspelt_names_moonlets_own(tmp_path):
    """Lua has none that are so long. It complains itself then."""
    env = environment(MOONLET_FALLBACK=REAL_LUA, MOONLET_SOCKET="/nonexistent")
    expected = run(REAL_LUA, ["lua", "--statsu"], environment())
    got = run(BY_MOONLET, ["lua", "--statsu"], env)
    first, rest = got.err.split(b"\n", 1)
    assert (got.status, got.out, rest) == (expected.status, expected.out, expected.err)
    assert first.startswith(b"moonlet: --statsu: no option of lua's") and all(it in first for it in (b" --status ", b" --image ", b" --wrap "))
    (tmp_path / "s.lua").write_text("print(...)")
    assert run(BY_MOONLET, ["lua", str(tmp_path / "s.lua"), "--statsu"], env) == Result(0, b"--statsu\n", b"")


def test_the_socket_may_be_named_on_the_command_line(zygote, tmp_path):
    path = tmp_path / "s.lua"
    path.write_text("print(arg[-1], arg[0]:match('[^/]*$'), ...)")
    for option in (["--socket", zygote.socket], ["--socket=" + zygote.socket]):
        result = run(BY_MOONLET, ["lua", *option, str(path), "a"], environment(MOONLET_IMAGE=None))
        assert (result.status, result.out) == (0, b"lua\ts.lua\ta\n"), result
    assert run(BY_MOONLET, ["lua", "--socket"], environment()).status == 125
