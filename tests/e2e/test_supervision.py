"""Who starts moonletd and keeps it running: each with the files in packaging/, under the real program.

systemd itself runs here as a user manager, in namespaces of its own; the unit files of the system too, since none but
the paths in them tell the two managers apart."""

import os
import pathlib
import re
import shlex
import socket
import subprocess

import pytest
from conftest import (BY_LUA, BY_MOONLET, CPATH, MOONLETD, PATIENCE, REAL_LUA, SOURCE, Launch, Result, World, both,
                      environment, needs_program, needs_root, run, wait_gone)

PACKAGING = pathlib.Path(SOURCE, "packaging")
MANAGERS = ["system", "user"]
PROBE = "local probe = require 'probe' "


def shipped(name, target, changes):
    """A copy of a file of packaging/ with other paths in it; those that are changed are in the file."""
    text = (PACKAGING / name).read_text()
    for before, after in changes.items():
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
    return run(BY_MOONLET, ["lua", "-e", code], environment(MOONLET_SOCKET=str(path)))


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
    changes = {"/usr/bin/moonletd": MOONLETD}
    if manager == "system":
        changes["/etc/moonletd.lua"] = tmp_path / "moonletd.lua"
    shipped(f"systemd/{manager}/moonletd.service", units / "moonletd.service", changes)
    shipped(f"systemd/{manager}/moonletd.socket", units / "moonletd.socket", {})
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


def cold(world, *arguments):
    """A launch that may have to be lua's."""
    return world.run(*BY_MOONLET.words, *arguments, env=dict(world.env, MOONLET_FALLBACK=REAL_LUA))


def under_systemd(test):
    return needs_root(needs_program("systemctl", "systemd")(test))


@under_systemd
def test_the_first_launch_starts_moonletd(systemd):
    systemctl(systemd, "stop", "moonletd.service", "moonletd.socket")
    systemctl(systemd, "start", "moonletd.socket")
    assert main_pid(systemd) == "0"
    # This one comes before there is an image.
    assert cold(systemd, "-e", "print 'served'") == Result(0, b"served\n", b"")
    systemctl(systemd, "start", "moonletd.service")  # which waits until there is one
    assert systemd.run(*BY_MOONLET.words, "-e", "print(warm)") == Result(0, b"warm\n", b"")


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


@under_systemd
def test_systemd_starts_moonletd_again_and_launches_wait_for_it(systemd):
    systemctl(systemd, "start", "moonletd.service")
    before = main_pid(systemd)
    systemctl(systemd, "kill", "--kill-whom=main", "--signal=KILL", "moonletd.service")
    assert cold(systemd, "-e", "print 'served'") == Result(0, b"served\n", b"")
    # The child that serves, and has served this, ends a moment after a moonletd that is killed.
    while main_pid(systemd) in ("0", before):
        pass
    systemctl(systemd, "start", "moonletd.service")
    assert systemd.run(*BY_MOONLET.words, "-e", "print(warm)") == Result(0, b"warm\n", b"")


@under_systemd
def test_scripts_outlive_a_restart_of_moonletd(systemd):
    systemctl(systemd, "start", "moonletd.service")
    before = main_pid(systemd)
    script = Launch("nsenter", systemd.inside(*BY_MOONLET.words, "-e", "print(1) io.flush() print(io.read()) os.exit(7)"),
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
    lua, moonlet = [systemd.run(*program.words, "-e", code, env=dict(systemd.env, LUA_CPATH=CPATH))
                    for program in (BY_LUA, BY_MOONLET)]
    assert lua.status == 0 and moonlet == lua


@under_systemd
def test_a_warm_up_that_fails_gives_launches_back_to_lua(systemd, warm_up):
    warm_up(systemd, "error('no such luck')")
    systemctl(systemd, "start", "moonletd.service")
    assert cold(systemd, "-e", "print(warm)") == Result(0, b"nil\n", b"")
    assert state(systemd, "moonletd.service") == state(systemd, "moonletd.socket") == "active"



# s6


class ScanDirectory:
    """An s6-svscan of the test's own."""

    def __init__(self, directory, env):
        self.path = directory
        directory.mkdir(exist_ok=True)
        ready, told = os.pipe()
        with open(directory.parent / "s6.log", "ab") as log:
            self.process = subprocess.Popen(["s6-svscan", "-d", str(told), str(directory)], env=env, stdout=log,
                                            stderr=log, pass_fds=(told,))
        os.close(told)
        with os.fdopen(ready, "rb") as pipe:
            assert pipe.read(1) == b"\n"

    def add(self, definition, until="-wU"):
        """Takes up a service, and waits until it is up and, unless told otherwise, ready."""
        definition.rename(self.path / definition.name)
        subprocess.run(["s6-svscanctl", "-a", self.path], check=True)
        # s6-svok(1) is content a moment before there is a state to read, which s6-svc -w needs.
        while subprocess.run(["s6-svstat", self.path / definition.name], capture_output=True).returncode != 0:
            assert self.process.poll() is None
        self.control(until, "-u", name=definition.name)

    def control(self, *options, name):
        """s6-svc; with -w it waits until what was asked for has come about."""
        subprocess.run(["s6-svc", "-T", str(PATIENCE * 1000), *options, self.path / name], check=True)

    def status(self, name, fields="up,wantedup,ready,exitcode,signal"):
        done = subprocess.run(["s6-svstat", "-o", fields, self.path / name], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def pid(self, name):
        return int(self.status(name, "pid"))

    def end(self):
        if self.process.poll() is None:
            subprocess.run(["s6-svscanctl", "-t", self.path], check=True)
        assert self.process.wait(PATIENCE) == 0


@pytest.fixture
def scan_directory(nothing_left):
    """scan_directory(path, env): a running s6-svscan, which ends with the test."""
    started = []

    def start(directory, env):
        started.append(ScanDirectory(directory, env))
        return started[-1]

    yield start
    for scan in started:
        scan.end()


@pytest.fixture
def s6_moonletd(tmp_path, scan_directory):
    """The service directory of packaging/ under a real s6-svscan; and where its socket is."""
    service = tmp_path / "moonletd"
    (tmp_path / "warm.lua").write_text("warm = 'warm'\n")
    for path in sorted((PACKAGING / "s6/moonletd").iterdir()):
        changes = {"/usr/bin/moonletd": MOONLETD, "/etc/moonletd.lua": tmp_path / "warm.lua"}
        shipped(f"s6/moonletd/{path.name}", service / path.name, changes if path.name == "run" else {})
    scan = scan_directory(tmp_path / "scan", environment(MOONLET_SOCKET=str(tmp_path / "s")))
    scan.add(service)
    return scan, tmp_path / "s"


needs_s6 = needs_program("s6-svscan", "s6")


@needs_s6
def test_under_s6_moonletd_is_ready_when_it_serves(s6_moonletd):
    scan, path = s6_moonletd
    assert scan.status("moonletd", "up,ready") == "true true"
    assert launch(path).out == b"warm\n"
    assert (scan.path / "moonletd/type").read_text() == "longrun\n"  # what s6-rc wants to be told


@needs_s6
def test_s6_ends_moonletd_and_starts_it_again(s6_moonletd):
    scan, path = s6_moonletd
    for option in ("-t", "-k"):
        before = scan.pid("moonletd")
        scan.control("-wR", option, name="moonletd")
        assert scan.pid("moonletd") != before
        assert launch(path).out == b"warm\n"
    scan.control("-wD", "-d", name="moonletd")
    assert scan.status("moonletd") == "false false false 0 NA"
    assert not path.exists()
    scan.control("-wU", "-u", name="moonletd")
    assert launch(path).out == b"warm\n"


READY = "local ready = io.open('/proc/self/fd/3', 'w') ready:write('\\n') ready:close()\n"


def supervised(same, tmp_path, scan_directory, text, operate, until="-wU"):
    """A service whose run file is a script, its first line #!lua or #!moonlet. The same is demanded of both: what
    operate(scan, fifo) returns, how many runs there were, and what s6 tells the finish script of each one's end.

    In the script `fifo` is the name of a fifo, which operate() may open too."""
    def scenario(program, env):
        directory = tmp_path / os.path.basename(program.program)
        service = directory / "script"
        service.mkdir(parents=True)
        program.install(directory / "lua")
        os.mkfifo(directory / "fifo")
        (service / "notification-fd").write_text("3\n")
        (service / "run").write_text(f"""#!{directory}/lua
            {PROBE} local fifo = '{directory}/fifo'
            local pids = io.open('{directory}/pids', 'a') pids:write(probe.pid(), '\\n') pids:close()
            {text}""")
        (service / "finish").write_text(f'#!/bin/sh\necho "$1 $2" >>{directory}/finished\n')
        for name in ("run", "finish"):
            (service / name).chmod(0o755)
        scan = scan_directory(directory / "scan", env)
        scan.add(service, until)
        seen = operate(scan, directory / "fifo")
        scan.end()
        pids = (directory / "pids").read_text().split()
        for pid in pids:
            wait_gone(int(pid))
        return seen, len(pids), (directory / "finished").read_text().splitlines()

    return both(same, scenario)


@needs_s6
def test_s6_does_to_a_script_what_it_does_to_lua(same, tmp_path, scan_directory):
    def operate(scan, _):
        seen = [scan.status("script")]
        for until, option in (("-wR", "-t"), ("-wR", "-k"), ("-wD", "-d"), ("-wU", "-u"), ("-wD", "-d")):
            scan.control(until, option, name="script")
            seen.append(scan.status("script"))
        return seen

    seen, runs, finished = supervised(same, tmp_path, scan_directory, READY + "while true do probe.pause() end", operate)
    assert [status.split()[0] for status in seen] == ["true", "true", "true", "false", "true", "false"]
    assert runs == 4 and finished == ["256 15", "256 9", "256 15", "256 15"]


@needs_s6
def test_a_supervised_script_handles_its_signals(same, tmp_path, scan_directory):
    """It gets each that s6-svc can send it, and when asked to end it does so in its own way."""
    text = READY + """
        probe.catch(1, 2, 3, 10, 12, 14, 15, 28)
        local heard = io.open(fifo, 'w')
        while true do
            local number = probe.next_signal()
            heard:write(number, '\\n') heard:flush()
            if number == 15 then os.exit(7) end
        end
    """

    def operate(scan, fifo):
        with open(fifo) as heard:
            lines = []
            for option in ("-h", "-i", "-q", "-1", "-2", "-a", "-y"):
                scan.control(option, name="script")
                lines.append(heard.readline())
            scan.control("-wD", "-d", name="script")
            return lines + heard.readlines() + [scan.status("script", "exitcode,signal")]

    seen, _, finished = supervised(same, tmp_path, scan_directory, text, operate)
    assert seen == ["1\n", "2\n", "3\n", "10\n", "12\n", "14\n", "28\n", "15\n", "7 NA"] and finished == ["7 0"]


@needs_s6
def test_a_supervised_script_is_ready_when_it_says_so(same, tmp_path, scan_directory):
    """Not when moonlet has started, nor when its script has."""
    text = "io.open(fifo):read()\n" + READY + "while true do probe.pause() end"

    def operate(scan, fifo):
        with open(fifo, "w") as go:  # when the script has opened it
            seen = [scan.status("script", "up,ready")]
            go.write("go")
        scan.control("-wU", "-u", name="script")
        return seen + [scan.status("script", "up,ready")]

    seen, _, _ = supervised(same, tmp_path, scan_directory, text, operate, until="-wu")
    assert seen == ["true false", "true true"]


# OpenWrt


STUBS = """
    config_load() { [ "$1" = moonletd ]; }
    config_foreach() { for section in $SECTIONS; do "$1" "$section"; done; }
    config_get() { eval "$1=\\${UCI_$2_$3:-\\$4}"; }
    config_get_bool() { config_get "$@"; }
    procd_open_instance() { echo "instance $1"; command=; }
    procd_set_param() { if [ "$1" = command ]; then shift; command=$(quote "$@"); else echo "$@"; fi; }
    procd_append_param() { shift; command="$command $(quote "$@")"; }
    procd_close_instance() { echo "command $command"; }
    procd_add_reload_trigger() { echo "reload when $1 changes"; }
    quote() { for word; do printf "'%s' " "$word"; done; }
"""


def procd(*functions, script="moonletd", **uci):
    """Runs functions of the init script in busybox's shell, as OpenWrt does, with procd's and UCI's own replaced by
    ones that tell what they are asked for. `uci` are options as SECTION_OPTION."""
    env = {"PATH": os.environ["PATH"], **{f"UCI_{name}": value for name, value in uci.items()},
           "SECTIONS": " ".join(sorted({name.split("_")[0] for name in uci} or {"main"}))}
    text = STUBS + (PACKAGING / f"openwrt/{script}.init").read_text() + "\n" + "\n".join(functions)
    done = subprocess.run(["busybox", "ash", "-ec", text], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


needs_busybox = needs_program("busybox", "busybox")


@needs_busybox
def test_procd_is_told_what_to_start():
    assert procd("start_service") == [
        "instance main", "file /etc/moonletd.lua", "respawn", "stderr 1",
        "command '/usr/bin/moonletd' '--socket' '/var/run/moonlet.sock'  '--' '/etc/moonletd.lua' "]
    assert procd("echo $USE_PROCD $((START < STOP))", "service_triggers") == ["1 1", "reload when moonletd changes"]


@needs_busybox
def test_procd_is_told_to_freeze_once_at_boot(tmp_path):
    told = procd("start_service", "echo $USE_PROCD", script="moonlet")
    assert told == ["instance ", "file /etc/moonlet.lua", "stderr 1",
                    "command '/usr/bin/moonlet' '--freeze' '/var/run/moonlet.image' '/etc/moonlet.lua' ", "1"]
    (tmp_path / "image").touch()
    assert procd(f"IMAGE={tmp_path}/image", "service_stopped", script="moonlet") == []
    assert not (tmp_path / "image").exists()


@needs_busybox
def test_procd_s_command_has_the_options_of_uci_and_moonletd_takes_it(tmp_path, nothing_left):
    (tmp_path / "a warm-up.lua").write_text("warm = 'warm'\n")
    told = procd("start_service", main_enabled="0", other_socket=str(tmp_path / "s"), other_mode="0660", other_max="3",
                 other_warm_up=f"{tmp_path}/a warm-up.lua")
    assert told[0] == "instance other"
    program, *command = shlex.split(told[-1])[1:]
    assert program == "/usr/bin/moonletd"
    assert command == ["--socket", str(tmp_path / "s"), "--mode", "0660", "--max", "3",
                       "--", f"{tmp_path}/a warm-up.lua"]
    process = subprocess.Popen([MOONLETD, *command], env=environment())
    assert until_served(tmp_path / "s") == b"warm\n"
    process.terminate()
    assert process.wait(PATIENCE) == 0


def test_the_configuration_of_uci_names_no_option_that_is_not_read():
    config = (PACKAGING / "openwrt/moonletd.config").read_text()
    script = (PACKAGING / "openwrt/moonletd.init").read_text()
    options = re.findall(r"^\t(?:# )?option (\w+) '", config, re.M)
    assert len(options) == 5
    for option in options:
        assert re.search(rf'"\$1" {option}\b', script), option


@needs_program("shellcheck", "shellcheck")
def test_shellcheck_finds_nothing_in_the_scripts():
    scripts = [PACKAGING / name for name in ("s6/moonletd/run", "openwrt/moonletd.init", "openwrt/moonlet.init")]
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# busybox


@needs_root
@needs_busybox
def test_busybox_init_starts_moonletd_and_starts_it_again(tmp_path):
    """Booted: as process 1, with the line of packaging/ as all of its /etc/inittab."""
    (tmp_path / "warm.lua").write_text("warm = 'warm'\n")
    shipped("busybox/inittab", tmp_path / "inittab",
            {"/usr/bin/moonletd": MOONLETD, "/etc/moonletd.lua": tmp_path / "warm.lua"})
    (tmp_path / "console").touch()
    world = World("mkdir /run/etc && mount -t tmpfs tmpfs /run/etc && cp -a /etc/. /run/etc",
                  f"cp {tmp_path}/inittab /run/etc", "mount --move /run/etc /etc",
                  f"mount --bind {tmp_path}/console /dev/console",
                  "busybox init", log=tmp_path / "log", env=environment())
    try:
        seen = []
        while len(seen) < 2:
            result = world.run(*BY_MOONLET.words, "-e", "print(warm)")
            moonletd = world.run("cat", "/run/moonletd.pid").out.strip()
            # The child that serves ends a moment after a moonletd that is killed.
            if result.status == 0 and moonletd not in seen:
                assert result.out == b"warm\n"
                assert moonletd in world.run("pgrep", "-P", "1", "moonletd").out.split()
                seen.append(moonletd)
                world.run("kill", "-KILL", moonletd)
    finally:
        world.end()
