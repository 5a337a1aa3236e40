"""Processes whose every system call is seen, and may be made the last, the last for a while, or to fail: ptrace(2).

A Tracer starts programs in roles, and follows what these fork. `arm` names one call of one role, and what befalls it
there; `run` lets all go on until nothing moves any more. It judges nothing."""

import collections
import ctypes
import errno
import os
import platform
import re
import signal
import struct
import subprocess
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long

POKEUSER, CONT, SYSCALL, GETREGSET, SETREGSET = 6, 7, 24, 0x4204, 0x4205
SEIZE, GETEVENTMSG, LISTEN, GET_SYSCALL_INFO = 0x4206, 0x4201, 0x4208, 0x420E
EVENT_FORK, EVENT_VFORK, EVENT_CLONE, EVENT_EXEC, EVENT_STOP = 1, 2, 3, 4, 128
# TRACESYSGOOD, the four events, EXITKILL: nothing outlives who traces it.
OPTIONS = 1 | 1 << EVENT_FORK | 1 << EVENT_VFORK | 1 << EVENT_CLONE | 1 << EVENT_EXEC | 1 << 20
STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
WALL = 0x40000000
PATIENCE = 15  # seconds without an end
MACHINE = platform.machine()
X86_ORIG_RAX, X86_RAX, X86_RDI = 15 * 8, 10 * 8, 14 * 8
ARM_PRSTATUS, ARM_SYSTEM_CALL = 1, 0x404
KILL, FREEZE, FREEZE_AND_KILL, FAIL = "kill", "freeze", "freeze, then kill", "fail"


def _names():
    """Names of the system calls of this machine, by number."""
    told = subprocess.run(["cc", "-E", "-dM", "-x", "c", "-include", "asm/unistd.h", "/dev/null"],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    return {int(number): name for name, number in re.findall(r"^#define __NR_(\w+) (\d+)$", told, re.M)}


NAMES = _names()
# Calls that wait without a time limit, by their arguments. (A wait4 that does not wait looks asleep for a moment.)
WAITS_FOREVER = {"poll": lambda a: a[2] & 0xffffffff == 0xffffffff, "ppoll": lambda a: a[2] == 0,
                 "restart_syscall": lambda a: a[2] & 0xffffffff == 0xffffffff,  # poll, which a stop has interrupted
                 "recvmsg": lambda a: True, "read": lambda a: True, "wait4": lambda a: a[2] & os.WNOHANG == 0}


def ptrace(request, pid, address=0, data=0):
    result = libc.ptrace(request, pid, address, data)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), f"ptrace {request}")
    return result


class Stuck(Exception):
    """Something goes on and on."""


class Fault:
    """What befalls call number `nth` of that name by that role: KILL..., or FAIL with an errno."""

    def __init__(self, role, name, nth, kind, error=0):
        self.role, self.name, self.nth, self.kind, self.error = role, name, nth, kind, error
        self.happened = False
        self.cannot_happen = False
        self.victim = 0  # the process
        self.has_killed = False

    def __str__(self):
        how = errno.errorcode[self.error] if self.kind == FAIL else self.kind
        return f"{self.role}: {self.name} {self.nth}: {how}"


class Process:
    def __init__(self, pid, role, execs):
        self.pid, self.role = pid, role
        self.execs = execs  # to come, until its calls count
        self.call = None  # (name, arguments) of the one that it is in
        self.error = 0    # which that shall end with
        self.is_stopped = False
        self.history = collections.deque(maxlen=12)  # its last calls
        self.left_group = False   # setpgid: it has become a script
        self.status = None        # as waitpid's


class Tracer:
    def __init__(self):
        self.processes = {}  # that live, by pid
        self.ended = []
        self.early = set()   # stopped before their parent's fork was heard of
        self.fault = None
        self.counts = {}     # calls since arm(), by (role, name)
        self.role_of_fork = lambda parent: parent.role
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})

    def start(self, role, argv, env, stdin, output, execs=1):
        """Starts argv[0] as `role`; stdout and stderr are `output`. Its calls are seen from exec number `execs` on."""
        gate, opener = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(opener)
                os.read(gate, 1)
                os.close(gate)
                for number in (signal.SIGPIPE, signal.SIGXFSZ):
                    signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, ())
                for wanted, descriptor in enumerate((stdin, output, output)):
                    os.dup2(descriptor, wanted)
                os.execve(argv[0], argv, env)
            finally:
                os._exit(126)
        os.close(gate)
        ptrace(SEIZE, pid, 0, OPTIONS)
        self.processes[pid] = Process(pid, role, execs)
        os.close(opener)
        return self.processes[pid]

    def arm(self, fault=None):
        self.fault = fault
        self.counts = {}
        self.ended = []

    def run(self):
        """Until nothing moves: each process waits, without a time limit, or is stopped, or has ended."""
        deadline = time.monotonic() + PATIENCE
        while self.processes:
            pid, status = os.waitpid(-1, os.WNOHANG | WALL)
            if pid != 0:
                self._take(pid, status)
            elif not signal.sigtimedwait({signal.SIGCHLD}, 0.0005):
                if self._is_still():
                    return
                if time.monotonic() > deadline:
                    raise Stuck(self.describe())

    def thaw(self):
        """Continues or kills what was frozen. False if nothing was."""
        victim = self.processes.get(self.fault.victim) if self.fault and self.fault.kind == FREEZE_AND_KILL else None
        stopped = [it for it in self.processes.values() if it.is_stopped]
        # A client that has stopped with its script continues it.
        stopped.sort(key=lambda it: (it is not victim, "client" not in it.role))
        if not stopped:
            return False
        if victim is not None and stopped[0] is victim:
            self.fault.has_killed = True
        os.kill(stopped[0].pid, signal.SIGKILL if stopped[0] is victim else signal.SIGCONT)
        stopped[0].is_stopped = False
        return True

    def describe(self):
        """What each process does, and did."""
        def one(process):
            now = "is stopped" if process.is_stopped else f"in {process.call}" if process.call else "runs"
            return f"{process.role} {process.pid} {now} after {' '.join(process.history)}"
        return "; ".join(map(one, self.processes.values())) or "no process"

    def end(self):
        for pid in list(self.processes):
            os.kill(pid, signal.SIGKILL)
        while self.processes:
            self._take(*os.waitpid(-1, WALL))

    # Two looks: whom one has just woken is not asleep at the second, and cannot be again until it is let go on.
    def _is_still(self):
        return all(all(map(self._waits, self.processes.values())) for _ in (1, 2))

    def _waits(self, process):
        if process.is_stopped:
            return True
        if process.call is None:
            return False
        name, arguments = process.call
        # The keeper of the image has time limits, and nobody waits for it.
        if not (process.role == "keeper" and name in ("poll", "ppoll") or WAITS_FOREVER.get(name, lambda _: False)(arguments)):
            return False
        with open(f"/proc/{process.pid}/stat", "rb") as stat:
            return stat.read().rpartition(b") ")[2][:1] == b"S"

    def _take(self, pid, status):
        process = self.processes.get(pid)
        if process is None:
            if os.WIFSTOPPED(status):
                self.early.add(pid)
            return
        if not os.WIFSTOPPED(status):
            process.status = os.waitstatus_to_exitcode(status)
            del self.processes[pid]
            self.ended.append(process)
            return
        number, event = os.WSTOPSIG(status), status >> 16
        deliver = 0
        try:
            if number == signal.SIGTRAP | 0x80:
                self._system_call(process)
            elif event in (EVENT_FORK, EVENT_VFORK, EVENT_CLONE):
                self._forked(process)
            elif event == EVENT_EXEC:
                process.execs -= 1
                process.call = ("execve", ())
            elif event == EVENT_STOP:
                process.is_stopped = number in STOPS
            elif event == 0:
                deliver = number
            if process.is_stopped:
                ptrace(LISTEN, pid)
            else:
                ptrace(SYSCALL if process.execs <= 0 else CONT, pid, 0, deliver)
        except OSError as gone:  # killed meanwhile: its end is heard next
            if gone.errno != errno.ESRCH:
                raise

    def _forked(self, parent):
        message = ctypes.c_ulong()
        ptrace(GETEVENTMSG, parent.pid, 0, ctypes.addressof(message))
        pid = message.value
        self.processes[pid] = Process(pid, self.role_of_fork(parent), 0)
        if pid in self.early:
            self.early.remove(pid)
            ptrace(SYSCALL, pid)

    def _system_call(self, process):
        info = (ctypes.c_uint64 * 11)()
        ptrace(GET_SYSCALL_INFO, process.pid, ctypes.sizeof(info), ctypes.addressof(info))
        kind = info[0] & 0xff
        if kind == 1:
            self._enter(process, NAMES.get(info[3], str(info[3])), tuple(info[4:10]))
        elif kind == 2:
            self._leave(process, struct.unpack("q", bytes(info)[24:32])[0])

    def _enter(self, process, name, arguments):
        process.call = (name, arguments)
        process.history.append(name)
        key = (process.role, name)
        nth = self.counts[key] = self.counts.get(key, 0) + 1
        fault = self.fault
        if fault is None or fault.happened or key != (fault.role, fault.name) or nth != fault.nth:
            return
        if fault.kind == FAIL and name in CANNOT_FAIL and CANNOT_FAIL[name](process, arguments):
            fault.cannot_happen = True
            return
        fault.happened = True
        fault.victim = process.pid
        if fault.kind == KILL:
            os.kill(process.pid, signal.SIGKILL)
            fault.has_killed = True
        elif fault.kind == FAIL:
            self._fail(process, name, fault.error)
        else:
            os.kill(process.pid, signal.SIGSTOP)

    def _leave(self, process, result):
        name = process.call[0] if process.call else ""
        process.call = None
        if process.error != 0:
            result = -process.error
            process.error = 0
            self._set_register(process, X86_RAX, result)
        if result == 0 and name == "setpgid":
            process.left_group = True

    def _fail(self, process, name, error):
        if name == "brk":  # the kernel's own fails by changing nothing
            self._set_register(process, X86_RDI, 0)
            return
        process.error = error
        if name == "close":  # which closes in any case
            return
        if MACHINE == "x86_64":
            ptrace(POKEUSER, process.pid, X86_ORIG_RAX, -1)
        else:
            self._regset(process, ARM_SYSTEM_CALL, SETREGSET, (ctypes.c_int * 1)(-1))

    def _set_register(self, process, x86, value):
        """On x86-64 that one; on ARM the one that is both result and first argument."""
        if MACHINE == "x86_64":
            ptrace(POKEUSER, process.pid, x86, value)
        else:
            registers = (ctypes.c_int64 * 34)()
            self._regset(process, ARM_PRSTATUS, GETREGSET, registers)
            registers[0] = value
            self._regset(process, ARM_PRSTATUS, SETREGSET, registers)

    @staticmethod
    def _regset(process, which, request, registers):
        vector = (ctypes.c_void_p * 2)(ctypes.addressof(registers), ctypes.sizeof(registers))
        ptrace(request, process.pid, which, ctypes.addressof(vector))


# What the manual page of each call lists, as far as it can come of how things stand and not of a mistake. EPIPE at a
# socket and ECONNRESET are left out: they say that the peer is gone, which kills see to.
ERRORS = {
    "accept4": "EAGAIN ECONNABORTED EINTR EMFILE ENFILE ENOBUFS ENOMEM EPERM EPROTO",
    "brk": "ENOMEM",
    "clone": "EAGAIN ENOMEM", "clone3": "EAGAIN ENOMEM", "fork": "EAGAIN ENOMEM",
    "close": "EINTR EIO ENOSPC EDQUOT",
    "close_range": "EMFILE ENOMEM ENOSYS EPERM",
    "connect": "EACCES EAGAIN ECONNREFUSED EINTR ENOENT EPERM EPROTOTYPE",
    "dup2": "EBUSY EINTR EMFILE", "dup3": "EBUSY EINTR EMFILE",
    "execve": "E2BIG EACCES EAGAIN EIO EMFILE ENFILE ENOENT ENOMEM EPERM ETXTBSY",
    "fchdir": "EACCES EIO ENOENT",
    "fcntl": "EMFILE EAGAIN",
    "fstat": "EOVERFLOW ENOMEM", "newfstatat": "EACCES ELOOP ENOENT ENOMEM",
    "getdents64": "ENOENT",
    "getpgid": "EPERM ESRCH",
    "getsockopt": "ENOBUFS ENOPROTOOPT",
    "inotify_add_watch": "EACCES ENOENT ENOMEM ENOSPC", "inotify_init1": "EMFILE ENFILE ENOMEM",
    "ioctl": "ENOTTY EPERM",
    "kill": "EPERM ESRCH",
    "lseek": "EOVERFLOW ESPIPE",
    "madvise": "EAGAIN EBUSY EINVAL ENOMEM",
    "memfd_create": "EMFILE ENFILE ENOMEM EPERM",
    "mmap": "EAGAIN ENOMEM EPERM", "mprotect": "EACCES ENOMEM", "mremap": "EAGAIN ENOMEM", "munmap": "ENOMEM",
    "open": "EACCES EINTR ELOOP EMFILE ENFILE ENOENT ENOMEM EPERM",
    "openat": "EACCES EINTR ELOOP EMFILE ENFILE ENOENT ENOMEM EPERM",
    "pidfd_open": "EMFILE ENFILE ENOMEM ENOSYS EPERM", "pidfd_send_signal": "EINVAL ENOSYS EPERM ESRCH",
    "poll": "EINTR EINVAL ENOMEM", "ppoll": "EINTR EINVAL ENOMEM",
    "select": "EINTR ENOMEM", "pselect6": "EINTR ENOMEM",
    "prctl": "EACCES EINVAL EPERM",
    "prlimit64": "EINVAL EPERM",
    "pread64": "EINTR EIO", "read": "EINTR EIO",
    "readlink": "EACCES EIO ENOENT ENOMEM", "readlinkat": "EACCES EIO ENOENT ENOMEM",
    "recvfrom": "EINTR ENOMEM", "recvmsg": "EINTR ENOMEM",
    "sendmsg": "EINTR EMSGSIZE ENOBUFS ENOMEM EPERM ETOOMANYREFS",
    "sendto": "EAGAIN ENOBUFS ENOMEM",
    "setpgid": "EACCES EPERM ESRCH",
    "setpriority": "EACCES EPERM",
    "signalfd4": "EMFILE ENFILE ENODEV ENOMEM",
    "socket": "EACCES EMFILE ENFILE ENOBUFS ENOMEM", "socketpair": "EMFILE ENFILE ENOMEM",
    "write": "EAGAIN EDQUOT EFBIG EINTR EIO ENOSPC EPERM EPIPE", "writev": "EAGAIN EINTR EIO ENOSPC EPIPE",
}
# But for a signal to oneself, a look at the own limits, a place in a memory file of one's own (the server seeks in no
# other), and all that fcntl does but make descriptors (F_DUPFD, F_DUPFD_CLOEXEC).
CANNOT_FAIL = {
    "fcntl": lambda _, arguments: arguments[1] not in (0, 1030),
    "kill": lambda process, arguments: arguments[0] == process.pid,
    "lseek": lambda process, _: process.role == "server",
    "prlimit64": lambda _, arguments: arguments[0] == 0 and arguments[2] == 0,
}


def errors_of(name):
    return [getattr(errno, error) for error in ERRORS.get(name, "").split()]
