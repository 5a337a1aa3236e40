"""docs/protocol.md is enough to write a client from: client.py is one."""

import os
import signal
import socket
import tempfile

import client
import pytest
from conftest import KEEPS_CONNECTION, SOURCE, environment, needs_pidfd


@pytest.fixture
def go(zygote):
    """go(code, ...) -> (status, output)"""
    def act(code, *arguments, fds=None, directory=".", env=None):
        with tempfile.TemporaryFile() as out, open("/dev/null") as null:
            status = client.launch(zygote.socket, ["client", "-e", code, *arguments],
                                   environment() if env is None else env, directory,
                                   {0: null.fileno(), 1: out.fileno(), 2: 2, **(fds or {})})
            out.seek(0)
            return status, out.read().decode()
    return act


def test_a_script_and_its_status(go):
    assert go("print('hello') os.exit(3)") == (3, "hello\n")
    assert go("require('probe').kill(require('probe').pid(), 15)") == (-signal.SIGTERM, "")


def test_a_client_that_does_not_ask_for_signals_gets_none(go):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGURG])
    try:
        assert go("os.exit(3)") == (3, "")
        assert signal.SIGURG not in signal.sigpending()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_arguments_environment_and_directory(go, tmp_path):
    script = tmp_path / "s.lua"
    script.write_text("print(arg[0], os.getenv('A'), ...) print(io.open('s.lua') ~= nil)")
    shown = go("", "s.lua", "an argument", directory=tmp_path, env=environment(A="1"))
    assert shown == (0, "s.lua\t1\tan argument\ntrue\n")


def test_descriptors(go, tmp_path):
    (tmp_path / "in").write_text("from a file\n")
    with open(tmp_path / "in") as file:
        list_them = "io.write((require('probe').fds():gsub('[^\\n]*tmp/#[^\\n]*', '1 out')))"
        status, out = go("print(require('probe').read(9))", fds={9: file.fileno()})
        assert (status, out) == (0, "from a file\n\n")
        many = {number: file.fileno() for number in range(3, 600)}
        status, out = go(list_them, fds=many)
        assert status == 0 and len(out.splitlines()) == 600 + KEEPS_CONNECTION


def test_a_request_that_is_declined(zygote, go):
    with pytest.raises(client.Declined, match="more than exec takes"):
        client.launch(zygote.socket, ["client", "-e", "", "x" * (1 << 17)], environment())
    with pytest.raises(client.Declined, match="working directory"):
        with open("/dev/null") as null:
            fixed, variable = client.request(["client", "-e", ""], [], {0: 0})
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(zygote.socket)
                socket.send_fds(connection, [fixed], [0, null.fileno()])
                connection.sendall(variable)
                kind, length = client.receive(connection)
                assert kind == client.DECLINED
                raise client.Declined(connection.recv(length).decode())


@needs_pidfd
def test_the_pidfd_that_comes_with_the_start(zygote):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(zygote.socket)
        client.send(connection, ["client", "-e", "require('probe').pause()"], environment(), {}, "/")
        kind, pid, pidfd = client.receive(connection)
        assert kind == client.STARTED and os.path.exists(f"/proc/{pid}")
        signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
        assert client.receive(connection) == (client.STOPPED, signal.SIGSTOP)
        signal.pidfd_send_signal(pidfd, signal.SIGCONT)
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        assert client.receive(connection) == (client.KILLED, signal.SIGTERM)
        os.close(pidfd)


def test_the_document_names_what_the_source_has():
    """Numbers in docs/protocol.md and in the header that both programs are built from."""
    with open(os.path.join(SOURCE, "docs", "protocol.md")) as text:
        document = text.read()
    for number in (str(client.REQUEST.size), "0x4e4f4f4d", str(client.PER_MESSAGE), "4096", "512"):
        assert number in document, number
    assert client.REQUEST.size == 352
