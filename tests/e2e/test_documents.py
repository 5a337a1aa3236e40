"""Every block of commands in README.md and docs/: run as it stands, or named here with what runs it instead, or why nothing does."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest
from conftest import LUA, PATIENCE, PROGRAMS, SOURCE, environment, run
from documents import blocks, documents

# Each part of a block, between empty lines, begins with one of these. For the Lua of Debian's luacheck:
LUACHECK = "5.1"
RUN = {
    "$ moonlet --wrap luacheck": LUACHECK,
    "moonlet --wrap luacheck": LUACHECK,
    "export MOONLET_WARM='-l lfs -l pl.pretty'": None,
    "moonlet --freeze /var/run/moonlet.image /etc/moonlet.lua": None,
    "$ MOONLET_VERBOSE=1 moonlet -e": None,
    "moonlet --freeze /run/moonlet.image /etc/moonletd.lua": None,
    "MOONLET_FALLBACK= moonlet -e": None,
    "export MOONLET_WARM='-l pl.pretty -l lfs'": None,
    'MOONLET_WARM="-l pl.pretty': None,
    "export XDG_CACHE_HOME=": None,
    "moonlet --freeze \"$PWD/ci.image\"": None,
    "moonlet-bench SCRIPT": None,
}
NOT_RUN = {
    "scripts/debs": "test_packages.py: it makes packages, and installs them in a root of their own",
    "sudo apt install": "test_install.py and each build: cmake, and cmake --install",
    "echo 'require \"pl.pretty\"' | sudo tee": "test_packages.py, test_supervision.py, test_recipes.py: a service of the system",
    "scripts/quickstart": "scripts/chroots: it builds anew what is tested here",
    "cmake --preset release && cmake --build": "this build",
    "cmake --build --preset release --target bench": "test_bench.py: bench/run --quick",
    "cmake -B build/own": "it needs a Lua 5.5, which Debian has not",
    "tests/router/run": "the test router",
    "LUA_PATH=... tests/router/firmware-image": "the test router: tests/router/firmware",
    "cp packaging/moonletd.lua": "test_supervision.py: systemd runs the units",
    "moonlet --image BASE": "test_layers.py", "export LUA_PATH='/usr/share/lua/5.1": "test_layers.py", "moonlet --freeze base.image": "test_layers.py",
    "moonlet --freeze IMAGE --trust": "test_firmware.py",
    "spin -a": "test_model.py",
    "scripts/fuzz": "the test fuzz", "scripts/faults": "the test faults", "scripts/load": "the test load", "scripts/storm": "the test freshness",
    "parallel --sshlogin": "test_deployment.py: two hosts",
    "moonlet --freeze /tmp/job.image": "scripts/slurm: it needs Slurm", "sbatch": "it needs Slurm, and comes back at once: nobody waits for it",
    "lua5.4 parallel.lua": "test_module.py", "moonletd -l fennel": "test_module.py: Debian 12 has no Fennel",
    "src-link": "OpenWrt's build system", "scripts/feeds": "OpenWrt's build system",
    "busybox httpd": "test_recipes.py", "#!/bin/sh\nexport MOONLET_WARM": "test_recipes.py", "MOONLET_WARM=-l": "test_recipes.py: a crontab",
}
# What is no command: Lua, configuration, pictures of files, what programs say.
SHOWN = (r"\d|once  |each launch|\(and a new|local |require |if not |moonlet\.watch|assert\(|print\(|\[|header |src/|fdc|moonlet: |/home/me|-l pl\.pretty -l lfs|#!/usr/bin/moonlet|"
         r"server\.modules|ScriptAlias|# |\{ config|for |gcc |  |}|handle")


def parts():
    for name in documents():
        for block in blocks(name):
            for part in re.split(r"\n\n+", block.strip("\n")):
                if part.strip():
                    yield name, part


def known(part, table):
    return next((first for first in table if part.startswith(first)), None)


def test_each_block_is_run_or_says_who_does():
    for name, part in parts():
        assert known(part, RUN) or known(part, NOT_RUN) or re.match(SHOWN, part), f"{name}: {part}"


def test_nothing_is_named_that_is_gone():
    texts = [part for _, part in parts()]
    for first in [*RUN, *NOT_RUN]:
        assert any(text.startswith(first) for text in texts), first


@pytest.fixture
def place(tmp_path):
    """place(part): runs it where the page has its reader, with the files that it speaks of, and returns how that ended."""
    home, runtime = tmp_path / "home", tmp_path / "run"
    for directory in (home, runtime, home / ".config"):
        directory.mkdir()
    (home / "some.lua").write_text("local x = 1\n")
    (home / "hello.lua").write_text("local unused = 'hello'\n")
    (home / "script.lua").write_text("print(require 'pl.pretty' ~= nil)\n")
    shutil.copy(os.path.join(SOURCE, "packaging/moonlet.lua"), tmp_path / "moonlet.lua")
    shutil.copy(os.path.join(SOURCE, "packaging/moonletd.lua"), tmp_path / "moonletd.lua")
    served = subprocess.Popen([f"{PROGRAMS}/moonletd", "--ready-fd", "1", "-l", "pl.pretty"], stdout=subprocess.PIPE,
                              env=environment(XDG_RUNTIME_DIR=str(runtime), MOONLET_IMAGE=None, LUA_CPATH=None))
    assert served.stdout.read(1) == b"\n"

    def place(part):
        sample = part.startswith("$ ")
        if sample:
            part = "\n".join(line[2:] for line in part.splitlines() if line.startswith("$ "))
        for before, after in (("/var/run/", f"{runtime}/"), (" /run/", f" {runtime}/"), ("/etc/", f"{tmp_path}/"),
                              ("SCRIPT [ARG...]", "--runs 3 script.lua"), ("{1..100}", "{1..3}")):
            part = part.replace(before, after)
        # luacheck says by its status that it has found something.
        part = re.sub(r"^(luacheck some\.lua) ", r"\1 || test $? = 1 ", part, flags=re.MULTILINE)
        env = environment(HOME=str(home), XDG_RUNTIME_DIR=str(runtime), MOONLET_IMAGE=None, MOONLET_FALLBACK=None, LUA_CPATH=None,
                          PATH=f"{PROGRAMS}:{os.environ['PATH']}")
        return run("/bin/bash", ["bash", "-uc" if sample else "-euc", part], env, cwd=home)

    yield place
    served.terminate()
    served.wait(PATIENCE)


HERE = [(name, part) for name, part in parts() if (first := known(part, RUN)) and RUN[first] in (None, LUA)]


@pytest.mark.parametrize("name, part", HERE, ids=[f"{name}: {part.splitlines()[0][:40]}" for name, part in HERE])
def test_it_runs_as_it_stands(place, name, part):
    if "luacheck" in part and not os.path.exists("/usr/bin/luacheck"):
        pytest.skip("NOT INSTALLED: lua-check")
    result = place(part)
    # At a prompt nobody asks how luacheck ended.
    assert result.status == 0 or part.startswith("$ ") and result.status == 1, result
    assert b"No such" not in result.err and b"not found" not in result.err, result
    if part.startswith("$ MOONLET_VERBOSE=1"):  # which of moonletd's lines are there
        assert b"moonlet: thawed " in result.err
        shown = {line.split()[0] for line in part.splitlines() if re.match(r"[a-z]+( [a-z]+)?  ", line)}
        assert shown <= {line.split()[0] for line in result.out.decode().splitlines() if line.strip()}, result


@pytest.mark.parametrize("name", documents())
def test_links_lead_somewhere(name):
    """To files, and to headings in them."""
    page = pathlib.Path(SOURCE, name)
    for target, _, heading in re.findall(r"\]\(([^)#:]*)(#([^)]*))?\)", page.read_text()):
        file = page.parent / target if target else page
        assert file.exists(), f"{name}: {target}"
        if heading:
            titles = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in slugs, f"{name}: {target}#{heading}"
