"""A module whose loading leaves what no launch could have is left out of the image, and each launch loads it."""

import os

import pytest
from conftest import MOONLET, REAL_LUA, Result, environment, needs_program, run

KEEPS = "kept = io.open '/etc/passwd' return {name = ..., first = kept:read()}"
KINDS = ["file", "directory", "socket", "pipe", "epoll", "eventfd", "inotify", "timerfd", "memfd", "thread", "child", "zombie"]


class Place:
    def __init__(self, directory):
        self.directory, self.image = directory, str(directory / "image")
        self.env = environment(LUA_PATH=f"{directory}/?.lua;;", MOONLET_FALLBACK="")

    def write(self, **modules):
        for name, text in modules.items():
            (self.directory / f"{name}.lua").write_text(text)

    def freeze(self, *warm_up, env=None):
        return run(MOONLET, ["lua", "--freeze", self.image, *warm_up], self.env if env is None else env, cwd=self.directory)

    def left_out(self, *warm_up):
        """Freezes. Returns the names of what the image is made without."""
        done = self.freeze(*warm_up)
        assert done.status == 0 and done.out == b"", done
        lines = done.err.decode().splitlines()
        assert all(line.startswith("moonlet: freeze: ") for line in lines), done
        told = [line for line in lines if "is made without" in line]
        return [name for line in told for name in line.split(": ")[2].removeprefix("the image is made without ").split(", ")]

    def launch(self, program, code, *options):
        return run(program, ["lua", *options, "-e", code], dict(self.env, MOONLET_IMAGE=self.image), cwd=self.directory)

    def same(self, code):
        expected, got = self.launch(REAL_LUA, code), self.launch(MOONLET, code)
        assert got == expected and expected.status == 0, f"moonlet: {got!r}\n\nlua: {expected!r}"

    def is_warm(self, name):
        return self.launch(MOONLET, f"print(package.loaded['{name}'] ~= nil)").out == b"true\n"


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_it_is_left_out_and_the_others_are_warm(place):
    place.write(keeps=KEEPS, other="return {name = 'other'}")
    assert place.left_out("-l", "other", "-l", "keeps", "-l", "string") == ["keeps"]
    assert place.is_warm("other") and not place.is_warm("keeps")
    place.same("local keeps = require 'keeps' print(keeps.name, keeps.first, require 'keeps' == keeps, require 'other'.name)")
    place.same("print(keeps, rawget(_G, 'kept'))")


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_it_leaves(place, kind):
    place.write(keeps=f"require 'leaves' '{kind}' return {{}}", other="return {}")
    # What `leaves` does when it is called is whose that calls it.
    assert place.left_out("-l", "other", "-l", "keeps") == ["keeps"]
    assert place.is_warm("other") and not place.is_warm("keeps")


def test_what_needs_it_is_left_out_too(place):
    place.write(keeps=KEEPS, uses="return {keeps = require 'keeps'}", above="return {uses = require 'uses'}", other="return {}",
                tries="return {ok = pcall(require, 'keeps')}")
    assert sorted(place.left_out("-l", "other", "-l", "above", "-l", "tries")) == ["above", "keeps", "tries", "uses"]
    assert place.is_warm("other") and not any(map(place.is_warm, ("keeps", "uses", "above", "tries")))
    place.same("print(require 'above'.uses.keeps.name, require 'tries'.ok)")


# What a module asks for while it loads, and no launch can be compared for.
ASKS = {
    "a file that is never the same": "io.open('/proc/self/status'):close()",
    "standard input": "io.read()",
    "a device": "local device = io.open('/dev/ptmx') if device then device:close() end",
    "a FIFO": "io.open('fifo', 'r+'):close()",
}


@pytest.mark.parametrize("asks", ASKS)
def test_what_cannot_be_compared(place, asks):
    os.mkfifo(place.directory / "fifo")
    place.write(asks=f"{ASKS[asks]} return {{name = ...}}", uses="return require 'asks'", other="return {}")
    assert place.left_out("-l", "other", "-l", "uses") == ["asks", "uses"]
    assert place.is_warm("other") and not place.is_warm("asks")
    place.same("print(require 'uses'.name)")


def test_what_the_warm_up_itself_asks_forbids_the_image(place):
    place.write(asks="return function() io.open('/proc/self/status'):close() end")
    done = place.freeze("-l", "asks", "-e", "require 'asks'()")
    assert done.status == 1 and done.err == b"moonlet: freeze: a file that is never the same was read: /proc/self/status\n", done


def test_a_module_that_only_keeps_arg_is_warm(place):
    place.write(keeps_arg="local its = arg return function() return its[0], its[1], #its end")
    (place.directory / "warm.lua").write_text("require 'keeps_arg'")
    assert place.freeze("warm.lua") == Result(0, b"", b"")
    assert place.is_warm("keeps_arg")
    (place.directory / "s.lua").write_text("print(require 'keeps_arg'() == arg[0], getmetatable(arg), require 'keeps_arg'())")
    expected, got = (run(program, ["lua", "s.lua", "a", "b"], dict(place.env, MOONLET_IMAGE=place.image), cwd=place.directory)
                     for program in (REAL_LUA, MOONLET))
    assert got == expected and got.status == 0


def test_a_module_that_looks_at_arg_while_it_is_loaded_has_seen_the_warm_up_s(place):
    """A limit, which --leave-out is for."""
    place.write(is_main="return {is_main = arg[0]:find 'main' ~= nil}")
    (place.directory / "warm.lua").write_text("require 'is_main'")
    (place.directory / "main.lua").write_text("print(require 'is_main'.is_main)")

    def launch(*options):
        assert place.freeze(*options, "warm.lua").status == 0
        return run(MOONLET, ["lua", "main.lua"], dict(place.env, MOONLET_IMAGE=place.image), cwd=place.directory).out

    assert launch() == b"false\n"
    assert launch("--leave-out", "is_main") == b"true\n"


def test_arg_of_the_warm_up_is_as_in_lua(place):
    (place.directory / "warm.lua").write_text("""
        local lines = {}
        for i = -1, 3 do lines[#lines + 1] = tostring(arg[i]) end
        for i, text in ipairs(arg) do lines[#lines + 1] = i .. text end
        print(table.concat(lines, ' '), #arg, ...)""")
    expected = run(REAL_LUA, ["moonlet", "warm.lua", "a", "b"], place.env, cwd=place.directory)
    done = run(MOONLET, ["moonlet", "--freeze", place.image, "warm.lua", "a", "b"], place.env, cwd=place.directory)
    assert done == expected


def test_more_than_one(place):
    place.write(keeps=KEEPS, holds=KEEPS, other="return {}")
    assert sorted(place.left_out("-l", "keeps", "-l", "other", "-l", "holds")) == ["holds", "keeps"]
    assert place.is_warm("other")


def test_one_that_leaves_something_only_without_another(place):
    """It is found in the second run."""
    place.write(keeps=KEEPS, late="if not package.loaded.keeps then held = io.open '/etc/group' end return {}", other="return {}")
    assert place.left_out("-l", "keeps", "-l", "late", "-l", "other") == ["keeps", "late"]
    assert place.is_warm("other") and not place.is_warm("late")


def test_a_script_that_requires_it_gets_nil(place):
    place.write(keeps=KEEPS, other="return {}", warm="local k = require 'keeps' require 'other' warm = k == nil")
    assert place.left_out("warm.lua") == ["keeps"]
    assert place.launch(MOONLET, "print(warm, require 'keeps'.name)").out == b"true\tkeeps\n"


def test_a_script_that_cannot_do_without_fails(place):
    place.write(keeps=KEEPS, warm="print(require 'keeps'.name)")
    done = place.freeze("warm.lua")
    assert done.status == 1 and b"made without keeps" in done.err and b"nil" in done.err and not os.path.exists(place.image)


def test_what_the_script_leaves_itself_is_no_module_s(place):
    place.write(keeps=KEEPS)
    done = place.freeze("-l", "keeps", "-e", "mine = io.open '/etc/group'")
    assert done.status == 1 and b"made without" not in done.err and not os.path.exists(place.image)


def test_the_user_may_want_all_or_nothing(place):
    place.write(keeps=KEEPS)
    done = place.freeze("--whole", "-l", "keeps")
    assert done.status == 1 and b"module keeps left descriptor" in done.err and not os.path.exists(place.image)


def test_the_user_may_leave_one_out(place):
    place.write(other="return {}", keeps="return {}", uses="return {keeps = require 'keeps'}")
    assert place.freeze("--leave-out", "keeps", "-l", "other", "-l", "keeps") == Result(0, b"", b"")
    assert place.is_warm("other") and not place.is_warm("keeps")
    assert place.left_out("--leave-out=keeps", "-l", "uses", "-l", "other") == ["uses"]
    assert place.is_warm("other") and not place.is_warm("uses")


def test_options_are_the_same_in_the_second_run(place):
    place.write(keeps=KEEPS, script="args = table.concat({...}, ' ') require 'keeps' look = os.getenv 'LOOKED_AT'")
    place.env["LOOKED_AT"] = "1"
    assert place.left_out("--ignore", "LOOKED_AT", "--", "script.lua", "a", "b c", "") == ["keeps"]
    place.env["LOOKED_AT"] = "2"
    assert place.launch(MOONLET, "print(args, look)").out == b"a b c \t1\n"


@needs_program("strace", "strace")
def test_where_nobody_traces_it_is_named(place):
    place.write(keeps=KEEPS)
    done = run("strace", ["strace", "-f", "-o", "/dev/null", MOONLET, "--freeze", place.image, "-l", "keeps"], place.env, cwd=place.directory)
    assert done.status == 1 and b"module keeps left descriptor" in done.err and not os.path.exists(place.image), done
