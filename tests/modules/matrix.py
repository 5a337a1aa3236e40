#!/usr/bin/python3
"""matrix.py [--page FILE] [--only NAME,...] LUA=BUILD...: each Lua module of Debian, under lua and thawed.

LUA is 5.1, 5.2, 5.3, 5.4 or luajit, BUILD the directory of its moonlet. Each NAME.lua beside this file uses a module; its header
says which. For each of them and each LUA:

1. `moonlet --freeze IMAGE -l MODULE`, and whether a launch of that image finds the module loaded: is it kept warm?
2. The script under lua and under moonlet with that image: are output, errors, status and time-out the same? Where there is no
   image with the module, the launch has one of an empty warm-up, and loads the module itself.

A script ends with status 0 if its use of the module worked. MOONLET_REAL_LUA names another lua.

With --page it writes docs/modules.md's table. Without, it is a test: status 1 if a launch differs that the header does not
declare (Differs), or if a module is kept warm or not otherwise than declared (Cold). What is not installed is named as SKIPPED."""

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
    differs: str = ""  # what a thawed launch does otherwise

    @classmethod
    def read(cls, path):
        fields = {}
        for line in path.read_text().splitlines():
            found = re.fullmatch(r"-- (\w+): (.*)", line)
            if not found:
                break
            fields[found[1]] = found[2]
        return cls(path.stem, path, fields["Package"], fields["Modules"].split(), fields["Luas"].split(),
                   "Terminal" in fields, fields.get("Cold", ""), fields.get("Differs", ""))

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
        """In a few words, where `other` is the thawed one."""
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
    child = subprocess.Popen(argv, executable=program, cwd=directory, env=env, start_new_session=True, **streams)
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


class Lua:
    """A version of Lua: the real one, and a moonlet for it."""

    def __init__(self, name, build, work):
        self.name = name
        self.real = os.environ.get("MOONLET_REAL_LUA") or shutil.which(name if name == "luajit" else f"lua{name}")
        self.moonlet = os.path.join(os.path.abspath(build), "moonlet")
        self.work = work / name
        self.work.mkdir()
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.work), "LANG": "C.UTF-8", "TERM": "vt100", "MOONLET_FALLBACK": ""}
        self.empty = str(self.work / "empty.image")
        done = self.freeze(self.empty, [])
        if done.status != 0:
            sys.exit(f"matrix.py: no image for Lua {name}: {done.err.decode()}")

    def freeze(self, image, modules):
        options = [word for module in modules for word in ("-l", module)]
        return run(self.moonlet, ["lua", "--freeze", image, *options], self.work, self.env)

    def finds_loaded(self, image, modules):
        names = ", ".join(f"package.loaded['{module}']" for module in modules)
        code = f"local function all(...) for i = 1, select('#', ...) do assert((select(i, ...)) ~= nil) end end all({names})"
        return run(self.moonlet, ["lua", "--image", image, "-e", code], self.work, self.env).status == 0

    def use(self, use, image=None):
        """The script in a new directory, by lua or, with an image, by moonlet."""
        place = self.work / "place"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        script = ["--image", image, str(use.path)] if image else [str(use.path)]
        return run(self.moonlet if image else self.real, ["lua", *script], place, self.env, use.terminal)


@dataclasses.dataclass
class Row:
    """What is known of a use under one Lua."""
    lua: str
    reason: str = ""  # why it is not kept warm
    difference: str = ""
    expected: Result = None
    thawed: Result = None


LEFT_OPEN = re.compile(r"(?:freeze: )?module (\S+) left descriptor \d+ open: (.+)")


def reason_of(err):
    """What moonlet has said, short: descriptors by their kinds, and neither moonlet's name nor the image's."""
    kinds, said = {}, []
    for line in err.decode(errors="replace").splitlines():
        line = re.sub(r"^(moonlet(-lua)?|lua): |\S+/\S+\.image: ", "", line).strip()
        left = LEFT_OPEN.fullmatch(line)
        if left:
            kind = re.sub(r"anon_inode:\[(\w+)\]|:\[\d+\]", r"\1", left[2])
            kinds[kind] = kinds.get(kind, 0) + 1
        elif line:
            said.append(line.removeprefix("freeze: "))
    if kinds:
        said.insert(0, "descriptors: " + ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())))
    return "; ".join(said) or "no reason given"


def examine(use, lua):
    image = str(lua.work / f"{use.name}.image")
    frozen = lua.freeze(image, use.modules)
    row = Row(lua.name)
    if frozen.status != 0 or not lua.finds_loaded(image, use.modules):
        row.reason = reason_of(frozen.err) if frozen.status is not None else "time-out"
    row.expected = lua.use(use)
    row.thawed = lua.use(use, image if frozen.status == 0 else lua.empty)
    if row.expected != row.thawed:
        row.difference = row.expected.difference(row.thawed)
    pathlib.Path(image).unlink(missing_ok=True)
    return row


def report(use, row):
    """One line for each, and all that was said where something is not as lua has it."""
    print(f"{use.name} {row.lua}: {'not warm: ' + row.reason if row.reason else 'warm'};",
          row.difference or "same", f"(status {row.expected.status})", flush=True)
    shown = [row.expected, row.thawed] if row.difference else [row.expected] if row.expected.status != 0 else []
    for result in shown:
        print(f"  status {result.status}\n  out {result.out[-1500:]!r}\n  err {result.err[-1500:]!r}", flush=True)


def faults(use, rows):
    """What is not as the header declares it."""
    for row in rows:
        if row.expected.status != 0:
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
    warm = by_lua(rows, lambda row: "no: " + row.reason if row.reason else "yes")
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

    wrong, lines = [], []
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
    count(lines)
    if arguments.page:
        write_page(arguments.page, [line_of(*line) for line in lines])
    for fault in wrong:
        print(f"WRONG {fault}")
    return 1 if wrong else 0


def count(lines):
    rows = [row for _, _, rows in lines for row in rows]
    print(f"{len(lines)} uses, {len(rows)} under some Lua: {sum(not row.reason for row in rows)} kept warm,",
          f"{sum(not row.difference for row in rows)} the same")


BEGIN, END = "<!-- scripts/modules writes from here -->", "<!-- to here -->"


def write_page(path, lines):
    page = pathlib.Path(path)
    head, _, rest = page.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    table = ["| package | loaded with `-l` | Lua | kept warm | a thawed launch |", "|---|---|---|---|---|", *lines]
    page.write_text(head + BEGIN + "\n\n" + "\n".join(table) + "\n\n" + END + tail)


if __name__ == "__main__":
    sys.exit(main())
