"""A client of moonletd in Python, written from docs/protocol.md alone: launch(socket, argv...) -> exit status."""

import array
import os
import resource
import signal
import socket
import struct

REQUEST = struct.Struct("=IHHIIIIIIIIii16s16s16s32Q")
REPORT = struct.Struct("=Ii")
STARTED, DECLINED, EXITED, KILLED, STOPPED = range(1, 6)
PER_MESSAGE = 250


class Declined(Exception):
    """Nothing has run; the text says why."""


def signal_set(numbers):
    bits = sum(1 << (number - 1) for number in numbers)
    return bits.to_bytes(16, "little")


def request(argv, env, fds, lua=0, flags=0):
    """The bytes of a request; fds: {number in the script: descriptor here}; lua: which one, or any."""
    strings = [os.fsencode(text) + b"\0" for text in argv] + [os.fsencode(text) + b"\0" for text in env]
    mask = os.umask(0)
    os.umask(mask)
    ignored = [n for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN]
    limits = [value & (1 << 64) - 1 for kind in range(16) for value in resource.getrlimit(kind)]
    fixed = REQUEST.pack(0x4e4f4f4d, 1, REQUEST.size, len(argv), len(env), len(fds), sum(map(len, strings)), lua, flags, 0,
                         mask, os.nice(0), os.getpid(), b"client.py", signal_set(ignored), signal_set([]), *limits)
    variable = struct.pack(f"={len(strings)}I{len(fds)}i", *map(len, strings), *sorted(fds)) + b"".join(strings)
    return fixed, variable


def receive(connection):
    """One report, and the pidfd that came with it, if any."""
    data, ancillary, _, _ = connection.recvmsg(REPORT.size, socket.CMSG_SPACE(4))
    if len(data) < REPORT.size:
        raise EOFError("the connection has ended")
    pidfds = [array.array("i", content)[0] for level, kind, content in ancillary if kind == socket.SCM_RIGHTS]
    return (*REPORT.unpack(data), *pidfds)


def send(connection, argv, env, fds, directory=".", **fields):
    """A whole request; env: a dictionary, fds and fields: as request() takes them."""
    fixed, variable = request(argv, [f"{name}={value}" for name, value in env.items()], fds, **fields)
    passed = [fds[number] for number in sorted(fds)] + [os.open(directory, os.O_PATH | os.O_DIRECTORY)]
    for start in range(0, len(passed), PER_MESSAGE):
        socket.send_fds(connection, [fixed if start == 0 else b"\0"], passed[start:start + PER_MESSAGE])
    connection.sendall(variable)
    os.close(passed[-1])


def launch(path, argv, env=None, directory=".", fds=None):
    """Runs argv[1:] as lua would, and returns its exit status, or minus the signal that ended it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        send(connection, argv, os.environ if env is None else env, {0: 0, 1: 1, 2: 2} if fds is None else fds, directory)
        while True:
            kind, value, *pidfd = receive(connection)
            if kind == DECLINED:
                raise Declined(connection.recv(value, socket.MSG_WAITALL).decode())
            for descriptor in pidfd:
                os.close(descriptor)  # to send signals to: signal.pidfd_send_signal
            if kind in (EXITED, KILLED):
                return value if kind == EXITED else -value
