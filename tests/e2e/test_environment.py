"""What a process has beside its arguments: a script finds it as exec would have left it."""

import os
import resource
import re
import shutil
import signal
import subprocess

import pytest
from conftest import (BUILD, BY_LUA, BY_MOONLET, REAL_LUA, SANITIZED, THAW, Pair, about_images, about_moonletd, both,
                      environment, needs_os_execute, needs_pidfd, needs_root, run, serves_other_users)

ENVIRON = "io.write(require('probe').environ())"


def test_the_environment_is_exact(same, tmp_path):
    same.script(tmp_path, ENVIRON, env=environment(A="1", EMPTY="", SPACES="a b\tc\nd", BYTES="\udcff\udcfe"))


def test_os_getenv_and_c_modules_see_it(same, tmp_path):
    same.script(tmp_path, """
        local probe = require 'probe'
        print(os.getenv('A'), probe.getenv('A'), os.getenv('NONE'), probe.getenv('NONE'), os.getenv('MOONLET_LOG'))
        print(probe.setenv('A', 'changed'), os.getenv('A'), io.popen('echo $A'):read())
    """, env=environment(A="1"))


def test_an_empty_environment(zygote, tmp_path):
    # Nothing names the socket here, so that moonlet must be told on the command line.
    code = "for _, n in ipairs{'PATH', 'HOME', 'LUA_CPATH', 'MOONLET_SOCKET'} do print(os.getenv(n)) end os.execute('env')"
    expected = run(REAL_LUA, ["lua", "-e", code], {})
    got = run(BY_MOONLET, ["lua", "--socket", zygote.socket, "-e", code], {})
    assert got == expected
    assert not [line for line in got.out.splitlines() if line.startswith((b"PATH", b"MOONLET"))]


def test_an_environment_of_a_megabyte(same, tmp_path):
    env = environment(**{f"BIG{i}": "v" * 100_000 for i in range(10)})
    same.script(tmp_path, ENVIRON, env=env)


def test_duplicates_and_strings_without_a_name(zygote, tmp_path):
    """exec takes any strings: env(1) cannot make these, an exec can."""
    script = tmp_path / "s.lua"
    script.write_text("local p = require 'probe' io.write(p.environ()) print(os.getenv('A'))")
    maker = tmp_path / "maker.py"
    maker.write_text("""
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
def strings(items): return (ctypes.c_char_p * (len(items) + 1))(*items, None)
script, socket, cpath, program, *leading = [a.encode() for a in sys.argv[1:]]
env = [b"A=1", b"A=2", b"", b"novalue", b"=", b"MOONLET_FALLBACK=", b"LUA_CPATH=" + cpath, b"MOONLET_SOCKET=" + socket]
libc.execve(program, strings([b"lua", *leading, script]), strings(env))
sys.exit("execve failed")
""")
    results = [subprocess.run(["/usr/bin/python3", str(maker), str(script), zygote.socket, environment()["LUA_CPATH"], *program.words],
                              capture_output=True) for program in (BY_LUA, BY_MOONLET)]
    assert results[0].stdout == results[1].stdout and b"A=1\nA=2\n\nnovalue\n=\n" in results[1].stdout
    assert results[0].stderr == results[1].stderr == b""


PWD = "print(io.popen('/bin/pwd 2>&1'):read('*a')) print(io.open('here') ~= nil) print((require 'probe').pid() > 0)"


def test_the_working_directory(same, tmp_path):
    (tmp_path / "here").write_text("")
    same.script(tmp_path, PWD, cwd=tmp_path)
    same.script(tmp_path, PWD, cwd="/")


@needs_os_execute
def test_a_working_directory_that_has_been_deleted(same, tmp_path):
    script = tmp_path / "s.lua"
    script.write_text("print(os.execute('/bin/pwd')) print(io.open('here')) print(os.getenv('PWD'))")
    gone = tmp_path / "gone"

    def scenario(program, env):
        gone.mkdir()
        shell = f"cd {gone} && rmdir {gone} && exec {program} {script}"
        done = subprocess.run(["sh", "-c", shell], env=env, capture_output=True)
        return done.returncode, done.stdout, done.stderr

    both(same, scenario)


def test_a_working_directory_that_must_not_be_read(same, tmp_path):
    script = tmp_path / "s.lua"
    script.write_text("print(io.open('file')) print(io.popen('ls . 2>&1'):read('*a'))")
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "file").write_text("")
    closed.chmod(0o300)
    try:
        same(str(script), cwd=closed)
    finally:
        closed.chmod(0o700)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_the_umask(same, tmp_path, mask):
    same.script(tmp_path, "print(require('probe').umask()) os.execute('umask')", umask=mask)


def in_child(action):
    """preexec_fn, for what subprocess has no argument for."""
    return {"preexec_fn": action}


def test_resource_limits(same, tmp_path):
    def lower():
        resource.setrlimit(resource.RLIMIT_NOFILE, (50, 60))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 2 << 20))
        resource.setrlimit(resource.RLIMIT_CPU, (1000, 2000))
        resource.setrlimit(resource.RLIMIT_STACK, (4 << 20, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (4096, 8192))
        resource.setrlimit(15, (10**9, 2 * 10**9))  # RLIMIT_RTTIME, the last

    script = "io.write(require('probe').limits()) os.execute('ulimit -a')"
    same.script(tmp_path, script)
    same.script(tmp_path, script, **in_child(lower))


@needs_pidfd
def test_a_limit_on_files_holds(same, tmp_path):
    script = """
        local open = {}
        repeat local f, why = io.open('/dev/null'); open[#open + 1] = f until not f
        print(#open, why)
    """
    same.script(tmp_path, script, **in_child(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))))


@pytest.mark.skipif(SANITIZED, reason="AddressSanitizer's shadow memory does not fit under a limit")
def test_a_limit_on_memory_holds(same, tmp_path):
    script = "local ok, why = pcall(string.rep, 'x', 300e6) print(ok, why)"
    same.script(tmp_path, script, **in_child(lambda: resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))))


def test_a_limit_on_processor_time_kills(same, tmp_path):
    result = same.script(tmp_path, "while true do end",
                         **in_child(lambda: resource.setrlimit(resource.RLIMIT_CPU, (1, 2))))
    assert result.status == -signal.SIGXCPU


def test_the_nice_value(same, tmp_path):
    script = "print(require('probe').nice())"
    same.script(tmp_path, script, **in_child(lambda: os.nice(7)))
    same.script(tmp_path, script, **in_child(lambda: os.nice(19)))


SIGNALS = "io.write(require('probe').signals())"


def signal_set(name, shown):
    """A line of /proc/self/status, as a number: how many digits it has depends on the machine."""
    return int(re.search(rf"{name}:\s+(\w+)", shown.decode()).group(1), 16)


def test_no_signal_is_ignored_blocked_or_handled(same, tmp_path):
    # SIGINT apart: lua itself catches it while a script runs.
    result = same.script(tmp_path, SIGNALS, restore_signals=True)
    assert signal_set("SigCgt", result.out) == 1 << signal.SIGINT - 1


def test_ignored_signals(same, tmp_path):
    def ignore():
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD, signal.SIGPIPE, 40, 64):
            signal.signal(number, signal.SIG_IGN)

    same.script(tmp_path, SIGNALS, **in_child(ignore))


def test_nohup(same, tmp_path):
    script = tmp_path / "s.lua"
    script.write_text(SIGNALS)

    def scenario(program, env):
        done = subprocess.run(["nohup", *program.words, str(script)], env=env, capture_output=True, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr

    assert signal_set("SigIgn", both(same, scenario)[1]) == 1 << signal.SIGHUP - 1


def test_blocked_signals(same, tmp_path):
    def block():
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGTERM, signal.SIGUSR2, signal.SIGCHLD, 35, 64})

    same.script(tmp_path, SIGNALS, **in_child(block))


def test_a_blocked_signal_waits(same, launch):
    script = """
        local probe = require 'probe'
        print(probe.pid()) io.flush() io.read()
        io.write((probe.signals():gsub('ShdPnd', 'SigPnd'))) os.exit(3)
    """

    def scenario(program, env):
        running = launch(program, env, script,
                         preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}))
        script_pid = running.hear()
        running.kill(signal.SIGTERM)
        wait_until_pending(script_pid, signal.SIGTERM)
        running.say("go on")
        return running.end()

    result = both(same, scenario)
    assert result.status == 3 and b"0000000000004000" in result.out


def wait_until_pending(pid, number):
    """The stand-in forwards a signal a moment after it has come: waits for the script to have it."""
    while True:
        with open(f"/proc/{pid}/status") as lines:
            pending = [int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd", "ShdPnd"))]
        if any(bits >> (number - 1) & 1 for bits in pending):
            return
        os.sched_yield()


def for_all(start_zygote, directory, **options):
    """A zygote of root that any user may reach, or an image of root that any user may read."""
    path = str(directory / "s")
    if THAW:
        zygote = start_zygote(socket=path, **options)
        os.chmod(zygote.image, 0o644)
    else:
        zygote = start_zygote(options=["--mode", "0666", "--socket", path], **options)
        zygote.socket = path
    return zygote


@needs_root
@serves_other_users
@needs_os_execute
def test_a_zygote_of_root_serves_each_user_as_that_user(start_zygote, open_directory):
    """User, group, groups, capabilities and the rest of it, as the client has them."""
    env = environment(LUA_CPATH=f"{open_directory}/?.so")
    same = Pair(for_all(start_zygote, open_directory, env=env))
    shutil.copy(os.path.join(BUILD, "modules", "probe.so"), open_directory / "probe.so")
    code = """io.write((require('probe').credentials())) print(io.open('/proc/self/environ') ~= nil)
              print(io.open('/etc/shadow')) print(os.execute('kill -0 1 2>/dev/null'))"""
    for who in ({"user": 65534, "group": 65534, "extra_groups": []}, {"user": 65534, "group": 100, "extra_groups": [4, 24, 100]},
                {"user": 12345, "group": 54321, "extra_groups": [1]}, {"group": 100, "extra_groups": [7]}, {}):
        same("-e", code, env=env, cwd="/", **who)


@needs_root
@serves_other_users
def test_as_many_groups_as_root_s_are_not_root_s(start_zygote, open_directory):
    path = for_all(start_zygote, open_directory, extra_groups=[7, 8]).socket
    groups = "for line in io.lines('/proc/self/status') do io.write(line:match('^Groups:.*') or '') end"
    for others in ([7, 8], [7, 9], [9, 8], [7]):
        result = run(BY_MOONLET, ["lua", "-e", groups], environment(MOONLET_SOCKET=path), cwd="/", extra_groups=others)
        assert result.out.split()[1:] == [b"%d" % group for group in sorted(others)], result


@about_moonletd
@needs_root
def test_a_client_with_another_group_than_a_plain_zygote_s(start_zygote, open_directory):
    """A child cannot take a group that its user does not give it: the script runs through lua."""
    os.chown(open_directory, 65534, 65534)
    path = str(open_directory / "s")
    start_zygote(options=["--socket", path], user=65534, group=65534, extra_groups=[])
    assert run(BY_MOONLET, ["lua", "-e", "print(1)"], environment(MOONLET_SOCKET=path), cwd="/", user=65534, group=65534,
               extra_groups=[]).out == b"1\n"
    for who in ({"user": 65534, "group": 100, "extra_groups": []}, {"user": 65534, "group": 65534, "extra_groups": [4]}):
        env = environment(MOONLET_SOCKET=path)
        refused = run(BY_MOONLET, ["lua", "-e", "print(1)"], env, cwd="/", **who)
        assert refused.status == 125 and b"group" in refused.err, refused
        del env["MOONLET_FALLBACK"]
        assert run(BY_MOONLET, ["lua", "-e", "print(1)"], env, cwd="/", **who).out == b"1\n"


@about_images
@needs_root
def test_a_plain_user_s_image_with_other_groups(start_zygote, open_directory):
    """What moonletd's child cannot take, a launch has."""
    os.chown(open_directory, 65534, 65534)
    path = str(open_directory / "s")
    same = Pair(start_zygote(socket=path, cwd="/", user=65534, group=65534, extra_groups=[]))
    code = "for line in io.lines('/proc/self/status') do if line:find '^Gid' or line:find '^Groups' then print(line) end end"
    for groups in ({"group": 100, "extra_groups": []}, {"group": 65534, "extra_groups": [4]}):
        same("-e", code, cwd="/", user=65534, **groups)
