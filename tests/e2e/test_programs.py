"""Programs that people use: luacheck, busted, ldoc, luarocks behave the same through moonlet as through lua,
from a zygote that has their modules warm and from one that has none; and the Lua authors' own test of
the stand-alone interpreter."""

import os
import re
import shutil
import subprocess

import pytest
from conftest import BY_MOONLET, JIT, LUA, MOONLET, REAL_LUA, SANITIZED, Pair, environment, run, without_addresses

# Debian's luacheck is packaged for 5.1 alone; it is plain Lua, and runs on all.
SHARE_51 = "/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua"
PENLIGHT = "/usr/share/lua/5.4/pl"


def needs(program, *paths):
    for path in (program, *paths):
        if not os.path.exists(path):
            pytest.skip(f"NOT INSTALLED: {path}")


def loads(module, env):
    return run(REAL_LUA, ["lua", "-l", module, "-e", ""], env).status == 0


def pairs(start_zygote, env, modules):
    """A zygote that has what of `modules` this Lua can load, and one that has nothing."""
    warm = [option for module in modules if loads(module, env) for option in ("-l", module)]
    assert warm or not modules, f"none of {modules} can be loaded"
    return [Pair(start_zygote(*warm, env=env)), Pair(start_zygote(env=env))]


def without_times(result):
    """Durations in a report are never the same twice."""
    from conftest import Result
    hide = lambda text: re.sub(rb"\d+\.\d+( seconds|s\b)?", b"TIME", re.sub(rb"\d\d:\d\d:\d\d", b"TIME", text))
    return Result(result.status, hide(result.out), hide(result.err))


def same_but_for_time(pair, arguments, env, **options):
    expected, got = [without_times(without_addresses(run(program, ["lua", *arguments], its_env, **options)))
                     for program, its_env in pair.programs(env)]
    assert got == expected, f"moonlet: {got!r}\n\nlua: {expected!r}"
    return got


def test_luacheck(start_zygote, tmp_path):
    needs("/usr/bin/luacheck", PENLIGHT)
    env = environment(LUA_PATH=SHARE_51 + ";;")
    (tmp_path / "bad.lua").write_text("local unused = 1\nx = y\nreturn 1 +\n")
    (tmp_path / "good.lua").write_text("return 1\n")
    for pair in pairs(start_zygote, env, ["luacheck.runner", "luacheck.check", "luacheck.format", "argparse"]):
        for arguments in (["--version"], ["--help"], ["--no-cache", str(tmp_path / "good.lua")],
                          ["--no-cache", str(tmp_path / "bad.lua")], ["--no-cache", "--no-color", "--codes", PENLIGHT],
                          ["--no-cache", "-q", PENLIGHT], ["--bogus"], ["--no-cache", "/nonexistent.lua"], []):
            pair("/usr/bin/luacheck", *arguments, env=env)
        pair("/usr/bin/luacheck", "--no-cache", "-", env=env, input=b"x = 1")


def test_busted(start_zygote, tmp_path):
    needs("/usr/bin/busted")
    env = environment()
    if not loads("busted.runner", env):
        pytest.skip(f"DEBIAN HAS NO BUSTED for {LUA}")
    spec = tmp_path / "some_spec.lua"
    spec.write_text("""
        describe('a suite', function()
            it('passes', function() assert.are.equal(1, 1) end)
            it('fails', function() assert.are.same({1, 2}, {1, 3}) end)
            it('breaks', function() error('broken') end)
            pending('later')
        end)
    """)
    for pair in pairs(start_zygote, env, ["busted", "busted.core", "luassert", "pl.pretty", "say"]):
        for arguments in (["--version"], ["--help"], ["-o", "TAP", str(spec)], ["-o", "plainTerminal", str(spec)],
                          ["--list", str(spec)], ["-o", "json", str(spec)], ["/nonexistent"], ["--bogus"]):
            same_but_for_time(pair, ["/usr/bin/busted", *arguments], env, cwd=tmp_path)


def test_ldoc(start_zygote, tmp_path):
    needs("/usr/bin/ldoc")
    env = environment()
    if not loads("ldoc.parse", env):
        pytest.skip(f"DEBIAN HAS NO LDOC for {LUA}")
    (tmp_path / "module.lua").write_text("--- A module.\n-- @module module\nlocal M = {}\n--- A function.\n"
                                         "-- @param x a number\n-- @return a string\nfunction M.f(x) return tostring(x) end\nreturn M\n")
    for pair in pairs(start_zygote, env, ["pl.pretty", "ldoc.parse", "ldoc.doc"]):
        made = []
        for program, its_env in pair.programs(env):
            out = tmp_path / "out"
            result = run(program, ["lua", "/usr/bin/ldoc", "-d", str(out), "module.lua"], its_env, cwd=tmp_path)
            index = (out / "index.html").read_bytes() if out.exists() else b""
            made.append((result.status, result.out, result.err, re.sub(rb"Last updated [^<]*", b"", index)))
            shutil.rmtree(out, ignore_errors=True)
        assert made[0] == made[1]
        for arguments in (["--help"], ["--version"], ["--dump", "module.lua"], ["/nonexistent"]):
            pair("/usr/bin/ldoc", *arguments, env=env, cwd=tmp_path)


def test_luarocks(start_zygote, tmp_path):
    needs("/usr/bin/luarocks")
    env = environment(HOME=str(tmp_path))
    if not loads("luarocks.core.cfg", env):
        pytest.skip(f"DEBIAN HAS NO LUAROCKS for {LUA}")
    tree = str(tmp_path / "tree")
    (tmp_path / "rock-1.0-1.rockspec").write_text(
        "package = 'rock' version = '1.0-1' source = {url = 'file:///nonexistent'} description = {summary = 'x'} "
        "dependencies = {'lua >= 5.1'} build = {type = 'builtin', modules = {rock = 'rock.lua'}}")
    (tmp_path / "rock.lua").write_text("return 1")
    for pair in pairs(start_zygote, env, ["luarocks.core.cfg", "luarocks.util"]):
        for arguments in (["--version"], ["help"], ["list", "--tree", tree], ["path", "--tree", tree], ["config", "lua_version"],
                          ["lint", "rock-1.0-1.rockspec"], ["show", "nothing", "--tree", tree], ["bogus"]):
            pair("/usr/bin/luarocks", *arguments, env=env, cwd=tmp_path)
        made = []
        for program, its_env in pair.programs(env):
            make = ["lua", "/usr/bin/luarocks", "--tree", tree, "make", "rock-1.0-1.rockspec", f"LUA_INCDIR={tmp_path}"]
            (tmp_path / "lua.h").write_text("")
            result = run(program, make, its_env, cwd=tmp_path)
            shown = run(program, ["lua", "/usr/bin/luarocks", "list", "--porcelain", "--tree", tree], its_env, cwd=tmp_path)
            made.append((result, shown))
            shutil.rmtree(tree, ignore_errors=True)
        assert made[0] == made[1]


@pytest.mark.skipif(JIT or LUA not in ("5.3", "5.4"), reason="of 5.3 and 5.4")
def test_the_lua_authors_own(start_zygote, tmp_path):
    """testes/main.lua, from the test suite of this version (MOONLET_LUA_TESTS/5.4 and /5.3 hold the
    suites; they are not in Debian)."""
    suites = os.environ.get("MOONLET_LUA_TESTS")
    if not suites or not os.path.exists(os.path.join(suites, LUA, "main.lua")):
        pytest.skip(f"LUA'S OWN TESTS ARE NOT HERE: set MOONLET_LUA_TESTS to a directory with {LUA}/main.lua in it")
    zygote = start_zygote()
    copy = tmp_path / "testes"
    shutil.copytree(os.path.join(suites, LUA), copy)
    env = environment(MOONLET_SOCKET=zygote.socket, LUA_CPATH=None, PATH=f"{os.path.dirname(MOONLET)}:{os.environ['PATH']}",
                      MOONLET_FALLBACK=None)
    # By its path, because one of its lines runs it without a PATH.
    result = run(BY_MOONLET, [*BY_MOONLET.words, "main.lua"], env, cwd=copy)
    assert result.status == 0 and b"OK" in result.out, result
