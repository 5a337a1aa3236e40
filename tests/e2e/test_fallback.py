"""With the server down, broken or outdated the script still runs, through lua; and never twice."""

import os
import pty
import shutil
import signal
import socket
import struct
import subprocess
import threading

import pytest
from conftest import (BUILD, BY_LUA, BY_MOONLET, JIT, LUA, MOONLET, MOONLETD, NAME_OF_LUA, PATIENCE, PROGRAMS, REAL_LUA, SANITIZED, THAW,
                      Command, Pair, Result, about_images, about_moonletd, about_the_file, environment, needs_root, run,
                      without_addresses)

CODE = "print('ran', ...) os.exit(3)"
WITH_MODULE = f"{BUILD}/?.so;;"
NOTHING_THERE = b"thaw /nonexistent.image: " if THAW else b"connect /nonexistent: "


def falls_back(socket_path, *, reason, argv=("lua", "-e", CODE), **options):
    """Runs as lua would where that is allowed, and says why it cannot where it is not."""
    allowed = environment(MOONLET_SOCKET=socket_path, MOONLET_FALLBACK=None)
    result = run(BY_MOONLET, list(argv), allowed, **options)
    assert (result.status, result.out, result.err) == (3, b"ran\n", b""), result
    forbidden = run(BY_MOONLET, list(argv), environment(MOONLET_SOCKET=socket_path), **options)
    assert forbidden.status == 125 and forbidden.out == b"", forbidden
    assert reason.encode() in forbidden.err and forbidden.err.startswith(b"moonlet: "), forbidden
    assert forbidden.err.count(b"\n") == 1 and socket_path[:100].encode() in forbidden.err
    return forbidden


@about_moonletd
def test_no_socket(tmp_path):
    path = str(tmp_path / "none.sock")
    result = falls_back(path, reason="No such file or directory")
    assert path.encode() in result.err and b"connect" in result.err


@about_moonletd
def test_a_socket_that_nobody_listens_on(tmp_path):
    path = str(tmp_path / "stale.sock")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    falls_back(path, reason="Connection refused")


@about_moonletd
def test_a_path_that_is_no_socket_or_too_long(tmp_path):
    (tmp_path / "file").write_text("")
    falls_back(str(tmp_path / "file"), reason="Connection refused")
    falls_back("/" + "x" * 200, reason="name too long")


@about_moonletd
@pytest.mark.skipif(os.geteuid() == 0, reason="root may connect to anything")
def test_a_socket_that_must_not_be_used(start_zygote):
    zygote = start_zygote(options=["--mode", "0"])
    falls_back(zygote.socket, reason="Permission denied")


@about_moonletd
@needs_root
def test_a_zygote_of_another_user(start_zygote, open_directory):
    """Refused by the permissions of the socket; and where those allow it, by the client: what listens there could be anybody."""
    path = str(open_directory / "roots")
    start_zygote(options=["--socket", path])
    falls_back(path, reason="Permission denied", user=65534)
    os.chown(open_directory, 65534, 65534)
    path = str(open_directory / "nobodys")
    start_zygote(options=["--mode", "666", "--socket", path], user=65534, group=65534, extra_groups=[])
    falls_back(path, reason="it belongs to another user")


OF_SOMEBODY = """
import os, socket, sys
os.setgroups([]), os.setgid(65534), os.setuid(65534)
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
os.chmod(sys.argv[1], 0o666)
print("listens", flush=True)
connection, _ = listener.accept()
print(len(connection.recv(1000)), "bytes", flush=True)
"""


@about_moonletd
@needs_root
@pytest.mark.parametrize("client", [
    "moonletctl run", pytest.param("moonlet.spawn", marks=pytest.mark.skipif(SANITIZED, reason="lua CANNOT LOAD A MODULE with AddressSanitizer"))])
def test_nothing_is_sent_to_a_server_of_another_user(open_directory, client):
    """The connection is made, because only the kernel tells whose the other end is; then it ends. With lua's output."""
    os.chown(open_directory, 65534, 65534)
    path = str(open_directory / "s")
    with subprocess.Popen(["/usr/bin/python3", "-c", OF_SOMEBODY, path], stdout=subprocess.PIPE) as server:
        assert server.stdout.readline() == b"listens\n"
        env = environment(MOONLET_SOCKET=path, MOONLET_VERBOSE="1", MOONLET_FALLBACK=None, LUA_CPATH=WITH_MODULE)
        if client == "moonletctl run":
            result = run(BY_MOONLET, ["lua", "-e", CODE], env)
            why = f"moonlet: {NAME_OF_LUA}: launch through {path}: it belongs to another user\n"
            assert result == Result(3, b"ran\n", why.encode()), result
        else:
            spawn = "local s, why = require 'moonlet'.spawn{'-e', 'print(1)'} print(why or s:wait())"
            result = run(REAL_LUA, ["lua", "-e", spawn], dict(env, MOONLET_FALLBACK=""))
            assert result.out == f"moonlet: launch through {path}: it belongs to another user\n".encode(), result
        assert server.stdout.readline() == b"0 bytes\n"


class FakeServer:
    """A server that does what `act` does with each connection."""

    def __init__(self, path, act):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(10)
        self.act = act
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            with connection:
                self.act(connection)


def read_some(connection):
    connection.recv(1 << 20)


DECLINED = struct.pack("=Ii", 2, 7) + b"because"


@about_moonletd
@pytest.mark.parametrize("act, reason", [
    (lambda c: None, "it ended before the script started"),
    (read_some, "it ended before the script started"),
    (lambda c: (read_some(c), c.sendall(DECLINED)), "because"),
    (lambda c: c.sendall(DECLINED), "because"),
    (lambda c: (read_some(c), c.sendall(DECLINED[:12])), "beca"),
    (lambda c: (read_some(c), c.sendall(struct.pack("=Ii", 2, 100000))), "launch"),
    (lambda c: (read_some(c), c.sendall(struct.pack("=Ii", 2, -1))), "launch"),
    (lambda c: (read_some(c), c.sendall(struct.pack("=Ii", 4, 9))), "it ended before the script started"),
    (lambda c: (read_some(c), c.sendall(struct.pack("=Ii", 3, 0))), "it ended before the script started"),
    (lambda c: (read_some(c), c.sendall(struct.pack("=Ii", 99, 0))), "it ended before the script started"),
    (lambda c: (read_some(c), c.sendall(b"HTTP")), "it ended before the script started"),
])
def test_a_server_that_is_broken(tmp_path, act, reason):
    """Ends at once, ends when it has read, declines, lies, talks nonsense: nothing has started."""
    path = str(tmp_path / "fake.sock")
    FakeServer(path, act)
    falls_back(path, reason=reason)


@about_moonletd
def test_another_version_of_the_protocol(start_zygote):
    """A zygote that is newer or older says so, and nothing runs in it."""
    zygote = start_zygote()
    # A request of version 2 on a real socket, as a client of that release would send it.
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(zygote.socket)
        client.sendall(struct.pack("=IHH", 0x4e4f4f4d, 2, 400) + bytes(400))
        kind, length = struct.unpack("=Ii", client.recv(8))
        assert kind == 2 and b"version" in client.recv(length)


@pytest.mark.skipif(JIT or LUA == "5.1", reason="needs two builds whose Lua differs from 5.1")
def test_a_zygote_of_another_lua(start_zygote, tmp_path):
    """moonlet for 5.4 does not run its script in a zygote of 5.1: whatever lies beside this build."""
    others = [it for it in ("lua5.1", "lua5.2", "lua5.3") if it != "lua" + LUA]
    for other in others:
        programs = os.path.join(os.path.dirname(BUILD), other)
        client = Command(f"{programs}/moonlet") if THAW else Command(f"{programs}/moonletctl", "run")
        if os.path.exists(client.program):
            zygote = start_zygote()
            result = run(client, ["lua", "-e", CODE], environment(MOONLET_SOCKET=zygote.socket))
            reason = b"is of another Lua" if THAW else b"this moonletd is for"
            assert result.status == 125 and reason in result.err, result
            return
    pytest.skip("NO OTHER BUILD beside this one")


@about_moonletd
def test_the_zygote_dies_with_connections_waiting(start_zygote):
    """Those in its queue, and those it has accepted, run through lua."""
    zygote = start_zygote(options=["--max", "1"])
    env = environment(MOONLET_SOCKET=zygote.socket, MOONLET_FALLBACK=None)
    first = subprocess.Popen([*BY_MOONLET.words, "-e", "print('started') io.flush() io.read()"], env=env, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"started\n"
    waiting = [subprocess.Popen([*BY_MOONLET.words, "-e", f"print('ran') os.exit({i})"], env=env, stdout=subprocess.PIPE)
               for i in range(10)]
    while connections_to(zygote.socket) < 11:
        os.sched_yield()
    zygote.process.kill()
    for i, process in enumerate(waiting):
        out, _ = process.communicate(timeout=PATIENCE)
        assert (out, process.returncode) == (b"ran\n", i)
    first.communicate(b"\n", timeout=PATIENCE)


def connections_to(path):
    """Connected sockets of that name: accepted or in the queue (proc(5), /proc/net/unix)."""
    with open("/proc/net/unix") as table:
        return sum(line.split()[5] in ("02", "03") for line in table if line.rstrip().endswith(path))


def test_the_fallback_is_lua_with_the_same_argv(tmp_path):
    env = environment(MOONLET_SOCKET="/nonexistent", MOONLET_FALLBACK=None)
    code = "for i = -10, 10 do if arg and arg[i] then print(i, arg[i]) end end error('x')"
    for name in ("lua", "moonlet", "/some/path"):
        results = [run(program, [name, "-e", code, "--", "-"], env) for program in (BY_MOONLET, BY_LUA)]
        assert without_addresses(results[0]) == without_addresses(results[1])
    result = run(BY_MOONLET, ["lua", "--socket", "/nonexistent/too", "-e", code], env)
    assert without_addresses(result) == without_addresses(run(REAL_LUA, ["lua", "-e", code], env))


SHOW = """
for line in io.lines('/proc/self/status') do if line:find('^S[ih]%a%a%a%a:') then print(line) end end
io.write((require('probe').fds():gsub('pipe:%b[]', 'pipe')))
"""


@pytest.mark.parametrize("why", ["nobody listens", "the server ends", "another environment"])
def test_the_fallback_has_the_client_s_signals_and_descriptors(start_zygote, tmp_path, why):
    pending = why != "another environment"  # then it is the script that becomes lua, and its client forwards signals while it runs

    def change():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        if pending:
            os.kill(os.getpid(), signal.SIGUSR1)

    def take_and_hang_up():
        connection, _ = server.accept()
        with connection:
            asked.append(connection.recv(1 << 16))

    asked = []
    variables = {}
    path = "/nonexistent"
    with socket.socket(socket.AF_UNIX) as server:
        if THAW and why == "the server ends":
            zygote = start_zygote()
            path = zygote.socket
            os.truncate(zygote.image, 4096)
        elif why == "the server ends":
            path = str(tmp_path / "s")
            server.bind(path)
            server.listen()
            threading.Thread(target=take_and_hang_up, daemon=True).start()
        elif why == "another environment":
            path = start_zygote().socket
            variables = {"LD_OF_NOBODY": "1"}
        env = environment(MOONLET_SOCKET=path, MOONLET_FALLBACK=None, **variables)
        expected, got = [run(program, ["lua", "-e", SHOW], env, preexec_fn=change) for program in (BY_LUA, BY_MOONLET)]
    assert got == expected and b"SigBlk:\t0000000000000200\n" in got.out, (got, expected)
    assert (b"ShdPnd:\t0000000000000200\n" in got.out) == pending, got
    assert asked or THAW or why != "the server ends"


@needs_root
@about_the_file
def test_a_client_with_raised_privileges(start_zygote, open_directory):
    """One that is set-user-ID is lua at once, and the lua that it was built for: no variable of its caller's counts."""
    if os.statvfs(open_directory).f_flag & os.ST_NOSUID:
        pytest.skip("NO SET-USER-ID PROGRAM: not in this file system")
    if shutil.which(os.path.basename(REAL_LUA), path="/usr/local/bin:/bin:/usr/bin") is None:
        pytest.skip("THE REAL LUA IS ELSEWHERE: without PATH nobody finds it")
    path = str(open_directory / "s")
    if THAW:
        os.chmod(start_zygote(socket=path).image, 0o644)
    else:
        start_zygote(options=["--mode", "0666", "--socket", path, "--compare-clients", "0"])
    client, other = open_directory / "moonlet", open_directory / os.path.basename(REAL_LUA)
    shutil.copy(BY_MOONLET.program, client)
    os.chown(client, 12345, 12345)
    os.chmod(client, 0o4755)
    other.write_text("#!/bin/sh\necho another\n")
    other.chmod(0o755)
    show = "for line in io.lines('/proc/self/status') do if line:find '^Uid' then print(line) end end print(io.open('/proc/self/comm'):read())"
    env = environment(MOONLET_SOCKET=path, MOONLET_VERBOSE="1", PATH=str(open_directory))
    for fallback in ("", str(other), None):
        result = run(Command(str(client), *BY_MOONLET.words[1:]), ["lua", "-e", show], dict(env, **({} if fallback is None else {"MOONLET_FALLBACK": fallback})),
                     cwd="/", user=65534, group=65534, extra_groups=[])
        assert result == Result(0, f"Uid:\t65534\t12345\t12345\t12345\n{os.path.basename(REAL_LUA)}\n".encode(), b""), result
    if SANITIZED or not THAW:  # LeakSanitizer looks at the end, and may not
        return
    refused = run(str(client), ["lua", "--freeze", str(open_directory / "i")], env, cwd="/", user=65534, group=65534, extra_groups=[])
    assert refused == Result(125, b"", b"moonlet: start with raised privileges: Operation not permitted\n"), refused


def test_another_interpreter_by_moonlet_fallback(tmp_path):
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho other \"$@\"\nexit 7\n")
    other.chmod(0o755)
    env = environment(MOONLET_SOCKET="/nonexistent", MOONLET_FALLBACK=str(other))
    result = run(BY_MOONLET, ["lua", "-e", "x", "a b"], env)
    assert (result.status, result.out) == (7, b"other -e x a b\n")
    env = environment(MOONLET_SOCKET="/nonexistent", MOONLET_FALLBACK="other", PATH=f"/bin:{tmp_path}")
    assert run(BY_MOONLET, ["lua"], env).status == 7
    other.chmod(0o644)
    refused = run(BY_MOONLET, ["lua"], dict(env, PATH=f"{tmp_path}:/nonexistent"))  # the better reason of the two
    assert refused.status == 125 and b"Permission denied" in refused.err, refused
    other.chmod(0o755)
    (tmp_path / "sub").mkdir()
    env["PATH"] = f"{tmp_path}/sub::/nonexistent"  # an empty entry: the working directory
    assert run(BY_MOONLET, ["lua"], env, cwd=tmp_path).status == 7


@pytest.mark.parametrize("fallback", ["/nonexistent/lua", "nonexistent-lua", "/etc/passwd",
                                      pytest.param(BY_MOONLET.program, marks=about_the_file)])
def test_an_interpreter_that_cannot_be_started(fallback):
    """The program itself is none, under whatever name: that would go on for ever."""
    env = environment(MOONLET_SOCKET="/nonexistent", MOONLET_FALLBACK=fallback)
    result = run(BY_MOONLET, ["lua", "-e", "x"], env)
    assert result.status == 125 and b"exec the fallback " + fallback.encode() in result.err and NOTHING_THERE in result.err, result


@about_moonletd
def test_moonlet_as_the_fallback_is_not_its_own(tmp_path):
    """It looks for an image, and then for lua."""
    moonlet = os.path.join(PROGRAMS, "moonlet")
    result = run(BY_MOONLET, ["lua", "-e", "x"], environment(MOONLET_SOCKET="/nonexistent", MOONLET_FALLBACK=moonlet))
    assert result.status == 125 and b"it is moonlet itself" in result.err, result


@about_the_file
@about_images
def test_moonlet_installed_as_lua_finds_the_real_one(tmp_path):
    name = os.path.basename(REAL_LUA)
    (tmp_path / name).symlink_to(MOONLET)
    env = environment(MOONLET_SOCKET="/nonexistent", MOONLET_FALLBACK=name, PATH=f"{tmp_path}:{os.path.dirname(REAL_LUA)}")
    assert run(BY_MOONLET, [name, "-e", "print(1)"], env).out == b"1\n"


def test_interactive_use_goes_to_lua_at_once(zygote):
    """-i, and a terminal with nothing to run: also with a zygote that could serve."""
    env = environment(MOONLET_SOCKET=zygote.socket, MOONLET_FALLBACK=None, TERM="dumb")
    for arguments in (["-i", "-e", "print('before')"], ["-i"]):
        expected, got = (run(program, ["lua", *arguments], env, input=b"print(6 * 7)\n") for program in (BY_LUA, BY_MOONLET))
        assert got == expected and b"42" in got.out, got
    assert run(BY_MOONLET, ["lua", "-i"], environment(MOONLET_SOCKET=zygote.socket)).status == 125
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(BY_MOONLET.program, BY_MOONLET.argv("lua"), env)
    heard = b""
    while b"> " not in heard:
        heard += os.read(terminal, 1000)
    os.write(terminal, b"\x04")
    try:
        while os.read(terminal, 1000):
            pass
    except OSError:
        pass
    assert os.waitpid(pid, 0)[1] == 0
    os.close(terminal)


@pytest.mark.skipif(not JIT, reason="options of LuaJIT alone")
def test_options_that_steer_the_compiler_go_to_luajit(zygote):
    env = environment(MOONLET_SOCKET=zygote.socket, MOONLET_FALLBACK=None)
    for arguments in (["-joff", "-e", "print(jit.status())"], ["-O1", "-e", "print(jit.status())"], ["-bl", "-e", "x = 1"],
                      ["-j", "off", "-e", "print(jit.status())"]):
        assert run(BY_MOONLET, ["lua", *arguments], env) == run(REAL_LUA, ["lua", *arguments], env)


@about_moonletd
def test_what_the_kernel_will_not_give_a_child_goes_to_lua(start_zygote):
    """A higher limit than the zygote's: only a process that inherits it has it."""
    import resource
    zygote = start_zygote(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (4096, 4096)))
    may_raise = subprocess.run(["/usr/bin/python3", "-c", "import resource as r; r.setrlimit(r.RLIMIT_MEMLOCK, (4, 4));"
                                "r.setrlimit(r.RLIMIT_MEMLOCK, (8, 8))"], stderr=subprocess.DEVNULL).returncode == 0
    if may_raise:  # CAP_SYS_RESOURCE: then the child has it too
        assert run(BY_MOONLET, ["lua", "-e", CODE], environment(MOONLET_SOCKET=zygote.socket)).status == 3
    else:
        falls_back(zygote.socket, reason="set resource limit 8")


@about_moonletd
@needs_root
@pytest.mark.skipif(SANITIZED, reason="LeakSanitizer forks at the end")
def test_a_zygote_that_cannot_fork(start_zygote, open_directory):
    os.chown(open_directory, 54322, 54322)
    path = str(open_directory / "s")
    who = dict(user=54322, group=54322, extra_groups=[], cwd="/")
    zygote = start_zygote(options=["--socket", path], **who)
    subprocess.run(["prlimit", f"--pid={zygote.server}", "--nproc=1"], check=True, **who)
    before = len(zygote.descriptors())
    for _ in range(3):
        falls_back(path, reason="moonletd cannot fork: Resource temporarily unavailable", **who)
    assert zygote.log().count("moonletd cannot fork") == 1
    while len(zygote.descriptors()) > before:
        os.sched_yield()


@about_moonletd
@needs_root
def test_a_nicer_zygote_s_child_cannot_be_less_nice(start_zygote, open_directory):
    os.chown(open_directory, 65534, 65534)
    path = str(open_directory / "s")
    who = dict(user=65534, group=65534, extra_groups=[])
    start_zygote(command=["nice", "-n", "5", MOONLETD], options=["--socket", path], **who)
    for nice, expected in ((0, (125, True)), (5, (0, False)), (7, (0, False))):
        result = run("nice", ["nice", "-n", str(nice), *BY_MOONLET.words, "-e", ""], environment(MOONLET_SOCKET=path), cwd="/", **who)
        assert (result.status, b"set nice value: Permission denied" in result.err) == expected, result


@about_moonletd
def test_a_path_from_xdg_runtime_dir(start_zygote, tmp_path):
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    env = environment(XDG_RUNTIME_DIR=str(runtime))
    zygote = subprocess.Popen([MOONLETD, "-e", "warm = 'from the runtime directory'"], env=env)
    while not os.path.exists(runtime / "moonlet.sock"):
        os.sched_yield()
    try:
        while (result := run(BY_MOONLET, ["lua", "-e", "print(warm)"], env)).status == 125:
            pass  # bound, and about to listen
        assert result.out == b"from the runtime directory\n"
        assert run(BY_MOONLET, ["lua", "-e", "print(warm)"], dict(env, MOONLET_SOCKET="/nonexistent")).status == 125
    finally:
        zygote.terminate()
        assert zygote.wait(PATIENCE) == 0


INSIDE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]


def in_another_pid_namespace(socket):
    if subprocess.run([*INSIDE, "true"], capture_output=True).returncode != 0:
        pytest.skip("NAMESPACES ARE NOT ALLOWED HERE")
    env = environment(MOONLET_SOCKET=socket)
    refused = subprocess.run([*INSIDE, *BY_MOONLET.words, "-e", "print(1)"], env=env, capture_output=True)
    del env["MOONLET_FALLBACK"]
    assert subprocess.run([*INSIDE, *BY_MOONLET.words, "-e", "print(1)"], env=env, capture_output=True).stdout == b"1\n"
    return refused


def test_a_client_in_another_pid_namespace(start_zygote):
    """Signals could not be forwarded from there. A thawed script is there itself."""
    done = in_another_pid_namespace(start_zygote(options=[] if THAW else ["--compare-clients", "0"]).socket)
    if not THAW:
        assert done.returncode == 125 and b"pid namespace" in done.stderr, done
    elif os.geteuid() == 0:  # another's / belongs to nobody there, and so no image is trusted
        assert done.stdout == b"1\n", done
