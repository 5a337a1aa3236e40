"""A launch thaws an image, or it is lua's: whatever is wrong with the image, the script runs once, with lua's output."""

import ctypes
import os
import resource
import shutil
import socket
import struct
import subprocess
import threading

import images
import pytest
from conftest import (BUILD, JIT, LUA, MOONLET, NAME_OF_LUA, REAL_LUA, Result, World, about_the_file, environment, needs_program, needs_root,
                      run)

SCRIPT = """
    local runs = io.open(os.getenv 'RUNS', 'a')
    runs:write(WARM and 'thawed\\n' or 'lua\\n')
    runs:close()
    print(WARM, ...)
    os.exit(7)
"""
THAWED = Result(7, b"warm\tan argument\n", b"")
BY_LUA = Result(7, b"nil\tan argument\n", b"")
LAUNCHES = os.path.join(BUILD, "tests", "launches")


class Place:
    """An image in a directory of its own, which tests may make another one of, and a script."""

    def __init__(self, directory, *warm_up, env=None, program=MOONLET):
        self.directory, self.program = directory, program
        directory.mkdir(mode=0o755)
        self.path = str(directory / "some.image")
        self.runs = directory / "runs"
        self.script = directory / "script.lua"
        self.script.write_text(SCRIPT)
        done = run(program, ["lua", "--freeze", self.path, "-e", "WARM = 'warm'", *warm_up], env or environment())
        assert done == Result(0, b"", b""), done

    def image(self):
        return images.Image.read(self.path)

    def launch(self, fallback=REAL_LUA, path=None, **options):
        """Returns the result, and what has run."""
        self.runs.write_text("")
        env = environment(MOONLET_IMAGE=path or self.path, MOONLET_FALLBACK=fallback, RUNS=str(self.runs), **options.pop("more", {}))
        result = run(self.program, ["lua", str(self.script), "an argument"], env, **options)
        return result, self.runs.read_text().split()

    def is_thawed(self, **options):
        result = self.launch("", **options)
        assert result == (THAWED, ["thawed"]), result
        return True

    def is_lua_s(self, reason, path=None, **options):
        """The script runs once, under lua; where that is forbidden, one line says why, and nothing runs."""
        result = self.launch(path=path, **options)
        assert result == (BY_LUA, ["lua"]), result
        refused, ran = self.launch("", path=path, **options)
        expected = f"moonlet: thaw {path or self.path}: ".encode()
        assert refused.status == 125 and refused.out == b"" and ran == [], refused
        assert refused.err.startswith(expected) and refused.err.count(b"\n") == 1 and reason.encode() in refused.err, refused
        return True


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "place")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One that no test changes."""
    return Place(tmp_path_factory.mktemp("thaw") / "place")


@pytest.fixture
def changed(place):
    """changed(act): the image after act(image), with a checksum that is right."""
    def change(act):
        image = place.image()
        act(image)
        image.write(place.path)
        return place

    return change


def test_an_image_is_thawed(shared):
    assert shared.is_thawed()


# No image


def test_nothing_is_there(shared, tmp_path):
    assert shared.is_lua_s("No such file or directory", path=str(tmp_path / "none"))
    assert shared.is_lua_s("Not a directory", path=str(shared.script) + "/image")
    assert shared.is_lua_s("name too long", path="/" + "x" * 300)


def test_what_is_no_file(shared, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path, reason in ((str(tmp_path), "is no image"), (str(tmp_path / "fifo"), "is no image"), ("/dev/null", "is no image"),
                             ("/dev/zero", "is no image"), (str(tmp_path / "socket"), "No such device or address")):
            assert shared.is_lua_s(reason, path=path)


@pytest.mark.parametrize("content", [b"", b"moonlet\n", b"#!/usr/bin/lua\n" + b"x" * 5000, b"\0" * 20000, b"\x7fELF" + b"\1" * 9000])
def test_a_file_that_is_no_image(shared, tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    path.chmod(0o600)
    assert shared.is_lua_s("is no image" if not content.startswith(b"moonlet") else "", path=str(path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_image_that_must_not_be_read(place):
    os.chmod(place.path, 0)
    assert place.is_lua_s("Permission denied")


# A damaged one


def test_an_image_that_is_cut_short(place):
    """At each boundary within it, and a byte to each side."""
    with open(place.path, "rb") as file:
        data = file.read()
    image = place.image()
    sizes = {size + by for size in images.boundaries(image) for by in (-1, 0, 1)} - {-1, len(data)}
    for size in sorted(sizes):
        images.replace(place.path, data[:size].ljust(size, b"\0"), image.made_seconds, image.made_nanoseconds)
        assert place.is_lua_s("is no image" if size < struct.calcsize(images.HEADER) else "is damaged")


def test_a_byte_of_the_header_that_has_changed(place):
    with open(place.path, "rb") as file:
        data = file.read()
    image = place.image()
    for at in range(struct.calcsize(images.HEADER)):
        images.replace(place.path, flipped(data, at), image.made_seconds, image.made_nanoseconds)
        refused, ran = place.launch("")
        assert refused.status == 125 and ran == [], (at, refused)
    assert place.is_lua_s("")


def test_a_byte_of_the_tables_that_has_changed(place):
    with open(place.path, "rb") as file:
        data = file.read()
    image = place.image()
    for at in range(struct.calcsize(images.HEADER), image.tables_size, 11):
        images.replace(place.path, flipped(data, at), image.made_seconds, image.made_nanoseconds)
        refused, ran = place.launch("")
        assert refused.status == 125 and b"is damaged" in refused.err and ran == [], (at, refused)
    assert place.is_lua_s("is damaged")


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1:]


def test_a_byte_of_a_page_that_has_changed(place):
    """By whoever does not put back the time."""
    with open(place.path, "r+b") as file:
        file.seek(place.image().tables_size + 5000)
        file.write(b"x")
    assert place.is_lua_s("has been changed")


@pytest.mark.parametrize("field, value, reason", [
    ("magic", b"MOONLET\n", "is no image"), ("format", images.FORMAT + 1, "another build"), ("format", 0, "another build"),
    ("build", images.build("0.0.9"), "another build"), ("lua", 1, "is of another Lua"), ("lua", 506, "is of another Lua"),
    ("page_size", 16384, "another processor"), ("page_size", 0, "another processor"), ("page_size", 4095, "another processor"),
    ("processor", 4711, "another processor"), ("tables_size", 0, "is damaged"), ("tables_size", struct.calcsize(images.HEADER) - 1, "is damaged"),
    ("tables_size", 1 << 32, "is damaged"), ("tables_size", (1 << 64) - 1, "is damaged"), ("file_size", 0, "is damaged"),
    ("file_size", 1 << 63, "is damaged"), ("segments", 0, "is damaged"), ("segments", 513, "is damaged"),
    ("segments", (1 << 32) - 1, "is damaged"), ("files", 129, "is damaged"), ("files", (1 << 32) - 1, "is damaged"),
    ("files", 0, "is damaged"), ("questions", 0, "is damaged"), ("questions", 8, "is damaged"), ("questions", (1 << 32) - 8, "is damaged"),
    ("questions_size", (1 << 32) - 8, "is damaged"), ("questions_size", 4, "is damaged"), ("entry", 0, "is damaged"),
    ("entry", (1 << 64) - 1, "is damaged"), ("entry", 0x400000, "is damaged"), ("made_seconds", 0, "has been changed"),
    ("made_nanoseconds", 1, "has been changed"), ("thread_pointer", 1 << 63, "the thread pointer cannot be set"),
])
def test_a_header_that_is_another_s(place, field, value, reason):
    """With a checksum that is right."""
    if field == "thread_pointer" and os.uname().machine != "x86_64":
        pytest.skip("ANY ADDRESS CAN BE THE THREAD POINTER on this machine")
    image = place.image()
    seconds, nanoseconds = image.made_seconds, image.made_nanoseconds
    setattr(image, field, value)
    images.replace(place.path, image.tables() + image.pages, seconds, nanoseconds)
    assert place.is_lua_s(reason)


def first(image, file):
    return next(it for it in image.segment if it["file"] == file)


def swap(image):
    image.segment[0], image.segment[1] = image.segment[1], image.segment[0]


TABLES = {
    "a segment below the window": lambda it: first(it, images.OF_IMAGE).update(address=0x400000),
    "a segment above the window": lambda it: first(it, images.OF_IMAGE).update(address=0x7F0000000000),
    "a segment of the kernel's": lambda it: first(it, images.OF_IMAGE).update(address=0xFFFF800000000000),
    "a segment at no page": lambda it: first(it, images.OF_IMAGE).update(address=it.segment[0]["address"] + 8),
    "a segment of no size": lambda it: first(it, images.OF_IMAGE).update(size=0),
    "a segment of an odd size": lambda it: first(it, images.OF_IMAGE).update(size=4097),
    "a segment that wraps around": lambda it: first(it, images.OF_IMAGE).update(size=(1 << 64) - 4096),
    "a segment behind the file's end": lambda it: first(it, images.OF_IMAGE).update(offset=it.file_size),
    "a segment that goes beyond the file's end": lambda it: first(it, images.OF_IMAGE).update(offset=it.file_size - 4096, size=8192),
    "a segment with a negative offset": lambda it: first(it, images.OF_IMAGE).update(offset=(1 << 64) - 4096),
    "segments in another order": swap,
    "a segment over the next": lambda it: it.segment[0].update(size=it.segment[1]["address"] - it.segment[0]["address"] + 4096,
                                                               file=images.OF_NOTHING),
    "a segment of a file that is not there": lambda it: first(it, 0).update(file=it.files),
    "a segment of no kind": lambda it: first(it, images.OF_IMAGE).update(file=-5),
    "a protection that there is not": lambda it: first(it, images.OF_IMAGE).update(protection=0x13),
    "a nature that there is not": lambda it: first(it, images.OF_IMAGE).update(nature=3),
    "pages to write outside of the window": lambda it: first(it, images.WRITTEN).update(address=0x400000, size=4096),
    "an entry where nothing is executed": lambda it: setattr(it, "entry", first(it, images.OF_IMAGE)["address"]),
    "a path in front of the texts": lambda it: it.file[0].update(path=16),
    "a path behind the tables": lambda it: it.file[0].update(path=it.tables_size),
    "a path far away": lambda it: it.file[0].update(path=(1 << 32) - 1),
    "texts without an end": lambda it: it.rest.__setitem__(slice(-8, None), b"x" * 8),
    "a question of no size": lambda it: it.rest.__setitem__(slice(0, 2), b"\0\0"),
    "a question that goes beyond all": lambda it: it.rest.__setitem__(slice(0, 2), b"\xf8\xff"),
}


@pytest.mark.parametrize("what", TABLES)
def test_tables_that_make_no_sense(changed, what):
    assert changed(TABLES[what]).is_lua_s("damaged")


def test_a_file_of_the_image_s_that_is_named_otherwise(changed):
    """Some file that is there, but is no such library."""
    def rename(image):
        at = bytes(image.rest).index(b"/", image.questions + image.questions_size - (image.tables_size - len(image.rest)))
        image.rest[at:at + 12] = b"/etc/passwd\0"

    assert changed(rename).is_lua_s("/etc/passwd: has changed")


def test_an_image_that_was_only_read_and_written_is_thawed(changed):
    """What the tests above are worth."""
    assert changed(lambda image: None).is_thawed()


@pytest.mark.skipif(JIT or LUA == "5.1", reason="needs two builds whose Lua differs from 5.1")
def test_an_image_of_another_build_of_moonlet(tmp_path):
    for other in ("lua5.1", "lua5.2", "lua5.3"):
        program = os.path.join(os.path.dirname(BUILD), other, "moonlet")
        if other != "lua" + LUA and os.path.exists(program):
            env = environment(LUA_CPATH=None)
            made = run(program, ["lua", "--freeze", str(tmp_path / "i"), "-e", ""], env)
            refused = run(MOONLET, ["lua", "--image", str(tmp_path / "i"), "-e", ""], env)
            assert made.status == 0 and refused.status == 125, (made, refused)
            assert b"is of another Lua" in refused.err or b"another build" in refused.err
            return
    pytest.skip("NO OTHER BUILD beside this one")


# A world that is another


@pytest.fixture
def with_module(tmp_path):
    """A place whose warm-up has loaded a C module from a file that may change."""
    shutil.copy(os.path.join(BUILD, "modules", "probe.so"), tmp_path / "probe.so")
    return Place(tmp_path / "place", "-l", "probe", env=environment(LUA_CPATH=f"{tmp_path}/?.so;;"))


def with_its_path(place, tmp_path):
    return {"more": {"LUA_CPATH": f"{tmp_path}/?.so;;"}}


@pytest.mark.parametrize("change", ["touched", "replaced", "appended to", "gone", "a directory"])
def test_a_library_that_has_changed(with_module, tmp_path, change):
    library = tmp_path / "probe.so"
    assert with_module.is_thawed(**with_its_path(with_module, tmp_path))
    if change == "touched":
        os.utime(library)
    elif change == "replaced":
        shutil.copy(library, tmp_path / "new")
        os.replace(tmp_path / "new", library)
    elif change == "appended to":
        with open(library, "ab") as file:
            file.write(b"\0")
    else:
        library.unlink()
        if change == "a directory":
            library.mkdir()
    assert with_module.is_lua_s("probe.so", **with_its_path(with_module, tmp_path))


@about_the_file
def test_a_moonlet_lua_that_is_another(tmp_path):
    for name in ("moonlet", "moonlet-lua"):
        shutil.copy(os.path.join(BUILD, name), tmp_path)
    place = Place(tmp_path / "place", program=str(tmp_path / "moonlet"))
    assert place.is_thawed()
    shutil.copy(os.path.join(BUILD, "moonlet-lua"), tmp_path / "new")
    os.replace(tmp_path / "new", tmp_path / "moonlet-lua")
    assert place.is_lua_s("moonlet-lua: has changed")
    (tmp_path / "moonlet-lua").unlink()
    assert place.is_lua_s("moonlet-lua: No such file or directory")


def test_a_variable_that_differs(place):
    assert place.is_lua_s("LD_* differs from the image's", more={"LD_OF_NOBODY": "1"})
    assert place.is_lua_s("LUA_PATH differs from the image's", more={"LUA_PATH": "/nonexistent/?.lua"})


@needs_root
@needs_program("bindfs", "bindfs")
def test_an_image_on_a_file_system_in_user_space(place, tmp_path):
    """It says what it likes of owners."""
    (tmp_path / "mounted").mkdir()
    log = tmp_path / "log"
    world = World(f"bindfs {place.directory} {tmp_path}/mounted || echo NO FUSE", "sleep infinity", log=log, env=environment())
    try:
        if "NO FUSE" in log.read_text():
            pytest.skip("NO FUSE: " + log.read_text())
        refused = world.run(MOONLET, "--image", f"{tmp_path}/mounted/some.image", "-e", "print(WARM)")
        assert refused.status == 125 and b"is on a file system in user space" in refused.err, refused
        assert world.run(MOONLET, "--image", place.path, "-e", "print(WARM)").out == b"warm\n"
    finally:
        world.run("umount", f"{tmp_path}/mounted")
        world.end()


@needs_root
def test_an_image_where_nothing_is_executed(place, tmp_path):
    """A noexec mount is no reason: what is executed are the libraries."""
    world = World("mkdir /run/place", "mount -t tmpfs -o noexec,mode=755 tmpfs /run/place", f"cp -p {place.path} /run/place/i",
                  "sleep infinity", log=tmp_path / "log", env=environment())
    try:
        assert world.run(MOONLET, "--image", "/run/place/i", "-e", "print(WARM)") == Result(0, b"warm\n", b"")
    finally:
        world.end()


# A kernel that refuses


@needs_program("strace", "strace")
@pytest.mark.parametrize("inject, reason", [("mmap:error=EEXIST", "cannot be mapped where it belongs"),
                                            ("mmap:retval=0x7f0000001000", "cannot be mapped where it belongs"),
                                            ("arch_prctl:error=EPERM", "the thread pointer cannot be set")])
def test_an_address_that_is_taken(shared, inject, reason):
    """By an error, or as before Linux 4.17, where the mapping then is somewhere else."""
    if "arch_prctl" in inject and os.uname().machine != "x86_64":
        pytest.skip("NO SYSTEM CALL sets the thread pointer on this machine")
    env = environment(MOONLET_IMAGE=shared.path)
    argv = ["strace", "-qq", "-o", "/dev/null", "-e", f"inject={inject}:when=1", MOONLET, "-e", "print(WARM)"]
    refused = run("strace", argv, env)
    assert refused.status == 125 and reason.encode() in refused.err, refused
    env["MOONLET_FALLBACK"] = REAL_LUA
    assert run("strace", argv, env).out == b"nil\n"


def refuse_code_in_the_window():
    """A filter: mmap with PROT_EXEC below 32 GB and above 4 is not permitted."""
    def code(operation, value, yes=0, no=0):
        return struct.pack("HBBI", operation, yes, no, value)

    LOAD, EQUAL, GREATER_OR_EQUAL, ALL_SET, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
    program = b"".join([
        code(LOAD, 0), code(EQUAL, 9, no=7),  # mmap
        code(LOAD, 16 + 4), code(GREATER_OR_EQUAL, 1, no=5), code(GREATER_OR_EQUAL, 8, yes=4),  # the upper half of the address
        code(LOAD, 32), code(ALL_SET, 4, no=2),  # PROT_EXEC
        code(RETURN, 0x00050001), code(RETURN, 0x00050001), code(RETURN, 0x7FFF0000)])
    buffer = ctypes.create_string_buffer(program)
    filter_program = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.create_string_buffer(filter_program), 0, 0) == 0


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="NOT x86-64: numbers of system calls")
def test_a_filter_that_forbids_to_map_code_there(shared):
    assert shared.is_lua_s("cannot be mapped where it belongs", preexec_fn=refuse_code_in_the_window)


def test_too_little_address_space(tmp_path):
    """For the image, but not for lua."""
    place = Place(tmp_path / "place", "-e", "kept = ('x'):rep(2^26)")
    limit = (48 << 20, 48 << 20)
    assert place.is_lua_s("cannot be mapped where it belongs", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit))
    assert place.is_thawed()


@pytest.mark.parametrize("files", [3, 4, 5, 6, 7, 8])
def test_few_descriptors(shared, files):
    """Libraries are open until all is mapped."""
    result, ran = shared.launch(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))
    if files >= 5:  # what lua needs to open a file and the script
        assert result in (THAWED, BY_LUA) and len(ran) == 1, result


# Which image


def test_an_image_on_the_command_line_goes_before_one_in_the_environment_and_one_beside_the_socket(tmp_path):
    paths = {}
    for name in ("command line", "environment", "socket"):
        paths[name] = str(tmp_path / f"{name.split()[0]}.image")
        assert run(MOONLET, ["lua", "--freeze", paths[name], "-e", f"WARM = 'of the {name}'"], environment()).status == 0
    env = environment(MOONLET_IMAGE=None, MOONLET_SOCKET=str(tmp_path / "socket.sock"))
    ask = ["-e", "print(WARM)"]

    def told(*options, **more):
        return run(MOONLET, ["lua", *options, *ask], dict(env, **more)).out

    assert told() == b"of the socket\n"
    assert told("--socket", str(tmp_path / "socket.sock"), MOONLET_SOCKET="/nonexistent") == b"of the socket\n"
    assert told(MOONLET_IMAGE=paths["environment"]) == b"of the environment\n"
    assert told("--image", paths["command line"], MOONLET_IMAGE=paths["environment"]) == b"of the command line\n"
    assert told("--image=" + paths["command line"]) == b"of the command line\n"
    # One that was asked for by name and is not there is not another one.
    assert told("--image", "/nonexistent") == told(MOONLET_IMAGE="/nonexistent") == b""
    # An empty name: none.
    empty = run(MOONLET, ["lua", *ask], dict(env, MOONLET_IMAGE=""))
    assert empty == Result(125, b"", b"moonlet: thaw an image: none is wanted\n")


def test_an_image_in_the_directory_of_the_runtime(tmp_path):
    env = environment(MOONLET_IMAGE=None, XDG_RUNTIME_DIR=str(tmp_path))
    assert run(MOONLET, ["lua", "--freeze", str(tmp_path / "moonlet.image"), "-e", "WARM = 1"], env).status == 0
    assert run(MOONLET, ["lua", "-e", "print(WARM)"], env).out == b"1\n"


def test_a_path_that_is_not_absolute(shared):
    for path, directory in (("some.image", shared.directory), ("./some.image", shared.directory),
                            ("place/some.image", shared.directory.parent), ("../place/some.image", shared.directory)):
        result = run(MOONLET, ["lua", "--image", path, "-e", "print(WARM)"], environment(), cwd=directory)
        assert result == Result(0, b"warm\n", b""), (path, result)


# What moonletd is told


class Listener:
    """Somebody at the socket beside an image, who is told of it."""

    def __init__(self, place, backlog=16):
        self.path = place.path.removesuffix(".image") + ".sock"
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen(backlog)
        self.socket.setblocking(False)

    def launch(self, place, *options, fallback=REAL_LUA, **more):
        env = environment(**{"MOONLET_IMAGE": None, "MOONLET_SOCKET": self.path, "MOONLET_FALLBACK": fallback, **more})
        return run(MOONLET, ["lua", *options, "-e", "print(WARM)"], env)

    def heard(self):
        """What came on each connection since the last time."""
        all_of_it = []
        while True:
            try:
                connection, _ = self.socket.accept()
            except BlockingIOError:
                return all_of_it
            with connection:
                all_of_it.append(connection.recv(100))


@pytest.fixture
def listener(place):
    its = Listener(place)
    yield its
    its.socket.close()


def test_a_launch_whose_image_fits_tells_moonletd_nothing(place, listener):
    assert listener.launch(place) == Result(0, b"warm\n", b"") and listener.heard() == []


def test_a_launch_that_finds_the_image_outdated_tells_moonletd(place, listener):
    """A byte, whatever becomes of the script then."""
    assert listener.launch(place, LD_OF_NOBODY="1") == Result(0, b"nil\n", b"") and listener.heard() == [b"oLD_* differs from the image's"]
    assert listener.launch(place, LD_OF_NOBODY="1", fallback="").status == 125 and listener.heard() == [b"oLD_* differs from the image's"]
    os.utime(place.path)
    assert listener.launch(place) == Result(0, b"nil\n", b"") and listener.heard() == [b"ohas been changed"]


def test_a_launch_without_an_image_tells_moonletd_nothing(place, listener):
    """It is about to be made. One that was named is no business of moonletd's."""
    listener.launch(place, "--image", place.path, LD_OF_NOBODY="1")
    listener.launch(place, MOONLET_IMAGE=place.path, LD_OF_NOBODY="1")
    listener.launch(place, "-i", LD_OF_NOBODY="1")
    os.unlink(place.path)
    assert listener.launch(place) == Result(0, b"nil\n", b"") and listener.heard() == []


def test_a_moonletd_that_does_not_listen_holds_up_nobody(place):
    """Its queue is full."""
    full = Listener(place, backlog=0)
    for _ in range(5):
        assert full.launch(place, LD_OF_NOBODY="1") == Result(0, b"nil\n", b"")
    full.socket.close()
    assert full.launch(place, LD_OF_NOBODY="1") == Result(0, b"nil\n", b"")  # nobody is there


# From a descriptor, as moonletd's child has it

# Opened for reading and writing, no pipe makes it wait; what is there but cannot be opened so has another error than ENOENT.
LISTS_DESCRIPTORS = """
    local open = {}
    for number = 0, 400 do
      local file, _, code = io.open("/proc/self/fd/" .. number, "r+")
      if file then file:close() end
      if code ~= 2 then open[#open + 1] = number end
    end
    print(WARM, table.concat(open, " "))
"""


def from_descriptor(path, *arguments, least=0, fallback=REAL_LUA, **options):
    """The result of a launch that has the image open, as `least` or a higher number, as src/protocol/handed.h has it."""
    first = max(least, 50)
    while any(os.path.exists(f"/proc/self/fd/{first + i}") for i in range(4)):
        first += 4
    os.dup2(os.open(os.path.dirname(MOONLET), os.O_PATH | os.O_DIRECTORY), first)
    with open(path, "rb") as image:
        os.dup2(image.fileno(), first + 1)
    try:
        env = environment(MOONLET_FALLBACK=fallback, **options.pop("more", {}))
        result = run(f"/dev/fd/{first}/.//moonlet", ["lua", *arguments], env, pass_fds=(first, first + 1), **options)
        assert os.lseek(first + 1, 0, os.SEEK_CUR) == 0  # it belongs to all launches together
        return result
    finally:
        os.close(first)
        os.close(first + 1)


@pytest.mark.parametrize("least", [0, 39, 300])
def test_an_image_from_a_descriptor(shared, least):
    """The script has the descriptor no longer. What would be an option of moonlet's is lua's to reject."""
    assert from_descriptor(shared.path, "-e", LISTS_DESCRIPTORS, least=least, fallback="").out == b"warm\t0 1 2\n"
    script = "print(WARM, arg[-1], arg[-2], arg[0], ...)"
    expected = Result(0, f"warm\tlua\tnil\t{shared.directory}/names.lua\t--image-descriptor=3\n".encode(), b"")
    (shared.directory / "names.lua").write_text(script)
    assert from_descriptor(shared.path, f"{shared.directory}/names.lua", "--image-descriptor=3", least=least) == expected


def test_an_image_from_a_descriptor_goes_before_all_others(shared):
    more = {"MOONLET_IMAGE": "/nonexistent", "MOONLET_VERBOSE": "1"}
    told = from_descriptor(shared.path, "-e", "print(WARM)", more=more)
    assert told == Result(0, b"warm\n", b"moonlet: thawed moonletd's image\n")


def test_an_image_from_a_descriptor_may_lie_anywhere(place):
    os.chmod(place.directory, 0o777)
    assert from_descriptor(place.path, "-e", "print(WARM)", fallback="").out == b"warm\n"


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_an_image_from_a_descriptor_is_nobody_else_s_to_write(place, mode):
    os.chmod(place.path, mode)
    assert from_descriptor(place.path, "-e", LISTS_DESCRIPTORS, least=39) == Result(0, b"nil\t0 1 2\n", b"")
    refused = from_descriptor(place.path, "-e", "", fallback="")
    assert refused.status == 125 and b"moonlet: thaw moonletd's image: belongs to another user, or others may write it" in refused.err


@needs_root
@pytest.mark.parametrize("user, thaws", [(0, True), (65534, False)])
def test_an_image_from_a_descriptor_belongs_to_root_or_the_user(place, user, thaws):
    os.chown(place.path, user, user)
    assert from_descriptor(place.path, "-e", "print(WARM)").out == (b"warm\n" if thaws else b"nil\n")


@pytest.mark.parametrize("arguments, output", [
    (["-e", LISTS_DESCRIPTORS, "a", "b"], b"nil\t0 1 2\n"),
    (["-"], b"nil\t0 1 2\n"),
])
def test_lua_gets_no_descriptor_of_an_image(tmp_path, shared, arguments, output):
    """With the same argv but for the option."""
    options = {"input": LISTS_DESCRIPTORS.encode()} if arguments == ["-"] else {}
    assert from_descriptor("/dev/null", *arguments, least=39, **options).out == output
    arguments = ["-i", *arguments] if arguments != ["-"] else ["-i", "-e", LISTS_DESCRIPTORS, "-e", "os.exit()"]
    assert output in from_descriptor(shared.path, *arguments, least=39, input=b"").out


def test_what_looks_like_an_option_of_moonlet_s_is_lua_s(shared):
    told = from_descriptor(shared.path, "--version")
    expected = run(REAL_LUA, ["lua", "--version"], environment())
    assert told == expected and told.status == 1


def test_the_process_is_called_as_it_is_told(shared):
    first = 60
    os.dup2(os.open(os.path.dirname(MOONLET), os.O_PATH | os.O_DIRECTORY), first)
    with open(shared.path, "rb") as image:
        os.dup2(image.fileno(), first + 1)
    title, told = os.pipe()
    os.write(told, b"some name".ljust(16, b"\0"))
    os.dup2(title, first + 2)
    for descriptor in (title, told):
        os.close(descriptor)
    code = "for line in io.lines '/proc/self/comm' do print(line) end" + LISTS_DESCRIPTORS
    result = run(f"/dev/fd/{first}/.//moonlet", ["lua", "-e", code], environment(), pass_fds=(first, first + 1, first + 2))
    for i in range(3):
        os.close(first + i)
    assert result == Result(0, b"some name\nwarm\t0 1 2\n", b"")


# What it says


def told(shared, *options, fallback=REAL_LUA, **more):
    env = environment(**{"MOONLET_IMAGE": shared.path, "MOONLET_FALLBACK": fallback, "MOONLET_VERBOSE": "1", **more})
    return run(MOONLET, ["lua", *options], env).err.decode()


def test_moonlet_verbose_says_what_was_thawed(shared):
    assert told(shared, "-e", "") == f"moonlet: thawed {shared.path}\n"
    assert told(shared, "-e", "io.stderr:write 'the script'") == f"moonlet: thawed {shared.path}\nthe script"


def test_moonlet_verbose_says_why_it_is_lua(shared):
    assert told(shared, "-e", "", LD_OF_NOBODY="1") == f"moonlet: {REAL_LUA}: LD_* differs from the image's\n"
    assert told(shared, "-e", "", fallback=None, LD_OF_NOBODY="1") == f"moonlet: {NAME_OF_LUA}: LD_* differs from the image's\n"
    assert told(shared, "-e", "", MOONLET_IMAGE="/nonexistent") == (
        f"moonlet: {REAL_LUA}: thaw /nonexistent: No such file or directory\n")
    assert told(shared, "-i", fallback="true") == "moonlet: true: run interactively: only lua itself can\n"
    assert told(shared, "-x", fallback="true") == "moonlet: true: only lua itself explains options\n"


def test_without_moonlet_verbose_it_says_nothing(shared):
    for value in (None, "", "0", "2"):
        result, _ = shared.launch(more={} if value is None else {"MOONLET_VERBOSE": value})
        assert result == THAWED


# Many launches


def test_launches_while_images_come_and_go(place, tmp_path):
    """Renamed over, deleted, made anew: each launch is of one of them, or lua's."""
    other = Place(tmp_path / "other", "-e", "WARM = 'other'")
    copies = [str(tmp_path / name) for name in ("first", "second")]
    for copy, source in zip(copies, (place.path, other.path)):
        shutil.copy2(source, copy)
    ends = threading.Event()

    def change():
        turn = 0
        while not ends.is_set():
            turn += 1
            if turn % 10 == 0:
                os.unlink(place.path)
            if turn % 50 == 0:
                subprocess.run([MOONLET, "--freeze", place.path, "-e", "WARM = 'anew'"], env=environment(), check=True)
            else:
                shutil.copy2(copies[turn % 2], place.path + ".new")
                os.replace(place.path + ".new", place.path)

    changing = threading.Thread(target=change)
    changing.start()
    code = "os.exit(({warm = 11, other = 12, anew = 13})[WARM] or 14)"
    try:
        env = environment(MOONLET_IMAGE=place.path, MOONLET_FALLBACK=REAL_LUA)
        done = run(LAUNCHES, ["launches", "1000", "2", MOONLET, "-e", code], env)
    finally:
        ends.set()
        changing.join()
    counts = dict(map(int, line.split()) for line in done.out.split(b"\n") if line)
    assert set(counts) <= {11, 12, 13, 14} and sum(counts.values()) == 1000 and len(counts) > 1, counts
    assert counts.get(14, 0) < 500, counts


COUNT = int(os.environ.get("MOONLET_LAUNCHES", "20000" if LUA == "5.4" else "2000"))
LAYOUTS = {
    "random addresses": ([], COUNT),
    "no random addresses": (["setarch", os.uname().machine, "-R"], COUNT // 10),
    "the legacy layout": (["setarch", os.uname().machine, "-L"], COUNT // 10),
    "an unlimited stack": (["bash", "-c", 'ulimit -s unlimited && exec "$@"', "bash"], COUNT // 10),
    "an unlimited stack and no random addresses": (
        ["bash", "-c", f'ulimit -s unlimited && exec setarch {os.uname().machine} -R "$@"', "bash"], COUNT // 10),
    "a small stack": (["bash", "-c", 'ulimit -s 128 && exec "$@"', "bash"], COUNT // 10),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_launch_fails(shared, layout):
    """Whatever addresses the kernel draws; and none in ten thousand needs lua."""
    before, count = LAYOUTS[layout]
    if "ulimit -s unlimited" in str(before) and resource.getrlimit(resource.RLIMIT_STACK)[1] != resource.RLIM_INFINITY:
        pytest.skip("THE STACK IS LIMITED for all that runs here")
    env = environment(MOONLET_IMAGE=shared.path, MOONLET_FALLBACK=REAL_LUA)
    argv = [*before, LAUNCHES, str(count), "2", MOONLET, "-e", "os.exit(WARM and 7 or 8)"]
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    counts = dict(map(int, line.split()) for line in done.stdout.splitlines())
    assert set(counts) <= {7, 8} and counts[7] + counts.get(8, 0) == count and counts.get(8, 0) <= count // 10000, (counts, done.stderr)


@needs_root
@pytest.mark.skipif(os.environ.get("MOONLET_MAY_SET_SYSCTL") != "1",
                    reason="THE MACHINE WOULD CHANGE: set MOONLET_MAY_SET_SYSCTL=1 to have both ends of vm.mmap_rnd_bits tested")
def test_no_launch_fails_at_both_ends_of_randomness(shared):
    path = "/proc/sys/vm/mmap_rnd_bits"
    with open(path) as file:
        before = file.read()
    try:
        for bits in (28, 32):
            with open(path, "w") as file:
                file.write(str(bits))
            test_no_launch_fails(shared, "random addresses")
    finally:
        with open(path, "w") as file:
            file.write(before)
