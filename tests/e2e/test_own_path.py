"""A script that has modules found elsewhere, or in another way, gets those that lua would load, whatever is warm."""

import os
import shlex
import shutil
import subprocess

import pytest
from conftest import (BUILD, CPATH, JIT, LUA, MOONLET, REAL_LUA, SOURCE, Pair, Result, environment, may_be_cold, needs_program, run,
                      without_addresses)

SEARCHERS = "loaders" if LUA in ("5.1", "luajit") else "searchers"
SETS = "_G" if LUA in ("5.1", "luajit") else "_ENV"


class Tree:
    """Modules below sys/, which are found without further ado, and below app/, which are the script's own."""

    def __init__(self, directory, freeze):
        self.directory, self.freeze = directory, freeze
        self.env = environment(LUA_PATH=f"{directory}/sys/?.lua;{directory}/sys/?/init.lua;;", MOONLET_FALLBACK=REAL_LUA)
        self.image = None

    def write(self, **files):
        """sys_a_b="...": the file sys/a/b.lua."""
        for name, text in files.items():
            path = self.directory / (name.replace("_", "/") + ".lua")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def warm(self, *warm_up):
        self.image = self.freeze(*warm_up, env=self.env, cwd=self.directory)
        assert self.image.warm_up == Result(0, b"", b""), self.image.warm_up
        return self

    def launch(self, program, *arguments, env=None, **options):
        env = dict(self.env if env is None else env, MOONLET_IMAGE=self.image.path)
        return run(program, ["lua", *arguments], env, cwd=self.directory, **options)

    def same(self, code, *arguments, name="script.lua", **options):
        """The script shows the same under lua and under moonlet, and moonlet has not gone to lua."""
        path = self.directory / name
        path.write_text(code)
        expected = self.launch(REAL_LUA, str(path), *arguments, **options)
        got = self.launch(MOONLET, str(path), *arguments, **options)
        assert without_addresses(got) == without_addresses(expected), f"moonlet: {got!r}\n\nlua: {expected!r}"
        assert self.launch(MOONLET, "-e", "", env=dict(self.env, MOONLET_FALLBACK="")).status == 0
        return got

    def is_warm(self, code):
        """Under moonlet the modules that `code` requires are warm: none is loaded."""
        done = self.launch(MOONLET, "-e", f"phase = 'launch' {code}", env=dict(self.env, MOONLET_FALLBACK=""))
        assert done.status == 0, done
        return b"loaded" not in done.out


# A module that tells where it is from, and if a launch has loaded it.
def module(where, rest=""):
    return f"if phase then print 'loaded' end {rest} return {{where = '{where}'}}"


@pytest.fixture
def tree(tmp_path, freeze):
    return Tree(tmp_path, freeze)


OWN = "package.path = 'app/?.lua;' .. package.path "
# How a script has modules found elsewhere.
WAYS = {
    "path": OWN,
    "path, by its own place": "package.path = arg[0]:match '(.*/)' .. 'app/?.lua;' .. package.path ",
    "path, all of it": "package.path = 'app/?.lua' ",
    "path, in a table": "local p = package p.path = table.concat({'app/?.lua', p.path}, ';') ",
    "preload": "package.preload.conf = function(...) return {where = 'preloaded', name = ...} end ",
    "preload, raised": "package.preload.conf = function() error('not so', 0) end ",
    "a searcher": f"table.insert(package.{SEARCHERS}, 1, function(name) print(name) return name == 'conf' and function() return {{where = 'found'}} end or nil end) ",
    "a searcher behind": f"table.insert(package.{SEARCHERS}, function(name) print(name) return 'x' end) ",
    "a searcher replaced": f"package.{SEARCHERS}[2] = function(name) print(name) return loadfile('app/' .. name .. '.lua') end ",
    "searchers replaced": f"package.{SEARCHERS} = {{package.{SEARCHERS}[1], function(name) return loadfile('app/' .. name .. '.lua') end}} ",
    "no searchers": f"package.{SEARCHERS} = {{}} ",
    "no package": "package = nil ",
    "loaded": "package.loaded.conf = {where = 'set'} ",
    "forgotten": "package.loaded.conf = nil ",
    "nothing": "",
}


@pytest.mark.parametrize("way", WAYS)
def test_it_gets_what_lua_would_load(tree, way):
    tree.write(sys_conf="return {where = 'system'}", app_conf="return {where = 'own', name = ...}", sys_other="return {where = 'other'}")
    tree.warm("-l", "conf", "-l", "other")
    tree.same(WAYS[way] + "local ok, conf = pcall(require, 'conf') print(ok, ok and conf.where or conf, ok and conf.name)")
    tree.same(WAYS[way] + "local ok, o = pcall(require, 'other') print(ok, ok and o.where or o)")
    tree.same(WAYS[way] + "local ok, o = pcall(require, 'none') print(ok, o)")


@pytest.mark.parametrize("options", [["-e", OWN, "-l", "conf", "-e", "print(require('conf').where)"],
                                     ["-e", OWN, "-e", "print(require('conf').where)"], ["-e", OWN, "script.lua"],
                                     ["-l", "conf", "-e", OWN, "script.lua"], ["-e", OWN, "-l", "conf", "script.lua", "x"]])
def test_options_count_like_the_script(tree, options):
    tree.write(sys_conf="return {where = 'system'}", app_conf="return {where = 'own'}")
    tree.warm("-l", "conf")
    (tree.directory / "script.lua").write_text("print(require('conf').where, ...)")
    expected, got = (tree.launch(program, *options) for program in (REAL_LUA, MOONLET))
    assert got == expected and expected.status == 0


def test_lua_init_counts_like_the_script(tree):
    tree.write(sys_conf="return {where = 'system'}", app_conf="return {where = 'own'}")
    tree.warm("-l", "conf")
    tree.same("print(require('conf').where)", env=dict(tree.env, LUA_INIT=OWN))
    tree.env["LUA_INIT"] = OWN
    tree.warm("-l", "conf")
    tree.same("print(require('conf').where)")


def test_a_wrapper_that_runs_the_script(tree):
    tree.write(sys_conf="return {where = 'system'}", app_conf="return {where = 'own'}")
    tree.warm("-l", "conf")
    tree.write(app_main="print(require('conf').where, arg[0], ...)")
    tree.same(OWN + "arg[0] = 'app/main.lua' assert(loadfile('app/main.lua'))(...)", "argument")
    tree.same(OWN + "dofile 'app/main.lua'")


def test_modules_below_a_warm_one(tree):
    """Those that are warm, those that are not, and those that a warm one asks for later."""
    sub = "return {where = '%s', later = function() return require 'a.later'.where end}"
    tree.write(sys_a_init="local sub = require 'a.sub' return {sub = sub}", sys_a_sub=sub % "system", sys_a_later="return {where = 'system'}",
               app_a_sub=sub % "own", app_a_later="return {where = 'own'}", app_a_cold="return {where = 'own'}", sys_a_cold="return {where = 'system'}")
    tree.warm("-l", "a")
    for script in ("print(require('a').sub.where, require('a.sub').later())", "print(require('a.sub').where, require('a').sub.later())",
                   "print(require('a.cold').where, require('a').sub.where)", "print(require('a.later').where, require('a.sub').where)"):
        tree.same(script)
        tree.same(OWN + script)
        tree.same("local a = require 'a' " + OWN + script + " print(a == require 'a', a.sub == require 'a.sub', a.sub.later())")
        tree.same("local a = require 'a.sub' " + OWN + script + " print(a == require 'a.sub', a == require 'a'.sub, a.later())")


def test_a_module_that_needs_another_version_of_one(tree):
    """It is the same file, but it would find another one."""
    tree.write(sys_uses="return {conf = require 'conf'}", sys_conf="return {where = 'system'}", app_conf="return {where = 'own'}",
               sys_above="return {uses = require 'uses'}")
    tree.warm("-l", "above")
    for name in ("above", "uses", "conf"):
        tree.same(OWN + f"print(type(require '{name}'), require('uses').conf.where, require('above').uses.conf == require 'conf')")


def test_what_the_script_has_already_stays(tree):
    """In lua it would have been loaded before the path has changed."""
    tree.write(sys_uses="return {conf = require 'conf'}", sys_conf="return {where = 'system', say = require 'say'}",
               sys_say="return {where = 'system'}", app_conf="return {where = 'own'}", app_say="return {where = 'own'}",
               sys_late="return {say = require 'say', conf = require 'conf'}", app_uses="return {conf = {where = 'own'}}")
    tree.warm("-l", "uses", "-l", "late")
    for first in ("uses", "conf", "say", "late"):
        tree.same(f"local first = require '{first}' " + OWN + f"""
            print(first == require '{first}', require('say').where, require('conf').where, require('uses').conf.where)
            print(require('late').say.where, require('late').conf == require 'conf')""")


def test_what_the_script_has_not_is_that_of_the_new_path(tree):
    tree.write(sys_conf="return {where = 'system'}", app_conf="return {where = 'own'}", sys_tool="return {conf = require 'conf'}")
    tree.warm("-l", "tool", "-l", "conf")
    tree.same("local path = package.path " + OWN + "print(require('conf').where) package.path = path print(require('tool').conf.where)")
    tree.same("local path = package.path " + OWN + "package.path = path print(require('conf').where, require('tool').conf.where)")


@pytest.mark.parametrize("instead", ["{where = 'mine'}", "nil", "false"])
def test_what_the_script_puts_in_the_place_of_a_module(tree, instead):
    """As tests do that replace what the module under test needs."""
    tree.write(sys_uses="return {conf = require 'conf'}", sys_conf="return {where = 'system'}", sys_other="return {where = 'system'}")
    tree.warm("-l", "uses", "-l", "other")
    for name in ("conf", "uses", "other"):
        tree.same(f"package.loaded['{name}'] = {instead} local uses, conf, other = require 'uses', require 'conf', require 'other'"
                  " print(uses.where, uses.conf == conf, conf.where, other.where)")
        tree.same(f"local uses = require 'uses' package.loaded['{name}'] = {instead}"
                  " print(uses == require 'uses', uses.conf == require 'conf', require('conf').where, require('other').where)")


def test_modules_that_have_nothing_to_do_with_it_stay_warm(tree):
    tree.write(sys_conf=module("system"), app_conf=module("own"), sys_other=module("system", "require 'third'"), sys_third=module("system"))
    tree.warm("-l", "conf", "-l", "other")
    assert tree.is_warm("require 'conf' require 'other' require 'third'")
    assert tree.is_warm(OWN + "require 'other' require 'third'")
    assert tree.is_warm(OWN + "package.preload.conf = function() end require 'other' require 'third'")
    assert not tree.is_warm(OWN + "require 'conf'")
    assert tree.launch(MOONLET, "-e", f"{OWN} phase = 1 require 'conf' require 'other'").out == b"loaded\n"


def test_a_searcher_behind_the_others_leaves_what_these_find_warm(tree):
    """But for what has looked for a module in vain: that it may find."""
    tree.write(sys_conf=module("system"), sys_needs=module("system", "require 'tries'"),
               sys_tries="if phase then print 'loaded' end return {found = (pcall(require, 'part'))}")
    tree.warm("-l", "conf", "-l", "needs")
    behind = f"table.insert(package.{SEARCHERS}, function(name) return name == 'part' and function() return 'a part' end or nil end) "
    in_front = behind.replace("table.insert(package." + SEARCHERS + ",", "table.insert(package." + SEARCHERS + ", 1,")
    assert tree.is_warm(behind + "require 'conf'")
    assert not tree.is_warm(in_front + "require 'conf'") and not tree.is_warm(behind + "require 'needs'")
    tree.same(behind + "print(require 'tries'.found, require 'part')")
    tree.same("print(require 'tries'.found) " + behind + "print(require 'tries'.found, require 'part')")


WATCHED = """setmetatable(package.loaded, {__newindex = function(t, name, value) print('set', name) rawset(t, name, value) end,
  __index = function(t, name) print('asked', name) end}) """


def test_a_metatable_of_the_table_of_what_is_loaded(tree):
    """A script that watches it sees modules come, as in lua. So does a warm-up."""
    tree.write(sys_conf="return {where = 'system', part = require 'part'}", sys_part="return {}", sys_watch=WATCHED)
    tree.warm("-l", "conf")
    tree.same(WATCHED + "print(require('conf').where, require('conf').part == require 'part')")
    tree.same("require 'part' " + WATCHED + "print(require('conf').where)")
    tree.same("setmetatable(package.preload, {__index = function(t, name) print('asked', name) end}) print(require('conf').where)")
    tree.same("setmetatable(package.preload, {__index = function(t, name) if name == 'conf' then return function() return {where = 'made'} end end end}) "
              "print(require('conf').where)")
    image = tree.freeze("-l", "watch", "-l", "conf", env=tree.env, cwd=tree.directory)
    env = dict(tree.env, MOONLET_IMAGE=image.path)
    code = "print(require('conf').where) print(require('other').name)"
    (tree.directory / "sys" / "other.lua").write_text("return {name = ...}")
    expected = run(REAL_LUA, ["lua", "-l", "watch", "-l", "conf", "-e", code], env, cwd=tree.directory)
    done = run(MOONLET, ["lua", "-e", code], env, cwd=tree.directory)
    assert (image.warm_up.out + done.out, done.status) == (expected.out, 0), (image.warm_up, done, expected)


def test_c_modules(tree):
    """They are found by package.cpath, and each file has its own variables."""
    (tree.directory / "app").mkdir()
    shutil.copy(os.path.join(BUILD, "modules", "states.so"), tree.directory / "app" / "states.so")
    tree.warm("-e", "require('states').run_in_kept 'x = 1' require 'probe'")
    own = "package.cpath = 'app/?.so;' .. package.cpath "
    show = "local s = require 'states' print(s.run_in_kept 'local x = x or 0 return x < 1', require('probe').pid() > 0)"
    tree.same(own + show)
    tree.same("local probe = require 'probe' " + own + show)
    tree.same(own + "package.path = '' " + show)


@pytest.mark.skipif(LUA == "5.1", reason="IT IS ABOUT package.searchpath")
def test_searchpath_has_its_own_mind(tree):
    tree.write(sys_conf="return {where = 'system'}", app_conf="return {where = 'own'}")
    tree.warm("-l", "conf")
    tree.same(OWN + "print(package.searchpath('conf', package.path), require('conf').where)")


# What belongs to a module

BELONGINGS = {
    "a global": "shared = 'of the module'",
    "a global, by another name": f"{SETS}['shared'] = {{1}}",
    "a function replaced": "local old = print print = function(...) return old('replaced', ...) end",
    "a function of a library": "string.shared = function() return 'added' end",
    "a function of a library replaced": "os.time = function() return 42 end",
    "a function taken away": "os.tmpname = nil",
    "a metatable": f"setmetatable(_G, {{__index = function(_, name) return 'undefined ' .. name end}})",
    "a string metatable": "getmetatable('').__index = setmetatable({}, {__index = string}) string.upper = string.lower",
    "a preloaded part": "package.preload['conf.core'] = function() return {where = 'part of the system'} end require 'conf.core'",
    "a preloaded part, asked for later": "package.preload['conf.core'] = function() return {where = 'part of the system'} end",
    "a part that it has loaded itself": "package.loaded['conf.core'] = {where = 'part of the system'}",
    "a path": "package.path = package.path .. ';sys/more/?.lua'",
}
SHOW = """
    local conf = require 'conf'
    print('conf', conf.where)
    print('shared', rawget(_G, 'shared') ~= nil, undefined == nil, string.shared ~= nil, os.time() == 42, os.tmpname ~= nil, ('Xy'):upper())
    print(package.preload['conf.core'] ~= nil, package.loaded['conf.core'] ~= nil, select('#', package.path:gsub('more', '')))
    local ok, core = pcall(require, 'conf.core')
    print(ok, ok and core.where)
"""


@pytest.mark.parametrize("belonging", BELONGINGS)
def test_what_belongs_to_a_module_goes_with_it(tree, belonging):
    tree.write(sys_conf=BELONGINGS[belonging] + " return {where = 'system'}", app_conf="return {where = 'own'}")
    tree.warm("-l", "conf", "-e", "conf = nil")
    tree.same(SHOW)
    tree.same(OWN + SHOW)
    tree.same("require 'conf' " + OWN + SHOW)


@pytest.mark.parametrize("belonging", BELONGINGS)
def test_also_of_one_that_is_needed(tree, belonging):
    tree.write(sys_conf=BELONGINGS[belonging] + " return {where = 'system'}", app_conf="return {where = 'own'}",
               sys_outer="return {conf = require 'conf'}")
    tree.warm("-l", "outer")
    tree.same(OWN + "require 'outer'" + SHOW)
    tree.same("require 'outer' " + OWN + SHOW)


def test_the_global_that_an_option_has_set_goes_too(tree):
    tree.write(sys_conf="return {where = 'system'}", app_conf="return {where = 'own'}")
    tree.warm("-l", "conf")
    tree.same(OWN + "require 'conf' print(conf and conf.where)")


def test_what_the_script_has_set_since_stays(tree):
    tree.write(sys_conf="shared, other = 1, 1 string.shared = 1 return {where = 'system'}", app_conf="return {where = 'own'}")
    tree.warm("-l", "conf")
    tree.same("shared = 2 string.shared = 3 " + OWN + "require 'conf' print(shared, other, string.shared)")


def test_what_the_warm_up_itself_has_set_stays(tree):
    """That is what a warm-up is for. It is nobody's, also where a module's loading has failed before."""
    tree.write(sys_conf="return {where = 'system'}", app_conf="return {where = 'own'}", sys_fails="failing = 1 error 'x'",
               sys_tries="pcall(require, 'fails') pcall(coroutine.wrap(function() require 'fails' end)) tried = 1 return {}")
    tree.warm("-e", "before = 1", "-l", "conf", "-e", "pcall(require, 'fails') pcall(coroutine.wrap(function() require 'none' end)) after = 1",
              "-l", "tries", "-e", "pcall(function() coroutine.wrap(function() require 'fails' end)() end) last = 1")
    done = tree.launch(MOONLET, "-e", OWN + "print(require('conf').where, before, after, last)")
    assert done.out == b"own\t1\t1\t1\n", done


def test_a_module_that_a_coroutine_of_another_one_loads(tree):
    tree.write(sys_conf="shared = 1 return {where = 'system'}", app_conf="return {where = 'own'}",
               sys_outer="local conf coroutine.wrap(function() conf = require 'conf' coroutine.yield() end)() own = 1 return {conf = conf}")
    tree.warm("-l", "outer")
    tree.same(OWN + "print(require('outer').conf.where, shared, own)")
    tree.same("print(require('outer').conf.where, shared, own)")


# What else decides what is loaded


def test_arg_replaced(tree):
    """argparse and others keep it while they load."""
    tree.write(sys_keeps="local kept = arg return function() return kept and kept[1], kept == arg end")
    tree.warm("-l", "keeps")
    for script in ("print(require 'keeps'())", "arg = {'own'} print(require 'keeps'())", "local keeps = require 'keeps' arg = {'own'} print(keeps())",
                   "arg = nil print(require 'keeps'())"):
        tree.same(script, "argument")


def test_a_locale_of_the_script_s(tree):
    tree.write(sys_asks="return {os.setlocale(), #('x'):rep(3)}")
    tree.warm("-l", "asks")
    for script in ("print(require('asks')[1])", "print(os.setlocale 'C.UTF-8') print(require('asks')[1])",
                   "local asks = require 'asks' os.setlocale 'C.UTF-8' print(require('asks') == asks)"):
        tree.same(script)


def test_what_has_nothing_to_do_with_another_directory_stays_warm(tree):
    tree.env["LUA_PATH"] = "./?.lua;" + tree.env["LUA_PATH"]
    tree.write(conf=module("here"), app_conf=module("in app"), sys_other=module("system"))
    tree.warm("--trust", "-l", "conf", "-l", "other")
    launched = run(MOONLET, ["lua", "-e", "phase = 'launch' print(require('conf').where, require('other').where)"],
                   dict(tree.env, MOONLET_IMAGE=tree.image.path, MOONLET_FALLBACK=""), cwd=tree.directory / "app")
    assert launched == Result(0, b"loaded\nin app\tsystem\n", b"")


def test_another_directory(tree):
    """A path that is relative leads elsewhere from there."""
    tree.env["LUA_PATH"] = "./?.lua;" + tree.env["LUA_PATH"]
    tree.write(conf="return {where = 'here'}", app_conf="return {where = 'in app'}", sys_other="return {where = 'other'}",
               sys_conf="return {where = 'system'}")
    tree.warm("-l", "conf", "-l", "other", "-l", "changes")
    enter = f"require('changes').enter '{tree.directory}/%s' "
    show = "print(require('conf').where, require('other').where)"
    for where in ("app", "sys", "."):
        tree.same(enter % where + show)
        tree.same("require 'conf' " + enter % where + show)


# It looks like Lua's


def test_the_second_result_of_the_first_require(tree):
    tree.write(sys_conf="return {where = 'system'}", sys_outer="return require 'conf'")
    tree.warm("-l", "outer")
    tree.same("print(select('#', require 'conf'), select(2, require 'conf'), select(2, require 'outer'), select('#', require 'outer'))")
    tree.same("print(select('#', require 'outer'), select('#', require 'conf'))")


LOOKS = {
    "as a function": f"""
        for _, what in ipairs {{'S', 'u'}} do
            local info, names = debug.getinfo(require, what), {{}}
            for name in pairs(info) do names[#names + 1] = name .. '=' .. tostring(info[name]):gsub(': .*', '') end
            table.sort(names) print(table.concat(names, ' '))
        end
        print(type(require), pcall(string.dump, require)) print(debug.getupvalue(require, 1))
        if getfenv then print(getfenv(require) == package) end
    """,
    "wrong arguments": "print(pcall(require)) print(pcall(require, nil)) print(pcall(require, {})) print(pcall(require, 12))",
    "none found": "print(pcall(require, 'none')) print(pcall(require, 'none.sub')) require 'none'",
    "an error in a module": "print(pcall(require, 'fails')) require 'fails'",
    "a syntax error": "print(pcall(require, 'broken')) require 'broken'",
    "a loop": "print(pcall(require, 'loop'))",
    "a traceback": "print((debug.traceback())) package.preload.x = function(...) print((debug.traceback('in'))) return ... end print(require 'x')",
    "called with a tail call": "local function f() return require 'none' end f()",
    "called by another name": "local r = require r 'none'",
    "in a coroutine": "print(coroutine.wrap(function() return require 'conf'.where end)()) coroutine.wrap(require) 'none'",
    "a yield across it": "package.preload.y = function() coroutine.yield() end print(coroutine.resume(coroutine.create(require), 'y'))",
    "a name with a zero": "print(pcall(require, 'conf\\0x'))",
    "nothing returned": "package.preload.n = function() end print(require 'n', package.loaded.n)",
    "false returned": "package.preload.f = function() return false end print(require 'f', package.loaded.f)",
    "deep": "package.preload.d = function() depth = (depth or 0) + 1 package.loaded.d = nil return require 'd' end print(pcall(require, 'd')) print(depth)",
}


@pytest.mark.parametrize("look", LOOKS)
def test_it_looks_like_lua_s(tree, look):
    tree.write(sys_conf="return {where = 'system'}", sys_fails="local function f() error 'on purpose' end f()", sys_broken="x = = 1",
               sys_loop="return require 'loop'")
    tree.warm("-l", "conf")
    tree.same(LOOKS[look])
    tree.same("require 'conf' " + OWN + LOOKS[look])


def test_in_a_warm_up_too(tree):
    """What a warm-up sees of it is what lua shows, and so are its errors."""
    tree.write(sys_conf="print('loading', ...) return {where = 'system'}", sys_outer="print(require 'conf') return 1",
               sys_fails="local function f() error 'on purpose' end f()")
    for code in ("print(require 'conf') print(require 'conf') print(require 'outer')", "print(pcall(require, 'fails')) require 'fails'", "require 'none'",
                 "coroutine.wrap(function() require 'conf' require 'fails' end)()", *LOOKS.values()):
        expected = run(REAL_LUA, ["lua", "-e", code], tree.env)
        got = run(MOONLET, ["lua", "--freeze", str(tree.directory / "image"), "-e", code], tree.env)
        assert without_addresses(got).out == without_addresses(expected).out, code
        assert without_addresses(got).err == without_addresses(expected).err and got.status == expected.status, code


# What others build on it


@needs_program("luarocks", "luarocks")
def test_luarocks_wrappers(tree):
    """A rock in a tree of its own comes before what is warm, by the wrapper that luarocks has made."""
    version = "5.1" if JIT else LUA
    rock = tree.directory / "rock"
    rock.mkdir()
    (rock / "conf.lua").write_text("return {where = 'in the rock', part = require 'conf.part'.where}")
    (rock / "part.lua").write_text("return {where = 'in the rock'}")
    (rock / "tool").write_text("#!/usr/bin/env lua\nlocal conf = require 'conf' print(conf.where, conf.part, require('other').where, ...)\n")
    (rock / "tool-1.0-1.rockspec").write_text("""
        package = 'tool' version = '1.0-1' source = {url = ''} dependencies = {}
        build = {type = 'builtin', modules = {conf = 'conf.lua', ['conf.part'] = 'part.lua'}, install = {bin = {tool = 'tool'}}}""")
    made = subprocess.run(["luarocks", "--lua-version", version, "--tree", str(tree.directory / "rocks"), "make"], cwd=rock, capture_output=True,
                          text=True, env=dict(os.environ, HOME=str(tree.directory)))
    wrapper = tree.directory / "rocks" / "bin" / "tool"
    if made.returncode != 0:
        pytest.skip(f"LUAROCKS DOES NOT KNOW LUA {version} HERE: {made.stderr[-200:]}")
    tree.write(sys_conf="return {where = 'system'}", sys_other="return {where = 'system'}")
    words = shlex.split(wrapper.read_text())  # ... exec lua -e '...' '.../tool' "$@"
    options = words[words.index("-e"):-1]
    assert "package.path" in options[1] and options[-1].endswith("/tool"), words
    env = dict(tree.env, HOME=str(tree.directory))
    for warm_up in (["-l", "conf", "-l", "other"], ["-l", "luarocks.loader", "-l", "conf", "-l", "other"]):
        if run(REAL_LUA, ["lua", "-l", warm_up[1], "-e", ""], env).status != 0:
            continue
        image = tree.freeze(*warm_up, env=env)
        expected, got = (run(program, ["lua", *options, "argument"], dict(env, MOONLET_IMAGE=image.path)) for program in (REAL_LUA, MOONLET))
        assert got == expected and expected.out.startswith(b"in the rock\tin the rock\tsystem\targument"), (got, expected)


@pytest.mark.skipif(LUA == "luajit", reason="DEBIAN'S BUSTED IS NOT FOR LUAJIT")
@needs_program("busted", "lua-busted")
def test_busted_in_a_project_with_a_module_of_a_name_that_is_warm(tree):
    path = "/usr/bin/busted"
    if run(REAL_LUA, ["lua", "-l", "busted.runner", "-e", ""], environment()).status != 0:
        pytest.skip("NO BUSTED for this Lua")
    names = ["busted.runner", "busted.core", "pl.pretty", "pl.List", "say", "luassert"]
    image = tree.freeze(*(word for name in names for word in ("-l", name)), env=tree.env)
    (tree.directory / "spec").mkdir()
    tree.write(pl_pretty="return {where = 'the project', write = function() return 'own' end}",
               **{"spec_some": "describe('it', function() it('is its own', function() assert.equal('own', require('pl.pretty').write()) end) end)"})
    (tree.directory / "spec" / "some.lua").rename(tree.directory / "spec" / "some_spec.lua")
    (tree.directory / "say.lua").write_text("return require 'nothing'")
    expected, got = (run(program, ["lua", path, "-o", "TAP"], dict(tree.env, MOONLET_IMAGE=image.path), cwd=tree.directory)
                     for program in (REAL_LUA, MOONLET))
    assert without_addresses(got) == without_addresses(expected)
