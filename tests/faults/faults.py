#!/usr/bin/python3
"""faults.py [--quick | --only TEXT]: a fault at each system call of a launch, one launch for each.

$MOONLET_BUILD names the directory of moonletctl and moonletd. docs/reliability.md says what is checked."""

import argparse
import multiprocessing
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback

import trace
from trace import FAIL, FREEZE, FREEZE_AND_KILL, KILL, Fault, Stuck, Tracer

BUILD = os.environ["MOONLET_BUILD"]
REAL_LUA = os.environ.get("MOONLET_REAL_LUA") or shutil.which("lua5.4") or "/usr/bin/lua"
# Each script says who ran it, once it has begun.
WARM_UP = "WARM = true"
BEGIN = "local runs = io.open(os.getenv('RUNS'), 'a'); runs:write(WARM and 'moonlet\\n' or 'lua\\n'); runs:close() "
SCRIPTS = {
    "returns": (BEGIN, 0),
    "exits with 7": (BEGIN + "os.exit(7)", 7),
    "error": (BEGIN + "error('x')", 1),
    "is killed": (BEGIN + "local p = require 'probe'; p.kill(p.pid(), 9)", -9),
    "aborts": (BEGIN + "local p = require 'probe'; p.kill(p.pid(), 6)", -6),
    "stops": (BEGIN + "local p = require 'probe'; p.kill(p.pid(), 19); os.exit(5)", 5),
    "waits": (BEGIN + "io.read(); os.exit(7)", 7),
}
ROLES = ("client", "child", "server")  # of moonletd's two processes the one that serves: the other has no part in a launch


class Wrong(Exception):
    """A promise is not kept."""


class Launch:
    """A client, and what is to come of it."""

    def __init__(self, world, script, role="client"):
        text, self.expected = SCRIPTS[script]
        self.runs = world.directory / f"runs of {role}"
        self.runs.write_text("")
        env = {"PATH": os.environ["PATH"], "LUA_CPATH": os.path.join(BUILD, "modules", "?.so"), "RUNS": str(self.runs),
               "MOONLET_FALLBACK": REAL_LUA, "MOONLET_SOCKET": world.socket, "MOONLET_IMAGE": ""}
        self.process = world.start(role, "moonletctl", ["run", "-e", text], env, world.read_end)

    def check(self, tracer, fault, server_lives):
        """The status is true, and no script has run twice."""
        status, runs = self.process.status, self.runs.read_text().split()
        scripts = [it for it in tracer.ended if it.left_group]
        if status is None:
            raise Wrong("the client does not end: " + tracer.describe())
        if len(runs) > 1:
            raise Wrong(f"run by {' and by '.join(runs)}")
        if fault and fault.victim == self.process.pid and fault.has_killed:
            if status != -signal.SIGKILL:
                raise Wrong(f"a killed client ended with {status}")
            return
        # A script's end is what the kernel tells of its process.
        if status == self.expected and runs == ["lua"]:
            return
        if runs != ["lua"] and any(it.status == status for it in scripts):
            is_struck = fault and fault.victim in [it.pid for it in scripts]  # and may end in another way, as lua would
            if runs and not is_struck and status != self.expected:
                raise Wrong(f"status {status}")
            return
        is_lost = not server_lives and bool(scripts)  # who serves knows the end, and nobody else
        has_no_lua = fault and fault.role == "client" and fault.name == "execve"
        if status == 125 and runs != ["lua"] and (is_lost or has_no_lua):
            return
        raise Wrong(f"status {status}, run by {runs or 'nobody'}, scripts ended with {[it.status for it in scripts]}")


class World:
    """A moonletd of its own, all traced. Ends with the `with`."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.name = ", ".join([self.NAME, *[f"Linux {kernel}"] * bool(kernel)])
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="moonlet-faults-"))
        self.socket = str(self.directory / "server.sock")
        self.log_path = self.directory / "log"
        self.log = os.open(self.log_path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        self.read_end, self.write_end = os.pipe()
        self.tracer = Tracer()
        self.tracer.role_of_fork = self.role_of_fork
        self.keeper = self.server = None
        for name in ("moonletctl", "moonletd") if kernel else ():
            (self.directory / name).symlink_to(os.path.join(BUILD, name))
            (self.directory / kernel).mkdir(exist_ok=True)
            shutil.copy(os.path.join(BUILD, "tests", "old_kernel"), self.directory / kernel / name)

    def start(self, role, name, arguments, env, stdin):
        program = str(self.directory / self.kernel / name) if self.kernel else os.path.join(BUILD, name)
        # A stand-in, which makes the kernel older, becomes the program.
        return self.tracer.start(role, [program, *arguments], env, stdin, self.log, 2 if self.kernel else 1)

    def role_of_fork(self, parent):
        if parent.role == "keeper":
            return "warm-up" if any(it.role == "server" for it in self.tracer.processes.values()) else "server"
        return "child" if parent.role == "server" else parent.role + "'s child"

    def begin(self):
        """Sees to it that a server serves, as at the beginning."""
        if self.server is not None:
            return
        os.ftruncate(self.log, 0)
        env = {"PATH": os.environ["PATH"], "LUA_CPATH": os.path.join(BUILD, "modules", "?.so")}
        null = os.open("/dev/null", os.O_RDWR)
        self.keeper = self.start("keeper", "moonletd", ["--socket", self.socket, "-e", WARM_UP], env, null)
        os.close(null)
        self.tracer.run()
        self.server = next((it for it in self.tracer.processes.values() if it.role == "server"), self.keeper)
        self.descriptors = self.list_descriptors()
        if not self.lives():
            raise Wrong("moonletd does not serve: " + self.log_path.read_text())

    def lives(self):
        return self.server is not None and self.server.status is None

    def list_descriptors(self):
        links = [os.readlink(f"/proc/{self.server.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{self.server.pid}/fd")]
        return sorted(link.partition(":")[0] for link in links)

    def are_right(self, descriptors):
        return descriptors == self.descriptors

    def arm(self, fault):
        self.tracer.arm(fault)

    def settle(self):
        """Until nothing moves and nothing is stopped."""
        self.tracer.run()
        for _ in range(10):
            if not self.tracer.thaw():
                return
            self.tracer.run()
        raise Wrong("it stops again and again: " + self.tracer.describe())

    def check(self, fault):
        """Nothing is left but a server that serves, or nothing at all."""
        if not self.lives():
            if fault is None or fault.role != "server" or fault.kind == FAIL:
                raise Wrong(f"the server has ended with {self.server.status}")
            self.server = None
            if self.tracer.processes:
                raise Wrong("left over: " + self.tracer.describe())
            return
        # A child that is not waited for any more is still one of the server's.
        others = [it for it in self.tracer.processes.values() if it not in (self.keeper, self.server)]
        with open(f"/proc/{self.server.pid}/task/{self.server.pid}/children") as children:
            if children.read().split() or others:
                raise Wrong("left over, or a zombie: " + self.tracer.describe())
        if not self.are_right(self.list_descriptors()):
            raise Wrong(f"descriptors {self.list_descriptors()}, not {self.descriptors}: {self.tracer.describe()}")

    def stop(self):
        """The server ends as it should."""
        if self.lives():
            os.kill(self.keeper.pid, signal.SIGTERM)
            self.tracer.arm()
            self.tracer.run()
            if self.keeper.status != 0 or self.server.status != 0 or self.tracer.processes or os.path.exists(self.socket):
                raise Wrong(f"SIGTERM: status {self.keeper.status} and {self.server.status}, {self.tracer.describe()}")
        self.server = None

    def round(self, fault):
        """One launch, and what befalls it. Returns how often each call was made, by (role, name)."""
        self.begin()
        self.arm(fault)
        launches = self.course()
        counts = dict(self.tracer.counts)
        server_lives = self.lives()
        for it in launches:
            it.check(self.tracer, fault, server_lives)
        self.check(fault)
        return counts

    def next_launch(self):
        self.begin()
        self.arm(None)
        launch = Launch(self, "exits with 7", "next client")
        self.settle()
        launch.check(self.tracer, None, True)
        if launch.runs.read_text() != "moonlet\n":
            raise Wrong("the next launch did not get through")
        self.check(None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tracer.end()
        for descriptor in (self.log, self.read_end, self.write_end):
            os.close(descriptor)
        shutil.rmtree(self.directory)


class OneLaunch(World):
    def __init__(self, script, kernel):
        self.NAME = self.script = script
        super().__init__(kernel)

    def course(self):
        launch = Launch(self, self.script)
        self.settle()
        return [launch]


class Renewal(World):
    """SIGHUP, while one script runs and another one is asked for."""

    NAME = "renewal"

    def course(self):
        fault, self.tracer.fault = self.tracer.fault, None
        first = Launch(self, "waits", "first client")
        self.tracer.run()
        for it in self.tracer.processes.values():
            if it.role == "child" and it.left_group:
                it.role = "first child"
        self.tracer.fault, self.tracer.counts = fault, {}
        os.kill(self.keeper.pid, signal.SIGHUP)
        second = Launch(self, "exits with 7")
        self.settle()
        os.write(self.write_end, b"go on\n")
        self.settle()
        return [first, second]

    def check(self, fault):
        super().check(fault)
        self.stop()  # the next one begins anew


def make(script, kernel=""):
    return OneLaunch(script, kernel) if script != Renewal.NAME else Renewal(kernel)


SCENARIOS = [(script,) for script in [*SCRIPTS, Renewal.NAME] if script != "waits"]
SCENARIOS += [(script, "4.14") for script in ("exits with 7", "is killed", "stops")]
# The quick form: of these each call is killed; what once failed in a way that was wrong fails again; of all else a small
# part happens, another one in each scenario.
QUICK = [("exits with 7",)]
ONCE_WRONG = [("server", "accept4"), ("client", "recvmsg"), ("server", "sendto"), ("server", "read")]
ONE_IN = 100


def list_faults(scenario, quick):
    """All that can befall the calls that a launch without a fault makes."""
    with make(*scenario) as world:
        world.round(None)
        counts = world.round(None)
    faults = []
    for (role, name), count in counts.items():
        if role not in ROLES:
            continue
        for nth in range(1, count + 1):
            faults += [(role, name, nth, kind, 0) for kind in (KILL, FREEZE, FREEZE_AND_KILL)]
            faults += [(role, name, nth, FAIL, error) for error in trace.errors_of(name)]
    if not quick:
        return faults
    return [it for i, it in enumerate(faults) if (i + len(faults)) % ONE_IN == 0 or
            scenario in QUICK and it[3] == KILL or
            len(scenario) == 1 and it[:2] in ONCE_WRONG and it[3] == FAIL]


def run_part(task):
    """Returns (how many of each kind happened, how many did not, what was wrong)."""
    scenario, faults = task
    done, missed, wrong = {}, 0, []
    world = None
    try:
        for one in faults:
            fault = Fault(*one)
            try:
                world = world or make(*scenario)
                world.round(fault)
                world.next_launch()
            except (Wrong, Stuck, OSError) as problem:
                what = f"stuck: {problem}" if isinstance(problem, Stuck) else str(problem)
                if isinstance(problem, OSError):
                    what = traceback.format_exc()
                wrong.append(f"{world.name}; {fault}: {what}\n    log: {world.log_path.read_text()[-300:]!r}")
                world.__exit__()
                world = None
            if fault.happened:
                done[fault.kind] = done.get(fault.kind, 0) + 1
            else:
                missed += not fault.cannot_happen
        if world is not None:
            world.stop()
    finally:
        if world is not None:
            world.__exit__()
    return done, missed, wrong


def may_trace():
    """Whether this process may trace others, on a kernel that tells of their calls (Linux 5.3)."""
    try:
        with make(*QUICK[0]) as world:
            world.begin()
    except OSError as error:
        print(f"SKIPPED: PTRACE IS NOT TO BE HAD: {error}")
        return False
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", help="scenarios and faults with this text")
    arguments = parser.parse_args()
    begun = time.monotonic()
    if not may_trace():
        sys.exit(77)
    total, missed, wrong = {}, 0, []
    with multiprocessing.Pool(2) as pool:
        tasks = []
        listed = pool.starmap(list_faults, [(it, arguments.quick) for it in SCENARIOS], 1)
        for scenario, faults in zip(SCENARIOS, listed):
            faults = [it for it in faults if arguments.only in f"{scenario} {Fault(*it)}"]
            tasks += [(scenario, faults[i:i + 100]) for i in range(0, len(faults), 100)]
        for part, (its_done, its_missed, its_wrong) in enumerate(pool.imap(run_part, tasks), 1):
            for kind, count in its_done.items():
                total[kind] = total.get(kind, 0) + count
            missed += its_missed
            wrong += its_wrong
            for it in its_wrong:
                print(it, flush=True)
            if part % 50 == 0:  # it takes a while
                print(f"  {sum(total.values())} of {sum(len(faults) for _, faults in tasks)} faults, {len(wrong)} wrong",
                      flush=True)
    print(f"{sum(total.values())} faults in {time.monotonic() - begun:.0f} s:", ", ".join(
        f"{count} {kind}" for kind, count in sorted(total.items())) + f"; {missed} not reached; {len(wrong)} wrong")
    sys.exit(1 if wrong or not total else 0)


if __name__ == "__main__":
    main()
