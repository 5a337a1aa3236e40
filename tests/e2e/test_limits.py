"""What differs from lua and was left so: docs/design.md, "Limits", lists it, with the tests that are elsewhere. Each test here shows both:
what lua does, and what a launch does."""

import os
import re
import resource
import signal
import subprocess

import pytest
from conftest import JIT, LUA, MOONLET, MOONLETCTL, PATIENCE, REAL_LUA, SERVED, THAWED, environment, needs_program, run


def both(image, code, env=None):
    """What the script prints under lua and in the image."""
    env = environment() if env is None else env
    results = [run(REAL_LUA, ["lua", "-e", code], env), run(THAWED, ["lua", "-e", code], dict(env, **image.variables()))]
    assert all(it.status == 0 for it in results), results
    return [it.out.decode().strip() for it in results]


# Of each launch


def test_the_count_of_memory_is_that_of_the_warm_heap_too(freeze):
    image = freeze("-e", "kept = ('x'):rep(4000000)")
    lua, launch = map(float, both(image, "print((collectgarbage 'count'))"))
    assert lua < 1000 and launch > 3900


def test_launches_of_one_image_share_addresses(image):
    def address():
        return run(THAWED, ["lua", "-e", "print(tostring({}), tostring(print))"], environment(**image.variables())).out
    assert address() == address()


@pytest.mark.skipif(LUA == "5.1" or JIT, reason="its hashes have no seed")
def test_launches_of_one_image_share_the_order_of_pairs(freeze):
    code = "local t = {} for i = 1, 200 do t['key' .. i] = true end for k in pairs(t) do io.write(k, ' ') end"
    images = [freeze(), freeze(), freeze()]
    orders = [{run(THAWED, ["lua", "-e", code], environment(**image.variables())).out for _ in range(3)} for image in images]
    assert all(len(its) == 1 for its in orders)
    assert len(set.union(*orders)) > 1  # each image has a seed of its own


@pytest.mark.skipif(LUA == "5.1" or JIT, reason="its os.exit does not close the state")
def test_an_exit_in_a_finalizer_at_the_end_is_lost(image):
    code = "setmetatable({}, {__gc = function() os.exit(7, true) end})"
    assert run(REAL_LUA, ["lua", "-e", code], environment()).status == 7
    assert run(THAWED, ["lua", "-e", code], environment(**image.variables())).status == (0 if LUA >= "5.4" else 7)


def test_the_program_and_its_name_are_moonlet_s(image):
    lua, launch = both(image, "os.execute 'readlink /proc/$PPID/exe; cat /proc/$PPID/comm'")
    assert lua.splitlines() == [os.path.realpath(REAL_LUA), os.path.basename(REAL_LUA)]
    assert launch.splitlines() == [os.path.realpath(MOONLET), "moonlet"]


@needs_program("strace", "strace")
def test_a_clock_read_is_a_system_call(image, tmp_path):
    def calls(program, env):
        log = tmp_path / "calls"
        subprocess.run(["strace", "-qq", "-e", "trace=clock_gettime,time,gettimeofday", "-o", log, program, "-e", "for i = 1, 100 do os.time() end"],
                       env=env, check=True, timeout=PATIENCE)
        return len(log.read_text().splitlines())
    assert calls(REAL_LUA, environment()) < 50 and calls(MOONLET, environment(**image.variables())) >= 100


def test_variables_of_the_loader_make_a_launch_lua_s(image):
    env = environment(MOONLET_FALLBACK=REAL_LUA, MOONLET_VERBOSE="1", LD_BIND_NOT="1", **image.variables())
    assert b"LD_* differs from the image's" in run(THAWED, ["lua", "-e", ""], env).err


# Of a launch through moonletd alone


def test_its_parent_and_its_session_are_moonletd_s(moonletd):
    code = "os.execute 'ps -o ppid=,sid=,tty= -p $PPID' print(io.open '/dev/tty')"
    out = run(SERVED, ["lua", "-e", code], environment(**moonletd.variables())).out.decode()
    parent, session, terminal, *opened = out.split(maxsplit=3)
    assert int(parent) == moonletd.server and int(session) == os.getsid(moonletd.server) and terminal == "?"
    assert opened[0].startswith("nil\t/dev/tty: ")


def test_a_stopped_client_does_not_stop_its_script(moonletd):
    client = subprocess.Popen([MOONLETCTL, "run", "-e", "print 'runs' io.stdout:flush() io.read() print 'ends' io.stdout:flush()"],
                              env=environment(**moonletd.variables()), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert client.stdout.readline() == b"runs\n"
    client.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, client.pid, os.WSTOPPED | os.WNOWAIT)
    client.stdin.write(b"\n")
    client.stdin.flush()
    assert client.stdout.readline() == b"ends\n"
    client.send_signal(signal.SIGCONT)
    assert client.wait(PATIENCE) == 0


def test_its_processor_time_is_not_its_caller_s(moonletd):
    code = "local start = os.clock() while os.clock() - start < 0.3 do end"

    def took(*command):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*command, "-e", code], env=environment(**moonletd.variables()), check=True, timeout=PATIENCE)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert took(REAL_LUA) >= 0.3 and took(MOONLETCTL, "run") < 0.2


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="ONE PROCESSOR")
@needs_program("taskset", "util-linux")
def test_its_affinity_is_moonletd_s(moonletd):
    def affinity(*command):
        code = "for line in io.lines '/proc/self/status' do if line:find '^Cpus_allowed_list' then print(line) end end"
        return subprocess.run(["taskset", "-c", str(min(os.sched_getaffinity(0))), *command, "-e", code], env=environment(**moonletd.variables()),
                              capture_output=True, check=True, timeout=PATIENCE).stdout
    assert affinity(REAL_LUA) != affinity(MOONLETCTL, "run")


def test_a_pending_signal_reaches_it_a_moment_late(moonletd):
    """One that is blocked, and arrives before the client has started."""
    def pending(*command):
        def before():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
            os.kill(os.getpid(), signal.SIGUSR1)
        code = ("local function pending() for line in io.lines '/proc/self/status' do local set = line:match '^ShdPnd:%s*(%x+)' "
                "if set and tonumber(set:sub(-4), 16) // 512 % 2 == 1 then return true end end end " if LUA in ("5.3", "5.4") else
                "local function pending() for line in io.lines '/proc/self/status' do local set = line:match '^ShdPnd:%s*(%x+)' "
                "if set and math.floor(tonumber(set:sub(-4), 16) / 512) % 2 == 1 then return true end end end ")
        code += "while not pending() do end print 'pending'"
        return subprocess.run([*command, "-e", code], env=environment(**moonletd.variables()), preexec_fn=before, capture_output=True,
                              timeout=PATIENCE).stdout
    assert pending(REAL_LUA) == pending(MOONLETCTL, "run") == b"pending\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT")
def test_a_client_in_too_many_groups_gets_lua(start_moonletd):
    moonletd = start_moonletd(options=["--compare-clients", "0"])
    done = subprocess.run([MOONLETCTL, "run", "-e", "print(1)"], env=environment(MOONLET_FALLBACK=REAL_LUA, MOONLET_VERBOSE="1", **moonletd.variables()),
                          preexec_fn=lambda: os.setgroups(range(1, 4098)), capture_output=True, timeout=PATIENCE)
    assert done.stdout == b"1\n" and re.search(rb"take the client's user and groups", done.stderr), done
