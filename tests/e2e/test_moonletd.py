"""moonletd: its options, its socket, how it starts, says that it serves, and stops."""

import contextlib
import os
import pathlib
import signal
import socket
import stat
import subprocess

import pytest
from conftest import (BUILD, BY_MOONLET, JIT, LUA, MOONLET, MOONLETCTL, MOONLETD, PATIENCE, REAL_LUA, SANITIZED, Result, Zygote,
                      about_the_file, environment, run, wait_gone, without_addresses)


def launch(path, code="print('served')", **variables):
    return run(BY_MOONLET, ["lua", "-e", code], environment(MOONLET_SOCKET=str(path), **variables))


def fails(*arguments, env=None, **options):
    """moonletd with a command line that cannot work: returns what it says."""
    result = run(MOONLETD, ["moonletd", *arguments], environment() if env is None else env, **options)
    assert result.status == 1, result
    return result.err.decode()


def test_help_and_version():
    shown = run(MOONLETD, ["moonletd", "--help"], environment())
    assert shown.status == 0 and b"usage: moonletd" in shown.out and shown.err == b""
    for option in ("--socket", "--mode", "--max", "--ready-fd", "--help", "--version"):
        assert option.encode() in shown.out
    shown = run(MOONLETD, ["moonletd", "--version"], environment())
    assert shown.status == 0 and shown.out.startswith(b"moonletd 0.")
    with open("/dev/full", "w") as full:
        assert subprocess.run([MOONLETD, "--help"], stdout=full).returncode == 1


@pytest.mark.parametrize("arguments, said", [
    (["--bogus"], "--bogus"), (["--image", ""], "--image: a path must follow"), (["--warm-up-time", "0"], "'0' is no number"),
    (["--spare", "1"], "--spare"), (["--socket"], "--socket: a value must follow"), (["--mode", "9"], "'9' is no octal number"),
    (["--mode", "01000"], "'01000'"), (["--mode", ""], "''"), (["--max", "0"], "'0' is no number"), (["--max", "x"], "'x'"),
    (["--max", "-1"], "'-1'"), (["--max", "99999999999"], "'99999999999'"), (["--ready-fd", "77"], "--ready-fd 77: Bad file descriptor"),
    (["--ready-fd", "-1"], "'-1'"), (["--maximum", "1"], "unrecognized option '--maximum'"), (["-i"], "unrecognized option '-i'"),
])
def test_options_that_are_wrong(arguments, said, tmp_path):
    error = fails("--socket", str(tmp_path / "s"), *arguments)
    assert error.startswith("moonletd: ") and said in error, error
    assert not (tmp_path / "s").exists()


def serves_with_lua(zygote):
    return launch(zygote.socket, MOONLET_FALLBACK=REAL_LUA).out == b"served\n"


@pytest.mark.parametrize("arguments", [
    ["-e", "error('boom')"], ["-l", "nomodule"], ["/nonexistent.lua"], ["-e", "x = = 1"], ["-e", "error()"],
    ["-e", "error({})"],
])
def test_a_warm_up_that_fails(arguments, start_zygote):
    """Its error in the log as lua would print it; launches are lua's."""
    expected = run(REAL_LUA, ["moonletd", *arguments], environment())
    zygote = start_zygote(*arguments)
    assert without_addresses(zygote.log().encode()).startswith(without_addresses(expected.err)), zygote.log()
    assert "moonletd: no new image: the warm-up failed\n" in zygote.log()
    assert not os.path.exists(zygote.image) and serves_with_lua(zygote)


ENDS = {
    "exits": ("os.exit(0)", "it ended with status 0"),
    "exits with a status": ("os.exit(7)", "it ended with status 7"),
    "kills itself": ("os.execute('kill -9 $PPID')", "it died of signal 9"),
    "kills its session": ("os.execute('trap \"\" TERM; kill 0')", "it died of signal 15"),
    "hangs": ("while true do end", "it took more than 1 s"),
    "waits for another": ("os.execute('sleep 1000')", "it took more than 1 s"),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_warm_up_that_ends_otherwise(end, start_zygote):
    """It ends itself, or is ended, and nobody else. What it has started ends with it."""
    code, said = ENDS[end]
    zygote = start_zygote("-e", code, options=["--warm-up-time", "1"])
    assert f"moonletd: the warm-up: {said}\n" in zygote.log() and serves_with_lua(zygote)
    assert not os.path.exists(zygote.image)


def test_what_a_warm_up_leaves_running_ends_with_it(start_zygote, tmp_path):
    pid = tmp_path / "pid"
    zygote = start_zygote("-e", f"os.execute('sleep 1000 & echo $! >{pid}')")
    wait_gone(int(pid.read_text()))
    assert serves_with_lua(zygote)


@pytest.mark.parametrize("end", ["never", "error"])
def test_a_warm_up_that_says_much_does_not_fill_the_log(start_zygote, end):
    """The log has the beginning and the end of it, and time is up for it as for any."""
    says = "print 'begins' local line = ('x'):rep(99) .. '\\n'"
    code = {"never": f"{says} while true do io.write(line) end", "error": f"{says} for i = 1, 100000 do io.write(line) end error 'ends'"}[end]
    zygote = start_zygote("-e", code, options=["--warm-up-time", "2"])
    log = zygote.log()
    assert "begins\n" in log and log.count("moonletd: too much output: its end follows\n") == 1
    assert {"never": "moonletd: the warm-up: it took more than 2 s\n", "error": ":1: ends\n"}[end] in log[-5000:], log[-5000:]
    assert len(log) < 100_000


def test_a_limit_of_memory(start_zygote):
    zygote = start_zygote("-e", "text = ('x'):rep(50 * 2^20)", options=["--warm-up-memory", "40"])
    assert "not enough memory" in zygote.log() and serves_with_lua(zygote)
    zygote = start_zygote("-e", "text = ('x'):rep(50 * 2^20)", options=["--warm-up-memory", "400"])
    assert launch(zygote.socket, "print(#text)").out == b"%d\n" % (50 << 20)


def test_it_ends_while_a_warm_up_runs(tmp_path):
    """At once, and the warm-up with it."""
    path, pid = str(tmp_path / "s"), tmp_path / "pid"
    os.mkfifo(pid)
    process = subprocess.Popen([MOONLETD, "--socket", path, "-e", f"os.execute('echo $$ >{pid}; exec sleep 1000')"],
                               stderr=subprocess.DEVNULL, env=environment())
    child = int(pid.read_text())
    process.terminate()
    assert process.wait(PATIENCE) == 0
    wait_gone(child)
    assert os.listdir(tmp_path) == ["pid"]


def test_launches_before_there_is_an_image_are_lua_s(tmp_path):
    path, go = str(tmp_path / "s"), tmp_path / "go"
    os.mkfifo(go)
    process = subprocess.Popen([MOONLETD, "--socket", path, "--ready-fd", "1", "-e", f"io.open '{go}':read() warm = 'warm'"],
                               stdout=subprocess.PIPE, env=environment())
    with open(go, "w"):  # when the warm-up has opened it
        assert launch(path, "print(warm)", MOONLET_FALLBACK=REAL_LUA).out == b"nil\n"
    assert process.stdout.read() == b"\n"
    process.terminate()
    assert process.wait(PATIENCE) == 0
    process.stdout.close()


@pytest.mark.parametrize("options", [["-x"], ["-e"], ["-e", "print('not run')", "-l"]])
def test_options_that_lua_rejects(options, start_zygote):
    zygote = start_zygote(*options)
    assert f"moonletd: lua cannot use option '{options[-1]}'\n" in zygote.log() and serves_with_lua(zygote)


def test_the_warm_up_takes_lua_s_options(start_zygote, tmp_path):
    (tmp_path / "warm.lua").write_text("script = {arg[0] ~= nil, ...} print('warming', ...)")
    zygote = start_zygote("-e", "a = 1", "-l", "string", str(tmp_path / "warm.lua"), "one", "--two")
    assert launch(zygote.socket, "print(a, script[1], script[2], script[3], arg and arg[0])").out in (
        b"1\ttrue\tone\t--two\tnil\n", b"1\ttrue\tone\t--two\tlua\n")
    assert "warming\tone\t--two" in zygote.log()
    if LUA not in ("5.1",):
        zygote = start_zygote("-E", "-e", "b = package.path", env=environment(LUA_PATH="/x/?.lua"))
        assert b"/x/" not in launch(zygote.socket, "print(b)").out


def test_own_options_may_stand_anywhere_before_the_script(start_zygote):
    zygote = start_zygote("-e", "a = 1", "--max", "3", "-e", "b = 2", "--mode=0640")
    assert launch(zygote.socket, "print(a, b)").out == b"1\t2\n"
    assert stat.S_IMODE(os.stat(zygote.socket).st_mode) == 0o640


@pytest.mark.skipif(LUA not in ("5.4", "5.5"), reason="Lua 5.4 has warnings first")
def test_warnings_of_the_warm_up_are_not_its_scripts(start_zygote):
    zygote = start_zygote("-W", "-e", "warn('of the warm-up')")
    assert "of the warm-up" in zygote.log()
    assert launch(zygote.socket, "warn('of the script')").err == b""


@pytest.mark.parametrize("mode, expected", [([], 0o600), (["--mode", "0666"], 0o666), (["--mode", "660"], 0o660)])
def test_the_mode_of_the_socket(start_zygote, mode, expected):
    zygote = start_zygote(options=mode, umask=0)
    assert stat.S_IMODE(os.stat(zygote.socket).st_mode) == expected


def test_another_moonletd_that_finds_it_leaves_no_line_in_its_log(start_zygote):
    zygote = start_zygote()
    fails("--socket", zygote.socket)
    assert launch(zygote.socket).out == b"served\n"  # after the other's question
    assert zygote.log().count("\n") == 1  # that it serves


def test_a_stale_socket_is_replaced_and_a_living_one_is_not(start_zygote, tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    zygote = start_zygote(options=["--socket", path])
    assert launch(path).out == b"served\n"
    error = fails("--socket", path)
    assert f"bind {path}: Address already in use (is another moonletd running?)" in error
    assert launch(path).out == b"served\n"
    zygote.process.kill()
    zygote.process.wait()
    again = start_zygote(options=["--socket", path])
    assert launch(path).out == b"served\n"
    assert again.stop() == 0 and not os.path.exists(path)


def test_one_whose_queue_is_full_is_alive(tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as busy, contextlib.ExitStack() as waiting:
        busy.bind(path)
        busy.listen(1)
        with contextlib.suppress(BlockingIOError):
            while True:
                client = waiting.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect(path)
        assert "is another moonletd running?" in fails("--socket", path)
        assert os.path.exists(path)


def test_what_is_no_socket_is_not_replaced(tmp_path):
    path = tmp_path / "file"
    path.write_text("precious")
    assert "Address already in use (it is no socket)" in fails("--socket", str(path))
    assert path.read_text() == "precious"
    leads_nowhere = tmp_path / "link"
    leads_nowhere.symlink_to(tmp_path / "nothing")
    assert "Address already in use (it is no socket)" in fails("--socket", str(leads_nowhere))
    assert leads_nowhere.is_symlink()
    assert "No such file or directory" in fails("--socket", str(tmp_path / "no" / "directory"))
    assert "File name too long" in fails("--socket", str(tmp_path / ("x" * 120)))


def test_two_that_start_at_once_do_not_remove_each_other(tmp_path):
    """Of ten on one stale path exactly one serves."""
    path = str(tmp_path / "s")
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(path)
        started = [subprocess.Popen([MOONLETD, "--socket", path], stderr=subprocess.DEVNULL, env=environment())
                   for _ in range(10)]
        lost = 0
        while lost < 9:
            pid, status = os.waitpid(-1, 0)
            assert os.waitstatus_to_exitcode(status) == 1
            lost += 1
            for process in started:
                if process.pid == pid:
                    process.returncode = 1
        assert launch(path, MOONLET_FALLBACK=REAL_LUA).out == b"served\n"
        (winner,) = [process for process in started if process.returncode is None]
        winner.terminate()
        assert winner.wait(PATIENCE) == 0


@pytest.mark.skipif(SANITIZED, reason="AddressSanitizer wants to be loaded first")
def test_a_socket_that_is_bound_and_not_yet_listened_on_is_not_stale(tmp_path):
    """One is held between bind and listen, when connections are refused, while another starts."""
    path = str(tmp_path / "s")
    told, tell = os.pipe()
    wait, go = os.pipe()
    env = environment(LD_PRELOAD=os.path.join(BUILD, "modules", "probe.so"), PROBE_AT_LISTEN=f"{tell} {wait}")
    ready, serves = os.pipe()
    first = subprocess.Popen([MOONLETD, "--socket", path, "--ready-fd", str(serves)], stderr=subprocess.DEVNULL, env=env,
                             pass_fds=(tell, wait, serves))
    os.close(tell)
    os.close(serves)
    assert os.read(told, 1) == b"\n"
    inode = os.stat(path).st_ino
    second = subprocess.Popen([MOONLETD, "--socket", path], stderr=subprocess.PIPE, env=environment())
    waits = f"FLOCK  ADVISORY  WRITE {second.pid} "
    while waits not in (locks := pathlib.Path("/proc/locks").read_text()) and second.poll() is None:
        assert os.stat(path).st_ino == inode, "it was replaced"
    os.close(go)
    said = second.communicate(timeout=PATIENCE)[1]
    assert second.returncode == 1 and b"is another moonletd running?" in said, (said, locks)
    assert os.stat(path).st_ino == inode
    assert os.read(ready, 1) == b"\n"
    first.terminate()
    assert first.wait(PATIENCE) == 0
    for fd in (told, wait, ready):
        os.close(fd)


def test_one_that_starts_the_moment_after_another_was_killed_serves(tmp_path, launch):
    """Also while scripts of the dead one run, whose clients are told how these end."""
    env = environment(MOONLET_SOCKET=str(tmp_path / "zygote.sock"))
    moonletd, running = Zygote(tmp_path), []
    for status in range(5):
        running.append(launch(BY_MOONLET, env, f"print 'runs' io.flush() io.read() os.exit({status})"))
        assert running[-1].hear() == "runs"
        moonletd.process.kill()
        moonletd = Zygote(tmp_path)
        assert run(BY_MOONLET, ["lua", "-e", "print 'served'"], env) == Result(0, b"served\n", b"")
    for status, script in enumerate(running):
        script.say("")
        assert script.end() == Result(status, b"", b"")
    assert moonletd.stop() == 0


def test_a_socket_that_has_been_replaced_is_not_removed(start_zygote):
    zygote = start_zygote()
    os.unlink(zygote.socket)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(zygote.socket)
        zygote.stop()
        assert os.path.exists(zygote.socket)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_and_removes_its_socket(start_zygote, number):
    zygote = start_zygote()
    assert launch(zygote.socket).out == b"served\n"
    zygote.process.send_signal(number)
    assert zygote.process.wait(PATIENCE) == 0
    assert not os.path.exists(zygote.socket)
    assert zygote.log() == f"moonletd: serving {'LuaJIT' if JIT else 'Lua ' + LUA} at {zygote.socket}\n"


def test_max_lets_the_others_wait_and_loses_none(start_zygote):
    zygote = start_zygote(options=["--max", "3"])
    env = environment(MOONLET_SOCKET=zygote.socket)
    code = "local p = require 'probe' print('runs') io.flush() io.read() os.exit(%d)"
    running = [subprocess.Popen([*BY_MOONLET.words, "-e", code % i], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
               for i in range(12)]
    seen = set()
    import select
    for _ in range(12):
        ready, _, _ = select.select([p.stdout for p in running if p.pid not in seen], [], [], PATIENCE)
        assert ready
        assert len(zygote.children()) <= 3
        process = next(p for p in running if p.stdout is ready[0])
        assert process.stdout.readline() == b"runs\n"
        seen.add(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [p.wait(PATIENCE) for p in running] == list(range(12))


def test_max_1_runs_them_one_after_another(start_zygote, tmp_path):
    zygote = start_zygote(options=["--max", "1"])
    env = environment(MOONLET_SOCKET=zygote.socket)
    code = f"local f = io.open('{tmp_path}/log', 'a') f:write('(') f:flush() os.execute('sleep 0.01') f:write(')') f:close()"
    running = [subprocess.Popen([*BY_MOONLET.words, "-e", code], env=env) for _ in range(20)]
    assert [p.wait(PATIENCE) for p in running] == [0] * 20
    assert (tmp_path / "log").read_text() == "()" * 20


def test_who_waits_is_not_dropped_where_descriptors_are_short(start_zygote):
    """With --max scripts running nobody can know who has sent nothing."""
    few = ["prlimit", "--nofile=24"]
    zygote = start_zygote(options=["--max", "1"], command=[*few, MOONLETD])
    env = environment(MOONLET_SOCKET=zygote.socket)
    first = subprocess.Popen([*few, *BY_MOONLET.words, "-e", "print('runs') io.stdout:flush() io.read()"], env=env, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"runs\n"
    waiting = [subprocess.Popen([*few, *BY_MOONLET.words, "-e", "print('served')"], env=env, stdout=subprocess.PIPE) for _ in range(30)]
    while len(zygote.descriptors()) < 24:
        os.sched_yield()
    first.communicate(b"\n", timeout=PATIENCE)
    assert [process.communicate(timeout=PATIENCE)[0] for process in waiting] == [b"served\n"] * 30, zygote.log()


def test_clients_leave_while_as_many_run_as_may(start_zygote):
    """Neither waits for room: the one that waits is forgotten, and the script of the one that runs ends."""
    zygote = start_zygote(options=["--max", "1"])
    env = environment(MOONLET_SOCKET=zygote.socket)
    pause = ["-e", "print(require('probe').pid()) io.stdout:flush() require('probe').pause()"]
    running = subprocess.Popen([*BY_MOONLET.words, *pause], env=env, stdout=subprocess.PIPE)
    script = int(running.stdout.readline())
    before = len(zygote.descriptors())
    waiting = subprocess.Popen([*BY_MOONLET.words, *pause], env=env)
    while len(zygote.descriptors()) == before:
        os.sched_yield()
    for client in (waiting, running):
        client.kill()
        client.wait(PATIENCE)
        while len(zygote.descriptors()) >= before + (client is waiting):
            os.sched_yield()
    running.stdout.close()
    wait_gone(script)
    assert launch(zygote.socket).out == b"served\n"


def test_a_waiting_client_that_leaves_is_forgotten(start_zygote):
    zygote = start_zygote(options=["--max", "1"])
    env = environment(MOONLET_SOCKET=zygote.socket)
    first = subprocess.Popen([*BY_MOONLET.words, "-e", "print('runs') io.flush() io.read()"], env=env, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"runs\n"
    waiting = [subprocess.Popen([*BY_MOONLET.words, "-e", "print('must not run')"], env=env) for _ in range(5)]
    for process in waiting:
        process.kill()
        process.wait()
    first.communicate(b"\n", timeout=PATIENCE)
    assert launch(zygote.socket).out == b"served\n"


def listener(path):
    it = socket.socket(socket.AF_UNIX)
    it.bind(path)
    it.listen(10)
    return it


def test_systemd_hands_over_a_socket_and_is_told(tmp_path):
    """LISTEN_FDS and NOTIFY_SOCKET, as systemd sets them: sd_listen_fds(3), sd_notify(3)."""
    path = str(tmp_path / "s")
    for name in (str(tmp_path / "notify"), "\0moonlet-test-" + str(os.getpid())):
        with listener(path) as it, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(name)
            env = environment(NOTIFY_SOCKET=name.replace("\0", "@"), LISTEN_FDS="1")
            shell = f'exec 3<&{it.fileno()} {it.fileno()}<&-; LISTEN_PID=$$ exec {MOONLETD} -e "warm = 1"'
            process = subprocess.Popen(["bash", "-c", shell], env=env, pass_fds=(it.fileno(),))
            notify.settimeout(PATIENCE)
            assert notify.recv(100) == b"READY=1"
            assert launch(path, "print(warm, os.getenv('LISTEN_FDS'))").out == b"1\tnil\n"
            process.terminate()
            assert process.wait(PATIENCE) == 0
            assert os.path.exists(path)  # it is systemd's to remove
        os.unlink(path)


def test_what_a_supervisor_hands_over_is_not_for_programs_of_the_warm_up(tmp_path):
    path, log = str(tmp_path / "s"), tmp_path / "log"
    ready, told = os.pipe()
    with listener(path) as it:
        shell = f"""exec 3<&{it.fileno()} {it.fileno()}<&-; LISTEN_PID=$$ exec {MOONLETD} --ready-fd {told} \
                    -e 'os.execute("ls -l /proc/self/fd >{log}")'"""
        process = subprocess.Popen(["bash", "-c", shell], env=environment(LISTEN_FDS="1"), pass_fds=(it.fileno(), told))
    os.close(told)
    with os.fdopen(ready, "rb") as pipe:
        assert pipe.read() == b"\n"  # and then the end: moonletd has closed it
    assert "socket:" not in log.read_text()
    assert launch(path, MOONLET_FALLBACK=REAL_LUA).out == b"served\n"
    process.terminate()
    assert process.wait(PATIENCE) == 0


def test_variables_of_systemd_that_are_not_meant(tmp_path):
    """For another process (LISTEN_PID), or with what cannot be served."""
    env = environment(LISTEN_FDS="1", LISTEN_PID="1", MOONLET_SOCKET=str(tmp_path / "s"))
    process = subprocess.Popen([MOONLETD, "--ready-fd", "1"], env=env, stdout=subprocess.PIPE)
    assert process.stdout.read(1) == b"\n"
    process.terminate()
    assert process.wait(PATIENCE) == 0
    process.stdout.close()
    for count in ("2", "1", "x"):
        shell = f'exec 3</dev/null; LISTEN_PID=$$ LISTEN_FDS={count} exec {MOONLETD}'
        done = subprocess.run(["bash", "-c", shell], env=environment(), capture_output=True)
        assert done.returncode == 1 and f"LISTEN_FDS={count}".encode() in done.stderr


def test_a_notify_socket_that_is_not_there(start_zygote, tmp_path):
    zygote = start_zygote(env=environment(NOTIFY_SOCKET="/nonexistent/notify"))
    assert launch(zygote.socket).out == b"served\n"
    assert "NOTIFY_SOCKET=/nonexistent/notify: No such file or directory" in zygote.log()


def test_a_socket_on_descriptor_0(tmp_path):
    """As s6-ipcserver-socketbinder leaves it; scripts do not find it there."""
    path = str(tmp_path / "s")
    with listener(path) as it:
        process = subprocess.Popen([MOONLETD, "-e", "warm = 1", "--ready-fd", "1"], stdin=it,
                                   stdout=subprocess.PIPE, env=environment())
    assert process.stdout.read(1) == b"\n"
    done = run(BY_MOONLET, ["lua", "-e", "print(warm, io.read('*a'))"], environment(MOONLET_SOCKET=path), input=b"mine")
    assert done.out == b"1\tmine\n"
    process.terminate()
    assert process.wait(PATIENCE) == 0
    process.stdout.close()


def test_a_socket_that_asks_for_credentials(tmp_path):
    """systemd's PassCredentials=: they come with each request, before its descriptors."""
    path = str(tmp_path / "s")
    with listener(path) as it:
        it.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        process = subprocess.Popen([MOONLETD, "--ready-fd", "1"], stdin=it, stdout=subprocess.PIPE, env=environment())
    assert process.stdout.read(1) == b"\n"
    assert launch(path).out == b"served\n"
    process.terminate()
    assert process.wait(PATIENCE) == 0
    process.stdout.close()


def test_under_s6_ipcserver_socketbinder(tmp_path):
    import shutil
    binder = shutil.which("s6-ipcserver-socketbinder")
    if binder is None:
        pytest.skip("S6 IS NOT INSTALLED")
    path = str(tmp_path / "s")
    process = subprocess.Popen([binder, path, MOONLETD, "--ready-fd", "1"], stdout=subprocess.PIPE, env=environment())
    assert process.stdout.read(1) == b"\n"
    assert launch(path).out == b"served\n"
    process.terminate()
    assert process.wait(PATIENCE) == 0
    process.stdout.close()


def test_closed_standard_descriptors(tmp_path):
    """Started with none of them open: nothing of the server's comes to lie there."""
    path = str(tmp_path / "s")
    shell = f"exec {MOONLETD} --socket {path} --ready-fd 9 <&- >&- 2>&- 9>{tmp_path}/ready"
    process = subprocess.Popen(["bash", "-c", shell], env=environment())
    while not (tmp_path / "ready").exists() or not (tmp_path / "ready").read_text():
        os.sched_yield()
    result = launch(path, "print('served') io.stderr:write('x')")
    assert (result.status, result.out, result.err) == (0, b"served\n", b"x")
    process.terminate()
    assert process.wait(PATIENCE) == 0


@about_the_file
def test_the_programs_need_no_more_than_they_should():
    """libc; the client, linked against musl, nothing; libstdc++ neither. No moonletd runs Lua."""
    if SANITIZED:
        pytest.skip("the sanitizers bring libstdc++ along")
    needed = {}
    for program in (MOONLET, MOONLETCTL, MOONLETD):
        shown = subprocess.run(["readelf", "-d", program], capture_output=True, text=True).stdout
        needed[program] = [line.split("[")[1].rstrip("]") for line in shown.splitlines() if "NEEDED" in line]
        assert not any("stdc++" in name or "gcc_s" in name for name in needed[program]), needed
    assert all(name.startswith("libc.") for name in needed[MOONLETD]), needed
    import shutil
    if shutil.which("musl-gcc"):
        assert needed[MOONLET] == needed[MOONLETCTL] == []
