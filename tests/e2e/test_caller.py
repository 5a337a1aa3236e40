"""A launch is its caller's own process: what the caller has made of it before exec, sees of it, and does to it later."""

import ctypes
import fcntl
import os
import resource
import select
import signal
import struct
import subprocess

import pytest
from conftest import PATIENCE, Pair, Result, World, both, environment, needs_program, needs_root, run

libc = ctypes.CDLL(None, use_errno=True)

READY = "local probe = require 'probe' print(probe.pid()) io.flush() "
WAITS = READY + "io.read()"


@pytest.fixture(scope="module")
def pair(image):
    return Pair(image)


def prctl(*arguments):
    longs = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:5]]
    if libc.prctl(*longs) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {arguments}")


def read(pid, name):
    with open(f"/proc/{pid}/{name}") as file:
        return file.read().strip()


def stat_of(pid):
    """Fields of /proc/PID/stat from `state` on (proc_pid_stat(5))."""
    return read(pid, "stat").rpartition(")")[2].split()


def seen(pair, launch, look, **options):
    """look(pid) while a script runs that was started so, under both. The script's own idea of its pid is the caller's."""
    def scenario(program, env):
        running = launch(program, env, WAITS, **options)
        assert running.hear() == str(running.pid)
        facts = look(running.pid)
        running.say("")
        return facts, running.end().status

    facts, status = both(pair, scenario)
    assert status == 0
    return facts


@pytest.mark.parametrize("start", [{}, {"start_new_session": True}, {"process_group": 0}], ids=["plainly", "session", "group"])
def test_pid_parent_group_session_and_terminal(pair, launch, start):
    def look(pid):
        state, parent, group, session, terminal, foreground = stat_of(pid)[:6]
        return {"parent": int(parent) == os.getpid(), "leads its group": int(group) == pid, "of its caller": int(group) == os.getpgrp(),
                "leads its session": int(session) == pid, "session": int(session) in (os.getsid(0), pid), "terminal": terminal}

    assert seen(pair, launch, look, **start)["parent"]


def test_one_process_of_one_thread(pair, launch):
    def look(pid):
        return read(pid, f"task/{pid}/children"), len(os.listdir(f"/proc/{pid}/task"))

    assert seen(pair, launch, look) == ("", 1)


def test_listen_pid(pair, tmp_path):
    """Who passes sockets says to which process (sd_listen_fds(3))."""
    script = tmp_path / "script.lua"
    script.write_text("print(os.getenv('LISTEN_PID') == tostring(require('probe').pid()))")

    def scenario(program, env):
        return run("sh", ["sh", "-c", 'export LISTEN_PID=$$; exec "$0" "$1"', program, str(script)], env)

    assert both(pair, scenario).out == b"true\n"


def test_a_child_of_before_the_exec_is_waited_for(pair, tmp_path):
    script = tmp_path / "script.lua"
    script.write_text("print(require('probe').wait(tonumber(arg[1])))")

    def scenario(program, env):
        return run("sh", ["sh", "-c", '(exit 7) & exec "$0" "$1" $!', program, str(script)], env)

    assert both(pair, scenario).out == b"%d\n" % (7 << 8)


def test_record_locks_are_kept_over_the_exec(pair, launch, tmp_path):
    path = tmp_path / "locked"

    def lock():
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.set_inheritable(fd, True)
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def scenario(program, env):
        running = launch(program, env, WAITS, preexec_fn=lock, close_fds=False)
        running.hear()
        with open(path, "r+") as file:
            asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, owner = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, asked))
            running.say("")
            status = running.end().status
            free = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, asked))[0] == fcntl.F_UNLCK
        return kind == fcntl.F_WRLCK, owner == running.pid, status, free

    assert both(pair, scenario) == (True, True, 0, True)


def limits():
    for kind, value in {resource.RLIMIT_NOFILE: 77, resource.RLIMIT_CORE: 5000, resource.RLIMIT_STACK: 3 << 20,
                        resource.RLIMIT_AS: 3 << 30, resource.RLIMIT_DATA: 2 << 30, resource.RLIMIT_CPU: 1000}.items():
        resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))


def test_limits(pair, launch):
    facts = seen(pair, launch, lambda pid: read(pid, "limits"), preexec_fn=limits)
    assert "77" in facts and "3145728" in facts


def io_priority(pid):
    return libc.syscall(252, 1, pid)  # ioprio_get(2) of a process, on x86-64


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="NOT x86-64: numbers of system calls")
def test_nice_scheduling_affinity_and_io_priority(pair, launch):
    cpu = min(os.sched_getaffinity(0))

    def prepare():
        os.nice(5)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        os.sched_setaffinity(0, {cpu})
        assert libc.syscall(251, 1, 0, 3 << 13) == 0  # ioprio_set(2): idle

    def look(pid):
        return os.getpriority(os.PRIO_PROCESS, pid), os.sched_getscheduler(pid), sorted(os.sched_getaffinity(pid)), io_priority(pid)

    assert seen(pair, launch, look, preexec_fn=prepare) == (min(19, os.nice(0) + 5), os.SCHED_BATCH, [cpu], 3 << 13)


def test_timer_slack_personality_and_oom_score(pair, launch):
    def prepare():
        prctl(29, 123456)  # PR_SET_TIMERSLACK
        assert libc.personality(ctypes.c_ulong(0x0040000)) != -1  # ADDR_NO_RANDOMIZE
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("321")
        with open("/proc/self/coredump_filter", "w") as parts:
            parts.write("0x7f")

    def look(pid):
        return [read(pid, name) for name in ("timerslack_ns", "personality", "oom_score_adj", "coredump_filter")]

    assert seen(pair, launch, look, preexec_fn=prepare) == ["123456", "00040000", "321", "0000007f"]


STATUS = ["Umask", "PPid", "TracerPid", "Uid", "Gid", "Groups", "NSpid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs",
          "Seccomp", "Seccomp_filters", "Cpus_allowed", "SigBlk", "SigIgn", "ShdPnd", "SigPnd", "Threads", "THP_enabled"]


def status_of(pid):
    lines = dict(line.split(":", 1) for line in read(pid, "status").splitlines())
    return {name: lines[name].strip() for name in STATUS if name in lines and name not in ("NSpid",)}


def test_the_status_in_the_kernel(pair, launch):
    seen(pair, launch, status_of)


def allow_all():
    """A filter that lets everything pass."""
    prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
    allow = struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)
    code = ctypes.create_string_buffer(allow)
    program = struct.pack("HxxxxxxP", 1, ctypes.addressof(code))
    filter_program = ctypes.create_string_buffer(program)
    prctl(22, 2, ctypes.addressof(filter_program))  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def test_seccomp_and_no_new_privileges(pair, launch):
    facts = seen(pair, launch, status_of, preexec_fn=allow_all)
    assert facts["Seccomp"] == "2" and facts["NoNewPrivs"] == "1"


def test_memory_that_is_never_written_and_executed(pair, launch):
    """PR_SET_MDWE, of Linux 6.3."""
    if libc.prctl(66, 0, 0, 0, 0) == -1:
        pytest.skip("NO PR_SET_MDWE: an older kernel")
    seen(pair, launch, status_of, preexec_fn=lambda: prctl(65, 1))


@needs_root
def test_capabilities_and_secure_bits(pair, tmp_path):
    def prepare():
        prctl(24, 12)  # PR_CAPBSET_DROP, CAP_NET_ADMIN
        prctl(28, 0x3)  # PR_SET_SECUREBITS: SECBIT_NOROOT and its lock

    script = tmp_path / "script.lua"
    script.write_text("io.write(require('probe').credentials())")
    assert b"securebits 3" in pair(str(script), preexec_fn=prepare).out


def test_the_signal_of_a_parent_s_death(pair, tmp_path):
    script = tmp_path / "script.lua"
    script.write_text("io.write(require('libc_probe').process_facts())")
    assert b"death signal 12" in pair(str(script), preexec_fn=lambda: prctl(1, signal.SIGUSR2)).out


@needs_root
def test_namespaces(pair, launch):
    kinds = {"uts": 0x04000000, "ipc": 0x08000000, "net": 0x40000000, "mnt": 0x00020000}

    def prepare():
        if libc.unshare(sum(kinds.values())) != 0:
            raise OSError(ctypes.get_errno(), "unshare")

    def look(pid):
        return sorted(name for name in os.listdir(f"/proc/{pid}/ns")
                      if os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}"))

    try:
        assert seen(pair, launch, look, preexec_fn=prepare) == sorted(kinds)
    except subprocess.SubprocessError:
        pytest.skip("NEEDS NAMESPACES: this root may not make any")


@needs_root
def test_cgroup(pair, tmp_path):
    world = World("mkdir /sys/fs/cgroup/inner", "sleep infinity", log=tmp_path / "world.log", env=environment(), cgroup=True)
    script = tmp_path / "script.lua"
    script.write_text("io.write(io.open('/proc/self/cgroup'):read('*a'):match('0::[^\\n]*'), '\\n')")
    try:
        def scenario(program, env):
            return world.run("sh", "-c", 'echo 0 >/sys/fs/cgroup/inner/cgroup.procs && exec "$0" "$1"', program, str(script), env=env)

        assert b"inner" in both(pair, scenario).out
    finally:
        world.end()


@needs_root
def test_login_uid(pair, launch):
    def prepare():
        with open("/proc/self/loginuid", "w") as login:
            login.write("1234")

    try:
        assert seen(pair, launch, lambda pid: read(pid, "loginuid"), preexec_fn=prepare) == "1234"
    except subprocess.SubprocessError:
        pytest.skip("NO AUDIT: nobody may set a login uid here")


@needs_program("keyctl", "keyutils")
def test_session_keyring(pair, tmp_path):
    script = tmp_path / "script.lua"
    script.write_text("print(os.execute('keyctl search @s user moonlet-test >/dev/null'))")

    def scenario(program, env):
        inside = 'keyctl add user moonlet-test secret @s >/dev/null && exec "$0" "$1"'
        result = run("keyctl", ["keyctl", "session", "-", "sh", "-c", inside, program, str(script)], env)
        result.err = result.err.replace(b"Joined session keyring: ", b"").strip(b"0123456789\n")
        return result

    result = both(pair, scenario)
    if b"Operation not permitted" in result.err or b"Function not implemented" in result.err:
        pytest.skip("NO KEYRINGS: " + result.err.decode())
    assert result.out.startswith((b"true", b"0")), result


CHANGED = READY + """
    io.read() print(io.open('/dev/null') ~= nil) io.flush()
    io.read() io.write(probe.limits():match('\\n(7 [^\\n]*)'), ' ', probe.nice(), '\\n')
"""


def test_what_is_done_to_it_from_outside(pair, launch):
    """Who knows its pid can limit and renice it."""
    def scenario(program, env):
        running = launch(program, env, CHANGED)
        running.hear()
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (3, 50))
        running.say("")
        heard = [running.hear()]
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (40, 50))
        os.setpriority(os.PRIO_PROCESS, running.pid, 7)
        running.say("")
        return heard + [running.hear(), running.end()]

    assert both(pair, scenario)[:2] == ["false", "7 28 32 7"]


def test_a_pidfd_of_the_caller(pair, launch):
    def scenario(program, env):
        running = launch(program, env, WAITS)
        fd = os.pidfd_open(running.pid)
        running.hear()
        signal.pidfd_send_signal(fd, signal.SIGTERM)
        ready, _, _ = select.select([fd], [], [], PATIENCE)
        os.close(fd)
        return bool(ready), running.end().status

    assert both(pair, scenario) == (True, -signal.SIGTERM)


def test_stop_and_continue_are_seen_by_the_parent(pair, launch):
    def scenario(program, env):
        running = launch(program, env, WAITS, process_group=0)
        running.hear()
        told = []
        for number, option in ((signal.SIGSTOP, os.WUNTRACED), (signal.SIGCONT, os.WCONTINUED), (signal.SIGTSTP, os.WUNTRACED),
                               (signal.SIGCONT, os.WCONTINUED)):
            running.kill(number)
            _, status = os.waitpid(running.pid, option)
            told.append(os.WSTOPSIG(status) if os.WIFSTOPPED(status) else os.WIFCONTINUED(status))
        running.say("")
        return told, running.end().status

    assert both(pair, scenario) == ([signal.SIGSTOP, True, signal.SIGTSTP, True], 0)


def test_a_group_is_killed_with_all_that_is_in_it(pair, launch):
    def scenario(program, env):
        running = launch(program, env, "os.execute('echo in the shell; exec sleep 1000')", process_group=0)
        running.hear()
        os.killpg(running.pid, signal.SIGTERM)
        return running.end()  # which waits until nobody has the pipe

    assert both(pair, scenario).status == -signal.SIGTERM


def test_sigterm_after_the_output_has_ended(pair, launch):
    def scenario(program, env):
        running = launch(program, env, READY + "probe.close(1) probe.close(2) while true do probe.pause() end")
        running.hear()
        assert running.process.stdout.read() == b"" and running.process.stderr.read() == b""
        running.kill(signal.SIGTERM)
        return running.process.wait(PATIENCE)

    assert both(pair, scenario) == -signal.SIGTERM


def test_an_orphan_goes_on(pair, tmp_path):
    """Whoever started it may end before."""
    script, out = tmp_path / "script.lua", tmp_path / "out"
    script.write_text("io.read('*a') io.open(arg[1], 'w'):write('went on') ")

    def scenario(program, env):
        reads, writes = os.pipe()
        alive, ends = os.pipe()
        started = run("sh", ["sh", "-c", 'exec 3<&0; "$0" "$1" "$2" <&3 3<&- >/dev/null 2>&1 & exit 3', program, str(script),
                             str(out)], env, stdin=reads, pass_fds=(ends,))
        assert started == Result(3, b"", b"")
        os.close(reads), os.close(ends)
        os.close(writes)
        assert select.select([alive], [], [], PATIENCE)[0]  # nobody has the other end: it has ended
        os.close(alive)
        text = out.read_text()
        out.unlink()
        return text

    assert both(pair, scenario) == "went on"
