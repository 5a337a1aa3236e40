"""What the contenders are made of: Lua linked statically, modules compiled ahead, and copies of the programs."""

import os
import pathlib
import shutil
import subprocess

from . import places
from .session import BENCH, LUA51, Trouble

# Debian's packages with what is measured, and what measures.
PACKAGES = ("cmake ninja-build g++ pkg-config musl-tools dpkg-dev gnuplot-nox lua5.4 liblua5.4-dev "
            "lua5.3 liblua5.3-dev strace lua-check lua-penlight lua-posix lua-filesystem").split()


def run_quietly(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Trouble(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")


def build(root):
    """As the README has it. Returns the build directory."""
    run_quietly(["cmake", "--preset", "release"], cwd=root)
    run_quietly(["cmake", "--build", "--preset", "release", "--target", "bench_programs"], cwd=root)
    return root / "build" / "release"


def install_packages():
    if subprocess.run([BENCH.parent / "scripts" / "install-packages", *PACKAGES]).returncode != 0:
        raise Trouble("packages are missing")


def build_static_lua(session):
    path = session.build / "bench" / "static-lua" / "lua"
    done = subprocess.run([BENCH / "static-lua", path])
    if done.returncode == 0:
        session.static_lua = str(path)
    else:
        reason = "Lua's source package was not to be had, or musl-gcc does not build it"
        session.absent.update({"lua-static": reason, "lua-static-bytecode": reason})


def build_for_lua53(session):
    for command in (["cmake", "-S", BENCH.parent, "-B", session.build53, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                     "-DMOONLET_LUA=5.3", "-DMOONLET_TESTS=OFF"],
                    ["cmake", "--build", session.build53, "--target", *OF_MOONLET]):
        run_quietly(command)


def compile_modules(session):
    """luac -s of what is loaded, in a tree for each Lua."""
    sources = (("5.4", "/usr/share/lua/5.4", "pl"), ("5.4", "/usr/share/lua/5.1", "luacheck"),
               ("5.4", "/usr/share/lua/5.1", "argparse.lua"), ("5.3", "/usr/share/lua/5.3", "posix"))
    for lua, root, part in sources:
        top = pathlib.Path(root, part)
        for source in [top] if top.is_file() else sorted(top.rglob("*.lua")):
            target = session.bytecode / lua / source.relative_to(root)
            if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run([f"/usr/bin/luac{lua}", "-s", "-o", target, source], check=True)


def bytecode_path(tree, behind=";"):
    """LUA_PATH with which modules are found compiled, and what is not compiled where it is without."""
    return f"{tree}/?.lua;{tree}/?/init.lua;{behind}"


OF_MOONLET = "moonlet moonlet-lua moonletctl moonletd".split()
PROGRAMS = [*OF_MOONLET, "moonlet-bench", "bench/noop"]


def find_absent(session):
    """What this build has not got."""
    missing = [name for name in PROGRAMS if not (session.build / name).exists()]
    if missing:
        raise Trouble(f"{session.build} has no {missing[0]}: the target bench_programs makes it")
    if not all((session.build51 / name).exists() for name in OF_MOONLET):
        session.absent["hello-51"] = "build/lua5.1 is not there (cmake --preset lua5.1, cmake --build --preset lua5.1)"
    elif not os.access(LUA51, os.X_OK):
        session.absent["hello-51"] = f"there is no {LUA51}"
    if shutil.which("strace") is None:
        session.absent["counts"] = "strace is not installed"


def install(session):
    """Copies what is measured to where users would have it (places.py)."""
    session.make_places()
    session.programs = {lua: places.install(session.disk / lua, {name: build / name for name in OF_MOONLET})
                        for lua, build in (("5.4", session.build), ("5.3", session.build53), ("5.1", session.build51))
                        if lua != "5.1" or "hello-51" not in session.absent}
    places.install(session.disk / "5.4", {"noop": session.build / "bench" / "noop"})
    if session.static_lua:
        places.install(session.disk / "5.4", {"lua": session.static_lua})
        session.static_lua = session.program("lua")


def run(session, is_ours):
    """`is_ours`: the build was made for this run, and those beside it are brought up to date too."""
    find_absent(session)
    build_static_lua(session)
    build_for_lua53(session)
    if is_ours and "hello-51" not in session.absent:
        run_quietly(["cmake", "--build", session.build51, "--target", *OF_MOONLET])
    compile_modules(session)
    install(session)
