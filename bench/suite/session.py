"""One session of measurements: the programs, their environment, zygotes, and contests between them."""

import contextlib
import csv
import dataclasses
import os
import pathlib
import subprocess
import tempfile
import time

from . import proc
from .samples import Samples, Throughput

BENCH = pathlib.Path(__file__).resolve().parent.parent
WORKLOADS = BENCH / "workloads"
PENLIGHT = "/usr/share/lua/5.4/pl"
# Debian packages luacheck for Lua 5.1; it is plain Lua, and runs on 5.4 too.
LUACHECK_PATH = "/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua;;"
LUACHECK_MODULES = ("argparse lfs luacheck luacheck.cache luacheck.config luacheck.format luacheck.multithreading "
                    "luacheck.profiler luacheck.runner luacheck.version").split()
PATIENCE = 60  # seconds until a wait for an event is given up


class Trouble(Exception):
    """The benchmark cannot go on; the text says why."""


@dataclasses.dataclass
class Contender:
    key: str
    argv: list
    variables: dict = dataclasses.field(default_factory=dict)
    zygote: "Zygote" = None  # that its launches go through


class Zygote:
    """moonletd or floor-zygote. It serves when the constructor returns, until stop()."""

    def __init__(self, session, argv, socket, variables, ready_fd):
        self.socket = socket
        self.spare = "--spare" in argv
        self.log = open(socket + ".log", "w+")
        ready, told = os.pipe()
        argv = [str(told if word == "READY" else word) for word in argv]
        self.process = subprocess.Popen(argv, env={**session.environment, **variables}, pass_fds=(told,),
                                        stdin=subprocess.DEVNULL, stdout=self.log if ready_fd else told,
                                        stderr=self.log)
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

    def served(self):
        """What it has cost so far, once it has reaped all that it served."""
        deadline = time.monotonic() + PATIENCE
        while len(proc.children(self.pid)) > (1 if self.spare else 0):
            if time.monotonic() > deadline:
                raise Trouble(f"children of process {self.pid} do not end")
            os.sched_yield()
        return proc.served(self.pid)

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
        self.lua53 = "/usr/bin/lua5.3"
        self.build53 = self.build / "bench" / "lua5.3"  # a build of moonlet for Lua 5.3
        self.static_lua = None  # path, once it is there
        self.bytecode = self.build / "bench" / "bytecode"
        self.absent = {}  # key of a contender: why it is not here
        self.warm_kb = {}  # name of a warm-up: how large Lua's heap is after it
        # Small and of known content. MOONLET_FALLBACK: what is measured shall be moonlet.
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C", "MOONLET_FALLBACK": ""}
        self.cleanup = contextlib.ExitStack()
        self.work = self.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="moonlet-bench-"))
        (self.output / "samples").mkdir(parents=True, exist_ok=True)

    def close(self):
        self.cleanup.close()

    def pick(self, full, quick):
        return quick if self.quick else full

    # Of moonletd. As for any user: only root's looks at its clients (docs/benchmarks.md).
    options = ["--compare-clients", "0"]

    def program(self, name):
        return str(self.build / name)

    def can_spare(self):
        return "moonlet-spare" not in self.absent

    @contextlib.contextmanager
    def _zygote(self, *arguments, **options):
        zygote = Zygote(self, *arguments, **options)
        try:
            yield zygote
        finally:
            zygote.stop()

    def moonletd(self, name, *warm_up, spare=0, variables=None, build=None):
        """A context: moonletd with this warm-up, of `build` or this build."""
        socket = os.path.join(self.work, f"{name}-{spare}.sock")
        argv = [str((build or self.build) / "moonletd"), *self.options, "--socket", socket, "--ready-fd", "READY",
                *(["--spare", spare] if spare else []), *warm_up]
        return self._zygote(argv, socket, variables or {}, ready_fd=True)

    def floor_zygote(self, spare=0):
        socket = os.path.join(self.work, f"floor-{spare}.sock")
        argv = [self.program("bench/floor-zygote"), *(["--spare"] if spare else []), socket]
        return self._zygote(argv, socket, {}, ready_fd=False)

    def note_warm_size(self, name, moonlet, variables):
        done = subprocess.run([*moonlet, "-e", 'io.write(collectgarbage("count"))'], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, env={**self.environment, **(variables or {})})
        if done.returncode != 0:
            raise Trouble(f"moonlet does not start: {done.stderr}")
        self.warm_kb[name] = float(done.stdout)

    def check(self, contenders):
        """Each once: all must write the same and end in the same way. Returns the exit status."""
        seen = {}
        for contender in contenders:
            done = subprocess.run(contender.argv, env={**self.environment, **contender.variables},
                                  stdin=subprocess.DEVNULL, capture_output=True)
            if contender.key != "noop":
                seen[contender.key] = (done.returncode, done.stdout, done.stderr)
        expected = seen[contenders[0].key] if contenders[0].key in seen else next(iter(seen.values()))
        for key, got in seen.items():
            if got != expected:
                raise Trouble(f"{key} ends with {got}, another contender with {expected}")
        return expected[0]

    def _bench(self, name, contenders, *options):
        """Runs moonlet-bench; returns the lines of its samples."""
        listed = os.path.join(self.work, name + ".contenders")
        samples = self.output / "samples" / (name + ".csv")
        with open(listed, "w") as file:
            for it in contenders:
                variables = [f"{variable}={value}" for variable, value in it.variables.items()]
                print(it.key, *variables, *it.argv, sep="\t", file=file)
        done = subprocess.run([self.program("moonlet-bench"), "--contenders", listed, "--csv", samples, *options],
                              env=self.environment, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Trouble(f"the measurement of {name} failed")
        with open(samples, newline="") as file:
            return list(csv.DictReader(file))

    def measure(self, name, contenders, rounds, batches=1):
        """Contenders against each other, one launch at a time. Returns Samples by key."""
        expected = self.check(contenders) << 8  # as a wait status
        results = {it.key: Samples() for it in contenders}
        for batch in range(batches):
            before = {it.key: it.zygote.served() for it in contenders if it.zygote}
            label = name if batches == 1 else f"{name}-{batch + 1}"
            rows = self._bench(label, contenders, "--runs", str(rounds))
            for it in contenders:
                own = [row for row in rows if row["contender"] == it.key]
                for row in own:
                    if int(row["status"]) != (0 if it.key == "noop" else expected):
                        raise Trouble(f"{it.key} ended with wait status {row['status']}; it is {expected} else")
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
