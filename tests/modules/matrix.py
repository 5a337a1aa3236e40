#!/usr/bin/python3
"""matrix.py [--page FILE] [--only NAME,...] LUA=BUILD...: each Lua module of Debian, under lua, thawed and served.

LUA is 5.1, 5.2, 5.3, 5.4 or luajit, BUILD the directory of its moonlet. Each NAME.lua beside this file uses a module; its header
says which. For each of them and each LUA:

1. `moonlet --freeze IMAGE -l MODULE`, and whether a launch of that image finds the module loaded: is it kept warm?
2. The script under lua, under moonlet with that image, and by moonletctl from a moonletd with the same warm-up: are output, errors,
   status and time-out the same? Where there is no image, the launches have one of an empty warm-up, and load the module themselves.

A script ends with status 0 if its use of the module worked. MOONLET_REAL_LUA names another lua.

And for each package and each LUA: all modules that the package brings are required by one warm-up, and what is loaded then is compared
in lua and in a launch of its image.

Status 1 if a launch differs that the header does not declare (Differs), or if a module is kept warm or not otherwise than declared
(Cold). With --page it writes docs/modules.md's tables too. What is not installed is named as SKIPPED."""

import argparse
import dataclasses
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
LIMIT = 20  # seconds for each run of a script
# What the test suite runs: packages that scripts/test installs, each for another kind of module.
REPRESENTATIVE = ["busted", "cqueues", "event-socket", "expat", "filesystem", "lgi", "lpeg", "luaossl-tls", "luv", "penlight", "posix",
                  "rings", "sec", "socket", "sql-sqlite3", "term"]


@dataclasses.dataclass
class Use:
    """A script that uses a module, and what its header says."""
    name: str
    path: pathlib.Path
    package: str
    modules: list
    luas: list
    terminal: bool = False  # it runs in a terminal of its own
    cold: str = ""  # why a freeze does not keep it
    differs: str = ""  # what a warm launch does otherwise
    warm: str = ""  # where alone it is

    @classmethod
    def read(cls, path):
        fields = {}
        for line in path.read_text().splitlines():
            found = re.fullmatch(r"-- (\w+): (.*)", line)
            if not found:
                break
            fields[found[1]] = found[2]
        return cls(path.stem, path, fields["Package"], fields["Modules"].split(), fields["Luas"].split(),
                   "Terminal" in fields, fields.get("Cold", ""), fields.get("Differs", ""),
                   fields.get("Warm", ""))

    def version(self):
        """Of the installed package, or None."""
        done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", self.package],
                              capture_output=True, text=True)
        state, _, version = done.stdout.partition(" ")
        return version if state == "installed" else None


@dataclasses.dataclass(frozen=True)
class Result:
    """How a run has ended. status is None after LIMIT seconds."""
    status: int
    out: bytes
    err: bytes

    def difference(self, other):
        """In a few words, where `other` is the warm one."""
        if self.status != other.status:
            def said(status):
                return "time-out" if status is None else f"status {status}"
            return f"{said(other.status)} for lua's {said(self.status)}"
        return "other errors" if self.err != other.err else "other output"


def run(program, argv, directory, env, terminal=False):
    """Runs it in a process group of its own, and kills that in the end."""
    master = None
    if terminal:
        master, slave = pty.openpty()
        streams = {"stdin": slave, "stdout": slave, "stderr": slave}
    else:
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # A session of its own only for a terminal: without one, a terminal that the script opens would become its session's.
    apart = {"start_new_session": True} if terminal else {"process_group": 0}
    child = subprocess.Popen(argv, executable=program, cwd=directory, env=env, **apart, **streams)
    try:
        if terminal:
            os.close(slave)
            return Result(*watch_terminal(child, master), b"")
        out, err = child.communicate(timeout=LIMIT)
        return Result(child.returncode, out, err)
    except subprocess.TimeoutExpired as late:
        return Result(None, late.stdout or b"", late.stderr or b"")
    finally:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # all have ended
        child.wait()
        for stream in (child.stdout, child.stderr):
            if stream:
                stream.close()
        if master is not None:
            os.close(master)


def watch_terminal(child, master):
    """The status of child, or None, and what it has written to its terminal."""
    out, end = b"", time.monotonic() + LIMIT
    while True:
        if not select.select([master], [], [], max(0, end - time.monotonic()))[0]:
            return None, out
        try:
            read = os.read(master, 65536)
        except OSError:  # EIO: nobody has the terminal any more
            read = b""
        if not read:
            return child.wait(), out
        out += read


class Server:
    """A moonletd with a warm-up. It has tried to make its image when the constructor returns."""

    def __init__(self, lua, modules):
        self.directory = tempfile.mkdtemp(dir=lua.work)
        self.socket = os.path.join(self.directory, "s")
        ready, told = os.pipe()
        with open(os.path.join(self.directory, "log"), "wb") as log:
            self.process = subprocess.Popen([lua.program("moonletd"), "--socket", self.socket, "--ready-fd", str(told), *options(modules)],
                                            cwd=lua.place, env=lua.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[told])
        os.close(told)
        with os.fdopen(ready, "rb") as pipe:
            pipe.read(1)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            sys.exit("matrix.py: moonletd does not end")
        shutil.rmtree(self.directory)


def options(modules):
    return [word for module in modules for word in ("-l", module)]


class Lua:
    """A version of Lua: the real one, and a moonlet for it."""

    def __init__(self, name, build, work):
        self.name = name
        self.real = os.environ.get("MOONLET_REAL_LUA") or shutil.which(name if name == "luajit" else f"lua{name}")
        self.build = os.path.abspath(build)
        self.work = work / name
        self.place = self.work / "place"
        self.place.mkdir(parents=True)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.work), "LANG": "C.UTF-8", "TERM": "vt100", "MOONLET_FALLBACK": ""}
        self.empty = str(self.work / "empty.image")
        done = self.freeze(self.empty, [])
        if done.status != 0:
            sys.exit(f"matrix.py: no image for Lua {name}: {done.err.decode()}")

    def program(self, name):
        return os.path.join(self.build, name)

    def freeze(self, image, modules):
        return run(self.program("moonlet"), ["lua", "--freeze", image, *options(modules)], self.place, self.env)

    def finds_loaded(self, image, modules):
        names = ", ".join(f"package.loaded['{module}']" for module in modules)
        code = f"local function all(...) for i = 1, select('#', ...) do assert((select(i, ...)) ~= nil) end end all({names})"
        return run(self.program("moonlet"), ["lua", "--image", image, "-e", code], self.place, self.env).status == 0

    def use(self, use, program, *leading):
        """The script in an empty directory, which is that of the freeze."""
        for left in self.place.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        return run(program, ["lua", *leading, str(use.path)], self.place, self.env, use.terminal)

    def by_lua(self, use):
        return self.use(use, self.real)

    def thawed(self, use, image):
        return self.use(use, self.program("moonlet"), "--image", image)

    def served(self, use, modules):
        server = Server(self, modules)
        try:
            return self.use(use, self.program("moonletctl"), "run", "--socket", server.socket, "--argv0", "lua")
        finally:
            server.stop()


@dataclasses.dataclass
class Row:
    """What is known of a use under one Lua."""
    lua: str
    reason: str = ""  # why it is not kept warm
    difference: str = ""
    results: dict = dataclasses.field(default_factory=dict)  # lua, thawed, served


MADE_WITHOUT = re.compile(r"the image is made without ([^:]+)(?:: (.*))?")


def reason_of(err):
    """What moonlet has said, short: neither moonlet's name nor the image's, and no number of a descriptor."""
    said = []
    for line in err.decode(errors="replace").splitlines():
        line = re.sub(r"^(moonlet(-lua)?|lua): |\S+/\S+\.image: ", "", line).strip().removeprefix("freeze: ")
        line = re.sub(r"descriptor \d+|:\[\d+\]|process \d+|\[(\w+)\]", lambda found: re.sub(r"[ :\[\]\d]+", "", found[0]), line)
        if line and line not in said:
            said.append(line)
    return "; ".join(said) or "no reason given"


def examine(use, lua):
    image = str(lua.work / f"{use.name}.image")
    frozen = lua.freeze(image, use.modules)
    row = Row(lua.name)
    if frozen.status != 0 or not lua.finds_loaded(image, use.modules):
        row.reason = reason_of(frozen.err) if frozen.status is not None else "time-out"
    expected = lua.by_lua(use)
    there_is = frozen.status == 0
    row.results = {"lua": expected, "thawed": lua.thawed(use, image if there_is else lua.empty),
                   "served": lua.served(use, use.modules if there_is else [])}
    row.difference = "; ".join(f"{how}: {expected.difference(result)}" for how, result in row.results.items() if result != expected)
    pathlib.Path(image).unlink(missing_ok=True)
    return row


# Writes a line for each module that is loaded, into the file that the environment names. Standard output may have been replaced.
LIST = """local names = {} for name in pairs(package.loaded) do names[#names + 1] = tostring(name) end table.sort(names)
local file = io.open(os.getenv "LIST", "w") file:write(table.concat(names, "\\n")) file:close()"""


@dataclasses.dataclass
class Sweep:
    """All modules that a package brings for a Lua: which of them lua loads in one state, and which an image of that has not."""
    lua: str
    loaded: list
    cold: list
    reason: str = ""


def modules_of(package, lua):
    """What `require` finds in the package's files."""
    version = "5.1" if lua == "luajit" else lua
    listed = subprocess.run(["dpkg-query", "-L", package], capture_output=True, text=True).stdout.splitlines()
    found = (re.fullmatch(rf"/usr/(?:share|lib|lib/[^/]+)/lua/{version}/(.+)\.(?:lua|so)", line) for line in listed)
    return sorted({found[1].removesuffix("/init").replace("/", ".") for found in found if found and "." not in found[1]})


def sweep(package, lua):
    image, listed = str(lua.work / "sweep.image"), lua.work / "list"
    env = dict(lua.env, LIST=str(listed))

    def loaded(program, *words):
        listed.unlink(missing_ok=True)
        run(program, ["lua", *words, "-e", LIST], lua.work, env)
        return set(listed.read_text().split("\n")) if listed.exists() else None

    def warm_up():
        return "".join(f"pcall(require, '{name}') " for name in names)
    names = modules_of(package, lua.name)
    expected = loaded(lua.real, "-e", warm_up())
    if expected is None:  # one of them is a program
        names = [name for name in names if loaded(lua.real, "-e", f"pcall(require, '{name}')")]
        expected = loaded(lua.real, "-e", warm_up()) or set()
    its = sorted(expected.intersection(names))
    if not its:
        return None
    frozen = run(lua.program("moonlet"), ["lua", "--freeze", image, "-e", warm_up()], lua.work, env)
    if frozen.status != 0:
        return Sweep(lua.name, its, its, reason_of(frozen.err) if frozen.status is not None else "time-out")
    got = loaded(lua.program("moonlet"), "--image", image) or set()
    pathlib.Path(image).unlink()
    return Sweep(lua.name, its, [name for name in its if name not in got], reason_of(frozen.err) if frozen.err else "")


def report_sweep(package, it):
    text = f"{len(it.loaded) - len(it.cold)} of {len(it.loaded)} modules warm"
    print(f"all of {package} {it.lua}: {text}" + (f"; without {', '.join(it.cold)}: {it.reason}" if it.cold else ""), flush=True)


def report(use, row):
    """One line for each, and all that was said where something is not as lua has it."""
    print(f"{use.name} {row.lua}: {'not warm: ' + row.reason if row.reason else 'warm'};",
          row.difference or "same", f"(status {row.results['lua'].status})", flush=True)
    if row.difference or row.results["lua"].status != 0:
        for how, result in row.results.items():
            print(f"  {how}: status {result.status}\n    out {result.out[-1500:]!r}\n    err {result.err[-1500:]!r}", flush=True)


def faults(use, rows):
    """What is not as the header declares it."""
    for row in rows:
        if row.results["lua"].status != 0:
            yield f"{use.name} {row.lua}: lua itself fails"
        if row.difference and not use.differs:
            yield f"{use.name} {row.lua}: {row.difference}"
        if bool(row.reason) != bool(use.cold):
            yield f"{use.name} {row.lua}: {'not kept warm: ' + row.reason if row.reason else 'kept warm'}, against its header"


def by_lua(rows, value):
    """The value of all Luas, or each with its Luas."""
    values = {}
    for row in rows:
        values.setdefault(value(row), []).append(row.lua)
    if len(values) == 1:
        return next(iter(values))
    return "; ".join(f"{text} ({', '.join(luas)})" for text, luas in values.items())


def line_of(use, version, rows):
    def cell(text):
        return text.replace("|", "\\|")
    modules = ", ".join(f"`{module}`" for module in use.modules)
    warm = by_lua(rows, lambda row: "no: " + row.reason if row.reason else "yes" + (use.warm and f", {use.warm}"))
    same = by_lua(rows, lambda row: row.difference or "same")
    if use.differs and same != "same":
        same += ": " + use.differs
    luas = " ".join(row.lua for row in rows)
    return f"| {use.package} {version} | {modules} | {luas} | {cell(warm)} | {cell(same)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", help="the page whose table is written anew")
    parser.add_argument("--only", help="names, with commas")
    parser.add_argument("--representative", action="store_true")
    parser.add_argument("luas", nargs="+", metavar="LUA=BUILD")
    arguments = parser.parse_args()
    names = REPRESENTATIVE if arguments.representative else arguments.only and arguments.only.split(",")
    uses = [Use.read(path) for path in sorted(HERE.glob("*.lua")) if not names or path.stem in names]

    wrong, lines, sweeps = [], [], []
    with tempfile.TemporaryDirectory(prefix="moonlet-modules-") as work:
        luas = [Lua(*pair.split("="), pathlib.Path(work)) for pair in arguments.luas]
        for use in uses:
            version = use.version()
            if version is None:
                print(f"SKIPPED {use.name}: NEEDS THE PACKAGE {use.package}", flush=True)
                continue
            rows = [examine(use, lua) for lua in luas if lua.name in use.luas]
            for row in rows:
                report(use, row)
            wrong += faults(use, rows)
            if rows:
                lines.append((use, version, rows))
        for package in [] if names else sorted({use.package for use, _, _ in lines}):
            its = [it for it in (sweep(package, lua) for lua in luas) if it]
            for it in its:
                report_sweep(package, it)
            if its:
                sweeps.append((package, its))
    count(lines)
    if arguments.page:
        write_page(arguments.page, [line_of(*line) for line in lines], [line_of_sweep(*it) for it in sweeps])
    for fault in wrong:
        print(f"WRONG {fault}")
    return 1 if wrong else 0


def count(lines):
    rows = [row for _, _, rows in lines for row in rows]
    print(f"{len(lines)} uses, {len(rows)} under some Lua: {sum(not row.reason for row in rows)} kept warm,",
          f"{sum(not row.difference for row in rows)} the same")


def line_of_sweep(package, sweeps):
    """One line for all Luas, or one for each group of them that differs."""
    same = {}
    for it in sweeps:
        same.setdefault((len(it.loaded), tuple(it.cold)), []).append(it.lua)
    return "\n".join(f"| {package} | {' '.join(luas)} | {count} | {count - len(cold)} | {', '.join(f'`{name}`' for name in cold)} |"
                     for (count, cold), luas in same.items())


BEGIN, END = "<!-- scripts/modules writes from here -->", "<!-- to here -->"


def write_page(path, lines, sweeps):
    page = pathlib.Path(path)
    head, _, rest = page.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    tables = ["| package | loaded with `-l` | Lua | kept warm | a warm launch |", "|---|---|---|---|---|", *lines, "",
              "All modules of each package, required by one warm-up:", "",
              "| package | Lua | loaded | warm | left to launches |", "|---|---|---|---|---|", *sweeps]
    page.write_text(head + BEGIN + "\n\n" + "\n".join(tables) + "\n\n" + END + tail)


if __name__ == "__main__":
    sys.exit(main())
