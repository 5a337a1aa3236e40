"""What scripts that sit idle keep of the machine's memory."""

import contextlib
import pathlib
import subprocess

from . import proc
from .latency import LUACHECK, PENLIGHT, warm
from .prepare import bytecode_path
from .samples import extremes
from .session import LUACHECK_MODULES, WORKLOADS, Trouble

COUNTS = (1, 2, 4, 8, 16, 32, 64)


class Idle:
    """Scripts that have loaded their modules, churned garbage for a while, and wait."""

    def __init__(self, session, program, seconds, modules, variables, zygote=None):
        self.argv = [*program, str(WORKLOADS / "idle.lua"), str(seconds), *modules]
        self.environment = {**session.environment, **variables}
        self.zygote = zygote
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for process in self.processes:
            process.stdin.close()  # which ends it
        for process in self.processes:
            process.wait()
            process.stdout.close()

    def start(self, count):
        """More of them. Returns when all are idle."""
        started = [subprocess.Popen(self.argv, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                   for _ in range(count)]
        self.processes += started
        for process in started:
            if process.stdout.readline() != b"ready\n":
                raise Trouble(f"{self.argv[0]} does not run {self.argv[-1]}")

    def scripts(self):
        """The pids that the scripts themselves run in."""
        return proc.children(self.zygote.pid) if self.zygote else [process.pid for process in self.processes]

    def everything(self):
        """The pids of all that would not be there without them."""
        own = [process.pid for process in self.processes]
        return own + (proc.children(self.zygote.pid) + [self.zygote.pid] if self.zygote else [])


def private_dirty(session):
    """Private_Dirty of a script with luacheck's modules, in KB: by when (idle, churned), then by key. The key
    "client" is moonlet itself, which waits beside it."""
    results = {"idle": {}, "churned": {}}
    count = session.pick(5, 2)
    for when, seconds in (("idle", 0), ("churned", 1)):
        def keep(key, pids):
            results[when][key] = extremes([proc.memory(pid)["Private_Dirty"] for pid in pids])

        with Idle(session, [session.lua], seconds, LUACHECK_MODULES, LUACHECK) as idle:
            idle.start(count)
            keep("lua", idle.scripts())
        compiled = {"LUA_PATH": bytecode_path(session.bytecode / "5.4", LUACHECK["LUA_PATH"])}
        with Idle(session, [session.lua], seconds, LUACHECK_MODULES, compiled) as idle:
            idle.start(count)
            keep("lua-bytecode", idle.scripts())
        with session.moonletd("luacheck", *warm(LUACHECK_MODULES), variables=LUACHECK) as zygote:
            moonlet = [session.program("moonlet"), "--socket", zygote.socket]
            with Idle(session, moonlet, seconds, LUACHECK_MODULES, LUACHECK, zygote) as idle:
                idle.start(count)
                keep("moonlet", idle.scripts())
                keep("client", [process.pid for process in idle.processes])
    return results


def penlight_modules():
    """All of Penlight but what changes the table of globals."""
    return sorted(f"pl.{path.stem}" for path in pathlib.Path(PENLIGHT).glob("*.lua")
                  if path.stem not in ("init", "strict"))


def many(session):
    """Sum of Pss of 1 to 64 idle scripts with all of Penlight and all that serves them, in KB: by key, then by
    count."""
    return idle_scripts(session, penlight_modules(), static=False)  # it needs a C module


def many_small(session):
    """The same of scripts with pl.pretty, which loads a quarter of it."""
    return idle_scripts(session, ["pl.pretty"])


def idle_scripts(session, modules, static=True):
    """One contender at a time, because Pss divides what processes share among them."""
    programs = {"lua": ([session.lua], {}),
                "lua-bytecode": ([session.lua], {"LUA_PATH": bytecode_path(session.bytecode / "5.4")}),
                "lua-static": ([session.static_lua], {}),
                "moonlet": ([session.program("moonlet")], {})}
    results = {}
    for key, (program, variables) in programs.items():
        if key in session.absent or (key == "lua-static" and not static):
            continue
        taken = {count: [] for count in COUNTS}
        for _ in range(session.pick(3, 1)):
            with contextlib.ExitStack() as stack:
                zygote = None
                if key == "moonlet":
                    zygote = stack.enter_context(session.moonletd("penlight", *warm(modules)))
                    program = [session.program("moonlet"), "--socket", zygote.socket]
                idle = stack.enter_context(Idle(session, program, 0, modules, variables, zygote))
                for count in COUNTS:
                    idle.start(count - len(idle.processes))
                    taken[count].append(sum(proc.memory(pid)["Pss"] for pid in idle.everything()))
        results[key] = {count: extremes(values) for count, values in taken.items()}
    return results
