"""On Linux 4.14: what it lacks is done without. (CMakeLists.txt runs other suites there as well.)"""

import os
import signal
import socket
import subprocess
import sys

import client
import pytest
from conftest import PATIENCE, SERVED, Command, Result, environment, on_kernel, run

OLD_MOONLET, OLD_MOONLETD = Command(on_kernel("4.14", "moonletctl"), "run"), on_kernel("4.14", "moonletd")

# The numbers are those of every architecture but MIPS.
ASKS = """
import ctypes, errno, mmap, os
libc = ctypes.CDLL(None, use_errno=True)
def ask(name, call, *arguments):
    print(name, "works" if call(*arguments) >= 0 else errno.errorcode[ctypes.get_errno()])
page = mmap.mmap(-1, mmap.PAGESIZE)
at = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(page)))
ask("pidfd_send_signal", libc.syscall, 424, 0, 0, None, 0)
ask("pidfd_open", libc.syscall, 434, os.getpid(), 0)
ask("clone3", libc.syscall, 435, None, 0)
ask("close_range", libc.syscall, 436, 100, 101, 0)
ask("MADV_POPULATE_WRITE", libc.madvise, at, ctypes.c_size_t(mmap.PAGESIZE), 23)
ask("MADV_COLLAPSE", libc.madvise, at, ctypes.c_size_t(mmap.PAGESIZE), 25)
ask("MADV_DONTNEED", libc.madvise, at, ctypes.c_size_t(mmap.PAGESIZE), 4)
"""


@pytest.mark.parametrize("program", [OLD_MOONLET, OLD_MOONLETD])
def test_the_old_kernel_of_the_tests_lacks_what_it_lacked(tmp_path, start_zygote, program):
    """What the programs become or start has the same kernel."""
    (tmp_path / "asks.py").write_text(ASKS)
    ask = [sys.executable, str(tmp_path / "asks.py")]
    if program == OLD_MOONLET:
        answers = run(program, ask, environment(MOONLET_SOCKET="/nonexistent", MOONLET_FALLBACK=ask[0]))
    else:
        zygote = start_zygote(command=(program,))
        answers = run(SERVED, ["lua", "-e", "os.execute(os.getenv('ASK'))"],
                      environment(ASK=" ".join(ask), MOONLET_SOCKET=zygote.socket))
    assert answers == Result(0, b"pidfd_send_signal ENOSYS\npidfd_open ENOSYS\nclone3 ENOSYS\nclose_range ENOSYS\n"
                             b"MADV_POPULATE_WRITE EINVAL\nMADV_COLLAPSE EINVAL\nMADV_DONTNEED works\n", b"")


def test_what_a_script_puts_in_the_connection_s_place_is_its_own(start_zygote):
    """It may close every descriptor: moonletd writes nothing to the socket that has the number next."""
    zygote = start_zygote(command=(OLD_MOONLETD,))
    text = """
        local probe = require 'probe'
        local number = tonumber(probe.fds():match('(%d+)c socket'))
        probe.close(number)
        repeat local copy = probe.dup(0) until copy == number
        os.exit(5)
    """
    theirs, ours = socket.socketpair()
    with theirs:
        result = run(OLD_MOONLET, ["lua", "-e", text], environment(MOONLET_SOCKET=zygote.socket), stdin=theirs)
    assert result == Result(5, b"", b"")
    with ours:
        assert ours.recv(100) == b""


@pytest.mark.parametrize("ends", ["probe.close(number) io.read()", "probe.exec('/bin/cat')"])
def test_a_script_without_the_connection_is_lost_with_its_zygote(start_zygote, launch, ends):
    """A limit of old kernels: the client can watch it no more, and says so."""
    zygote = start_zygote(command=(OLD_MOONLETD,))
    running = launch(OLD_MOONLET, environment(MOONLET_SOCKET=zygote.socket), """
        local probe = require 'probe'
        local number = tonumber(probe.fds():match('(%d+)c socket'))
        print(probe.pid()) io.flush()
        io.read() """ + ends)
    running.hear()
    running.say("")
    os.kill(zygote.server, signal.SIGKILL)
    result = running.process.wait(PATIENCE)
    assert result == 125 and b"moonletd is gone" in running.process.stderr.readline()


@pytest.fixture
def connection_of(tmp_path):
    """connection_of(moonlet, ...): starts a client of this test's own, and returns it with the zygote's end."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(1)

        def start(program, **options):
            process = subprocess.Popen([*program.words, "-e", ""], env=environment(MOONLET_SOCKET=str(tmp_path / "s")), **options)
            connection, _ = listener.accept()
            return process, connection

        yield start


def test_a_signal_finds_no_other_process_under_the_number_of_a_script(connection_of):
    """A client is stopped when its script ends: what reaches it then is not for who has the number now."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0) as stranger:
        held, passed = os.pipe()
        process, connection = connection_of(OLD_MOONLET, pass_fds=(passed,))
        os.close(passed)
        with connection:
            connection.recv(1 << 20)
            connection.sendall(client.REPORT.pack(client.STARTED, stranger.pid))
            # What came with the request is closed with `connection`'s own copies, and by the client at the start.
            assert os.read(held, 1) == b""
            os.close(held)
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            connection.sendall(client.REPORT.pack(client.EXITED, 3))
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        assert process.wait(PATIENCE) == 3
        assert stranger.communicate(b"lives", timeout=PATIENCE)[0] == b"lives"
        assert stranger.returncode == 0


def test_without_a_pidfd_the_connection_shows_that_the_script_lives(start_zygote):
    """Also when the zygote is gone: it ends when the script does, not before."""
    zygote = start_zygote(command=(OLD_MOONLETD,))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(zygote.socket)
        client.send(connection, ["client", "-e", "require('probe').pause()"], environment(), {}, "/")
        kind, pid, *pidfd = client.receive(connection)
        assert kind == client.STARTED and not pidfd
        os.kill(zygote.server, signal.SIGKILL)
        zygote.process.wait()
        with pytest.raises(BlockingIOError):
            connection.recv(1, socket.MSG_DONTWAIT)
        os.kill(pid, signal.SIGKILL)
        connection.settimeout(PATIENCE)
        assert connection.recv(1) == b""
