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
        return proc.children(self.zygote.server) if self.zygote else [process.pid for process in self.processes]

    def everything(self):
        """The pids of all that would not be there without them."""
        own = [process.pid for process in self.processes]
        return own + (proc.children(self.zygote.server) + [self.zygote.server, self.zygote.pid] if self.zygote else [])


def private(session):
    """Memory that a script with luacheck's modules has for itself, in KB: by when (idle, churned), then by key. The
    key "client" is the moonletctl that waits beside a script of moonletd's."""
    compiled = {"LUA_PATH": bytecode_path(session.bytecode / "5.4", LUACHECK["LUA_PATH"])}
    image = session.images.make("luacheck-alone", warm(LUACHECK_MODULES), LUACHECK)
    moonlet = session.program("moonlet")
    results = {}
    for when, seconds in (("idle", 0), ("churned", 1)):
        own = results[when] = {}

        def measure(key, program, variables, zygote=None):
            with Idle(session, program, seconds, LUACHECK_MODULES, variables, zygote) as idle:
                idle.start(session.pick(5, 2))
                own[key] = extremes([proc.private_kb(pid) for pid in idle.scripts()])
                if zygote:
                    own["client"] = extremes([proc.private_kb(process.pid) for process in idle.processes])

        measure("lua", [session.lua], LUACHECK)
        measure("lua-bytecode", [session.lua], compiled)
        measure("moonlet", [moonlet, "--image", image], LUACHECK)
        with session.moonletd("luacheck-alone", *warm(LUACHECK_MODULES), variables=LUACHECK) as zygote:
            measure("moonletd", [session.program("moonletctl"), "run", "--socket", zygote.socket], LUACHECK, zygote)
    return results


def penlight_modules():
    """All of Penlight but what changes the table of globals."""
    return sorted(f"pl.{path.stem}" for path in pathlib.Path(PENLIGHT).glob("*.lua")
                  if path.stem not in ("init", "strict"))


def many(session):
    """Memory of 1 to 64 idle scripts with all of Penlight and all that serves them, in KB: by key, then by count."""
    return idle_scripts(session, "penlight", penlight_modules(), static=False)  # it needs a C module


def many_small(session):
    """The same of scripts with pl.pretty, which loads a quarter of it."""
    return idle_scripts(session, "pretty", ["pl.pretty"])


def idle_scripts(session, name, modules, static=True):
    """One contender at a time, because Pss divides what processes share among them."""
    image = session.images.make(name, warm(modules))
    moonlet = session.program("moonlet")
    programs = {"lua": ([session.lua], {}),
                "lua-bytecode": ([session.lua], {"LUA_PATH": bytecode_path(session.bytecode / "5.4")}),
                "lua-static": ([session.static_lua], {}),
                "moonlet": ([moonlet, "--image", image], {}),
                "moonletd": ([], {})}
    results = {}
    for key, (program, variables) in programs.items():
        if key in session.absent or (key == "lua-static" and not static):
            continue
        taken = {count: [] for count in COUNTS}
        for _ in range(session.pick(3, 1)):
            with contextlib.ExitStack() as stack:
                zygote = None
                if key == "moonletd":
                    zygote = stack.enter_context(session.moonletd(name, *warm(modules)))
                    program = [session.program("moonletctl"), "run", "--socket", zygote.socket]
                idle = stack.enter_context(Idle(session, program, 0, modules, variables, zygote))
                for count in COUNTS:
                    idle.start(count - len(idle.processes))
                    # On disk an image is a file as any, which memory need not keep.
                    on_tmpfs = key == "moonlet" and session.memory
                    kept = session.images.size_kb(name) if on_tmpfs else 0
                    taken[count].append(kept + proc.shared_out_kb(idle.everything(), with_tmpfs=not on_tmpfs))
        results[key] = {count: extremes(values) for count, values in taken.items()}
    return results
