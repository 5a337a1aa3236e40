"""An image made with --trust serves where copies of its libraries lie elsewhere: in firmware (docs/router.md)."""

import os
import re
import shutil
import subprocess

import images
import pytest
from conftest import BUILD, MOONLET, Result, World, about_the_file, environment, needs_root, run

pytestmark = about_the_file
WARM = Result(0, b"warm\n", b"")
LIBRARY = "probe.so"


class Device:
    """moonlet, moonlet-lua, a C module and an image with that module, in one directory."""

    def __init__(self, directory, *options):
        self.directory = directory
        for name in ("moonlet", "moonlet-lua"):
            shutil.copy(os.path.join(BUILD, name), directory)
        shutil.copy(os.path.join(BUILD, "modules", LIBRARY), directory)
        self.env = environment(LUA_CPATH=f"{directory}/?.so", MOONLET_FALLBACK="")
        done = self.run("--freeze", self.image, *options, "-l", "probe", "-e", "WARM = 'warm'")
        assert done == Result(0, b"", b""), done

    @property
    def image(self):
        return str(self.directory / "some.image")

    def run(self, *argv):
        return run(str(self.directory / "moonlet"), ["moonlet", *argv], self.env)

    def launch(self):
        return self.run("--image", self.image, "-e", "print(WARM)")

    def put(self, name, data):
        """A file of this name with other times and another inode number."""
        path = self.directory / name
        (self.directory / "new").write_bytes(data)
        shutil.copymode(path, self.directory / "new")
        os.utime(self.directory / "new", (10**9, 10**9))
        os.replace(self.directory / "new", path)

    def read(self, name):
        return (self.directory / name).read_bytes()

    def refuses(self, name, separator=":"):
        result = self.launch()
        assert result.status == 125 and result.out == b"" and f"{name}{separator} has changed".encode() in result.err, result
        return True


def build_id(path):
    """As bytes."""
    notes = subprocess.run(["readelf", "--notes", path], capture_output=True, text=True, check=True).stdout
    return bytes.fromhex(re.search("Build ID: ([0-9a-f]+)", notes)[1])


def changed_at(data, offset):
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1:]


@pytest.fixture
def device(tmp_path):
    return Device(tmp_path, "--trust")


def test_copies_of_program_library_and_image_serve(device):
    assert device.launch() == WARM
    for name in ("moonlet", "moonlet-lua", LIBRARY, "some.image"):
        device.put(name, device.read(name))
        assert device.launch() == WARM, name


def test_without_trust_no_copy_does(tmp_path):
    device = Device(tmp_path)
    assert device.launch() == WARM
    device.put(LIBRARY, device.read(LIBRARY))
    assert device.refuses(LIBRARY, "")  # it is a question


@pytest.mark.parametrize("name", ["moonlet-lua", LIBRARY])
def test_another_build_does_not_serve(device, name):
    whole = device.read(name)
    device.put(name, changed_at(whole, whole.index(build_id(device.directory / name)) + 7))
    assert device.refuses(name)
    device.put(name, whole + b"\0")
    assert device.refuses(name)
    device.put(name, whole[:-1])
    assert device.refuses(name)
    device.put(name, whole)
    assert device.launch() == WARM


def test_a_library_without_a_build_id_is_known_by_its_symbols(tmp_path):
    """objcopy leaves the place of the note as it was, but no note there."""
    stripped = tmp_path / LIBRARY
    subprocess.run(["objcopy", "--remove-section", ".note.gnu.build-id", os.path.join(BUILD, "modules", LIBRARY), stripped], check=True)
    bare = stripped.read_bytes()
    device = Device(tmp_path, "--trust")
    device.put(LIBRARY, bare)
    assert device.refuses(LIBRARY)
    frozen = device.run("--freeze", device.image, "--trust", "-l", "probe", "-e", "WARM = 'warm'")
    assert frozen == Result(0, b"", b""), frozen
    sample = next(it["sample"] for it in images.Image.read(device.image).file if LIBRARY in device_path(device, it))
    device.put(LIBRARY, bare)
    assert device.launch() == WARM
    device.put(LIBRARY, changed_at(bare, sample + 100))
    assert device.refuses(LIBRARY)


def device_path(device, file):
    data = device.read("some.image")
    return data[file["path"]:data.index(b"\0", file["path"])].decode()


@needs_root
def test_a_tree_on_another_device_serves(tmp_path):
    """One file system holds all that is mapped, the loader and libc too; then a copy of it on another one."""
    listed = subprocess.run(["ldd", os.path.join(BUILD, "moonlet-lua")], capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"(/\S+) \(0x", listed)
    copy = [f"cp -L --parents {path} $1" for path in libraries] + [f"cp {BUILD}/moonlet {BUILD}/moonlet-lua $1"]
    world = World("mkdir /run/one /run/two", "mount -t tmpfs -o mode=755 one /run/one", "mount -t tmpfs -o mode=755 two /run/two",
                  "set -- /run/one", *copy, "mkdir /run/one/proc /run/one/dev", "touch /run/one/dev/null", "mount -t proc proc /run/one/proc",
                  "mount --bind /dev/null /run/one/dev/null", "sleep infinity", log=tmp_path / "log", env=environment())
    try:
        def inside(root, *argv):
            return world.run("chroot", f"/run/{root}", "/moonlet", *argv, env=environment(MOONLET_FALLBACK=""))

        assert inside("one", "--freeze", "/some.image", "--trust", "-e", "WARM = 'warm'") == Result(0, b"", b"")
        assert inside("one", "--image", "/some.image", "-e", "print(WARM)") == WARM
        # Without times and in another order, so that nothing but the content is the same.
        done = world.run("sh", "-euc", "cd /run/one; for at in some.image moonlet* lib*; do cp -rx $at /run/two/; done; mkdir /run/two/proc")
        assert done == Result(0, b"", b""), done
        world.run("mount", "-t", "proc", "proc", "/run/two/proc")
        assert inside("two", "--image", "/some.image", "-e", "print(WARM)") == WARM
    finally:
        world.end()
