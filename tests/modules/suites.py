#!/usr/bin/python3
"""suites.py [--only NAME,...] SOURCES LUA=BUILD...: programs and test suites that Debian has, cold and warm.

SOURCES holds Debian's source packages, those of them that there were. Each suite runs in a new directory, by the real lua and in
an image that has those modules warm that it asks for under lua: output, errors, status and the files that it leaves must be
the same, but for times. Status 1 if one differs. MOONLET_FALLBACK is empty: a launch that is not thawed fails."""

import argparse
import dataclasses
import filecmp
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import matrix

ALL = ["5.1", "5.2", "5.3", "5.4", "luajit"]
LIMIT = 300  # seconds
# LUA_INIT: names of modules that are asked for, for the file $LIST.
LIST = """local load, list = require, os.getenv 'LIST'
function require(name, ...)
  local file = io.open(list, 'a') file:write(name, '\\n') file:close()
  return load(name, ...)
end"""
SPEC = """
describe("a spec", function()
  local lib = require "pl.pretty"
  it("works", function() assert.are.same({1, {2}}, {1, {2}}) assert.is_string(lib.write {1}) end)
  it("fails", function() assert.are.same({1, {2}}, {1, {3}}) end)
  it("raises", function() error { code = 1 } end)
  it("spies", function() local s = spy.new(function() end) s(1) assert.spy(s).was.called_with(1) end)
  pending("waits", function() end)
  describe("inside", function() before_each(function() x = 1 end) insulate(function() it("is", function() assert.equal(1, x) end) end) end)
end)
"""
ROCK = """package = "a_rock" version = "1.0-1" source = { url = "." }
build = { type = "builtin", modules = { a_rock = "a_rock.lua" }, install = { bin = { "a_program" } } }
"""


@dataclasses.dataclass
class Suite:
    name: str
    luas: list
    command: list  # lua's arguments; {sources} and {here} are replaced
    files: dict = dataclasses.field(default_factory=dict)  # that are there first, by name
    without: tuple = ()  # beginnings of modules that ask for their program while they load: docs/warm.md
    copy: str = ""  # a directory of sources, or of Debian, that the suite runs in


def luarocks(name, *arguments):
    return Suite(f"luarocks {name}", ["5.1", "5.2", "5.3", "5.4"],
                 ["/usr/bin/luarocks", "--tree", "{here}/tree", *arguments],
                 {"a_rock-1.0-1.rockspec": ROCK, "a_rock.lua": "return 1\n", "a_program": "#!/usr/bin/env lua\nprint 'run'\n"},
                 ("luarocks.cmd", "luarocks.loader"))


SHARE = "/usr/share/lua/5.1"
SUITES = [
    *(Suite(f"luacheck {name}", ["5.1"], ["/usr/bin/luacheck", "--no-cache", "--no-color", *options, SHARE], without=("luacheck.main",))
      for name, options in {"all": [], "codes": ["--codes", "--ranges", "-q"], "TAP": ["--formatter", "TAP"], "JUnit": ["--formatter", "JUnit"],
                            "no globals": ["--std", "none", "--max-line-length", "80"]}.items()),
    *(Suite(f"busted {output}", ALL, ["/usr/bin/busted", "--seed", "1", "-o", output, "."], {"a_spec.lua": SPEC, "b_spec.lua": SPEC})
      for output in ("TAP", "plainTerminal", "utfTerminal")),
    Suite("busted --list", ALL, ["/usr/bin/busted", "--list", "."], {"a_spec.lua": SPEC}),
    Suite("busted, luarocks' specs", ["5.1", "5.2", "5.3", "5.4"],
          ["/usr/bin/busted", "-f", "none", "-o", "TAP", "spec"], {"none": "return {}"}, ("spec", "luarocks"), copy="{sources}/luarocks"),
    Suite("ldoc of Penlight", ["5.1", "5.2", "5.3", "5.4"], ["/usr/bin/ldoc", "-p", "p", f"{SHARE}/pl"]),
    Suite("ldoc of luarocks", ["5.1", "5.2", "5.3", "5.4"], ["/usr/bin/ldoc", "-p", "p", "src/luarocks"], copy="{sources}/luarocks"),
    luarocks("make", "make", "--local", "a_rock-1.0-1.rockspec"), luarocks("list", "list"),
    luarocks("config", "config", "lua_interpreter"), luarocks("help", "help", "install"), luarocks("path", "path"), luarocks("unknown", "no-such-command"),
    Suite("luaunit's lists", ALL, ["some_lists_comparisons.lua", "-o", "tap"], copy="/usr/share/doc/lua-unit/examples"),
    Suite("luaunit's failures", ALL, ["test_with_err_fail_pass.lua", "-o", "text"], copy="/usr/share/doc/lua-unit/examples"),
    Suite("iconv's tests", ["5.1", "5.2", "5.3", "luajit"], ["test_iconv.lua"], copy="/usr/share/doc/lua-iconv/examples"),
    *(Suite(f"cliargs {script}", ALL, [script, *arguments], copy="/usr/share/doc/lua-cliargs/examples")
      for script, arguments in {"00_general.lua": ["--help"], "01_multiple_options.lua": ["-i", "a", "-i", "b"], "04_commands--git.lua": ["log", "--help"]}.items()),
    Suite("ljsyscall's tests", ["luajit"], ["test/test.lua"], copy="/usr/share/doc/lua-ljsyscall"),
    *(Suite(f"Lua 5.1's {script}", ALL, [f"{script}.lua", *arguments], copy="{sources}/lua5.1/test")
      for script, arguments in {"cf": [], "echo": ["a", "b"], "env": [], "factorial": ["9"], "fibfor": [], "globals": [], "hello": [],
                                "printf": [], "readonly": [], "sieve": [], "sort": [], "life": [], "bisect": []}.items()),
]
# Whose own suites a source package would have.
SOURCES = {"lua5.3": "tests", "lua5.4": "testes", "luacheck": "spec", "lua-busted": "spec", "lua-ldoc": "tests", "lua-penlight": "tests", "luarocks": "spec",
           "lua5.1": "test"}


def plain(data, place):
    """Without what differs from run to run: times, sizes of the heap, addresses, and the directory."""
    data = data.replace(str(place).encode(), b"HERE")
    data = re.sub(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d|\d\d:\d\d:\d\d", b"DATE", data)
    data = re.sub(rb"0x[0-9a-f]{6,}", b"ADDRESS", data)
    return re.sub(rb"\d+\.\d+(e-\d+)?( ?seconds| ?s\b|\")|\"duration\":[0-9.e-]+|\d+ ms", b"TIME", data)


def same_files(one, other):
    """Names of those that differ, in the trees `one` and `other`."""
    found = []
    names = {path.relative_to(root) for root in (one, other) for path in root.rglob("*") if not path.is_dir()}
    for name in sorted(names):
        a, b = one / name, other / name
        if not (a.exists() and b.exists()):
            found.append(f"{name} is missing")
        elif not filecmp.cmp(a, b, False) and plain(a.read_bytes(), one) != plain(b.read_bytes(), other):
            found.append(str(name))
    return found


class Runner:
    def __init__(self, sources, lua, work):
        self.sources, self.lua, self.work = sources, lua, work

    def image(self, suite):
        """With all modules that the suite asks for, but for those that are not to be warm."""
        listed = self.work / "list"
        listed.unlink(missing_ok=True)
        self.run(suite, None, {"LUA_INIT": LIST, "LIST": str(listed)})
        names = list(dict.fromkeys(listed.read_text().split())) if listed.exists() else []
        names = [name for name in names if not name.startswith(suite.without)]
        path = str(self.work / "suite.image")
        code = "".join(f"pcall(require, '{name}') " for name in names)
        done = subprocess.run([self.lua.program("moonlet"), "--freeze", path, "-e", code], capture_output=True, env=self.lua.env, cwd=self.work / "cold" / "here")
        if done.returncode != 0:
            sys.exit(f"suites.py: no image for {suite.name}, Lua {self.lua.name}: {done.stderr.decode()}")
        return path, len(names)

    def run(self, suite, image, variables=None):
        """Status, output, errors, and the directory."""
        place = self.work / ("warm" if image else "cold") / "here"
        shutil.rmtree(place.parent, ignore_errors=True)
        if suite.copy:
            shutil.copytree(suite.copy.format(sources=self.sources), place, symlinks=True)
        place.mkdir(parents=True, exist_ok=True)
        for name, text in suite.files.items():
            (place / name).write_text(text)
        words = [word.format(sources=self.sources, here=place) for word in suite.command]
        program = self.lua.program("moonlet") if image else self.lua.real
        argv = [self.lua.real, *(["--argv0", self.lua.real, "--image", image] if image else []), *words]
        env = dict(self.lua.env, HOME=str(place), **(variables or {}))
        try:
            done = subprocess.run(argv, executable=program, cwd=place, env=env, capture_output=True, stdin=subprocess.DEVNULL, timeout=LIMIT)
            return [done.returncode, plain(done.stdout, place), plain(done.stderr, place)], place
        except subprocess.TimeoutExpired:
            return ["time-out", b"", b""], place

    def compare(self, suite):
        """What differs, and what lua's run was like."""
        image, modules = self.image(suite)
        cold, place = self.run(suite, None)
        warm, warm_place = self.run(suite, image)
        different = [name for name, a, b in zip(("status", "output", "errors"), cold, warm) if a != b]
        if different:
            keep = self.work / "different"
            keep.mkdir(exist_ok=True)
            for how, result in (("cold", cold), ("warm", warm)):
                (keep / how).write_bytes(b"status %s\n%s\n%s" % (str(result[0]).encode(), result[1], result[2]))
            shown = subprocess.run(["diff", "cold", "warm"], cwd=keep, capture_output=True, text=True, errors="replace").stdout
            different.append(shown[:2000])
        different += same_files(place, warm_place)[:9]
        return different, f"{modules} modules warm, status {cold[0]}, {len(cold[1])} bytes of output"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="beginnings of names, with commas")
    parser.add_argument("sources")
    parser.add_argument("luas", nargs="+", metavar="LUA=BUILD")
    arguments = parser.parse_args()
    only = tuple(arguments.only.split(",")) if arguments.only else ("",)
    for package, tests in SOURCES.items():
        if not os.path.isdir(os.path.join(arguments.sources, package, tests)):
            print(f"NOT GIVEN: tests of the source package {package}")
    total = wrong = 0
    with tempfile.TemporaryDirectory(prefix="moonlet-suites-") as work:
        for pair in arguments.luas:
            lua = matrix.Lua(*pair.split("="), pathlib.Path(work))
            runner = Runner(arguments.sources, lua, lua.work)
            for suite in SUITES:
                if lua.name not in suite.luas or not suite.name.startswith(only):
                    continue
                if suite.copy and not os.path.isdir(suite.copy.format(sources=arguments.sources)):
                    print(f"LEFT OUT {suite.name} {lua.name}: no {suite.copy}", flush=True)
                    continue
                different, told = runner.compare(suite)
                total += 1
                wrong += bool(different)
                print(f"{suite.name} {lua.name}: {'DIFFERS: ' + '; '.join(different) if different else 'same'} ({told})", flush=True)
    print(f"{total} runs, {total - wrong} the same")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
