"""However a script ends, its caller sees the end that lua would have had."""

import fcntl
import os
import resource
import signal
import subprocess

import pytest
from conftest import BY_MOONLET, JIT, LUA, PATIENCE, SANITIZED, both, environment

PROBE = "local probe = require 'probe' "


@pytest.mark.parametrize("code", [
    "", "return", "return 3", "return false", "os.exit()", "os.exit(0)", "os.exit(1)", "os.exit(7)", "os.exit(255)",
    "os.exit(256)", "os.exit(-1)", "os.exit(true)", "os.exit(false)", "os.exit(3, true)", "os.exit(true, true)",
    "os.exit(false, true)", "os.exit(3.0)", "os.exit('4')", "os.exit({})", "error('x')", "error()",
    "io.write('flushed') os.exit(2)", "io.write('flushed') error('x')", "coroutine.wrap(function() os.exit(9) end)()",
    "pcall(function() os.exit(10) end)", "io.stdout:close() os.exit(11)", "io.stdin:close()", "io.stderr:close() error('x')",
])
def test_exit_status(same, tmp_path, code):
    same.script(tmp_path, code)


FINALIZERS = """
    local function finalizer(name)
        if newproxy then local p = newproxy(true) getmetatable(p).__gc = function() print('finalized', name) end return p end
        return setmetatable({}, {__gc = function() print('finalized', name) end})
    end
    a, b, c = finalizer('first'), finalizer('second'), finalizer('third')
    local file = io.open(arg[1], 'w')
    file:write('not flushed by the script')
    kept = file
"""


@pytest.mark.parametrize("end", ["", "os.exit(3)", "os.exit(3, true)", "error('x')",
                                 "c = setmetatable({}, {__gc = function() error('in a finalizer') end})",
                                 "c = setmetatable({}, {__gc = function() os.exit(5) end})",
                                 "require 'probe'.atexit()", "require 'probe'.atexit() os.exit(4)"])
def test_finalizers_and_buffers_at_the_end(same, tmp_path, end):
    out = tmp_path / "out"

    def scenario(program, env):
        script = tmp_path / "s.lua"
        script.write_text(FINALIZERS + end)
        done = subprocess.run(program.argv("lua", str(script), str(out)), executable=program.program, env=env, capture_output=True)
        return done.returncode, done.stdout, done.stderr, out.read_text()

    both(same, scenario)


@pytest.mark.skipif(LUA not in ("5.4", "5.5"), reason="Lua 5.4 has to-be-closed variables first")
@pytest.mark.parametrize("end", ["", "error('x')", "os.exit(3)", "os.exit(3, true)",
                                 "coroutine.wrap(function() local y <close> = closing('inner') os.exit(4, true) end)()"])
def test_to_be_closed_variables(same, tmp_path, end):
    same.script(tmp_path, """
        function closing(name) return setmetatable({}, {__close = function(_, e) print('closed', name, e) end}) end
        local x <close> = closing('outer')
    """ + end)


def test_output_in_the_middle_of_a_line_comes_out(same):
    same("-e", "io.write('no newline')")


def test_a_megabyte_of_output(same, tmp_path):
    assert len(same.script(tmp_path, "io.write(('x'):rep(2^20))").out) == 1 << 20


def fatal_signals():
    harmless = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH, signal.SIGSTOP, signal.SIGTSTP,
                signal.SIGTTIN, signal.SIGTTOU}
    # 127, on MIPS, looks like a stop in a wait status: nobody can tell that a process died of it.
    return sorted(number for number in signal.valid_signals() - harmless - {127})


def no_core():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def test_death_by_every_signal(same, tmp_path):
    """Also by those that one seldom sees: 1 to 64, but for the ones that do not kill."""
    for number in fatal_signals():
        result = same.script(tmp_path, PROBE + f"io.write('lost') probe.default({number}) probe.kill(probe.pid(), {number})",
                             preexec_fn=no_core)
        assert result.status == -number


def test_signals_that_do_not_kill(same, tmp_path):
    for number in (signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT):
        same.script(tmp_path, PROBE + f"probe.kill(probe.pid(), {int(number)}) print('lives') os.exit(3)")


@pytest.mark.skipif(SANITIZED, reason="AddressSanitizer lowers the limit on core files of moonletctl, and so of the script")
def test_a_crash_dumps_one_core(same, tmp_path):
    with open("/proc/sys/kernel/core_pattern") as pattern:
        if pattern.read().strip() != "core":
            pytest.skip("core_pattern is not 'core'")

    def scenario(program, env):
        directory = tmp_path / os.path.basename(program)
        directory.mkdir()
        done = subprocess.run(program.argv("lua", "-e", "require 'probe'.crash()"), executable=program.program, env=env, cwd=directory,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2))
        return done.returncode, len(os.listdir(directory))

    assert both(same, scenario) == (-signal.SIGSEGV, 1)


def test_abort_and_crash(same, tmp_path):
    same.script(tmp_path, PROBE + "probe.kill(probe.pid(), 6)", preexec_fn=no_core)
    same.script(tmp_path, PROBE + "probe.crash()", preexec_fn=no_core)


def test_a_c_library_that_calls_exit(same, tmp_path):
    same.script(tmp_path, PROBE + "io.write('flushed') probe.exit(12)")
    same.script(tmp_path, PROBE + "probe.atexit() probe.exit(13)")
    same.script(tmp_path, PROBE + "io.write('lost') probe.quick_exit(14)")


def test_exec_of_another_program(same, tmp_path):
    same.script(tmp_path, PROBE + "probe.exec('/bin/sh', '-c', 'echo from sh; ls /proc/self/fd | wc -l; exit 15')")
    result = same.script(tmp_path, PROBE + "probe.exec('/bin/sh', '-c', 'kill -TERM $$')")
    assert result.status == -signal.SIGTERM


def test_a_script_s_descriptors_are_closed_when_its_client_ends(start_zygote, tmp_path):
    """On one processor, for which this process goes before them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        env = environment(MOONLET_SOCKET=start_zygote().socket)
        for number in range(30):
            path = tmp_path / str(number)
            with open(path, "w") as passed:
                fcntl.flock(passed, fcntl.LOCK_EX)
                process = subprocess.Popen([*BY_MOONLET.words, "-e", ""], env=env, pass_fds=(passed.fileno(),), preexec_fn=lambda: os.nice(19))
            assert process.wait(PATIENCE) == 0
            with open(path) as again:
                fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.sched_setaffinity(0, before)


def test_a_fork_of_the_script_does_not_speak_for_it(same, tmp_path):
    """Its child runs to the end of the same script, and exits first, later, or in every other way."""
    for end in ("os.exit(21)", "return", "error('in the fork', 0)", "probe.exit(22)", "os.exit(23, true)"):
        result = same.script(tmp_path, PROBE + f"""
            local pid = probe.fork()
            if pid == 0 then {end} end
            print('the fork ended with', probe.wait(pid))
            os.exit(20)
        """)
        assert result.status == 20


def test_a_fork_that_outlives_the_script(same, tmp_path):
    def scenario(program, env):
        script = tmp_path / "s.lua"
        script.write_text(PROBE + """
            if probe.fork() == 0 then io.read() io.write('the fork, later') os.exit(31) end
            os.exit(30)
        """)
        # The fork holds the pipes: they end with it, the status comes before.
        process = subprocess.Popen(program.argv("lua", str(script)), executable=program.program, env=env, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        status = process.wait(PATIENCE)
        process.stdin.close()
        return status, process.stdout.read()

    assert both(same, scenario) == (30, b"the fork, later")


def test_a_script_whose_fork_goes_on_as_a_daemon(same, tmp_path):
    def scenario(program, env):
        done = subprocess.run(program.argv("lua", "-e", "os.execute('sleep 1000 >/dev/null 2>&1 </dev/null & echo $!')"),
                              executable=program.program, env=env, capture_output=True)
        os.kill(int(done.stdout), signal.SIGKILL)
        return done.returncode

    assert both(same, scenario) == 0


def test_standard_output_that_is_full_or_closed(same, tmp_path):
    code = "print(io.write(('x'):rep(100000)) == io.stdout) print(io.stdout:flush())"

    def scenario(program, env):
        with open("/dev/full", "w") as full:
            done = subprocess.run(program.argv("lua", "-e", code), executable=program.program, env=env, stdout=full, stderr=subprocess.PIPE)
        return done.returncode, done.stderr

    both(same, scenario)


def test_a_reader_that_leaves(same, tmp_path):
    """moonlet ... | head -1: the writer dies of SIGPIPE, where nobody ignores that."""
    def scenario(program, env):
        script = "for i = 1, 1e6 do print(i) end"
        command = f"{program} -e '{script}' | head -1; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, timeout=PATIENCE,
                              restore_signals=True)
        return done.stdout, done.stderr

    assert both(same, scenario)[0] == b"1\n141\n"


def test_exit_in_the_middle_of_everything(same, tmp_path):
    same.script(tmp_path, "local co = coroutine.wrap(function() table.sort({3, 2, 1}, function() os.exit(8) end) end) co()")
    same.script(tmp_path, "setmetatable(_G, {__index = function() os.exit(9) end}) print(x)")
    same.script(tmp_path, "debug.sethook(function() os.exit(10) end, 'l') print(1)\nprint(2)")
