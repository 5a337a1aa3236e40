"""moonlet --freeze: an image or a reason, and never half of one."""

import os
import re
import resource
import signal
import subprocess

import pytest
from conftest import (JIT, MOONLET, PATIENCE, REAL_LUA, Result, World, environment, needs_program, needs_root, run,
                      without_addresses)

THAWED = Result(0, b"warm\n", b"")
WARM = ["-e", "warm = 'warm'"]


@pytest.fixture
def path(tmp_path):
    """Where the image shall be: alone in a directory of its own."""
    (tmp_path / "place").mkdir()
    return str(tmp_path / "place" / "some.image")


def freeze(path, *warm_up, env=None, before=(), **options):
    argv = [*before, MOONLET, "--freeze", path, *warm_up]
    return run(argv[0], ["lua", *argv[1:]] if not before else argv, environment() if env is None else env, **options)


def launch(path, code="print(warm)", **options):
    return run(MOONLET, ["lua", "--image", path, "-e", code], environment(), **options)


def beside(path):
    return sorted(os.listdir(os.path.dirname(path)))


def is_thawed(path):
    return beside(path) == [os.path.basename(path)] and launch(path) == THAWED


def is_refused(done, path, *, old=None, status=1):
    """Nothing is there but what was, and whoever froze can see that."""
    assert done.status == status, done
    assert beside(path) == ([] if old is None else [os.path.basename(path)])
    if old is not None:
        assert launch(path, f"print(warm == '{old}')").out == b"true\n"
    return True


# What it says


def test_it_says_nothing_when_it_succeeds(path):
    assert freeze(path, *WARM) == Result(0, b"", b"")
    assert is_thawed(path)


def test_moonlet_verbose_has_it_say_one_line(path):
    done = freeze(path, *WARM, env=environment(MOONLET_VERBOSE="1"))
    line = rf"moonlet: froze {re.escape(path)}: \d+ KB, \d+ segments, \d+ questions( \(untraced\))?, \d+ ms\n"
    assert (done.status, done.out) == (0, b"") and re.fullmatch(line, done.err.decode()), done
    assert freeze(path, *WARM, env=environment(MOONLET_VERBOSE="0")) == Result(0, b"", b"")


def test_moonlet_verbose_tells_who_has_asked_for_the_time(path, tmp_path):
    """No answer of the clock can be compared: a user may leave that module out."""
    modules = {"timely": "return os.time()", "used": "return os.clock()", "other": "return {}", "outer": "require 'timely' return {}",
               "early": "local now = os.time() require 'other' return now"}
    for name, text in modules.items():
        (tmp_path / f"{name}.lua").write_text(text)
    env = environment(LUA_PATH=f"{tmp_path}/?.lua;;", MOONLET_VERBOSE="1")

    def told(*warm_up):
        lines = freeze(path, *warm_up, env=env).err.decode().splitlines()
        return [line.removeprefix("moonlet: freeze: the time was asked by: ") for line in lines[:-1]]

    assert told("-l", "other") == []
    assert told("-l", "outer", "-l", "other") == ["timely"]
    assert told("-l", "other", "-l", "early") == ["early"]
    assert told("-l", "used", "-l", "other", "-l", "timely") == ["used", "timely"]
    assert told("-l", "other", "-e", "now = os.time()") == ["the script"]
    assert told("--leave-out", "timely", "-l", "timely", "-l", "other") == []


def test_the_warm_up_writes_where_lua_would(path):
    done = freeze(path, "-e", "print 'out' io.stderr:write 'err'")
    assert done == Result(0, b"out\n", b"err")


# A warm-up that fails


@pytest.mark.parametrize("warm_up", [
    ["-e", "error('boom')"], ["-e", "error({})"], ["-e", "error()"], ["-e", "x = = 1"], ["-e", "local t = nil; t.x = 1"],
    ["-l", "no.such.module"], ["-l", "string", "-e", "error('after -l')"], ["/nonexistent/script.lua"], ["script.lua", "argument"],
    ["-e", "print('so far') error('x', 0)"], ["--", "-e"],
])
def test_errors_are_those_of_lua(path, tmp_path, warm_up):
    (tmp_path / "script.lua").write_text("local function f(...) error('in ' .. ...) end\nf(...)")
    expected = run(REAL_LUA, ["lua", *warm_up], environment(), cwd=tmp_path)
    done = freeze(path, *warm_up, cwd=tmp_path)
    assert without_addresses(done) == without_addresses(expected) and is_refused(done, path)


def test_an_error_in_lua_init_is_one_too(path):
    env = environment(LUA_INIT="error('in init')")
    done = freeze(path, env=env)
    assert without_addresses(done) == without_addresses(run(REAL_LUA, ["lua", "-e", ""], env)) and is_refused(done, path)


@pytest.mark.parametrize("end, status", [("os.exit(3)", 3), ("os.exit(0)", 0), ("os.exit(0, true)", 0),
                                         ("require 'probe'.exit(4)", 4), ("require 'probe'.quick_exit(5)", 5)])
def test_a_warm_up_that_exits_has_its_own_status(path, end, status):
    assert freeze(path, "-e", end) == Result(status, b"", b"") and beside(path) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_warm_up_that_dies_of_a_signal_is_seen_to(path, number):
    kill = f"os.execute('kill -{number:d} $PPID') while true do end"
    done = freeze(path, "-e", kill, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
    assert done.status == -number and beside(path) == []


def test_an_option_that_lua_has_not_is_named(path):
    done = freeze(path, "-x")
    assert is_refused(done, path) and b"'-x'" in done.err


@pytest.mark.parametrize("arguments", [["--freeze"], ["--freeze="], ["--freeze", ""], ["--freeze", "x", "--ignore"]])
def test_an_option_without_its_argument(arguments, tmp_path):
    done = run(MOONLET, ["lua", *arguments], environment(), cwd=tmp_path)
    assert done.status == 125 and b"must follow" in done.err and os.listdir(tmp_path) == [], done


# The old image stays


@pytest.fixture
def old(path):
    assert freeze(path, "-e", "warm = 'old'").status == 0
    return path


@pytest.mark.parametrize("warm_up", ["error 'x'", "x = = 1", "file = io.open '/dev/null'"])
def test_the_old_image_stays_if_the_warm_up_cannot_be_frozen(old, warm_up):
    done = freeze(old, "-e", warm_up)
    assert is_refused(done, old, old="old") and done.err != b""


def test_the_old_image_stays_if_it_would_be_too_large(old):
    """RLIMIT_FSIZE: an error where the signal is ignored, and else death by it."""
    limits = (20 << 12, 20 << 12)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def limit_and_ignore():
        limit()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = freeze(old, *WARM, preexec_fn=limit_and_ignore)
    assert is_refused(done, old, old="old") and b"File too large" in done.err, done
    done = freeze(old, *WARM, preexec_fn=limit, restore_signals=True)
    assert done.status in (-signal.SIGXFSZ, 1), done
    assert launch(old).out == b"old\n"


@needs_root
def test_the_old_image_stays_if_the_disk_is_full(tmp_path):
    place = "/run/small/some.image"
    world = World("mkdir /run/small", "mount -t tmpfs -o size=3m,mode=755 tmpfs /run/small", "sleep infinity", log=tmp_path / "log",
                  env=environment())
    try:
        assert world.run(MOONLET, "--freeze", place, "-e", "warm = 'old'").status == 0
        assert world.run("dd", "if=/dev/zero", "of=/run/small/rest", "bs=4k").status == 1  # until nothing fits any more
        done = world.run(MOONLET, "--freeze", place, *WARM)
        assert done.status == 1 and b"No space left on device" in done.err, done
        assert world.run("ls", "/run/small").out == b"rest\nsome.image\n"
        assert world.run(MOONLET, "--image", place, "-e", "print(warm)").out == b"old\n"
    finally:
        world.end()


@pytest.mark.parametrize("where, why", [("no/such/some.image", "No such file or directory"), ("some.lua/some.image", "Not a directory"),
                                        ("directory", "directory"), ("x" * 300, "name too long"), ("x/" * 3000 + "x", "name too long")])
def test_a_place_where_no_image_can_be(tmp_path, where, why):
    (tmp_path / "some.lua").write_text("")
    (tmp_path / "directory").mkdir()
    done = freeze(str(tmp_path / where), *WARM)
    assert done.status == 1 and why in done.err.decode() and done.err.count(b"\n") == 1, done
    assert sorted(os.listdir(tmp_path)) == ["directory", "some.lua"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_must_not_be_written(path):
    os.chmod(os.path.dirname(path), 0o500)
    done = freeze(path, *WARM)
    assert is_refused(done, path) and b"Permission denied" in done.err


def test_the_name_is_that_of_the_directory_where_it_was_given(tmp_path):
    """Also if the warm-up goes elsewhere."""
    assert freeze("some.image", "-e", "warm = 'warm' require 'changes'.change 'working_directory'", cwd=tmp_path).status == 0
    assert launch(str(tmp_path / "some.image")) == THAWED


def test_a_link_is_replaced_and_not_followed(path, tmp_path):
    os.symlink(tmp_path / "target", path)
    assert freeze(path, *WARM).status == 0 and not os.path.islink(path) and not (tmp_path / "target").exists()
    assert is_thawed(path)


def test_freezes_of_one_name_at_once(path):
    """Each succeeds, and the image is one of theirs."""
    argv = [MOONLET, "--freeze", path, "-e"]
    freezing = [subprocess.Popen([*argv, f"warm = 'number {i}'"], env=environment()) for i in range(8)]
    assert [it.wait(PATIENCE) for it in freezing] == [0] * 8
    assert beside(path) == ["some.image"]
    assert launch(path).out.decode() in {f"number {i}\n" for i in range(8)}


def test_a_freeze_that_is_killed_in_its_warm_up(old):
    freezing = subprocess.Popen([MOONLET, "--freeze", old, "-e", "print 'runs' io.flush() while true do end"], env=environment(),
                                stdout=subprocess.PIPE)
    assert freezing.stdout.readline() == b"runs\n"
    freezing.kill()
    freezing.communicate()
    assert beside(old) == ["some.image"] and launch(old).out == b"old\n"


# What cannot be frozen

LEFT = {
    "file": "descriptor 3 open: /etc/passwd", "directory": "descriptor 3 open: /etc", "socket": "descriptor 3 open: socket:",
    "pipe": "descriptor 4 open: pipe:", "epoll": "descriptor 3 open: anon_inode:[eventpoll]",
    "eventfd": "descriptor 3 open: anon_inode:[eventfd]", "inotify": "descriptor 3 open: anon_inode:inotify",
    "timerfd": "descriptor 3 open: anon_inode:[timerfd]", "memfd": "descriptor 3 open: /memfd:kept",
    "replaced_input": "descriptor 0 open in the place of another: /etc/passwd", "thread": "left a thread",
    "child": "left a child process", "zombie": "left a child process", "shared_memory": "shared memory at",
    "shared_file": "shared memory at", "system_v_memory": "shared memory at", "locked_memory": "VmLck", "locked_future": "VmLck",
    "alarm": "left an alarm running", "virtual_timer": "left a virtual timer", "profiling_timer": "left a profiling timer",
    "posix_timer": "left a POSIX timer", "user": "Uid:", "effective_user": "Uid:", "group": "Gid:", "groups": "Groups:",
    "capability_bound": "CapBnd:", "no_new_privileges": "NoNewPrivs:", "filter": "Seccomp", "root": "its root directory",
    "network": "its net namespace", "mounts": "its mnt namespace", "names": "its uts namespace", "ipc": "its ipc namespace",
}
KEEPS_TIMERS = os.path.exists("/proc/self/timers")


def may_not(done):
    if done.status == 77:
        pytest.skip("NEEDS ROOT: nobody else may do that")


@pytest.mark.parametrize("left", LEFT)
def test_what_a_warm_up_leaves_is_named(old, left):
    if left == "posix_timer" and not KEEPS_TIMERS:
        pytest.skip("THIS KERNEL TELLS OF NO TIMERS: without CONFIG_CHECKPOINT_RESTORE")
    if left == "no_new_privileges" and os.geteuid() != 0:
        pytest.skip("A FREEZE HAS IT ALREADY: without privileges its own filter needs it, so that nobody can tell who set it")
    done = freeze(old, "-e", f"require 'leaves' '{left}'")
    may_not(done)
    assert is_refused(done, old, old="old") and LEFT[left] in done.err.decode(), done
    assert all(line.startswith("moonlet: freeze") for line in done.err.decode().splitlines()), done


def test_the_module_that_left_it_is_named(path, tmp_path):
    (tmp_path / "keeps.lua").write_text("kept = io.open '/etc/passwd'")
    (tmp_path / "loads.lua").write_text("require 'keeps'")
    env = environment(LUA_PATH=f"{tmp_path}/?.lua;;")
    for module in ("keeps", "loads"):
        done = freeze(path, "-l", "string", "-l", module, "-e", "other = io.open '/etc/group'", env=env)
        assert "module keeps left descriptor 3 open: /etc/passwd" in done.err.decode()
        assert "the script left descriptor 4 open: /etc/group" in done.err.decode()
        assert is_refused(done, path)


def test_what_is_closed_again_is_no_leftover(path):
    code = "warm = 'warm' local f = io.open '/etc/passwd' f:read() f:close() os.execute 'true' io.popen('true'):close()"
    assert freeze(path, "-e", code) == Result(0, b"", b"") and is_thawed(path)


def test_a_descriptor_that_garbage_holds_is_no_leftover(path):
    assert freeze(path, "-e", "warm = 'warm' io.open '/etc/passwd'") == Result(0, b"", b"") and is_thawed(path)


# What a warm-up does to its process: each launch does it again, or there is no image.

DONE_AGAIN = ["umask", "working_directory", "ignored_signal", "handler", "variable", "variables", "time_zone", "rounding"]
NOT_DONE_AGAIN = {
    "nice": "nice value", "limit": "resource limit 7", "blocked_signal": "SigBlk", "pending_signal": "SigBlk",
    "alternate_stack": "alternate signal stack", "name": "Name:", "death_signal": "signal at its parent's death",
    "subreaper": "reaper", "dumpable": "dumpability", "timer_slack": "timer slack", "secure_bits": "secure bits",
    "kept_capabilities": "secure bits", "huge_pages": "THP_enabled", "affinity": "processors", "personality": "personality",
    "scheduling": "scheduling policy", "session": "NSsid", "process_group": "NSpgid", "core_filter": "core dump filter",
}
SHOW = """
    io.write(require 'changes'.show())
    print(os.getenv 'LEFT_BEHIND', os.getenv 'HOME', os.getenv 'ADDED', os.date('%Z', 0), io.open 'man' ~= nil, 0.1 + 0.2 == 0.3)
    io.flush()
    os.execute 'pwd; umask; /usr/bin/env'
"""


@pytest.mark.parametrize("change", DONE_AGAIN)
def test_what_each_launch_does_again(path, tmp_path, change):
    script = tmp_path / "show.lua"
    script.write_text(SHOW)
    do = ["-e", f"require 'changes'.change '{change}'"]
    assert freeze(path, *do, cwd=tmp_path) == Result(0, b"", b"")
    env = environment(ADDED="by the launch", MOONLET_IMAGE=path)
    expected = run(REAL_LUA, ["lua", *do, str(script)], env, cwd=tmp_path)
    assert without_pids(run(MOONLET, ["lua", str(script)], env, cwd=tmp_path)) == without_pids(expected)
    unchanged = run(REAL_LUA, ["lua", "-e", "require 'changes'", str(script)], env, cwd=tmp_path)
    assert without_pids(expected) != without_pids(unchanged)


def without_pids(result):
    """The shell's own variables."""
    return Result(result.status, re.sub(rb"\n(_|PPID|SHLVL|OLDPWD)=[^\n]*", b"", result.out), result.err)


@pytest.mark.parametrize("change", NOT_DONE_AGAIN)
def test_what_no_launch_can_do_again_is_named(old, change):
    done = freeze(old, "-e", f"require 'changes'.change '{change}'")
    may_not(done)
    if change == "affinity" and len(os.sched_getaffinity(0)) == 1:
        pytest.skip("ONE PROCESSOR: nobody can choose")
    assert is_refused(done, old, old="old") and NOT_DONE_AGAIN[change] in done.err.decode(), done


@needs_program("prlimit", "util-linux")
def test_what_others_do_to_a_process_is_no_part_of_its_warm_up(path):
    """Daemons renice, and administrators limit."""
    others = "renice -n 3 -p $PPID && taskset -p 1 $PPID && prlimit --pid $PPID --nofile=500:600"
    done = freeze(path, "-e", f"warm = 'warm' os.execute('({others}) >/dev/null || kill -9 $PPID')")
    assert done == Result(0, b"", b"") and is_thawed(path)


def test_a_directory_of_the_warm_up_s_that_is_gone(path, tmp_path):
    """Then a launch is lua's."""
    gone = tmp_path / "gone"
    gone.mkdir()
    assert freeze(path, "-e", f"require 'changes'.enter '{gone}'").status == 0
    assert launch(path, "print(1)").out == b"1\n"
    gone.rmdir()
    refused = launch(path, "print(1)")
    assert refused.status == 125, refused
    env = environment(MOONLET_IMAGE=path, MOONLET_FALLBACK=REAL_LUA)
    assert run(MOONLET, ["lua", "-e", "print(1)"], env).out == b"1\n"


def test_names_that_were_looked_for_below_a_file(path, tmp_path):
    """`./pack/?.lua` was asked for, and ./pack is a program: none of it is there, and a launch says the same."""
    (tmp_path / "pack").write_text("#!/bin/sh\n")
    (tmp_path / "kept.lua").write_text("warm = 'warm'")
    names = ";".join(f"./pack/{letter}/?.lua;./pack/{letter}?.lua" for letter in "abcdefgh")
    env = environment(LUA_PATH=f"{names};./pack/?.lua;./?.lua;./pack/?/init.lua")
    assert freeze(path, "-l", "kept", env=env, cwd=tmp_path) == Result(0, b"", b"")
    assert run(MOONLET, ["lua", "--image", path, "-e", "print(warm)"], env, cwd=tmp_path) == THAWED


# What is in an image


def test_an_image_holds_no_string_of_the_environment_or_the_arguments(path, tmp_path):
    secrets = [f"secret-{name}-{'x' * 20}" for name in ("variable", "name", "argument", "option", "long")]
    script = tmp_path / "warm.lua"
    script.write_text("warm = 'warm'")
    env = environment(SECRET=secrets[0], **{secrets[1]: "1"})
    options = ["-e", f"local x -- {secrets[3]}", "-e", f"local x -- {secrets[4]} {'y' * 5000}"]
    assert freeze(path, *options, str(script), secrets[2], env=env) == Result(0, b"", b"")
    with open(path, "rb") as image:
        content = image.read()
    assert b"warm.lua" in content  # a question: what follows could find something
    assert [secret for secret in secrets if secret.encode() in content] == []
    assert is_thawed(path)


def test_an_image_is_its_maker_s_alone(path):
    assert freeze(path, *WARM, umask=0).status == 0
    assert os.stat(path).st_mode & 0o7777 == 0o600


# Wherever it is made


def frozen_or_refused(path, done):
    """It works, or says why in one line."""
    if done.status == 0:
        return done == Result(0, b"", b"") and is_thawed(path)
    return is_refused(done, path, status=done.status) and done.err.startswith(b"moonlet: ") and done.err.count(b"\n") == 1


def test_with_descriptors_of_the_caller_s(path):
    """Any number of them; one more is noticed."""
    opens = 'ulimit -n 4096; for ((i = 3; i < 1500; i++)); do eval "exec $i</dev/null"; done; exec "$@"'
    before = ["bash", "-c", opens, "bash"]
    assert freeze(path, *WARM, before=before) == Result(0, b"", b"") and is_thawed(path)
    done = freeze(path, "-e", "kept = io.open '/etc/passwd'", before=before)
    assert done.status == 1 and b"left descriptor 1500 open: /etc/passwd\n" in done.err, done


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_without_standard_streams(path, closed):
    done = subprocess.run(["sh", "-c", f'exec "$0" --freeze "$1" -e "warm = \'warm\'" {closed}', MOONLET, path], env=environment(),
                          timeout=PATIENCE)
    assert done.returncode == 0 and is_thawed(path)


def test_with_a_large_environment_and_long_arguments(path):
    env = environment(**{f"BIG{i}": "v" * 100_000 for i in range(12)})
    assert freeze(path, *WARM, "/dev/null", *["y" * 100_000] * 6, env=env) == Result(0, b"", b"") and is_thawed(path)


def test_with_no_environment_at_all(path):
    assert freeze(path, *WARM, env={}) == Result(0, b"", b"")
    done = run(MOONLET, ["lua", "--image", path, "-e", "print(warm)"], {"MOONLET_FALLBACK": ""})
    assert done == THAWED


@pytest.mark.parametrize("limits", ["ulimit -v 500000", "ulimit -v 20000", "ulimit -s unlimited", "ulimit -s 100", "ulimit -d 10000",
                                    "ulimit -l 0", "ulimit -u 1", "ulimit -f unlimited", "ulimit -n 3", "ulimit -n 4", "ulimit -n 5",
                                    "ulimit -n 6", "ulimit -n 8", "ulimit -n 16"])
def test_under_limits(path, limits):
    if JIT and "-d" in limits:
        pytest.skip("LUAJIT CRASHES where an allocator has no memory for its state")
    before = ["bash", "-c", f'{limits}; exec "$@"', "bash"]
    assert frozen_or_refused(path, freeze(path, *WARM, before=before))


@needs_program("setarch", "util-linux")
@pytest.mark.parametrize("options", ["-R", "-L", "-R -L", "-3", "-Z", "-S"])
def test_in_other_layouts(path, options):
    before = ["setarch", os.uname().machine, *options.split()]
    assert frozen_or_refused(path, freeze(path, *WARM, before=before))


def test_at_the_limits_it_does_not_only_refuse(path):
    """Where the limits leave something to freeze with."""
    for limits in ("ulimit -s unlimited", "ulimit -n 16", "ulimit -s 1000"):
        assert freeze(path, *WARM, before=["bash", "-c", f'{limits}; exec "$@"', "bash"]) == Result(0, b"", b""), limits
        assert is_thawed(path)


@needs_root
def test_without_proc(tmp_path):
    world = World("mkdir /run/place", "umount -l /proc", "sleep infinity", log=tmp_path / "log", env=environment())
    try:
        done = world.run(MOONLET, "--freeze", "/run/place/some.image", *WARM)
        assert done.status != 0 and done.err.startswith(b"moonlet: "), done
        assert world.run("ls", "/run/place").out == b""
    finally:
        world.end()


def test_it_waits_for_no_terminal_and_no_input(path):
    """Standard input that never ends is not read."""
    reads, writes = os.pipe()
    try:
        assert freeze(path, *WARM, stdin=reads) == Result(0, b"", b"") and is_thawed(path)
    finally:
        os.close(reads), os.close(writes)


def test_a_warm_up_of_standard_input_cannot_be_frozen(path):
    """No launch could ask whether it would be the same."""
    done = freeze(path, "-", input=b"warm = 'warm'")
    assert is_refused(done, path) and b"standard input" in done.err
