"""What gets installed, and the state of the sources."""

import os
import re
import shutil
import subprocess

import pytest
from conftest import BUILD, LUA, SANITIZED, SOURCE, Result, environment, run

once = pytest.mark.skipif(LUA != "5.4" or SANITIZED, reason="once is enough: in the release build")


def sources(*suffixes):
    listed = subprocess.run(["git", "-C", SOURCE, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
    names = listed.stdout.splitlines()
    if not names:  # an unpacked archive
        names = [os.path.relpath(os.path.join(top, name), SOURCE) for part in ("src", "bench", "tests", "docs", "scripts")
                 for top, _, files in os.walk(os.path.join(SOURCE, part)) for name in files]
    return [os.path.join(SOURCE, name) for name in names if name.endswith(suffixes)]


@once
def test_cmake_installs_programs_and_manual_pages(tmp_path):
    subprocess.run(["cmake", "--install", BUILD, "--prefix", str(tmp_path)], check=True, capture_output=True)
    for name in ("bin/moonlet", "bin/moonlet-lua", "bin/moonletd", "bin/moonletctl", "bin/moonlet-bench", "share/man/man1/moonlet.1",
                 "share/man/man1/moonlet-lua.1", "share/man/man1/moonletctl.1", "share/man/man1/moonlet-bench.1",
                 "share/man/man8/moonletd.8", "lib/lua/5.4/moonlet.so"):
        assert (tmp_path / name).exists(), name
    assert subprocess.run([tmp_path / "bin/moonlet", "--version"]).returncode == 0


@once
def test_what_is_installed_freezes_and_thaws(tmp_path):
    """Without a moonletd and a directory for its socket."""
    subprocess.run(["cmake", "--install", BUILD, "--prefix", str(tmp_path)], check=True, capture_output=True)
    moonlet, image = tmp_path / "bin/moonlet", tmp_path / "i.image"
    frozen = subprocess.run([moonlet, "--freeze", image, "-e", "warm = 5"], env=environment(), capture_output=True)
    assert (frozen.returncode, frozen.stdout, frozen.stderr) == (0, b"", b"")
    assert run(str(moonlet), ["lua", "-e", "print(warm)"], environment(MOONLET_IMAGE=str(image))) == Result(0, b"5\n", b"")


@once
@pytest.mark.parametrize("page", ["moonlet.1", "moonlet-lua.1", "moonletctl.1", "moonlet-bench.1", "moonletd.8"])
def test_manual_pages_are_well_formed_and_complete(page):
    path = os.path.join(SOURCE, "docs", page)
    if shutil.which("mandoc") is None:
        pytest.skip("MANDOC IS NOT INSTALLED")
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    text = subprocess.run(["mandoc", "-T", "ascii", path], capture_output=True, text=True).stdout
    text = re.sub(".\b", "", text)
    program = os.path.join(BUILD, page.split(".")[0])
    for option in re.findall(r"--[a-z][a-z0-9-]+", subprocess.run([program, "--help"], capture_output=True, text=True).stdout):
        assert option in text, f"{page} does not mention {option}"


def of_debian_12(program):
    """Versions of clang's tools do not agree with each other: that of Debian 12 decides."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    return pytest.mark.skipif("version 14." not in said, reason=f"NOT DEBIAN 12'S {program}: {said.strip()}")


@once
@of_debian_12("clang-format")
def test_clang_format():
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *sources(".cc", ".h")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:5000]


@once
@of_debian_12("clang-tidy")
def test_clang_tidy():
    units = [name for name in sources(".cc") if f"{SOURCE}/src/" in name or f"{SOURCE}/bench/" in name]
    # One at a time on each processor; the compiler's musl specs are not clang's, so that the client is
    # checked against this system's own libc.
    plain = BUILD + "/tidy"
    subprocess.run(["cmake", "-S", SOURCE, "-B", plain, "-G", "Ninja", "-DMUSL_GCC=MUSL_GCC-NOTFOUND", "-DMOONLET_TESTS=OFF",
                    "-DCMAKE_CXX_COMPILER=clang++", "-DCMAKE_C_COMPILER=clang"], check=True, capture_output=True)
    jobs = subprocess.run(["xargs", "-P2", "-n4", "clang-tidy", "--quiet", "-p", plain], input="\n".join(units),
                          capture_output=True, text=True)
    assert jobs.returncode == 0, jobs.stdout[:5000] + jobs.stderr[-2000:]


@once
def test_the_layers_import_downwards_only():
    """base < protocol < fallback < ctl, client; protocol < child < server; protocol, lua < module; base < image < client, ctl, freeze, server, module; lua < freeze. The start
    of programs on MIPS is named: it serves moonlet-lua too."""
    allowed = {"base": {"base"}, "image": {"base", "image"}, "protocol": {"base", "protocol"},
               "fallback": {"base", "protocol", "fallback"}, "client": {"base", "image", "protocol", "fallback", "client"},
               "ctl": {"base", "image", "protocol", "fallback", "ctl"},
               "child": {"base", "protocol", "child"},
               "server": {"base", "image", "protocol", "child", "server"}, "lua": {"base", "lua"}, "freeze": {"base", "image", "lua", "freeze"},
               "module": {"base", "image", "protocol", "lua", "module"}}
    together = ("server/imports.cc",)
    for path in sources(".cc", ".h"):
        layer = os.path.relpath(path, SOURCE).split(os.sep)
        if layer[0] != "src" or path.endswith(together):
            continue
        with open(path) as text:
            for imported in re.findall(r'#include "(\w+)/', text.read()):
                assert imported in allowed[layer[1]], f"{path} includes {imported}/"


def test_the_tests_that_the_security_page_names_are_there():
    """Each promise has its test: `file`: `test_...` without its prefix."""
    with open(os.path.join(SOURCE, "docs", "security.md")) as page:
        named = set(re.findall(r"`([a-z]+(?:_[a-z0-9]+){2,})`", page.read())) - {"no_new_privs"}
    there = set()
    for name in sources(".py"):
        with open(name) as file:
            there.update(re.findall(r"^def test_(\w+)", file.read(), re.MULTILINE))
    assert len(named) > 20 and named <= there, named - there


@once
@pytest.mark.parametrize("program, page", [("moonlet", "moonlet.1"), ("moonletctl", "moonletctl.1"), ("moonletd", "moonletd.8"),
                                           ("moonlet-bench", "moonlet-bench.1")])
def test_each_option_is_explained_by_help(program, page):
    with open(os.path.join(SOURCE, "docs", page)) as text:
        options = set(re.findall(r"^\.It Fl -([a-z][a-z0-9-]+)", text.read(), re.MULTILINE))
    shown = subprocess.run([os.path.join(BUILD, program), "--help"], capture_output=True, text=True, check=True).stdout
    assert len(options) > 5 and not [option for option in sorted(options) if f"--{option}" not in shown]
