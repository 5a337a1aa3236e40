"""LUA_INIT, LUA_PATH, LUA_CPATH and -E: the client's environment decides, not the zygote's."""

import os

import pytest
from conftest import BY_MOONLET, JIT, LUA, MUSL, REAL_LUA, Pair, PairInEach, environment, may_be_cold, run

SUFFIX = "_" + LUA.replace(".", "_")
PATHS = "print(package.path) print(package.cpath)"
needs_E = pytest.mark.skipif(LUA == "5.1", reason="Lua 5.2 has -E first")


@pytest.fixture
def same_in_each(start_zygote):
    return PairInEach(start_zygote)


@pytest.mark.parametrize("init", ["print('init')", "x = 1 print(arg ~= nil, ...)", "error('in init')", "x = = 1", "",
                                  "@/nonexistent/init.lua", "os.exit(3)", "error()", "error({})"])
@pytest.mark.parametrize("name", ["LUA_INIT", "LUA_INIT" + SUFFIX])
def test_lua_init(same, tmp_path, name, init):
    same.script(tmp_path, "print('script', x)", "a", env=may_be_cold(environment(**{name: init})))


def test_lua_init_from_a_file(same, tmp_path):
    (tmp_path / "init.lua").write_text("print('init', debug.getinfo(1, 'S').source) x = 2")
    same.script(tmp_path, "print(x)", env=may_be_cold(environment(LUA_INIT=f"@{tmp_path}/init.lua")))


def test_the_versioned_one_goes_first(same, tmp_path):
    env = environment(**{"LUA_INIT": "x = 'plain'", "LUA_INIT" + SUFFIX: "x = 'versioned'"})
    same.script(tmp_path, "print(x)", env=may_be_cold(env))


def test_lua_init_of_the_warm_up_and_of_each_launch(same_in_each):
    """An image that was made under it: it has run once, and runs in each launch, before all else."""
    same_in_each("-e", "print(x, string.y)", env=environment(LUA_INIT="x = 1 string.y = 'set'"))


def test_with_an_option_that_is_wrong(same):
    same("-x", env=environment(LUA_INIT="print('init')", MOONLET_FALLBACK=REAL_LUA))


@needs_E
def test_lua_init_under_E(same):
    same("-E", "-e", "print(x)", env=may_be_cold(environment(LUA_INIT="x = 1")))


@pytest.mark.parametrize("value", [None, "", ";;", "/a/?.lua", "/a/?.lua;;", ";;/a/?.lua", "/a/?.lua;;/b/?.lua;;", "?", ";",
                                   "./?.lua;/usr/share/lua/5.1/?.lua"])
@pytest.mark.parametrize("name", ["LUA_PATH", "LUA_PATH" + SUFFIX, "LUA_CPATH", "LUA_CPATH" + SUFFIX])
def test_paths_are_those_of_lua(same_in_each, name, value):
    same_in_each("-e", PATHS, env=environment(LUA_CPATH=None, **{}) | ({name: value} if value is not None else {}))


@needs_E
def test_paths_under_E(same, same_in_each):
    same_in_each("-E", "-e", PATHS, env=environment(LUA_PATH="/a/?.lua", LUA_CPATH="/b/?.so"))
    if not JIT:
        same("-E", "-e", "print(debug.getregistry().LUA_NOENV)")
    same("-e", "print(debug.getregistry().LUA_NOENV)")


def make_module(directory, name, text):
    directory.mkdir(exist_ok=True)
    (directory / (name + ".lua")).write_text(text)
    return str(directory)


@pytest.fixture
def warm(start_zygote, tmp_path):
    """A zygote with the modules `greeting` and `user_of_greeting` warm, from the directory `one`."""
    one = make_module(tmp_path / "one", "greeting", "return 'from one'")
    make_module(tmp_path / "one", "user_of_greeting", "return {greeting = require 'greeting'}")
    env = environment(LUA_PATH=one + "/?.lua;;")
    zygote = start_zygote("-e", "warm = true", "-l", "user_of_greeting", env=env)
    return Pair(zygote), one, tmp_path


ASK = "print(require 'greeting', require 'user_of_greeting'.greeting)"
LOADED = "print(warm, package.loaded.greeting)"


def loaded_in(pair, env, **options):
    """What is warm in a launch of moonlet, which lua cannot be asked."""
    return run(BY_MOONLET, ["lua", "-e", LOADED], dict(env, MOONLET_SOCKET=pair.zygote.socket), **options).out


def test_a_warm_module_is_used_where_it_would_be_loaded(warm):
    same, one, _ = warm
    env = environment(LUA_PATH=one + "/?.lua;;")
    assert same("-e", ASK, env=env).out == b"from one\tfrom one\n"
    assert loaded_in(same, env) == b"true\tfrom one\n"


def test_a_warm_module_is_used_also_under_another_path_that_leads_there(warm):
    same, one, tmp_path = warm
    env = environment(LUA_PATH=f"/nonexistent/?.lua;{one}/?.lua")
    same("-e", ASK, env=may_be_cold(env))


def test_a_warm_module_that_would_be_another_file_is_not_used(warm):
    same, one, tmp_path = warm
    two = make_module(tmp_path / "two", "greeting", "return 'from two'")
    env = may_be_cold(environment(LUA_PATH=f"{two}/?.lua;{one}/?.lua"))
    assert same("-e", ASK, env=env).out == b"from two\tfrom two\n"
    for path in (f"{two}/?.lua;{one}/?.lua", two + "/?.lua", ";;", None):
        same("-e", ASK, env=may_be_cold(environment(LUA_PATH=path)))
    if LUA != "5.1":
        same("-E", "-e", ASK, env=may_be_cold(environment(LUA_PATH=one + "/?.lua")))


def test_a_module_in_the_working_directory_that_goes_before(start_zygote, tmp_path):
    one = make_module(tmp_path / "one", "greeting", "return 'from one'")
    make_module(tmp_path / "one", "user_of_greeting", "return {greeting = require 'greeting'}")
    env = environment(LUA_PATH=f"./?.lua;{one}/?.lua")
    same = Pair(start_zygote("-l", "user_of_greeting", env=env, cwd="/"))
    assert "relative" not in same.zygote.log()
    assert same("-e", ASK, env=env, cwd="/").out == b"from one\tfrom one\n"
    env = may_be_cold(env)
    here = tmp_path / "here"
    make_module(here, "greeting", "return 'from here'")
    assert same("-e", ASK, env=env, cwd=here).out == b"from here\tfrom here\n"
    make_module(here, "user_of_greeting", "error('never')")
    same("-e", "print(require 'greeting')", env=env, cwd=here)


def test_a_module_from_the_working_directory_of_the_zygote(start_zygote, tmp_path):
    for name in ("one", "two"):
        make_module(tmp_path / name, "greeting", f"return 'from {name}'")
        make_module(tmp_path / name, "user_of_greeting", "return {greeting = require 'greeting'}")
    env = environment(LUA_PATH="./?.lua")
    same = Pair(start_zygote("-l", "user_of_greeting", env=env, cwd=tmp_path / "one"))
    assert same("-e", ASK, env=env, cwd=tmp_path / "one").out == b"from one\tfrom one\n"
    env = may_be_cold(env)
    assert same("-e", ASK, env=env, cwd=tmp_path / "two").out == b"from two\tfrom two\n"
    same("-e", ASK, env=env, cwd="/")


def test_what_the_warm_up_does_to_the_path_holds_for_the_same_environment(start_zygote, tmp_path):
    one = make_module(tmp_path / "one", "greeting", "return 'from one'")
    zygote = start_zygote("-e", f"package.path = '{one}/?.lua;' .. package.path")
    env = environment(MOONLET_SOCKET=zygote.socket)
    assert run(BY_MOONLET, ["lua", "-e", "print((require 'greeting'))"], env).out == b"from one\n"
    # Another environment means what lua makes of it, and nothing else.
    Pair(zygote)("-e", "print(package.path) print(pcall(require, 'greeting'))", env=may_be_cold(environment(LUA_PATH="/x/?.lua")))


def test_a_module_that_is_no_file_stays(start_zygote):
    pair = PairInEach(start_zygote, "-e", "package.loaded.made = 'made by hand'")
    for path in (None, "/x/?.lua"):
        _, (moonlet, env) = pair.programs(environment(LUA_PATH=path))
        assert run(moonlet, ["lua", "-e", "print((require 'made'))"], env).out == b"made by hand\n"


def test_a_c_module_that_is_warm(start_zygote):
    same = Pair(start_zygote("-l", "probe"))
    same("-e", "print(type(require('probe').pid))")
    same("-e", "print(pcall(require, 'probe') == false)", env=may_be_cold(environment(LUA_CPATH="/x/?.so")))


def test_the_loader_s_environment_must_be_the_zygote_s(start_zygote, tmp_path):
    """LD_LIBRARY_PATH has had its effect in the image: a launch that has another goes cold."""
    zygote = start_zygote()
    env = environment(MOONLET_SOCKET=zygote.socket, LD_LIBRARY_PATH="/nonexistent")
    result = run(BY_MOONLET, ["lua", "-e", "print(1)"], env)
    assert result.status == 125 and b"LD_* differs" in result.err, result
    del env["MOONLET_FALLBACK"]
    assert run(BY_MOONLET, ["lua", "-e", "print(1)"], env).out == b"1\n"


@pytest.mark.skipif(MUSL, reason="THIS C LIBRARY HAS NO TUNABLES")
def test_glibc_s_tunables_are_the_loader_s_too(start_zygote):
    tunables = dict(GLIBC_TUNABLES="glibc.malloc.check=1")
    for of_zygote, of_client in (({}, tunables), (tunables, {}), (tunables, tunables)):
        zygote = start_zygote(env=environment(**of_zygote))
        result = run(BY_MOONLET, ["lua", "-e", ""], environment(MOONLET_SOCKET=zygote.socket, **of_client))
        assert (result.status, b"GLIBC_TUNABLES" in result.err) == ((0, False) if of_zygote == of_client else (125, True)), result


def test_a_warm_module_that_keeps_arg_sees_each_script_s(start_zygote, tmp_path):
    """As argparse does: what it took at its load is the table that the script finds, and changes."""
    one = make_module(tmp_path / "keeper", "keeper", "local kept = arg or {} return function() return #kept, kept[0], kept[1] end")
    env = environment(LUA_PATH=one + "/?.lua;;")
    same = Pair(start_zygote("-l", "keeper", env=env))
    script = tmp_path / "s.lua"
    script.write_text("print(require 'keeper'()) table.remove(arg, 1) print(require 'keeper'())")
    for arguments in ([], ["a"], ["a", "b", "c"]):
        same(str(script), *arguments, env=env)
    same("-", "x", "y", env=env, input=script.read_bytes())


def test_the_order_of_arg_is_that_of_lua(same, tmp_path):
    """pairs shows how a table was made."""
    for arguments in ([], ["a"], list("abcdefghij")):
        same.script(tmp_path, "for i, v in pairs(arg) do print(i, i == 0 or v) end", *arguments)
