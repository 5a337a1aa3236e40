"""One session of measurements: the programs, their environment, images, zygotes, and contests between them."""

import contextlib
import csv
import dataclasses
import os
import pathlib
import subprocess
import tempfile
import time

from . import places, proc
from .images import Images, Trouble
from .samples import Samples, Throughput

BENCH = pathlib.Path(__file__).resolve().parent.parent
WORKLOADS = BENCH / "workloads"
LUA51, LUA53 = "/usr/bin/lua5.1", "/usr/bin/lua5.3"
PENLIGHT = "/usr/share/lua/5.4/pl"
# Debian packages luacheck for Lua 5.1; it is plain Lua, and runs on 5.4 too.
LUACHECK_PATH = "/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua;;"
LUACHECK_MODULES = ("argparse lfs luacheck luacheck.cache luacheck.config luacheck.format luacheck.multithreading "
                    "luacheck.profiler luacheck.runner luacheck.version").split()
PATIENCE = 60  # seconds until a wait for an event is given up


@dataclasses.dataclass
class Contender:
    key: str
    argv: list
    variables: dict = dataclasses.field(default_factory=dict)
    zygote: "Zygote" = None  # that its launches go through
    job: str = ""  # contenders of one job must write the same and end alike; None: nobody else does it


class Zygote:
    """moonletd. It serves when the constructor returns, until stop()."""

    def __init__(self, session, argv, socket, variables):
        self.socket = socket
        self.log = open(socket + ".log", "w+")
        ready, told = os.pipe()
        argv = [str(told if word == "READY" else word) for word in argv]
        self.process = subprocess.Popen(argv, env={**session.environment, **variables}, pass_fds=(told,),
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        os.close(told)
        with os.fdopen(ready, "rb") as pipe:
            if pipe.read(1) != b"\n":
                self.log.seek(0)
                said = self.log.read()
                self.stop()
                raise Trouble(f"{argv[0]} does not serve: {said}")

    @property
    def pid(self):
        return self.process.pid

    @property
    def server(self):
        """The process whose children scripts are: moonletd's own first child."""
        return proc.children(self.pid)[0]

    def served(self):
        """What it has cost so far, once it has reaped all that it served."""
        deadline = time.monotonic() + PATIENCE
        while len(proc.children(self.server)) > 0:
            if time.monotonic() > deadline:
                raise Trouble(f"children of process {self.pid} do not end")
            os.sched_yield()
        return proc.served(self.server)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        pathlib.Path(self.socket).unlink(missing_ok=True)


class Session:
    def __init__(self, build, output, quick):
        self.build = pathlib.Path(build)
        self.output = pathlib.Path(output)
        self.quick = quick
        self.lua = "/usr/bin/lua5.4"
        # Where moonlet's programs are, by version of Lua: in the build, until they are installed (prepare.py).
        self.programs = {"5.4": self.build}
        self.build53 = self.build / "bench" / "lua5.3"  # a build of moonlet for Lua 5.3
        self.build51 = self.build.parent / "lua5.1"  # of CMake's preset of that name
        self.static_lua = None  # path, once it is there
        self.bytecode = self.build / "bench" / "bytecode"
        self.absent = {}  # key of a contender, or of a section: why it is not here
        self.warm_kb = {}  # name of a warm-up: how large Lua's heap is after it
        # Small and of known content. MOONLET_FALLBACK: what is measured shall be moonlet.
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C", "MOONLET_FALLBACK": ""}
        self.in_front = []  # what runs before each launch that is measured
        self.order = ""  # for the report: in which order contenders are launched
        self.cleanup = contextlib.ExitStack()
        self.work = self.temporary_directory()
        (self.output / "samples").mkdir(parents=True, exist_ok=True)

    def close(self):
        self.cleanup.close()

    def temporary_directory(self, where=None):
        return self.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="moonlet-bench-", dir=where))

    def make_places(self):
        """Where programs and images go: the former on disk, the latter on tmpfs, where there is one."""
        self.disk = pathlib.Path(self.temporary_directory(places.on_disk()))
        memory = places.in_memory()
        if memory is None:
            self.absent["moonlet-disk"] = self.absent["freeze-disk"] = "without a tmpfs all images are on disk"
        self.memory = pathlib.Path(self.temporary_directory(memory)) if memory else None
        self.images = Images(self, self.memory or self.disk, self.disk)

    def put_in_front(self, what):
        """`what`: "lua", "noop" or "nothing"."""
        self.in_front = {"lua": [self.lua, str(WORKLOADS / "hello.lua")], "noop": [self.program("noop")],
                         "nothing": []}[what]
        before = {"lua": "lua prints hello", "noop": "the no-op runs", "nothing": "nothing runs"}[what]
        self.order = f"drawn anew for each round; {before} before each launch that is measured (--front {what})"

    def pick(self, full, quick):
        return quick if self.quick else full

    # Of moonletd. As for any user: only root's looks at its clients (docs/benchmarks.md).
    options = ["--compare-clients", "0"]

    def program(self, name, lua="5.4"):
        return str(self.programs[lua] / name)

    @contextlib.contextmanager
    def moonletd(self, name, *warm_up, variables=None, lua="5.4"):
        """A context: moonletd with this warm-up, of the build for that Lua."""
        socket = os.path.join(self.work, f"{name}.sock")
        argv = [self.program("moonletd", lua), *self.options, "--socket", socket, "--ready-fd", "READY", *warm_up]
        zygote = Zygote(self, argv, socket, variables or {})
        try:
            yield zygote
        finally:
            zygote.stop()

    def note_warm_size(self, name, moonlet, variables):
        done = subprocess.run([*moonlet, "-e", 'io.write(collectgarbage("count"))'], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, env={**self.environment, **(variables or {})})
        if done.returncode != 0:
            raise Trouble(f"moonlet does not start: {done.stderr}")
        self.warm_kb[name] = float(done.stdout)

    def check(self, contenders):
        """Each once: all of a job must write the same and end in the same way. Returns the exit status by key."""
        expected, status = {}, {}
        for it in contenders:
            done = subprocess.run(it.argv, env={**self.environment, **it.variables}, stdin=subprocess.DEVNULL,
                                  capture_output=True)
            got = done.returncode, done.stdout, done.stderr
            job = it.key if it.job is None else it.job
            if got != expected.setdefault(job, got):
                raise Trouble(f"{it.key} ends with {got}, another contender with {expected[job]}")
            status[it.key] = done.returncode
        return status

    def _bench(self, name, contenders, *options):
        """Runs moonlet-bench; returns the lines of its samples."""
        listed = os.path.join(self.work, name + ".contenders")
        samples = self.output / "samples" / (name + ".csv")
        with open(listed, "w") as file:
            for it in contenders:
                variables = [f"{variable}={value}" for variable, value in it.variables.items()]
                print(it.key, *variables, *it.argv, sep="\t", file=file)
        done = subprocess.run([str(self.build / "moonlet-bench"), "--contenders", listed, "--csv", samples, *options],
                              env=self.environment, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Trouble(f"the measurement of {name} failed")
        with open(samples, newline="") as file:
            return list(csv.DictReader(file))

    def measure(self, name, contenders, rounds, batches=1):
        """Contenders against each other, one launch at a time. Returns Samples by key."""
        expected = self.check(contenders)
        results = {it.key: Samples() for it in contenders}
        listed, options = contenders, []
        if self.in_front:
            listed, options = [*contenders, Contender("in front", self.in_front)], ["--before", "in front"]
        for batch in range(batches):
            before = {it.key: it.zygote.served() for it in contenders if it.zygote}
            label = name if batches == 1 else f"{name}-{batch + 1}"
            rows = self._bench(label, listed, "--runs", str(rounds), *options)
            for it in contenders:
                own = [row for row in rows if row["contender"] == it.key]
                for row in own:
                    if int(row["status"]) != expected[it.key] << 8:  # as a wait status
                        raise Trouble(f"{it.key} ended with wait status {row['status']}, not {expected[it.key] << 8}")
                results[it.key].add(own, it.zygote.served() - before[it.key] if it.zygote else None)
        return results

    def measure_throughput(self, name, contenders, concurrency, seconds):
        """Launches per second with several in flight. Returns Throughput by key."""
        rows = self._bench(name, contenders, "--concurrency", str(concurrency), "--seconds", str(seconds))
        failed = {row["contender"] for row in rows if row["failures"] != "0"}
        if failed:
            raise Trouble(f"launches failed at concurrency {concurrency}: {', '.join(sorted(failed))}")
        return {it.key: Throughput([int(row["launches"]) / float(row["seconds"])
                                    for row in rows if row["contender"] == it.key]) for it in contenders}
