"""How much of a router's flash moonlet takes: Lua 5.3 and musl on little-endian MIPS. And that it runs there."""

import itertools
import json
import os
import shutil
import subprocess

import pytest
from conftest import PATIENCE, SOURCE, environment

PROGRAMS = os.path.join(SOURCE, "build", "mipsel-musl")
SYSROOT = os.path.join(SOURCE, "build", "sysroot", "mipsel")
MOONLETD = os.path.join(PROGRAMS, "moonletd")
MOONLET = os.path.join(PROGRAMS, "moonlet")
MOONLET_LUA = os.path.join(PROGRAMS, "moonlet-lua")
MOONLETCTL = os.path.join(PROGRAMS, "moonletctl")


@pytest.fixture(scope="module", autouse=True)
def build():
    sysroot = subprocess.run(["scripts/sysroot", "mipsel"], cwd=SOURCE, capture_output=True, text=True)
    if sysroot.returncode != 0:
        pytest.skip("THE SYSROOT OF MIPSEL CANNOT BE BUILT: " + sysroot.stderr[-200:])
    for command in (["cmake", "--preset", "mipsel-musl"],
                    ["cmake", "--build", "--preset", "mipsel-musl", "--target", "moonlet", "moonlet-lua", "moonletctl", "moonletd"]):
        done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def emulator(tmp_path):
    """The command that runs a program for MIPS, with the sysroot's libraries."""
    if shutil.which("qemu-mipsel") is None:
        pytest.skip("QEMU-USER IS NOT INSTALLED")
    root = tmp_path / "root"
    # The emulator has a thread of its own, which is not one that a warm-up has left.
    (root / "proc" / "self" / "task").mkdir(parents=True)
    (root / "lib").symlink_to(os.path.join(SYSROOT, "lib"))
    return ["qemu-mipsel", "-L", str(root)]


def readelf(*arguments):
    return subprocess.run(["readelf", "--wide", *arguments], check=True, capture_output=True, text=True).stdout


# The goal is 20,480 bytes for moonlet and moonlet-lua together, and 40,960 for all four programs: until it is reached, none grows.
@pytest.mark.parametrize("program, limit", [(MOONLETD, 18944), (MOONLET, 13824), (MOONLET_LUA, 35328)],
                         ids=["moonletd", "moonlet", "moonlet-lua"])
def test_the_programs_fit_a_router(program, limit):
    size = os.path.getsize(program)
    compiler = subprocess.run(["mipsel-linux-gnu-gcc", "-dumpversion"], capture_output=True, text=True).stdout.strip()
    if compiler.split(".")[0] != "12":
        pytest.skip(f"THE LIMITS ARE GCC 12'S: gcc {compiler} makes {size} bytes where they are {limit}")
    assert size <= limit


def test_moonletd_needs_libc_alone():
    needed = [line for line in readelf("--dynamic", MOONLETD).splitlines() if "(NEEDED)" in line]
    assert [line.split("[")[1].rstrip("]") for line in needed] == ["libc.so"]


def test_no_stack_is_executable():
    for program in MOONLETD, MOONLET:
        stack, = [line.split() for line in readelf("--segments", program).splitlines() if "GNU_STACK" in line]
        assert stack[-2] == "RW"


def test_moonlet_is_static():
    assert "There is no dynamic section" in readelf("--dynamic", MOONLET)


def test_the_status_is_told_on_mips(start_zygote, emulator):
    """The emulator has no execveat(2): there is no image, and tests/router has the launches."""
    zygote = start_zygote(options=["--max", "7"], command=[*emulator, MOONLETD])
    done = subprocess.run([*emulator, MOONLETCTL, "--status=json"], capture_output=True, text=True,
                          env=environment(MOONLET_SOCKET=zygote.socket), timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["lua"], told["pid"], told["max"], told["launches"]) == ("Lua 5.3", zygote.pid, 7, 0)


# The programs look their imports up by themselves there, by a hash of their names: src/server/imports.cc.


def start_with_renamed(tmp_path, emulator, name, other):
    """What moonlet-lua says with a liblua where the function `name` is called `other`."""
    library = tmp_path / "root" / "lib"
    library.unlink()
    shutil.copytree(os.path.join(SYSROOT, "lib"), library, ignore=shutil.ignore_patterns("*.a"))
    lua = library / "liblua5.3.so.0"
    lua.write_bytes(lua.read_bytes().replace(b"\0%s\0" % name, b"\0%s\0" % other))
    done = subprocess.run([*emulator, MOONLET_LUA, "--version"], capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, done.stderr


def test_moonlet_lua_does_not_start_where_a_function_is_missing(tmp_path, emulator):
    assert start_with_renamed(tmp_path, emulator, b"luaL_openlibs", b"luaL_openlibz") == (
        127, "moonlet-lua: built for other libraries\n")


def test_moonlet_lua_does_not_start_where_two_names_have_a_wanted_hash(tmp_path, emulator):
    with open(os.path.join(PROGRAMS, "imports", "moonlet-lua", "imports.inc"), encoding="ascii") as file:
        first, *lines = file.read().splitlines()
    multiplier = int(first.split()[-1])
    wanted = {int(line.split()[-1], 16) for line in lines}

    def has_wanted_hash(name):
        value = 0
        for letter in name:
            value = (value + letter) * multiplier % 2**32
        return value >> 8 in wanted

    name = b"lua_isuserdata"  # which nobody calls
    names = (b"%014d" % number for number in itertools.count())
    assert start_with_renamed(tmp_path, emulator, name, next(filter(has_wanted_hash, names))) == (
        127, "moonlet-lua: built for other libraries\n")
