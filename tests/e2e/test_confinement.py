"""A client that is confined more than moonletd gets no script outside of its box: it runs lua in there."""

import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess

import client
import pytest
from conftest import BY_MOONLET, MOONLETCTL, MOONLETD, ON_OLD_KERNEL, PATIENCE, environment, needs_root, run

pytestmark = pytest.mark.skipif(bool(ON_OLD_KERNEL), reason="ITS STAND-IN IS CONFINED: on this kernel only")

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2
SAY = ["-e", "print('ran')"]


def call(name, *arguments):
    if (result := getattr(libc, name)(*arguments)) < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def filter_system_calls():
    """A seccomp filter that allows everything."""
    code = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0x7fff0000))  # return SECCOMP_RET_ALLOW
    program = struct.pack("@HP", 1, ctypes.addressof(code))
    call("prctl", PR_SET_SECCOMP, FILTER, program, 0, 0)


def no_new_privileges():
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def landlock():
    """Forbids to make devices: as a user without privileges may, who must give up new ones first."""
    no_new_privileges()
    ruleset = call("syscall", 444, ctypes.byref(ctypes.c_uint64(1 << 6)), 8, 0)
    call("syscall", 446, ruleset, 0)


def allowed(*command, **options):
    return subprocess.run([*command, "true"], capture_output=True, cwd="/", **options).returncode == 0


@pytest.fixture
def careful(start_zygote):
    """A zygote that looks at its clients, whoever it is."""
    return start_zygote(options=["--compare-clients", "1"])


def declines(zygote, difference, *box, **options):
    """In the box moonlet is declined because of `difference`; without MOONLET_FALLBACK it runs lua in there."""
    env = environment(MOONLET_SOCKET=zygote.socket)
    result = run((*box, *BY_MOONLET.words)[0], [*box, *BY_MOONLET.words, *SAY], env, **options)
    assert result.status == 125 and f"the client is confined (proc(5): {difference}".encode() in result.err, result
    del env["MOONLET_FALLBACK"]
    assert run((*box, *BY_MOONLET.words)[0], [*box, *BY_MOONLET.words, *SAY], env, **options).out == b"ran\n"


def serves(zygote, *box, **options):
    result = run((*box, *BY_MOONLET.words)[0], [*box, *BY_MOONLET.words, *SAY], environment(MOONLET_SOCKET=zygote.socket), **options)
    assert result.out == b"ran\n", result


def test_who_is_confined_does_not_get_the_image_with_the_status(careful):
    """It would hold what the warm-up has left in memory: for who can run scripts in it anyway."""
    if not allowed("unshare", "--uts"):
        pytest.skip("NAMESPACES ARE NOT ALLOWED HERE: run it as root to have this tested")
    sizes = []
    for box in ([], ["unshare", "--uts"]):
        command = [*box, MOONLETCTL, "--socket", careful.socket, "--status=json"]
        sizes.append(json.loads(run(command[0], command, environment()).out)["image_bytes"])
    assert sizes[0] > 0 and sizes[1] is None


@pytest.mark.parametrize("kind", ["mount", "net", "ipc", "uts", "cgroup"])
def test_a_client_in_another_namespace(careful, kind):
    box = ["unshare", f"--{kind}"]
    if not allowed(*box):
        pytest.skip("NAMESPACES ARE NOT ALLOWED HERE: run it as root to have this tested")
    declines(careful, {"mount": "ns/mnt"}.get(kind, f"ns/{kind}"), *box)


def test_a_client_in_another_user_namespace(careful):
    if not allowed("unshare", "--user"):
        pytest.skip("USER NAMESPACES ARE NOT ALLOWED HERE")
    declines(careful, "ns/user", "unshare", "--user", "--map-current-user")


def test_a_client_in_another_pid_namespace(careful):
    box = ["unshare", "--pid", "--fork"]
    if not allowed(*box):
        pytest.skip("NAMESPACES ARE NOT ALLOWED HERE: run it as root to have this tested")
    declines(careful, "ns/pid", *box)


@needs_root
@pytest.mark.parametrize("kind", ["another directory", "another mount of the same directory"])
def test_a_client_in_a_chroot(start_zygote, open_directory, kind):
    """The latter has the device and the inode of the root directory, and perhaps nothing else of it (Linux 5.8)."""
    if not allowed("unshare", "--mount"):
        pytest.skip("NAMESPACES ARE NOT ALLOWED HERE")
    jail, shared = open_directory / "jail", open_directory / "shared"
    jail.mkdir()
    shared.mkdir()
    prepare = f"""
        [ "{kind}" = "another directory" ] || mount --rbind / {jail}
        mkdir -p {jail}/proc {jail}{shared}
        mount -t proc proc {jail}/proc
        mount --bind {shared} {jail}{shared}
        exec "$@"
    """
    zygote = start_zygote(options=["--socket", str(shared / "s")], command=["unshare", "--mount", "sh", "-euc", prepare, "sh", MOONLETD])
    inside = ["nsenter", f"--target={zygote.pid}", "--mount"]
    shutil.copy(MOONLETCTL, shared)
    env = environment(MOONLET_SOCKET=str(shared / "s"))
    program = [str(shared / "moonletctl"), "run"]
    assert run("nsenter", [*inside, *program, *SAY], env).out == b"ran\n", zygote.log()
    result = run("nsenter", [*inside, "chroot", str(jail), *program, *SAY], env)
    assert result.status == 125 and b"(proc(5): root)" in result.err, result


def test_a_client_without_new_privileges(careful):
    declines(careful, "NoNewPrivs:", "setpriv", "--no-new-privs")


@pytest.mark.parametrize("name", ["NoNewPrivs:", "\nNoNewPrivs:\t0"])
def test_a_client_whose_name_looks_like_what_is_compared(careful, open_directory, name):
    """The process chose it itself, and it comes first in /proc/PID/status."""
    shutil.copy(MOONLETCTL, open_directory / name)
    result = run("setpriv", ["setpriv", "--no-new-privs", open_directory / name, "run", *SAY], environment(MOONLET_SOCKET=careful.socket))
    assert result.status == 125 and b"the client is confined (proc(5): NoNewPrivs:" in result.err, result


def test_a_client_under_landlock(careful):
    """That cannot be seen; but who has not CAP_SYS_ADMIN must have given up new privileges for it."""
    if libc.syscall(444, 0, 0, 1) < 0:
        pytest.skip("NO LANDLOCK IN THIS KERNEL")
    declines(careful, "NoNewPrivs:", preexec_fn=landlock)


@needs_root
def test_a_client_whose_system_calls_are_filtered(careful):
    """As root, because others must give up new privileges for it."""
    declines(careful, "Seccomp", preexec_fn=filter_system_calls)


@needs_root
def test_a_client_under_one_more_filter_than_the_zygote(start_zygote):
    zygote = start_zygote(preexec_fn=filter_system_calls)
    serves(zygote, preexec_fn=filter_system_calls)
    declines(zygote, "Seccomp_filters:", preexec_fn=lambda: [filter_system_calls() for _ in range(2)])
    more = start_zygote(preexec_fn=lambda: [filter_system_calls() for _ in range(2)])
    declines(more, "Seccomp_filters:", preexec_fn=filter_system_calls)  # which may be none of the two


@needs_root
def test_a_client_with_a_smaller_bounding_set(careful):
    declines(careful, "CapBnd:", "setpriv", "--bounding-set", "-net_raw")


@needs_root
def test_another_user_with_a_smaller_bounding_set(start_zygote, open_directory):
    zygote = start_zygote(options=["--socket", str(open_directory / "s"), "--mode", "0666"])
    zygote.socket = str(open_directory / "s")
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    serves(zygote, *user, cwd="/")
    declines(zygote, "CapBnd:", *user, "--bounding-set", "-net_raw", cwd="/")


@needs_root
def test_a_root_that_has_no_capabilities(careful):
    """With the securebit that takes them at each exec (what systemd calls SecureBits=noroot)."""
    declines(careful, "CapPrm:", "setpriv", "--securebits=+noroot", "--inh-caps=-all")


@needs_root
def test_a_zygote_that_has_a_capability_and_a_client_that_has_none(start_zygote, open_directory):
    """A user's own zygote looks too, where it was given more than its user has."""
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    os.chown(open_directory, 65534, 65534)
    more = [*user, "--inh-caps=+net_raw", "--ambient-caps=+net_raw"]
    zygote = start_zygote(options=["--socket", str(open_directory / "s")], command=[*more, MOONLETD])
    zygote.socket = str(open_directory / "s")
    declines(zygote, "CapPrm:", *user, cwd="/")
    serves(zygote, *more, cwd="/")


def test_a_client_that_has_more_than_the_zygote(start_zygote):
    """Scripts are confined as moonletd is: docs/deployment.md."""
    zygote = start_zygote(options=["--compare-clients", "1"], command=["setpriv", "--no-new-privs", MOONLETD])
    serves(zygote)
    serves(zygote, "setpriv", "--no-new-privs")


def test_client_and_zygote_in_one_box(tmp_path):
    box = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--fork",
           "--mount-proc", "--kill-child"]
    if not allowed(*box):
        pytest.skip("NAMESPACES ARE NOT ALLOWED HERE")
    script = """
        mkfifo ready
        "$1" --ready-fd 3 --compare-clients 1 3>ready &
        read served <ready
        "$2" run -e "print('ran')"
        kill $!
        wait $!
    """
    result = run("unshare", [*box, "setpriv", "--no-new-privs", "sh", "-eu", "-c", script, "sh", MOONLETD, MOONLETCTL],
                 environment(MOONLET_SOCKET=str(tmp_path / "s")), cwd=tmp_path)
    assert (result.status, result.out) == (0, b"ran\n"), result


def test_who_is_compared_unless_told(start_zygote, tmp_path):
    """Clients of root's zygote; not those of a user's own, which would pay for it at each launch."""
    zygote = start_zygote()
    confined = ["setpriv", "--no-new-privs"]
    if os.geteuid() == 0:
        declines(zygote, "NoNewPrivs:", *confined)
        zygote = start_zygote(options=["--compare-clients=0"])
    serves(zygote, *confined)


def first_answer(connection):
    """The answer to a request, which moonletd does not read to its end."""
    try:
        client.send(connection, ["client", *SAY], {}, {})
    except BrokenPipeError:
        pass
    return client.receive(connection)[:2]


def connected_by_another(connection, zygote):
    """Connects, from a process that has ended afterwards, and returns the number that it had."""
    connection.settimeout(PATIENCE)
    connecting = os.fork()
    if connecting == 0:
        connection.connect(zygote.socket)
        os._exit(0)
    assert os.waitpid(connecting, 0)[1] == 0
    return connecting


def test_a_client_that_leaves_its_number_to_another(careful):
    """What is looked at is the process that connected. This one has gone, and an innocent one has its number."""
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 5):
        pytest.skip("BEFORE LINUX 6.5 THE KERNEL DOES NOT TELL")
    if os.geteuid() != 0:
        pytest.skip("NEEDS ROOT: who else may choose a process' number")
    with socket.socket(socket.AF_UNIX) as connection:
        connecting = connected_by_another(connection, careful)
        number = ctypes.c_int(connecting)
        arguments = struct.pack("=11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(number), 1, 0)
        innocent = libc.syscall(435, arguments, len(arguments))  # clone3(2) with set_tid
        if innocent == 0:
            signal.pause()
        if innocent < 0:
            pytest.skip("THE KERNEL GIVES NO NUMBER OF ONE'S CHOICE: " + os.strerror(ctypes.get_errno()))
        try:
            assert innocent == connecting
            kind, length = first_answer(connection)
            assert kind == client.DECLINED and b"not readable" in connection.recv(length)
        finally:
            os.kill(innocent, signal.SIGKILL)
            os.waitpid(innocent, 0)


def test_a_client_that_has_gone_is_no_client(careful):
    """Its request alone, in the hands of another process, starts nothing."""
    with socket.socket(socket.AF_UNIX) as connection:
        connected_by_another(connection, careful)
        assert first_answer(connection)[0] == client.DECLINED


@needs_root
@pytest.mark.skipif(shutil.which("su") is None, reason="NO SET-USER-ID PROGRAM: su is not installed")
def test_a_client_that_becomes_a_set_user_id_program(start_zygote, open_directory):
    """It has all that moonletd has then, but it is another program that has sent the request. Only root may look at it."""
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    os.chown(open_directory, 65534, 65534)
    zygote = start_zygote(options=["--socket", str(open_directory / "s")],
                          command=[*user, "--inh-caps=+net_raw", "--ambient-caps=+net_raw", MOONLETD])
    reader, writer = os.pipe()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        becoming = os.fork()
        if becoming == 0:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            connection.connect(str(open_directory / "s"))
            os.dup2(reader, 0)
            os.execvp("su", ["su"])
        try:
            while pathlib.Path(f"/proc/{becoming}/comm").read_text() != "su\n":
                os.sched_yield()
            assert "CapPrm:\t0000000000000000" not in pathlib.Path(f"/proc/{becoming}/status").read_text()
            kind, length = first_answer(connection)
            assert kind == client.DECLINED and b"not readable" in connection.recv(length), zygote.log()
        finally:
            os.kill(becoming, signal.SIGKILL)
            os.waitpid(becoming, 0)
            os.close(reader)
            os.close(writer)


@needs_root
def test_many_groups_hide_nothing(start_zygote, open_directory):
    """Their list comes before what is compared in /proc/PID/status: what does not fit is not trusted."""
    zygote = start_zygote(options=["--socket", str(open_directory / "s"), "--mode", "0666"])
    zygote.socket = str(open_directory / "s")
    for count in range(1000, 4000, 250):
        who = dict(user=65534, group=65534, extra_groups=list(range(1 << 30, (1 << 30) + count)), cwd="/")
        result = run("setpriv", ["setpriv", "--no-new-privs", *BY_MOONLET.words, *SAY], environment(MOONLET_SOCKET=zygote.socket), **who)
        assert result.status == 125 and b"confined" in result.err, (count, result)
