"""The sealed heap and the collector, as a script and its machine see them."""

import resource

import pytest

from conftest import (BY_LUA, BY_MOONLET, JIT, LUA, REAL_LUA, Pair, environment, run, without_addresses)

HAS_GENERATIONS = LUA in ("5.4", "5.5")
needs_generations = pytest.mark.skipif(not HAS_GENERATIONS, reason="the collector has one mode")

# A warm-up with some 3 MB of small objects.
WARM = "warm = {} for i = 1, 20000 do warm[i] = {number = i, name = 'item ' .. i} end"

FAULTS = """
local file = io.open('/proc/self/stat')
local fields = file:read('*a'):match('%) (.*)')
local n = 2
for field in fields:gmatch('%S+') do n = n + 1 if n == 10 then print(field) end end
"""

# Pages of its own: one that only this process maps and that has not been written to disk yet is the image's all the same.
PRIVATE = """
local function private()
  local sum = 0
  for line in io.lines('/proc/self/smaps') do sum = sum + (line:match('^Anonymous: +(%d+)') or 0) end
  return sum
end
"""

@pytest.mark.skipif(JIT, reason="luajit itself ends there")
@pytest.mark.parametrize("fill", ["t[i] = {i}", "t[i] = ('x'):rep(2000) .. i", "t[i] = ('x'):rep(100000) .. i",
                                  "t[i] = ('x'):rep(3000000) .. i", "t[i] = i"])
@pytest.mark.parametrize("limit", [resource.RLIMIT_AS, resource.RLIMIT_DATA])
def test_out_of_memory_is_lua_s_error(start_zygote, tmp_path, limit, fill):
    """Small blocks, large ones and one that grows: an error as in lua, after which the script goes on."""
    same = Pair(start_zygote("-e", WARM))
    same.script(tmp_path, f"""
        local ok, message = pcall(function() local t = {{}} for i = 1, 1e9 do {fill} end end)
        print(ok, message:match('not enough memory'))
        collectgarbage()
        local s = ('y'):rep(1000000)
        print(#s, #table.concat({{s, s}}))
    """, preexec_fn=lambda: resource.setrlimit(limit, (64 << 20, 64 << 20)))


def test_a_short_script_takes_few_page_faults(start_zygote):
    """What a launch copies of the warm heap does not grow with it. lua takes some 100 faults for the same; a launch has those of
    a whole process, and some more that read: of a large image fewer pages come with their neighbours."""
    counts = []
    for warm_up in (WARM, WARM.replace("20000", "200000")):
        zygote = start_zygote("-e", warm_up)
        for _ in range(3):
            counts.append(int(run(BY_MOONLET, ["lua", "-e", FAULTS], environment(MOONLET_SOCKET=zygote.socket)).out))
    under_lua = int(run(REAL_LUA, ["lua", "-e", FAULTS], environment()).out)
    assert max(counts) <= 1.25 * under_lua, (counts, under_lua)


def test_an_idle_script_shares_the_warm_heap(start_zygote):
    zygote = start_zygote("-e", WARM)
    out = run(BY_MOONLET, ["lua", "-e", PRIVATE + "print(private())"], environment(MOONLET_SOCKET=zygote.socket)).out
    assert float(out) < 400  # KB; the warm heap has 3000


@pytest.mark.skipif(not HAS_GENERATIONS, reason="before 5.4 a cycle of the collector writes to everything")
def test_minor_collections_leave_the_warm_heap_alone(start_zygote):
    zygote = start_zygote("-e", WARM)
    churn = "for i = 1, 300000 do local t = {i, tostring(i)} end "
    out = run(BY_MOONLET, ["lua", "-e", PRIVATE + churn + "print(private())"], environment(MOONLET_SOCKET=zygote.socket)).out
    assert float(out) < 2000


def test_memory_that_a_script_has_freed_is_used_again(start_zygote, tmp_path):
    """Phases of other sizes each: the most that was ever resident is about lua's."""
    zygote = start_zygote("-e", WARM)
    script = tmp_path / "script.lua"
    code = """
        for size = 1, 30 do
          local t = {}
          for i = 1, 3000 do t[i] = ('x'):rep(size * 40) .. i end
          t = nil
          collectgarbage()
        end
        for i = 1, 200 do local large = ('x'):rep(1000000 + i) end
        print(io.open('/proc/self/status'):read('*a'):match('VmHWM:%s*(%d+)'))
    """
    peaks = []
    for program, text in ((BY_LUA, WARM + code), (BY_MOONLET, code)):
        script.write_text(text)
        peaks.append(int(run(program, ["lua", str(script)], environment(MOONLET_SOCKET=zygote.socket)).out))
    assert peaks[1] < 1.5 * peaks[0], peaks  # KB


def test_large_blocks_go_back_to_the_kernel(start_zygote):
    zygote = start_zygote()
    code = ("local function resident() return tonumber(io.open('/proc/self/status'):read('*a'):match('VmRSS:%s*(%d+)')) end"
            " local before = resident() local s = ('x'):rep(100000000) local held = resident() s = nil collectgarbage()"
            " collectgarbage() print(held - before, resident() - before)")
    kept = []
    for program in (BY_LUA, BY_MOONLET):
        out = run(program, ["lua", "-e", code], environment(MOONLET_SOCKET=zygote.socket)).out
        held, left = map(int, out.split())  # KB
        assert held > 90000
        kept.append(left)
    assert kept[1] <= kept[0] + 2000  # lua 5.1 and luajit keep a part, of the buffer


@pytest.mark.parametrize("size", [0, 1, 1000, 100000, 10000000])
def test_strings_and_tables_of_any_size(start_zygote, tmp_path, size):
    same = Pair(start_zygote("-e", WARM))
    same.script(tmp_path, f"""
        local s = ('ab'):rep({size})
        local t = {{}}
        for i = 1, math.min({size}, 100000) do t[i] = i end
        for i = #t, 1, -2 do t[i] = nil end
        print(#s, s:sub(-3), #(s .. s), select('#', s:byte(1, math.min(#s, 1000))))
        collectgarbage() print(next(t) ~= nil, s == ('ab'):rep({size}))
    """)


def test_finalizers_run_as_in_lua(start_zygote, tmp_path):
    """Also those of the warm-up, whose objects a script finds or not."""
    userdata = "newproxy(true)" if LUA == "5.1" or JIT else None
    make = (f"local function object(name) local it = {userdata} getmetatable(it).__gc = function() print(name) end"
            " return it end ") if userdata else (
        "local function object(name) return setmetatable({}, {__gc = function() print(name) end}) end ")
    for warm_up in ("-e", "x = 1"), ("-e", make + "warm = object 'warm' object 'dropped'"):
        zygote = start_zygote(*warm_up)
        script = make + "a = object 'a' b = object 'b' local c = object 'c' print 'end' "
        for end in ("", "error 'failed'", "os.exit(3)", "os.exit(4, true)", "b = nil collectgarbage()"):
            path = tmp_path / "script.lua"
            # lua has no warm-up: it runs that first.
            path.write_text(script + end)
            env = dict(environment(), MOONLET_SOCKET=zygote.socket)
            warm = run(BY_MOONLET, ["lua", str(path)], env)
            path.write_text((warm_up[1].replace("object 'dropped'", "") + " " + script if "warm" in warm_up[1] else script) + end)
            cold = run(REAL_LUA, ["lua", str(path)], env)
            assert without_addresses(warm) == without_addresses(cold), (warm_up, end)
    Pair(start_zygote())("-e", "print 'no finalizer'")


@pytest.mark.parametrize("collect", ["collectgarbage()", "for i = 1, 300000 do local t = {i} end"])
def test_a_finalizer_that_collects_garbage_is_not_cut_off(start_zygote, collect):
    same = Pair(start_zygote("-e", WARM))
    userdata = "newproxy(true)" if LUA == "5.1" or JIT else "setmetatable({}, {})"
    make = (f"local function object(act) local it = {userdata} local mt = getmetatable(it) mt.__gc = act"
            + ("" if "newproxy" in userdata else " setmetatable(it, mt)") + " return it end ")
    for status in ("", "os.exit(3)", "os.exit(4, true)", "error 'failed'"):
        same("-e", make + "first = object(function() print 'first' end)"
             f" x = object(function() print 'in' {collect} print 'out' end) last = object(function() print 'last' end)"
             f" {status}")


@pytest.mark.parametrize("end", ["", "error 'failed'", "os.exit(3)", "os.exit(4, true)"])
@pytest.mark.parametrize("leave", [
    "f = io.open(name, 'w') f:write('open')",
    "f, g = io.open(name, 'w'), io.open(name, 'a') f:write('first') g:write('second')",
    "p = io.popen('cat > ' .. name .. '; sleep 0.1; echo done >> ' .. name, 'w') p:write('text ')",
    "for i = 1, 1200 do local f = io.open(name, 'a') f:write(i) f:close() end",
    "for line in io.lines('/dev/null') do end io.output(name) io.write('default')",
    "f = io.open(name, 'w') f:write('x') getmetatable(f).__gc = function(it) print(io.type(it)) end",
    "getmetatable(io.stdout).__gc = function() print('standard') end",
    "f = io.open(name, 'w') f:write('x') debug.setmetatable(f, {__gc = function() print('other') end})",
    "getmetatable(io.stdout).__name = 5 f = io.open(name, 'w') f:write('x')",
    "co = coroutine.wrap(function() local f = io.open(name, 'w') f:write('in a coroutine') coroutine.yield() end) co()",
    "package.loaded._G = nil require 'probe' f = io.open(name, 'w') f:write('beside a library')",
])
def test_files_that_a_script_leaves_open(start_zygote, tmp_path, leave, end):
    """They are flushed and closed in lua's order, and programs at the other end of a pipe are waited for."""
    warm_up = ["-e", "left = io.open('/dev/null')" + " left:close()"]
    zygote = start_zygote("-e", WARM, *warm_up)
    written = []
    for program, before in ((BY_LUA, warm_up), (BY_MOONLET, [])):
        name = tmp_path / "written"
        result = run(program, ["lua", *before, "-e", f"local name = '{name}' {leave} {end}"],
                     environment(MOONLET_SOCKET=zygote.socket))
        written.append((without_addresses(result), name.read_text() if name.exists() else None))
        name.unlink(missing_ok=True)
    assert written[0] == written[1]


def test_the_warm_up_s_garbage_is_finalized_once(start_zygote):
    make = "newproxy(true)" if LUA == "5.1" or JIT else "setmetatable({}, {})"
    zygote = start_zygote("-e", f"local it = {make} getmetatable(it).__gc = function() print 'gone' end"
                          + (" setmetatable(it, getmetatable(it))" if "newproxy" not in make else ""))
    assert zygote.log().count("gone") == 1
    assert run(BY_MOONLET, ["lua", "-e", "print 'only'"], environment(MOONLET_SOCKET=zygote.socket)).out == b"only\n"


@needs_generations
def test_the_collector_s_mode(start_zygote):
    """As in lua; what the warm-up chose stays."""
    ask = "print(collectgarbage('incremental'))"
    Pair(start_zygote())("-e", ask)
    zygote = start_zygote("-e", "collectgarbage 'incremental'")
    assert run(BY_MOONLET, ["lua", "-e", ask], environment(MOONLET_SOCKET=zygote.socket)).out == b"incremental\n"
    Pair(start_zygote("-e", "collectgarbage 'generational'"))("-e", ask)


@pytest.mark.skipif(not HAS_GENERATIONS, reason="warnings came with 5.4")
def test_warnings_come_in_pieces(start_zygote):
    same = Pair(start_zygote())
    for code in ("warn('@on') warn('a', 'b', 'c')", "warn('off')", "warn('@on') warn('@off') warn('x')",
                 "warn('@on', '') warn('y')", "warn('a', '@on') warn('z')", "warn('@on') warn('@', 'on') warn('@unknown') warn('')"):
        same("-e", code)
        same("-W", "-e", code)
