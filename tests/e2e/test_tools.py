"""What measures, watches and debugs a process finds a launch to be one: time, strace, gdb, core dumps."""

import os
import re
import resource
import shutil
import signal
import subprocess

import pytest
from conftest import PATIENCE, SANITIZED, Pair, Result, both, needs_program, run

pytestmark = pytest.mark.skipif(SANITIZED, reason="SANITIZED: it keeps a shadow of its memory, and may not be traced")

BURN = "local t = os.clock() while os.clock() - t < 0.3 do end "
WAITS = "print(require('probe').pid()) io.flush() print('heard ' .. io.read()) os.exit(3)"


@pytest.fixture(scope="module")
def pair(image):
    return Pair(image)


def usage_of(program, env, script):
    """What wait4 tells of a script, and its status."""
    process = subprocess.Popen(["lua", "-e", script], executable=program, env=env, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage


def test_time_counts_the_script(pair):
    def scenario(program, env):
        status, usage = usage_of(program, env, BURN + "os.exit(3)")
        return status, 0.25 < usage.ru_utime + usage.ru_stime < 3

    assert both(pair, scenario) == (3, True)


def test_time_counts_the_children_of_the_script(pair):
    def scenario(program, env):
        count = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"
        status, usage = usage_of(program, env, f"os.execute('{count}')")
        alone = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run(["sh", "-c", count], check=True)
        alone = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - alone
        return status, usage.ru_utime > alone / 3

    assert both(pair, scenario) == (0, True)


def test_time_counts_the_memory_of_the_script(pair):
    def scenario(program, env):
        status, usage = usage_of(program, env, "local s = ('x'):rep(50 * 2^20)")
        return status, usage.ru_maxrss > 50 * 1024

    assert both(pair, scenario) == (0, True)


def may_trace():
    """Whether this process may trace at all: a filter or a hardened kernel may forbid it."""
    return subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0


needs_strace = needs_program("strace", "strace")
needs_gdb = needs_program("gdb", "gdb")


@needs_strace
def test_strace_follows_a_script_and_its_children(pair, tmp_path):
    if not may_trace():
        pytest.skip("NOBODY MAY TRACE HERE")
    script = tmp_path / "script.lua"
    script.write_text("print('hello') io.flush() os.execute('echo from a child') os.exit(3)")

    def scenario(program, env):
        log = tmp_path / "log"
        result = run("strace", ["strace", "-f", "-o", str(log), program, str(script)], env)
        text = log.read_text()
        return (result, len(re.findall(r'writev?\(1, .*"hello(?:\\n)?"', text)), len(re.findall(r'writev?\(1, .*"from a child\\n"', text)),
                len(re.findall(r"exited with 3 \+\+\+", text)))

    assert both(pair, scenario) == (Result(3, b"hello\nfrom a child\n", b""), 1, 1, 1)


@needs_strace
def test_strace_attaches_to_a_script(pair, launch, tmp_path):
    if not may_trace():
        pytest.skip("NOBODY MAY TRACE HERE")

    def scenario(program, env):
        running = launch(program, env, WAITS)
        pid = running.hear()
        tracer = subprocess.Popen(["strace", "-p", pid, "-e", "trace=write,writev,exit_group"], stderr=subprocess.PIPE)
        attached = tracer.stderr.readline()
        running.say("it")
        result = running.end()
        said = tracer.communicate(timeout=PATIENCE)[1]
        return b"attached" in attached, result, len(re.findall(rb'writev?\(1, .*"heard it\\n"', said)), said.count(b"exit_group(3)")

    assert both(pair, scenario) == (True, Result(3, b"heard it\n", b""), 1, 1)


GDB = ["gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off"]


@needs_gdb
def test_gdb_attaches_to_a_script(pair, launch):
    if not may_trace():
        pytest.skip("NOBODY MAY TRACE HERE")

    def scenario(program, env):
        running = launch(program, env, WAITS)
        pid = running.hear()
        gdb = run("gdb", [*GDB, "-p", pid, "-ex", "info inferiors", "-ex", "info registers pc", "-ex", "detach"], env)
        running.say("it")
        return f"process {pid}".encode() in gdb.out, b"detached" in gdb.out, running.end()

    assert both(pair, scenario) == (True, True, Result(3, b"heard it\n", b""))


@needs_gdb
def test_gdb_runs_a_script(pair, tmp_path):
    if not may_trace():
        pytest.skip("NOBODY MAY TRACE HERE")
    script = tmp_path / "script.lua"
    script.write_text("print('hello') os.exit(3)")

    def scenario(program, env):
        gdb = run("gdb", [*GDB, "-ex", "run", "--args", program, str(script)], env)
        return b"hello\n" in gdb.out, re.findall(rb"exited with code \d+", gdb.out)

    assert both(pair, scenario) == (True, [b"exited with code 03"])


@needs_gdb
def test_gdb_stops_where_a_script_crashes(pair, tmp_path):
    if not may_trace():
        pytest.skip("NOBODY MAY TRACE HERE")
    script = tmp_path / "script.lua"
    script.write_text("require('probe').crash()")

    def scenario(program, env):
        gdb = run("gdb", [*GDB, "-ex", "run", "-ex", "info registers pc", "--args", program, str(script)], env)
        return re.findall(rb"received signal SIG\w+", gdb.out), b"0x" in gdb.out

    assert both(pair, scenario) == ([b"received signal SIGSEGV"], True)


def all_of_a_core():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)


def test_a_crash_dumps_a_core_for_the_caller(pair, tmp_path):
    with open("/proc/sys/kernel/core_pattern") as pattern:
        if pattern.read().strip() != "core":
            pytest.skip("core_pattern is not 'core'")
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        pytest.skip("NO CORES: the hard limit forbids them")

    def scenario(program, env):
        directory = tmp_path / os.path.basename(program)
        directory.mkdir()
        process = subprocess.Popen(["lua", "-e", "local a_string_of_the_script = 'seen in ' .. 'a core' require('probe').crash()"],
                                   executable=program, env=env, cwd=directory, preexec_fn=all_of_a_core)
        _, status = os.waitpid(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        [core] = directory.iterdir()
        facts = [process.returncode, os.WCOREDUMP(status), b"seen in a core" in core.read_bytes()]
        if shutil.which("gdb"):
            said = run("gdb", [*GDB, "-c", str(core), "-ex", "info threads"], env)
            facts += [b"terminated with signal SIGSEGV" in said.out, f"LWP {process.pid}".encode() in said.out]
        return facts

    assert both(pair, scenario)[:3] == [-signal.SIGSEGV, True, True]


@needs_program("timeout", "coreutils")
def test_timeout_kills_it(pair):
    def scenario(program, env):
        return run("timeout", ["timeout", "0.3", program, "-e", "while true do end"], env).status

    assert both(pair, scenario) == 124
