"""Who starts moonletd and keeps it running: each with the files in packaging/, under the real program.

systemd itself runs here as a user manager, in namespaces of its own; the unit files of the system too, since none but
the paths in them tell the two managers apart."""

import os
import pathlib
import select
import shlex
import shutil
import signal
import socket
import subprocess

import pytest
from conftest import (CPATH, MOONLET, MOONLETD, PATIENCE, REAL_LUA, SOURCE, Launch, Result, World, both, environment,
                      needs_program, needs_root, run, wait_gone)

PACKAGING = pathlib.Path(SOURCE, "packaging")
MANAGERS = ["system", "user"]
PROBE = "local probe = require 'probe' "


def shipped(name, target, **changes):
    """A copy of a file of packaging/ with the paths of this build in it; each path is one that the file has."""
    text = (PACKAGING / name).read_text()
    for before, after in {"/usr/bin/moonletd": MOONLETD, **changes}.items():
        assert before in text, f"{name} has no {before}"
        text = text.replace(before, str(after))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(os.stat(PACKAGING / name).st_mode)
    return target


def processes_that_know(directory):
    """All processes with this directory in their arguments or environment."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            known = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:  # another user's, or gone
            continue
        if str(directory).encode() in known:
            found.append(int(entry.name))
    return found


@pytest.fixture
def nothing_left(tmp_path):
    """Demands that no process is left of those that the test has started in its directory."""
    yield
    for pid in processes_that_know(tmp_path):
        wait_gone(pid)


def launch(path, code="print(warm)"):
    return run(MOONLET, ["lua", "-e", code], environment(MOONLET_SOCKET=str(path)))


def until_served(path, code="print(warm)"):
    """Launches until there is a moonletd; what this one waits for has no other sign."""
    while True:
        result = launch(path, code)
        if result.status == 0:
            return result.out
        assert result.status == 125, result


# systemd


def unit_directory(tmp_path, manager):
    """The units of one manager, for this build. %E is where the user's warm-up is looked for."""
    units = tmp_path / "units"
    changes = {"/etc/moonletd.lua": tmp_path / "moonletd.lua"} if manager == "system" else {}
    shipped(f"systemd/{manager}/moonletd.service", units / "moonletd.service", **changes)
    shutil.copy(PACKAGING / f"systemd/{manager}/moonletd.socket", units)
    (tmp_path / "moonletd.lua").write_text("warm = 'warm'\n")
    return units


@needs_program("systemd-analyze", "systemd")
@pytest.mark.parametrize("manager", MANAGERS)
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path, manager):
    units = unit_directory(tmp_path, manager)
    done = subprocess.run(["systemd-analyze", f"--{manager}", "--man=no", "verify", units / "moonletd.service",
                           units / "moonletd.socket"], capture_output=True, text=True,
                          env=environment(XDG_RUNTIME_DIR=str(tmp_path)))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("manager", MANAGERS)
def test_the_command_of_the_units_serves_a_socket_of_systemd(tmp_path, manager, nothing_left):
    """Without systemd, and so on every machine: with what it hands over, see sd_listen_fds(3) and sd_notify(3)."""
    service = (unit_directory(tmp_path, manager) / "moonletd.service").read_text()
    command, = [line.partition("=")[2] for line in service.splitlines() if line.startswith("ExecStart=")]
    command = shlex.split(command.replace("%E", str(tmp_path)))
    path, told = str(tmp_path / "s"), str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        listener.bind(path)
        listener.listen(10)
        notify.bind(told)
        notify.settimeout(PATIENCE)
        fd = listener.fileno()
        shell = f'exec 3<&{fd} {fd}<&-; LISTEN_PID=$$ exec {shlex.join(command)}'
        process = subprocess.Popen(["bash", "-c", shell], pass_fds=(fd,),
                                   env=environment(NOTIFY_SOCKET=told, LISTEN_FDS="1"))
        assert notify.recv(100) == b"READY=1"
    assert launch(path).out == b"warm\n"
    process.terminate()
    assert process.wait(PATIENCE) == 0


def test_a_user_without_a_warm_up_is_served_too(tmp_path, nothing_left):
    command, = [line.partition("=")[2] for line in (unit_directory(tmp_path, "user") / "moonletd.service")
                .read_text().splitlines() if line.startswith("ExecStart=")]
    command = shlex.split(command.replace("%E", str(tmp_path / "nothing")))
    process = subprocess.Popen([*command, "/dev/null"], env=environment(MOONLET_SOCKET=str(tmp_path / "s")))
    assert until_served(tmp_path / "s") == b"nil\n"
    process.terminate()
    assert process.wait(PATIENCE) == 0


@pytest.fixture(scope="module", params=MANAGERS)
def systemd(request, tmp_path_factory):
    """A real systemd that knows no units but moonletd's and the targets that these name."""
    directory = tmp_path_factory.mktemp("systemd")
    units = unit_directory(directory, request.param)
    for target in ("basic", "sockets", "shutdown", "sysinit", "multi-user", "default"):
        (units / f"{target}.target").write_text(f"[Unit]\nDescription={target}\nDefaultDependencies=no\n")
    world = World(
        "mkdir -p /run/systemd/system /run/user",  # what a booted system has
        # Not as process 1, which is never a user manager.
        "bash -c '/lib/systemd/systemd --user --unit=basic.target --log-target=console & wait'",
        cgroup=True, log=directory / "log",
        env=environment(XDG_RUNTIME_DIR="/run" if request.param == "system" else "/run/user",
                        XDG_CONFIG_HOME=str(directory), HOME=str(directory), SYSTEMD_UNIT_PATH=str(units),
                        SYSTEMD_GENERATOR_PATH="/nonexistent", SYSTEMD_ENVIRONMENT_GENERATOR_PATH="/nonexistent"))
    while world.run("systemctl", "--user", "is-active", "basic.target").out != b"active\n":
        assert world.process.poll() is None, world.log()
    yield world
    world.end()


def systemctl(world, *arguments):
    result = world.run("systemctl", "--user", *arguments)
    assert result.status == 0, f"{result!r}\n{world.log()}"
    return result.out.decode().strip()


def state(world, unit):
    return systemctl(world, "show", "--value", "-p", "ActiveState", unit)


def main_pid(world):
    return systemctl(world, "show", "--value", "-p", "MainPID", "moonletd.service")


@pytest.fixture
def warm_up():
    """warm_up(world, text): moonletd is stopped, and has another warm-up until the test ends."""
    changed = []

    def change(world, text):
        systemctl(world, "stop", "moonletd.service", "moonletd.socket")
        path = pathlib.Path(world.env["XDG_CONFIG_HOME"], "moonletd.lua")
        changed.append((world, path, path.read_text()))
        path.write_text(text)

    yield change
    for world, path, before in changed:
        path.write_text(before)
        systemctl(world, "stop", "moonletd.service", "moonletd.socket")
        systemctl(world, "reset-failed")


def under_systemd(test):
    return needs_root(needs_program("systemctl", "systemd")(test))


@under_systemd
def test_the_first_launch_starts_moonletd(systemd):
    systemctl(systemd, "stop", "moonletd.service", "moonletd.socket")
    systemctl(systemd, "start", "moonletd.socket")
    assert main_pid(systemd) == "0"
    assert systemd.run(MOONLET, "-e", "print(warm)") == Result(0, b"warm\n", b"")
    assert systemctl(systemd, "is-active", "moonletd.service") == "active"


@under_systemd
def test_moonletd_is_active_when_the_warm_up_has_ended(systemd, warm_up, tmp_path):
    """Also started as the service alone: that takes the socket along."""
    os.mkfifo(tmp_path / "go")
    warm_up(systemd, f"warm = io.open('{tmp_path}/go'):read()")
    systemctl(systemd, "start", "--no-block", "moonletd.service")
    with open(tmp_path / "go", "w") as go:  # when the warm-up has opened it
        assert state(systemd, "moonletd.service") == "activating"
        go.write("slow")
    systemctl(systemd, "start", "moonletd.service")
    assert state(systemd, "moonletd.service") == state(systemd, "moonletd.socket") == "active"
    assert systemd.run(MOONLET, "-e", "print(warm)") == Result(0, b"slow\n", b"")


@under_systemd
def test_systemd_starts_moonletd_again_and_launches_wait_for_it(systemd):
    systemctl(systemd, "start", "moonletd.service")
    before = main_pid(systemd)
    systemctl(systemd, "kill", "--kill-whom=main", "--signal=KILL", "moonletd.service")
    assert systemd.run(MOONLET, "-e", "print(warm)") == Result(0, b"warm\n", b"")
    assert main_pid(systemd) not in ("0", before)


@under_systemd
def test_scripts_outlive_a_restart_of_moonletd(systemd):
    systemctl(systemd, "start", "moonletd.service")
    before = main_pid(systemd)
    script = Launch("nsenter", systemd.inside(MOONLET, "-e", "print(1) io.flush() print(io.read()) os.exit(7)"),
                    systemd.env)
    assert script.hear() == "1"
    systemctl(systemd, "restart", "moonletd.service")
    assert main_pid(systemd) not in ("0", before)
    script.say("still here")
    assert script.end() == Result(7, b"still here\n", b"")


@under_systemd
def test_a_unit_changes_nothing_that_a_script_sees(systemd):
    """Credentials, limits, mounts and signals are those that lua would have."""
    systemctl(systemd, "start", "moonletd.service")
    code = PROBE + """
        print(probe.credentials(), probe.limits(), probe.signals(), probe.nice())
        for line in io.lines('/proc/self/mountinfo') do print(line) end
    """
    lua, moonlet = [systemd.run(program, "-e", code, env=dict(systemd.env, LUA_CPATH=CPATH))
                    for program in (REAL_LUA, MOONLET)]
    assert lua.status == 0 and moonlet == lua


@under_systemd
def test_a_warm_up_that_fails_gives_launches_back_to_lua(systemd, warm_up):
    """systemd gives up after some attempts, and closes the socket."""
    warm_up(systemd, "error('no such luck')")
    systemctl(systemd, "start", "moonletd.socket")
    result = systemd.run(MOONLET, "-e", "print(warm)", env=dict(systemd.env, MOONLET_FALLBACK=REAL_LUA))
    assert result == Result(0, b"nil\n", b"")
    assert state(systemd, "moonletd.socket") == "failed"


# s6
