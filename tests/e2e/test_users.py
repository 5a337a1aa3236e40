"""moonletd as root, for several users: nobody gets anything of another's, nor of root's but what is warm."""

import ctypes
import os
import pathlib
import select
import shutil
import socket
import subprocess

import client
import pytest
from conftest import BUILD, BY_MOONLET, MOONLET, MOONLETD, PATIENCE, Pair, Result, environment, needs_root, run

pytestmark = needs_root

ALICE = dict(user=65534, group=65534, extra_groups=[], cwd="/")
BOB = dict(user=12345, group=54321, extra_groups=[1], cwd="/")
# Not in any library: add_key(2) and keyctl(2).
ADD_KEY, KEYCTL = {"x86_64": (248, 250), "aarch64": (217, 219)}.get(os.uname().machine, (None, None))
WITH_CAPABILITIES = ["setpriv", "--inh-caps=+net_raw", MOONLETD]  # that a change of user does not take
libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def shared(start_zygote, open_directory):
    """shared(warm-up...): a zygote whose socket is for everybody."""

    def start(*warm_up, options=(), **arguments):
        path = str(open_directory / "s")
        arguments.setdefault("env", environment(LUA_CPATH=f"{open_directory}/?.so"))  # environment_for()'s
        zygote = start_zygote(*warm_up, options=["--mode", "0666", "--socket", path, *options], **arguments)
        zygote.socket = path
        shutil.copy(os.path.join(BUILD, "modules", "probe.so"), open_directory)
        return zygote

    return start


def environment_for(zygote):
    directory = os.path.dirname(zygote.socket)
    return environment(MOONLET_SOCKET=zygote.socket, LUA_CPATH=f"{directory}/?.so")


def say(zygote, code, who):
    result = run(BY_MOONLET, ["lua", "-e", code], environment_for(zygote), **who)
    assert result.status == 0, (result, zygote.log())
    return result.out.decode()


def test_a_user_s_own_moonlet_thaws_the_image_of_root_s_moonletd(shared):
    """What is for those who may connect is theirs to read, and a client of theirs looks whose it is."""
    zygote = shared("-e", "warm = 'warm'")
    image = zygote.socket.removesuffix("s") + "s.image"
    assert os.stat(image).st_mode & 0o777 == 0o644, zygote.log()
    env = environment_for(zygote)
    del env["MOONLET_IMAGE"]  # beside the socket
    assert run(MOONLET, ["lua", "-e", "print(warm)"], env, **ALICE) == Result(0, b"warm\n", b"")


def test_a_user_s_script_has_nothing_of_what_root_could_inherit(shared):
    """Inheritable capabilities outlive a change of user: programs with capabilities of their own would take them."""
    zygote = shared(command=WITH_CAPABILITIES)
    assert "CapInh:\t0000000000000000" not in pathlib.Path(f"/proc/{zygote.pid}/status").read_text()
    Pair(zygote)("-e", "io.write((require('probe').credentials()))", env=environment_for(zygote), **ALICE)


CLAIM = """
import os, resource, sys
sys.path.insert(0, sys.argv[1])
import client
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
os.nice(5)
exec(sys.argv[3])
try:
    print(client.launch(sys.argv[2], ['client', '-e', ''], {}))
except client.Declined as reason:
    print(reason)
"""
MORE_FILES = "real = resource.getrlimit; resource.getrlimit = lambda kind: (50, 101) if kind == 7 else real(kind)"
LESS_NICE = "os.nice = lambda _: 4"


@pytest.mark.parametrize("claim, answer", [("", "0"), (MORE_FILES, "the client has not the limits that it claims"),
                                           (LESS_NICE, "the client has not the limits that it claims")],
                         ids=["the truth", "a higher hard limit", "a lower nice value"])
def test_a_request_gains_no_resources(shared, claim, answer):
    """A user's limits are what he may have, not what he writes into a request."""
    zygote = shared()
    directory = os.path.dirname(zygote.socket)
    shutil.copy(client.__file__, directory)
    done = subprocess.run(["/usr/bin/python3", "-Bc", CLAIM, directory, zygote.socket, claim], capture_output=True,
                          timeout=PATIENCE, **ALICE)
    assert done.stdout.decode() == answer + "\n", done


CLAIM_FOR_ANOTHER = """
import os, socket, sys
sys.path.insert(0, sys.argv[1])
import client
connection = socket.socket(socket.AF_UNIX)
child = os.fork()
if child == 0:
    connection.connect(sys.argv[2])
    os._exit(0)
os.waitpid(child, 0)
os.getpid = lambda: child
try:
    client.send(connection, ['client', '-e', ''], {}, {})
except OSError:
    pass  # it has been declined on the way
kind, value, *_ = client.receive(connection)
print(connection.recv(value) if kind == client.DECLINED else kind)
"""


def test_a_request_for_a_client_that_has_gone_gains_nothing_either(shared):
    """Nobody can be asked for its limits any more, nor is there anybody to be compared with."""
    for options, answer in ((["--compare-clients", "0"], "the client has not the limits that it claims"),
                            ([], "the client is confined")):
        zygote = shared(options=options)
        directory = os.path.dirname(zygote.socket)
        shutil.copy(client.__file__, directory)
        done = subprocess.run(["/usr/bin/python3", "-Bc", CLAIM_FOR_ANOTHER, directory, zygote.socket], capture_output=True,
                              timeout=PATIENCE, **ALICE)
        assert answer in done.stdout.decode(), done
        zygote.stop()


@pytest.mark.skipif(KEYCTL is None, reason="THE NUMBER OF keyctl(2) IS NOT KNOWN HERE")
def test_a_user_s_script_does_not_have_root_s_keys(shared):
    if not os.path.exists("/proc/keys"):
        pytest.skip("NO KEYS IN THIS KERNEL")

    def take_a_key():
        libc.syscall(KEYCTL, 1, None)  # KEYCTL_JOIN_SESSION_KEYRING
        if libc.syscall(ADD_KEY, b"user", b"moonlet-of-root", b"secret", 6, -3) < 0:
            raise OSError(ctypes.get_errno(), "add_key")

    zygote = shared(preexec_fn=take_a_key)
    keys = "for line in io.lines('/proc/keys') do print(line) end"
    assert "moonlet-of-root" in say(zygote, keys, {})
    assert "moonlet-of-root" not in say(zygote, keys, ALICE)


def test_a_user_s_scripts_do_not_use_up_his_keys(shared):
    """Each has a keyring, and a user may usually have 200 of them."""
    zygote = shared()
    directory = os.path.dirname(zygote.socket)
    shutil.copy(client.__file__, directory)
    many = """
import os, socket, sys
sys.path.insert(0, sys.argv[1])
import client
reader, _ = os.pipe()
kept = []
for _ in range(210):
    kept.append(socket.socket(socket.AF_UNIX))
    kept[-1].connect(sys.argv[2])
    client.send(kept[-1], ['client', '-e', 'io.read()'], {}, {0: reader})
print({client.receive(connection)[0] for connection in kept})
"""
    done = subprocess.run(["/usr/bin/python3", "-Bc", many, directory, zygote.socket], capture_output=True, timeout=PATIENCE, **ALICE)
    assert done.stdout.decode() == f"{ {client.STARTED} }\n", done


def test_the_audit_trail_names_who_has_logged_in(shared):
    """A moonletd that an init system has started has no login uid; whoever has none may choose one."""

    def log_in():
        with open("/proc/self/loginuid", "w") as login:
            login.write("4711")

    try:
        subprocess.run(["true"], preexec_fn=log_in, check=True)
    except subprocess.SubprocessError:
        pytest.skip("NO AUDITING, OR WHO RUNS THE TESTS HAS LOGGED IN: no login uid can be set")
    script = """
io.write(io.open('/proc/self/loginuid'):read('a'))
local other = io.open('/proc/self/loginuid', 'w')
other:setvbuf('no')
print(other:write('4712'))
"""
    zygote = shared()
    become_alice = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    result = run("setpriv", [*become_alice, *BY_MOONLET.words, "-e", script], environment_for(zygote), preexec_fn=log_in)
    assert result.out.decode().startswith("4711") and "Operation not permitted" in result.out.decode(), result


def test_a_child_is_the_user_s_before_it_reads_a_byte(shared):
    """It waits for the rest of a request of which one byte has come."""
    zygote = shared(command=WITH_CAPABILITIES)
    connect = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.sendall(b'M')
sys.stdin.read()
"""
    with subprocess.Popen(["/usr/bin/python3", "-c", connect, zygote.socket], stdin=subprocess.PIPE, **ALICE) as user:
        status = waiting_child(zygote)
        for what in ("Uid:\t65534\t65534\t65534\t65534", "Gid:\t65534\t65534\t65534\t65534", "Groups:\t \n",
                     *(f"Cap{name}:\t0000000000000000" for name in ("Inh", "Prm", "Eff", "Amb"))):
            assert what in status, (what, status)
        user.stdin.close()


def waiting_child(zygote):
    """Status of the one child, once it sleeps and is not root's: for more of its request."""
    while True:
        for child in zygote.children():
            try:
                status = pathlib.Path(f"/proc/{child}/status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if "State:\tS" in status and "Uid:\t0" not in status:
                return status
        os.sched_yield()


SPY = """
local probe = require 'probe'
for _, pid in ipairs(arg) do
  for _, what in ipairs{'mem', 'environ', 'maps', 'fd/0', 'cwd/.', 'root/.', 'auxv', 'stack'} do
    local file = io.open('/proc/' .. pid .. '/' .. what)
    if file and file:read(0) then print('may read', pid, what) end
  end
  for _, signal in ipairs{1, 2, 9, 10, 15, 19, 23} do
    if probe.kill(tonumber(pid), signal) == 0 then print('may send', pid, signal) end
  end
  print('tried', pid)
end
"""


def test_a_user_s_script_does_nothing_to_another_s_nor_to_the_zygote(shared):
    """Nor does it read /proc/PID/mem, which takes what ptrace(2) takes. (SIGCONT it may send: all are in one session.)"""
    zygote = shared("-e", "warm = 'root has read this'")
    bob = subprocess.Popen([*BY_MOONLET.words, "-e", "print('here') io.stdout:flush() io.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           env=environment_for(zygote), **BOB)
    try:
        assert bob.stdout.readline() == b"here\n"
        targets = [str(pid) for pid in [zygote.pid, zygote.server, bob.pid, *zygote.children()]]
        assert len(targets) == 4
        script = os.path.join(os.path.dirname(zygote.socket), "spy.lua")
        pathlib.Path(script).write_text(SPY)
        result = run(BY_MOONLET, ["lua", script, *targets], environment_for(zygote), **ALICE)
        assert result.status == 0 and result.out.decode().splitlines() == [f"tried\t{pid}" for pid in targets], result
        assert say(zygote, "print(warm)", ALICE) == "root has read this\n"  # as the manual says
    finally:
        bob.communicate(timeout=PATIENCE)
    assert bob.returncode == 0


def test_root_is_told_what_other_users_can_read(shared, start_zygote):
    """Once, at the start, and only where others may connect."""
    assert shared().log().count("other users can read what the warm-up left in memory") == 1
    assert "other users" not in start_zygote().log()


def test_a_user_s_own_zygote_is_told_nothing(shared, open_directory):
    os.chown(open_directory, 65534, 65534)
    assert "other users" not in shared(user=65534, group=65534, extra_groups=[]).log()


def test_an_inherited_socket_for_others_counts_as_such(open_directory, start_zygote):
    """Its mode is that of its file, whoever made it."""
    for mode, warned in ((0o666, True), (0o620, True), (0o600, False)):
        path = str(open_directory / f"{mode:o}")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            os.chmod(path, mode)
            listener.listen()
            zygote = start_zygote(stdin=listener)
        assert ("other users can read" in zygote.log()) == warned


class Sleeper:
    """A script that runs until it is told to end."""

    def __init__(self, zygote, who):
        self.process = subprocess.Popen([*BY_MOONLET.words, "-e", "io.write('begun') io.stdout:flush() io.read()"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=environment_for(zygote), **who)

    def fileno(self):
        return self.process.stdout.fileno()  # there is something to read once it has begun

    def end(self):
        assert self.process.communicate(timeout=PATIENCE)[0] == b"begun"
        assert self.process.returncode == 0


def begun(sleepers, count):
    """Waits until `count` of them, whichever, have begun."""
    while len(ready := select.select(sleepers, [], [], PATIENCE)[0]) < count:
        assert ready, "none begins"
    return ready


@pytest.mark.parametrize("most, share", [(4, 2), (5, 3), (1, 1)])
def test_one_user_s_scripts_leave_room_for_others(shared, most, share):
    """As many run as he leaves free: half of --max, if there are no others. The rest waits, and each gets his turn."""
    zygote = shared(options=["--max", str(most)])
    waiting = [Sleeper(zygote, ALICE) for _ in range(most + 3)]
    running = begun(waiting, share)
    if most > 1:
        other = Sleeper(zygote, BOB)
        begun([other], 1)
        assert say(zygote, "print(1)", {}) == "1\n"  # root may have the last place
        other.end()
        assert begun(waiting, share) == running
    while waiting:
        for sleeper in begun(waiting, min(share, len(waiting))):
            sleeper.end()
            waiting.remove(sleeper)


def test_a_share_is_his_whose_scripts_run(shared):
    """One that has ended counts no more, and what still runs counts for its own user."""
    zygote = shared(options=["--max", "4"])
    alice = Sleeper(zygote, ALICE)
    begun([alice], 1)
    bob = Sleeper(zygote, BOB)
    begun([bob], 1)
    alice.end()
    assert say(zygote, "print(1)", {}) == "1\n"  # so that her end has been noticed
    waiting = [bob, *(Sleeper(zygote, BOB) for _ in range(3))]
    running = begun(waiting, 2)
    alice = Sleeper(zygote, ALICE)
    begun([alice], 1)
    assert say(zygote, "print(1)", {}) == "1\n" and begun(waiting, 2) == running
    alice.end()
    while waiting:
        for sleeper in begun(waiting, 1):
            sleeper.end()
            waiting.remove(sleeper)


def test_root_itself_may_run_as_many_as_there_are(shared):
    zygote = shared(options=["--max", "3"])
    sleepers = [Sleeper(zygote, {}) for _ in range(3)]
    for sleeper in begun(sleepers, 3):
        sleeper.end()
