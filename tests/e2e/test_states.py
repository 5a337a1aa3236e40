"""Lua states beside the script's own, and threads: a C module has them in a thawed launch as in lua."""

import os
import subprocess

import pytest
from conftest import EXIT_WAITS_FOR_STREAMS, JIT, MOONLET, PATIENCE, REAL_LUA, Pair, environment, run

# Makes objects with finalizers, closes some, keeps others to its state's end, and collects.
BUSY = """
    local function finalized(f)
        if newproxy then local p = newproxy(true) getmetatable(p).__gc = f return p end
        return setmetatable({}, {__gc = f})
    end
    local count, kept = 0, {}
    for i = 1, 2000 do
        kept[i % 50 + 1] = {finalized(function() count = count + 1 end), ('x'):rep(i % 1500)}
        if i % 100 == 0 then kept[#kept + 1] = io.open('/dev/null') collectgarbage() end
    end
    kept = nil
    collectgarbage() collectgarbage()
    return count
"""
CALLS = {
    "a state": f"print(require('states').run[[{BUSY}]])",
    "a state that is kept": f"s = require 'states' print(s.run_in_kept[[{BUSY}]]) print(s.run_in_kept[[x = setmetatable]])",
    "a state that was kept": f"s = require 'states' s.run_in_kept 'x = 1' print(s.run_in_kept 'return x') s.close_kept()",
    "a state of the same allocator": f"print(require('states').run_like_this[[{BUSY}]])",
    "an error in a state": "print(require('states').run 'error(\"x\", 0)')",
    "states in threads": f"print(require('states').run_in_threads[[{BUSY}]])",
    "states in threads, with the allocator wrapped":
        f"s = require 'states' s.wrap_allocator() print(s.run_in_threads[[{BUSY}]]) s.unwrap_allocator()",
    "copies beside threads": f"print(require('states').fork_beside_threads[[{BUSY}]])",
}
# LuaJIT's own allocator is one state's.
SHARES = ("a state of the same allocator", "states in threads", "copies beside threads")
CALLS = {name: code for name, code in CALLS.items() if not (JIT and name in SHARES)}


def is_same(image, code):
    Pair(image)("-e", code + " local f = io.open('/dev/null', 'w') f:write 'x' print 'end'")


@pytest.mark.parametrize("call", CALLS)
def test_in_a_script(image, call):
    is_same(image, CALLS[call])


@pytest.mark.parametrize("call", CALLS)
def test_in_a_warm_up_and_in_its_scripts(freeze, call):
    warm = freeze("-e", CALLS[call])
    assert warm.warm_up.err == b"" and warm.warm_up.out == run(REAL_LUA, ["lua", "-e", CALLS[call]], environment()).out
    is_same(warm, CALLS[call])
    is_same(warm, "print 'nothing of it'")


def test_a_state_that_a_warm_up_has_left_goes_on(freeze):
    warm_up = "require 'states'.run_in_kept 'x = setmetatable({}, {__gc = print}) t = {} for i = 1, 1e4 do t[i] = {} end'"
    image = freeze("-e", warm_up)
    script = "print(require 'states'.run_in_kept 't[#t + 1] = 1 collectgarbage() return #t')"
    expected = run(REAL_LUA, ["lua", "-e", warm_up, "-e", script], environment())
    assert run(MOONLET, ["lua", "-e", script], environment(**image.variables())) == expected


def test_a_state_of_a_module_does_not_make_the_end_of_a_script_slower(freeze):
    """The warm heap is written to only where the script itself leaves something to finalize."""
    image = freeze("-e", "heap = {} for i = 1, 1e5 do heap[i] = {} end", "-l", "states")
    without, beside = (faults_of(image, code) for code in ("x = 1", "require 'states'.run 'setmetatable({}, {__gc = print})'"))
    assert beside < without + 300, (without, beside)


def faults_of(image, code):
    """Page faults of a launch."""
    process = subprocess.Popen([MOONLET, "-e", code], env=environment(**image.variables()), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    assert status == 0
    return usage.ru_minflt


@pytest.mark.skipif(EXIT_WAITS_FOR_STREAMS, reason="LIBC'S OWN END WAITS FOR EACH STREAM'S LOCK: so does lua here")
@pytest.mark.parametrize("end", ["os.exit(3)", "os.exit(3, true)", "", "error 'x'"])
@pytest.mark.parametrize("call", ["read_in_thread", "lock_in_thread"])
@pytest.mark.parametrize("where", ["warm", "cold"])
def test_a_thread_that_holds_a_stream_does_not_hold_up_the_end(image, freeze, call, end, where):
    if where == "warm":
        image = freeze("-l", "states")
    reads, writes = os.pipe()  # never ends
    try:
        Pair(image)("-e", f"io.write 'out' require 'states'.{call}() {end}", stdin=reads)
    finally:
        os.close(reads), os.close(writes)


def test_a_warm_up_that_leaves_a_thread_in_a_stream_is_refused(tmp_path):
    """At once: nobody waits for that stream."""
    reads, writes = os.pipe()
    try:
        done = subprocess.run([MOONLET, "--freeze", str(tmp_path / "image"), "-e", "require 'states'.read_in_thread()"], stdin=reads,
                              env=environment(), capture_output=True, timeout=PATIENCE)
        assert done.returncode == 1 and b"left a thread" in done.stderr, done
    finally:
        os.close(reads), os.close(writes)
