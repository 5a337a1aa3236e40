"""What a module does to Lua and to its streams while it is loaded, a script finds as in a lua that has loaded it."""

import os
import pty
import subprocess

import pytest
from conftest import LUA, MOONLET, PATIENCE, REAL_LUA, Result, environment, run, without_addresses

GARBAGE = "local before = collectgarbage 'count' for i = 1, 1e6 do local t = {} end print(collectgarbage 'count' - before > 30000) "
MODES = "print(pcall(collectgarbage, 'incremental')) print(pcall(collectgarbage, 'isrunning')) "
TUNED = "collectgarbage('setpause', 150) collectgarbage('setstepmul', 321)"
TUNING = "print(collectgarbage('setpause', 100), collectgarbage('setstepmul', 100)) "
if LUA == "5.5":
    TUNED = "collectgarbage('param', 'pause', 150) collectgarbage('param', 'stepmul', 321)"
    TUNING = "print(collectgarbage('param', 'pause'), collectgarbage('param', 'stepmul')) "
STEPS = "io.write 'a' os.execute 'echo b' io.write 'c\\n' os.execute 'echo d' "
ERROR_STEPS = "io.stderr:write 'a' os.execute 'echo b >&2' io.stderr:write 'c\\n' os.execute 'echo d >&2' "

# What the module does, and how a script sees that.
CHANGES = {
    "standard output, not buffered": ("io.stdout:setvbuf 'no'", STEPS),
    "standard output, used and not buffered": ("io.write '' io.stdout:setvbuf 'no'", STEPS),
    "standard output, by lines": ("io.stdout:setvbuf 'line'", STEPS),
    "standard output, used and by lines": ("io.write '' io.stdout:setvbuf 'line'", STEPS),
    "standard output, fully": ("io.stdout:setvbuf 'full'", STEPS),
    "standard output, twice": ("io.stdout:setvbuf 'no' io.stdout:setvbuf 'full'", STEPS),
    "standard output, untouched": ("io.write ''", STEPS),
    "standard error, fully": ("io.stderr:setvbuf 'full'", ERROR_STEPS),
    "standard error, by lines": ("io.stderr:setvbuf 'line'", ERROR_STEPS),
    "standard error, untouched": ("io.stderr:write ''", ERROR_STEPS),
    "standard input, not buffered": ("io.stdin:setvbuf 'no'", "print(io.read()) os.execute 'cat'"),
    "the default output": ("io.output(io.stderr)", "io.write 'x'"),
    "locale": ("os.setlocale 'C.UTF-8'", "print(os.setlocale())"),
    "the collector stopped": ("collectgarbage 'stop'", GARBAGE + MODES),
    "the collector stopped and restarted": ("collectgarbage 'stop' collectgarbage 'restart'", MODES),
    "the collector incremental": ("pcall(collectgarbage, 'incremental')", MODES),
    "the collector generational": ("pcall(collectgarbage, 'generational')", MODES),
    "the collector's pause": (TUNED, TUNING),
    "the collector as it is": ("", MODES + TUNING),
    "a hook of counts": ("debug.sethook(function() hooked = true end, '', 100)", "for i = 1, 1e4 do end print(hooked, select(2, debug.gethook()), select(3, debug.gethook()))"),
    "a hook of calls": ("debug.sethook(function() hooked = true end, 'c')", "tostring(1) print(hooked, select(2, debug.gethook()))"),
    "a hook and none": ("debug.sethook(tostring, 'l') debug.sethook()", "print(debug.gethook())"),
    "warnings on": ("if warn then warn '@on' end", "if warn then warn('x', 'y') end"),
    "warnings on and off": ("if warn then warn '@on' warn '@off' end", "if warn then warn 'x' end"),
    "metatable of strings": ("getmetatable('').__call = function(text, more) return text .. more end", "print(('x')('y'))"),
    "metatable of nil": ("debug.setmetatable(nil, {__index = function(_, name) return name end})", "print((nil).x)"),
    "metatable of numbers": ("debug.setmetatable(1, {__call = function(one, other) return one * other end})", "print((2)(3))"),
    "metatable of booleans": ("debug.setmetatable(true, {__call = function() return 7 end})", "print((true)())"),
    "metatable of functions": ("debug.setmetatable(print, {__index = {x = 1}})", "print(print.x)"),
    "metatable of coroutines": ("debug.setmetatable(coroutine.create(function() end), {__index = {x = 1}})", "print(coroutine.create(function() end).x)"),
    "metatable of files": ("getmetatable(io.stdout).__index.hello = function() return 'hello' end", "print(io.stdout:hello())"),
    "os.exit replaced": ("local exit = os.exit os.exit = function(status) print 'mine' exit(status) end", "os.exit(3)"),
    "print replaced": ("local old = print print = function(...) old('>', ...) end", "print 'x'"),
    "require replaced": ("local old = require require = function(name) return old(name), 'mine' end", "print(select(2, require 'string'))"),
    "error replaced": ("error = function(message) print('no', message) end", "error 'x'"),
    "tostring replaced": ("tostring = function() return 'T' end", "print(1)"),
    "traceback replaced": ("debug.traceback = function(message) return 'traced ' .. message end", "error('x', 0)"),
    "a seed": ("math.randomseed(7) math.random()", "print(math.random(1000))"),
    "package.config": ("package.config = 'x'", "print(package.config)"),
}


class Module:
    """One that does something while it is loaded, and its image."""

    def __init__(self, directory, code):
        self.directory, self.image = directory, str(directory / "image")
        self.env = environment(LUA_PATH=f"{directory}/?.lua;;", MOONLET_FALLBACK="")
        (directory / "changes_it.lua").write_text(code + " return 1")
        done = run(MOONLET, ["lua", "--freeze", self.image, "-l", "changes_it"], self.env)
        assert done == Result(0, b"", b""), done

    def same(self, code, *options, **more):
        script = self.directory / "script.lua"
        script.write_text(code)
        expected = run(REAL_LUA, ["lua", *options, str(script)], self.env, **more)
        got = run(MOONLET, ["lua", str(script)], dict(self.env, MOONLET_IMAGE=self.image), **more)
        assert without_addresses(got) == without_addresses(expected), f"moonlet: {got!r}\n\nlua: {expected!r}"


@pytest.mark.parametrize("change", CHANGES)
def test_a_script_finds_what_a_module_has_changed(tmp_path, change):
    does, shows = CHANGES[change]
    module = Module(tmp_path, does)
    for code, options in ((f"require 'changes_it' {shows}", ()), (shows, ("-l", "changes_it"))):
        module.same(code, *options, input=b"line one\nline two\n")


def on_terminal(program, argv, env):
    """What it writes to a terminal of its own."""
    main, other = pty.openpty()
    try:
        done = subprocess.run(argv, executable=program, env=env, stdin=subprocess.DEVNULL, stdout=other, stderr=other, timeout=PATIENCE)
    finally:
        os.close(other)
    shown = b""
    try:
        while piece := os.read(main, 4096):
            shown += piece
    except OSError:  # EIO: all is read
        pass
    os.close(main)
    return done.returncode, shown


@pytest.mark.parametrize("way", ["no", "line", "full", None])
def test_buffering_on_a_terminal(tmp_path, way):
    """The warm-up was on none."""
    module = Module(tmp_path, f"io.stdout:setvbuf '{way}'" if way else "io.write ''")
    script = tmp_path / "script.lua"
    script.write_text("require 'changes_it' " + STEPS)
    argv = ["lua", str(script)]
    assert on_terminal(MOONLET, argv, dict(module.env, MOONLET_IMAGE=module.image)) == on_terminal(REAL_LUA, argv, module.env)


@pytest.mark.skipif(LUA not in ("5.4", "5.5"), reason="Lua 5.4 has warnings first")
def test_an_option_of_the_warm_up_is_no_change_of_a_module_s(tmp_path):
    module = Module(tmp_path, "")
    assert run(MOONLET, ["lua", "--freeze", module.image, "-W", "-l", "changes_it"], module.env).status == 0
    module.same("warn 'x'")
