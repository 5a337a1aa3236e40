"""docs/recipes: each with the program that it is for, and the files as the page shows them."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from conftest import (MOONLET, PATIENCE, PROGRAMS, SOURCE, World, environment, needs_program, needs_root, run)
from documents import block

CLIENT = pathlib.Path(__file__).with_name("http_client.py")
SERVERS = "docs/recipes/web-servers.md"
THAWED = "moonlet: thawed "


def of(page, first, **changes):
    """A block, without a first line that names its file, with the programs of this build."""
    text = block(f"docs/recipes/{page}.md", first)
    text = re.sub(r"\A# \S+\.\w+\n", "", text).replace("/usr/bin/moonlet", MOONLET)
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, str(after))
    return text


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


# Web servers


@pytest.fixture
def served(open_directory):
    """A machine with a moonletd of root for all, where www-data's CGI script lies below www/cgi-bin, and log says of each launch whether it was thawed."""
    directory = open_directory
    # In a place that a PrivateTmp does not hide.
    executable(directory / "www/cgi-bin/sum.cgi", of("web-servers", "#!/usr/bin/moonlet").replace(MOONLET, "/run/bin/moonlet"))
    (directory / "warm.lua").write_text(block(SERVERS, "# /etc/moonletd.lua").partition("\n")[2])
    assert "SocketMode=0666" in block(SERVERS, "# systemctl edit moonletd.socket")
    (directory / "log").touch()
    (directory / "log").chmod(0o666)
    # Restarted by what starts it, as systemd does.
    (directory / "keep").write_text(f"""
        while :; do
            /run/bin/moonletd --mode 0666 --ready-fd 8 {directory}/warm.lua
        done
    """)
    programs = " ".join(f"{PROGRAMS}/{name}" for name in ("moonlet", "moonlet-lua", "moonletd", "moonletctl"))
    world = World("ip link set lo up", "mkdir /run/bin", f"cp {programs} /run/bin/", "mkfifo /run/ready", "exec 8<>/run/ready", f"bash {directory}/keep &", "read -r _ <&8",
                  "sleep infinity", network=True, log=directory / "world.log",
                  env=environment(MOONLET_FALLBACK=None, MOONLET_IMAGE=None, LUA_CPATH=None, LANG=None, MOONLET_VERBOSE="1",
                                  PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"))
    world.directory = directory
    yield world
    world.end()


def post_and_disturb(world, path="/cgi-bin/sum.cgi"):
    """Nothing is lost of 1,000 requests while images are made anew and moonletd is killed."""
    wait_until_open = "until (echo >/dev/tcp/127.0.0.1/8080) 2>/dev/null; do :; done"
    run("timeout", ["timeout", str(PATIENCE), *world.inside("bash", "-c", wait_until_open)], world.env)
    posting = subprocess.Popen(world.inside(sys.executable, str(CLIENT), "8080", path, "1000", "8", "70000"), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    warm_up = world.directory / "warm.lua"
    turns = 0
    while posting.poll() is None:
        turns += 1
        warm_up.write_text(warm_up.read_text() + f"-- {turns}\n")
        if turns % 4 == 0:
            world.run("pkill", "-KILL" if turns % 8 == 0 else "-TERM", "-x", "moonletd")
        try:
            posting.wait(0.3)
        except subprocess.TimeoutExpired:
            continue
    out, err = posting.communicate()
    logs = "".join(path.read_text(errors="replace")[-1500:] for path in world.directory.glob("*log"))
    assert (posting.returncode, out) == (0, "1000\n"), f"{err}\n{logs}"
    assert turns > 4, "nothing was disturbed"


def on_a_machine(*programs):
    def mark(test):
        for program, package in (*programs, ("ip", "iproute2"), ("setpriv", "util-linux")):
            test = needs_program(program, package)(test)
        return needs_root(test)
    return mark


def thawed(path):
    return path.read_text(errors="replace").count(THAWED)


@on_a_machine(("lighttpd", "lighttpd"))
def test_lighttpd(served):
    d = served.directory
    (d / "lighttpd.conf").write_text(f"""
        server.modules = ( "mod_setenv" )
        setenv.add-environment = ( "MOONLET_VERBOSE" => "1" )
        server.document-root = "{d}/www"
        server.port = 8080
        server.username = "www-data"
        server.groupname = "www-data"
        server.breakagelog = "{d}/log"
    """ + block(SERVERS, 'server.modules += ( "mod_cgi" )'))
    subprocess.Popen(served.inside("lighttpd", "-D", "-f", str(d / "lighttpd.conf")), env=served.env, stderr=open(d / "server.log", "w"))
    post_and_disturb(served)
    assert thawed(d / "log") > 100


@on_a_machine(("apache2", "apache2-bin"))
def test_apache_with_a_private_tmp(served):
    d = served.directory
    modules = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in
                      ("mpm_event", "authz_core", "alias", "env", "cgid"))
    (d / "apache.conf").write_text(f"""
        {modules}
        ServerName localhost
        SetEnv MOONLET_VERBOSE 1
        Listen 127.0.0.1:8080
        PidFile /run/apache.pid
        DefaultRuntimeDir /run
        ScriptSock /run/cgid.sock
        User www-data
        Group www-data
        DocumentRoot {d}/www
        ErrorLog {d}/apache.log
    """ + block(SERVERS, "ScriptAlias").replace("/usr/lib/cgi-bin", f"{d}/www/cgi-bin"))
    private = f"mkdir -p /run/tmp{d} && mount --bind {d} /run/tmp{d} && mount --rbind /run/tmp/tmp /tmp && exec apache2 -X -f {d}/apache.conf"
    subprocess.Popen(served.inside("unshare", "--mount", "bash", "-ec", private), env=served.env, stderr=open(d / "server.log", "w"))
    post_and_disturb(served)
    assert thawed(d / "apache.log") > 100


@on_a_machine(("busybox", "busybox"))
def test_busybox_httpd(served):
    d = served.directory
    command = block(SERVERS, "busybox httpd").strip().replace("/srv/www", f"{d}/www")
    subprocess.Popen(served.inside("setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups", "bash", "-c", f"exec {command}"),
                     env=served.env, stderr=open(d / "server.log", "w"))
    post_and_disturb(served)
    assert thawed(d / "server.log") > 100


# Hooks and jobs


@pytest.fixture
def home(tmp_path):
    """home(variable=value...): an environment with a home in which images are made; `moonlet` is this build's."""
    (tmp_path / "home").mkdir()
    return lambda **more: environment(MOONLET_FALLBACK=None, MOONLET_IMAGE=None, MOONLET_SOCKET=None, HOME=str(tmp_path / "home"), MOONLET_VERBOSE="1", PATH=f"{PROGRAMS}:{os.environ['PATH']}", **more)


def until_thawed(start):
    """Runs start() until its launch is thawed: the first has the image made, and nobody waits for that."""
    for _ in range(1000):
        result = start()
        if THAWED.encode() in result.err:
            return result
    raise AssertionError(result)


@needs_program("git", "git")
def test_a_git_hook(home, tmp_path):
    env = home(GIT_AUTHOR_NAME="n", GIT_AUTHOR_EMAIL="e", GIT_COMMITTER_NAME="n", GIT_COMMITTER_EMAIL="e")

    def git(*arguments):
        return run(shutil.which("git"), ["git", *map(str, arguments)], env, cwd=tmp_path)

    git("init", "-q", "--bare", "shared.git")
    executable(tmp_path / "shared.git/hooks/pre-receive", of("git-hooks", "#!/bin/sh"))
    (tmp_path / "shared.git/hooks/check.lua").write_text(of("git-hooks", "local stringx"))
    git("init", "-q", "mine")
    git("-C", "mine", "commit", "-q", "--allow-empty", "-m", "first")
    number = iter(range(10000))
    result = until_thawed(lambda: git("-C", "mine", "push", "../shared.git", f"HEAD:refs/heads/branch{next(number)}"))
    assert result.status == 0, result
    result = git("-C", "mine", "push", "../shared.git", "HEAD:refs/tags/tag")
    assert result.status != 0 and b"only branches may be pushed here, not refs/tags/tag" in result.err, result


@needs_program("cron", "cron")
@needs_root
def test_a_crontab(open_directory):
    """As cron itself reads it. What a minute is, a test does not wait for: cron's own environment is set by hand."""
    text = block("docs/recipes/cron.md", "MOONLET_WARM=")
    variables = dict(line.split("=", 1) for line in text.splitlines() if re.match(r"\w+=", line))
    [command] = re.findall(r"^\* \* \* \* \* (.*)$", text, re.MULTILINE)
    (open_directory / "report.lua").write_text("print(require 'lfs' ~= nil)")
    env = {"HOME": str(open_directory), "SHELL": "/bin/sh", "PATH": f"{PROGRAMS}:/usr/bin:/bin", "LOGNAME": "root", "MOONLET_VERBOSE": "1", **variables}
    command = command.replace("/usr/local/lib", str(open_directory))
    result = until_thawed(lambda: run("/bin/sh", ["sh", "-c", command], env, cwd=open_directory))
    assert result.out == b"true\n"


def test_ci_without_a_home(tmp_path):
    env = environment(MOONLET_FALLBACK=None, MOONLET_IMAGE=None, MOONLET_SOCKET=None, MOONLET_VERBOSE="1", PATH=f"{PROGRAMS}:{os.environ['PATH']}")
    env.pop("HOME", None)
    (tmp_path / "script.lua").write_text("print(package.loaded['pl.pretty'] ~= nil)")
    told = run("/bin/sh", ["sh", "-c", "MOONLET_WARM='-l pl.pretty' moonlet script.lua"], env, cwd=tmp_path)
    assert told.out == b"false\n" and b"neither HOME nor XDG_CACHE_HOME" in told.err, told
    where = block("docs/recipes/containers.md", "export XDG_CACHE_HOME=")
    assert until_thawed(lambda: run("/bin/sh", ["sh", "-c", f"mkdir -p .cache; {where} moonlet script.lua"], env, cwd=tmp_path)).out == b"true\n"
    made = run("/bin/sh", ["sh", "-ec", block("docs/recipes/containers.md", "moonlet --freeze")], env, cwd=tmp_path)
    assert (made.status, made.out) == (0, b"true\n") and f"{THAWED}{tmp_path}/ci.image".encode() in made.err, made


def test_a_container_with_the_same_home_has_images_of_its_own(home, tmp_path):
    """As toolbox and distrobox have it: another root file system, here an overlay of this one."""
    if os.geteuid() != 0:
        pytest.skip("NEEDS ROOT: to change the root")
    env = home(MOONLET_WARM="-l pl.pretty")

    def here():
        return run("/bin/sh", ["sh", "-c", "moonlet -e 'print(1)'"], env)

    top = tmp_path / "top"
    top.mkdir()
    until = "for i in $(seq 1000); do moonlet -e 0 2>&1 | grep -q thawed && exit; done; exit 2"
    inside = f"""
        mount -t tmpfs tmpfs {top}
        mkdir {top}/upper {top}/work {top}/root
        mount -t overlay overlay -o lowerdir=/,upperdir={top}/upper,workdir={top}/work {top}/root 2>/dev/null || exit 77
        mount --rbind /proc {top}/root/proc
        mount --rbind /dev {top}/root/dev
        mount --bind {tmp_path}/home {top}/root{tmp_path}/home
        exec chroot {top}/root sh -c '{until}'
    """
    until_thawed(here)
    mine = set((tmp_path / "home/.cache/moonlet").glob("*.image"))
    done = run(shutil.which("unshare"), ["unshare", "--mount", "sh", "-ec", inside], env)
    if done.status in (1, 77):
        pytest.skip("NO OVERLAY: a root of its own cannot be made here")
    assert done.status == 0, done
    assert THAWED.encode() in here().err  # it has still its own
    assert set((tmp_path / "home/.cache/moonlet").glob("*.image")) > mine


# Supervisors


def test_s6(tmp_path):
    if shutil.which("s6-supervise") is None:
        pytest.skip("NOT INSTALLED: s6")
    image = tmp_path / "image"
    assert run(MOONLET, ["moonlet", "--freeze", str(image), "-e", "warm = true"], environment()).status == 0
    service = tmp_path / "service"
    executable(service / "run", of("s6", "#!/usr/bin/moonlet"))
    (service / "notification-fd").write_text("3\n")
    executable(service / "finish", f"#!/bin/sh\necho $1 $2 >{tmp_path}/ended\n")
    read, write = os.pipe()
    env = environment(MOONLET_IMAGE=str(image), MOONLET_VERBOSE="1")
    with open(tmp_path / "log", "w") as log:
        supervisor = subprocess.Popen(["s6-supervise", str(service)], stdin=read, stdout=log, stderr=log, env=env)
    try:
        control = ["s6-svwait", "-U", "-t", str(PATIENCE * 1000), str(service)]
        while subprocess.run(control, capture_output=True).returncode not in (0, 99):
            assert supervisor.poll() is None, (tmp_path / "log").read_text()
        assert THAWED in (tmp_path / "log").read_text()
        subprocess.run(["s6-svc", "-wD", "-T", str(PATIENCE * 1000), "-d", str(service)], check=True)
        assert (tmp_path / "ended").read_text() == f"256 {signal.SIGTERM}\n"
    finally:
        subprocess.run(["s6-svc", "-xd", str(service)])
        os.close(write)
        os.close(read)
        supervisor.wait(PATIENCE)


@pytest.fixture
def systemd(open_directory):
    """A real systemd that has the units of the page, and a script that the timer starts."""
    directory = open_directory
    units = directory / "units"
    units.mkdir()
    for target in ("basic", "sockets", "shutdown", "sysinit", "timers", "default"):
        (units / f"{target}.target").write_text(f"[Unit]\nDescription={target}\nDefaultDependencies=no\n")
    for name in ("report-image.service", "report.service", "report.timer", "shout.socket", "shout@.service"):
        text = of("systemd", f"# {name}\n").replace("/usr/local/lib", str(directory))
        (units / name).write_text(text if "[Unit]" in text else "[Unit]\nDefaultDependencies=no\n" + text)
    (directory / "report.lua").write_text(f"""
        local out = io.open("{directory}/reported", "a")
        out:write(tostring(package.loaded["pl.pretty"] ~= nil), "\\n")
    """)
    world = World("mkdir -p /run/systemd/system /run/user",
                  "bash -c '/lib/systemd/systemd --user --unit=basic.target --log-target=console & wait'", cgroup=True, log=directory / "log",
                  env=environment(MOONLET_IMAGE=None, XDG_RUNTIME_DIR="/run/user", HOME=str(directory), SYSTEMD_UNIT_PATH=str(units),
                                  SYSTEMD_GENERATOR_PATH="/nonexistent", SYSTEMD_ENVIRONMENT_GENERATOR_PATH="/nonexistent"))
    while world.run("systemctl", "--user", "is-active", "basic.target").out != b"active\n":
        assert world.process.poll() is None, world.log()
    world.directory = directory
    yield world
    world.end()


def systemctl(world, *arguments):
    result = world.run("systemctl", "--user", *arguments)
    assert result.status == 0, f"{result!r}\n{world.log()}"


def under_systemd(test):
    return needs_root(needs_program("systemctl", "systemd")(test))


@under_systemd
def test_what_a_timer_of_systemd_starts_is_thawed(systemd):
    """And the timer is one that systemd takes. Nobody waits for a minute."""
    systemctl(systemd, "start", "report.timer")
    systemctl(systemd, "start", "report.service")
    assert (systemd.directory / "reported").read_text() == "true\n"


ASK = """
import socket
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect("/run/user/shout.sock")
    for line in (b"one\\n", b"two\\n"):
        asked.sendall(line)
        print(asked.recv(100).decode(), end="")
"""


@under_systemd
def test_a_script_that_systemd_starts_for_a_connection(systemd):
    systemctl(systemd, "start", "report-image.service", "shout.socket")
    assert systemd.run(sys.executable, "-c", ASK).out == b"ONE\nTWO\n", systemd.log()


@under_systemd
def test_a_script_that_takes_the_socket_of_systemd_has_the_pid_that_it_is_for(systemd):
    """As systemd-socket-activate hands it over: LISTEN_PID is the script's own."""
    systemctl(systemd, "start", "report-image.service")
    script = systemd.directory / "script.lua"
    script.write_text("print(os.getenv 'LISTEN_PID' == io.open('/proc/self/stat'):read('*n') .. '', os.getenv 'LISTEN_FDS', "
                      "io.popen('readlink /proc/' .. os.getenv 'LISTEN_PID' .. '/fd/3'):read() :match '^socket')")
    path = systemd.directory / "s.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        fd = listener.fileno()
        start = f"exec 3<&{fd}; LISTEN_PID=$$ LISTEN_FDS=1 MOONLET_VERBOSE=1 MOONLET_IMAGE=/run/user/report/report.image exec {MOONLET} {script}"
        result = systemd.run("bash", "-c", start, pass_fds=(fd,))
    assert result.out == b"true\t1\tsocket\n" and THAWED.encode() in result.err, result
