"""Each launch is as the first: what one does is not seen by the next, and what is new in lua is new."""

import os
import re
import resource
import subprocess

import pytest
from conftest import (BY_MOONLET, LUA, PATIENCE, REAL_LUA, SANITIZED, Pair, PairInEach, about_moonletd, about_the_file,
                      both, environment, may_be_cold, needs_tracer, run)

RANDOM = "print(math.random(1, 2^30), math.random(1, 2^30), math.random())"
SEEDED_ANEW = LUA in ("5.4", "5.5")


def launch_once(zygote, code, **options):
    return run(BY_MOONLET, ["lua", "-e", code], environment(MOONLET_SOCKET=zygote.socket), **options)


def test_random_numbers(same):
    """Different each time from 5.4 on, the same ones before: as lua's."""
    if SEEDED_ANEW:
        assert len({launch_once(same.zygote, RANDOM).out for _ in range(50)}) == 50
    else:
        assert same("-e", RANDOM) == same("-e", RANDOM)


@needs_tracer
def test_random_numbers_after_a_warm_up_that_took_some(start_zygote):
    warm_up = "for i = 1, 100 do math.random() end math.randomseed(42) math.random()"
    zygote = start_zygote("-e", warm_up)
    # A constant seed is the warm-up's, and goes on in each launch as in the lua that ran both.
    expected = run(REAL_LUA, ["lua", "-e", warm_up, "-e", RANDOM], environment())
    assert expected.status == 0 and launch_once(zygote, RANDOM).out == launch_once(zygote, RANDOM).out == expected.out


def test_random_numbers_after_a_warm_up_that_broke_the_library(start_zygote):
    zygote = start_zygote("-e", "random = math.random math.randomseed = nil math.random = nil")
    first, second = (launch_once(zygote, "print(random())") for _ in range(2))
    assert first.status == second.status == 0
    assert (first.out != second.out) == SEEDED_ANEW


def test_a_seed_of_the_script_s_own(same):
    same("-e", "math.randomseed(42) " + RANDOM)


def test_the_clock_starts_near_zero(same, start_zygote):
    zygote = start_zygote("-e", "local t = os.clock() while os.clock() - t < 0.3 do end")
    assert float(launch_once(zygote, "print(os.clock())").out) < 0.2


def test_temporary_files_commands_and_pipes(same, tmp_path):
    same.script(tmp_path, """
        local name = os.tmpname()
        print(name:match('^/tmp/lua_') ~= nil, io.open(name, 'w'):write('x'):close(), os.remove(name))
        print(os.execute('exit 3')) print(os.execute('kill -9 $$')) print(os.execute())
        local f = io.popen('cat > /dev/null; exit 4', 'w') f:write('x') print(f:close())
        print(io.popen('echo out; exit 5'):read('*a'))
        print(io.popen('nonexistent-command 2>&1'):read('*a') ~= '')
        local t = io.tmpfile() t:write('y') t:seek('set') print(t:read('*a'))
        print(os.rename('/nonexistent', '/x')) print(os.getenv('HOME')) print(os.setlocale()) print(os.date('%Z'))
    """)


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", "XYZ-5", ""])
def test_the_time_zone_is_the_client_s(start_zygote, zone):
    """Also after a warm-up that has asked for the time, and so has settled on a zone."""
    ask = "os.date() os.time()"
    tell = "print(os.date('%Y-%m-%d %H:%M %Z', 1e9), os.time{year = 2001, month = 9, day = 9, hour = 3})"
    Pair(start_zygote("-e", ask, env=environment(TZ="America/New_York")))("-e", tell, env=may_be_cold(environment(TZ=zone)))
    PairInEach(start_zygote, "-e", ask)("-e", tell, env=environment(TZ=zone))
    # Who has not asked for the time has not asked for the zone.
    Pair(start_zygote(env=environment(TZ="America/New_York")))("-e", tell, env=environment(TZ=zone))


SHOW_STATE = """
    local names = {}
    for name in pairs(_G) do names[#names + 1] = name end
    table.sort(names)
    print(table.concat(names, ' '))
    names = {}
    for name in pairs(package.loaded) do names[#names + 1] = name end
    table.sort(names)
    print(table.concat(names, ' '))
    print(string.upper('x'), arg and #arg, x, io.output() == io.stdout)
    -- On an old kernel the connection is there, under a number that depends on what else the zygote does.
    io.write((require('probe').fds():gsub('%[%d+%]', ''):gsub('%d+c', 'c')))
"""

VANDALS = [
    "x = {} for i = 1, 1000 do _G['g' .. i] = i end",
    "for k in pairs(package.loaded) do package.loaded[k] = nil end package.path = '' package.loaded.string = {}",
    "string.upper = string.lower table.sort = nil print = nil",
    "kept = {} for i = 1, 10 do kept[i] = io.open('/dev/null') end io.output('/dev/null')",
    "require 'probe'.crash()", "require 'probe'.kill(require 'probe'.pid(), 9)", "error('x')", "os.exit(7)",
    "collectgarbage('stop') local t = {} for i = 1, 1e5 do t[i] = {} end",
    "os.execute('true') io.popen('true') require 'probe'.fork()", "math.randomseed(1) os.setlocale('C')",
    "debug.sethook(function() end, 'l') setmetatable(_G, {__index = error}) debug.setmetatable('', nil)",
    "require 'probe'.close(0) require 'probe'.close(1) require 'probe'.close(2)",
]


@about_moonletd
def test_the_parent_never_changes(start_zygote):
    """A thousand launches that leave nothing as it was; the next one finds all as the first did."""
    zygote = start_zygote("-l", "probe")
    env = environment(MOONLET_SOCKET=zygote.socket)
    no_core = {"preexec_fn": lambda: __import__("resource").setrlimit(4, (0, 0))}
    first = launch_once(zygote, SHOW_STATE)
    while not zygote.is_idle():
        os.sched_yield()
    descriptors = len(zygote.descriptors())
    memory = None
    for turn in range(100 if SANITIZED else 1000):
        run(BY_MOONLET, ["lua", "-e", VANDALS[turn % len(VANDALS)]], env)
        if turn == 99:
            memory = resident(zygote.pid)
    assert launch_once(zygote, SHOW_STATE) == first
    while not zygote.is_idle():  # the last ones are being reaped
        os.sched_yield()
    assert len(zygote.descriptors()) == descriptors
    if not SANITIZED:  # which keeps what was freed
        assert resident(zygote.pid) <= memory + 64


def test_an_image_never_changes(start_zygote):
    """Nor does what a launch finds, whatever the ones before it have done."""
    zygote = start_zygote("-l", "probe")
    env = environment(MOONLET_SOCKET=zygote.socket)
    first = launch_once(zygote, SHOW_STATE)
    with open(zygote.image, "rb") as image:
        frozen = image.read()
    for vandal in VANDALS:
        run(BY_MOONLET, ["lua", "-e", vandal], env, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
        assert launch_once(zygote, SHOW_STATE) == first
    with open(zygote.image, "rb") as image:
        assert image.read() == frozen


def resident(pid):
    """Memory that belongs to no file, in KiB, whoever shares it."""
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return int(re.search(r"Anonymous:\s+(\d+)", rollup.read()).group(1))


def shown_by_ps(same, launch, tmp_path, *arguments):
    script = "local p = require 'probe' print(p.pid()) io.flush() io.read()"

    def scenario(program, env):
        running = launch(program, env, script, *arguments, name="some lua")
        pid = running.hear()
        with open(f"/proc/{pid}/cmdline", "rb") as cmdline, open(f"/proc/{pid}/environ", "rb") as environ:
            shown = cmdline.read().replace(b"running1", b"running0"), sorted(environ.read().split(b"\0"))
        args = subprocess.run(["ps", "-ww", "-o", "args=", "-p", pid], capture_output=True).stdout
        # lua's name is that of the program file: here "lua5.4", there "moonlet" or "moonletctl".
        with open(f"/proc/{pid}/comm") as comm:
            name = comm.read().strip() == os.path.basename(program.program)
        running.say("")
        running.end()
        return shown, args.replace(b"running1", b"running0"), name

    return both(same, scenario)


def test_ps_shows_the_script(same, launch, tmp_path):
    shown = shown_by_ps(same, launch, tmp_path, "an argument", "", "x" * 5000)
    assert b"an argument" in shown[1] and shown[2]


@about_the_file
def test_top_shows_the_name_of_an_executable_script(same, tmp_path):
    def scenario(program, env):
        script = tmp_path / "my-script"
        script.write_text(f"#!{program}\nprint(require('probe').comm())\n")
        script.chmod(0o755)
        return subprocess.run([str(script)], env=env, capture_output=True).stdout

    assert both(same, scenario) == b"my-script\n"


def test_the_heap_of_a_launch_is_its_own(same):
    same("-e", "local t = {} for i = 1, 1e5 do t[i] = ('x'):rep(i % 50) end print(#t, #t[99999])")


def test_the_collector_is_in_the_mode_of_lua(same):
    if LUA in ("5.4", "5.5"):
        same("-e", "print(collectgarbage('incremental')) print(collectgarbage('generational'))")
    same("-e", "print(collectgarbage('step') ~= nil, collectgarbage('setpause', 150), collectgarbage('isrunning'))"
         if LUA not in ("5.1", "5.5", "luajit") else "print(collectgarbage('step') ~= nil)")


def test_launches_at_once(same, tmp_path):
    """Fifty at a time, each with its own status and its own output."""
    env = environment(MOONLET_SOCKET=same.zygote.socket)
    running = [subprocess.Popen([*BY_MOONLET.words, "-e", f"io.read() print({i}) os.exit({i})"], env=env, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE) for i in range(50)]
    for i, process in enumerate(running):
        out, _ = process.communicate(b"\n", timeout=PATIENCE)
        assert (out, process.returncode) == (b"%d\n" % i, i)


@pytest.mark.parametrize("strict", [
    "setmetatable(_G, {__newindex = function(_, k) error('assigned ' .. tostring(k), 2) end, __index = function(_, k) error('read ' .. k, 2) end})",
    "arg = nil setmetatable(_G, {__newindex = function(_, k) error('assigned ' .. tostring(k), 2) end})",
    "setmetatable(_G, {__newindex = function() end, __metatable = 'locked'})",
])
def test_a_warm_up_that_guards_its_globals(start_zygote, tmp_path, strict):
    zygote = start_zygote("-e", strict)
    script = tmp_path / "s.lua"
    script.write_text("print(arg[0] ~= nil, #arg, ...)")
    assert run(BY_MOONLET, ["lua", str(script), "a"], environment(MOONLET_SOCKET=zygote.socket)).out == b"true\t1\ta\n"


def test_finalizers_at_the_seal_speak_once(start_zygote, tmp_path):
    """What a finalizer of the warm-up's garbage writes, or draws from math.random, is no script's."""
    out = tmp_path / "out"
    zygote = start_zygote("-e", f"""
        local function on_end(f)
            if newproxy then local p = newproxy(true) getmetatable(p).__gc = f return p end
            return setmetatable({{}}, {{__gc = f}})
        end
        file = io.open('{out}', 'w')
        on_end(function() io.write('from a finalizer ') file:write('once ') math.random() file:close() end)
    """)
    same = Pair(zygote)
    for _ in range(3):
        assert same("-e", "print('mine')").out == b"mine\n"
    if not SEEDED_ANEW:
        same("-e", RANDOM)
    assert zygote.log().count("from a finalizer") == 1
    assert out.read_text() == "once "
