"""What every end-to-end test stands on: a private zygote, and one script under lua and under moonlet."""

import atexit
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

# From 3.13 on Python starts programs by posix_spawn(3) where it can, and with that takes no empty argv[0].
subprocess._USE_POSIX_SPAWN = False

BUILD = os.environ["MOONLET_BUILD"]
REAL_LUA = os.environ["MOONLET_REAL_LUA"]
LUA = os.environ["MOONLET_LUA"]
# By which moonlet calls the fallback, unless it is told another one: a path where this Lua lies in a tree of its own.
NAME_OF_LUA = os.environ.get("MOONLET_NAME_OF_LUA", os.path.basename(REAL_LUA))  # what the programs were built for
SOURCE = os.environ["MOONLET_SOURCE"]
# Launches thaw an image that lies where moonletd would have it, and no moonletd runs.
THAW = os.environ.get("MOONLET_THAW") == "1"
LAYERED = os.environ.get("MOONLET_ON")
about_moonletd = pytest.mark.skipif(THAW, reason="IT IS ABOUT MOONLETD")
about_images = pytest.mark.skipif(not THAW, reason="IT IS ABOUT IMAGES: moonletd's children cannot")
SANITIZED = os.environ.get("MOONLET_SANITIZED") == "ON"


# "VERSION PROGRAM...": the programs that run as on an older Linux.
KERNEL, *ON_OLD_KERNEL = os.environ.get("MOONLET_OLD_KERNEL", "this").split()


def programs():
    """The directory of moonlet and moonletd: where other users cannot reach it, as below /root, a copy."""
    parents = [BUILD, *map(str, pathlib.Path(BUILD).parents)]
    reachable = os.geteuid() != 0 or all(os.stat(parent).st_mode & 0o001 for parent in parents)
    if reachable and not ON_OLD_KERNEL:
        return BUILD
    copy = tempfile.mkdtemp(prefix="moonlet-test-")
    atexit.register(shutil.rmtree, copy)
    os.chmod(copy, 0o755)
    for name in ("moonlet", "moonlet-lua", "moonletctl", "moonletd"):
        shutil.copy(os.path.join(BUILD, name), copy)
    return copy


def on_kernel(version, name):
    """A program that runs moonlet or moonletd as an older Linux would (old_kernel.c)."""
    stand_in = os.path.join(PROGRAMS, version, name)
    if not os.path.exists(stand_in):
        os.makedirs(os.path.dirname(stand_in), exist_ok=True)
        shutil.copy(os.path.join(BUILD, "tests", "old_kernel"), stand_in)
    return stand_in


PROGRAMS = programs()
MOONLET, MOONLETCTL, MOONLETD = [on_kernel(KERNEL, name) if name in ON_OLD_KERNEL else os.path.join(PROGRAMS, name)
                                 for name in ("moonlet", "moonletctl", "moonletd")]


class Command(str):
    """What launches a script: a program, and the arguments that come before lua's own. As a text it is the beginning of a command
    line."""

    def __new__(cls, program, *leading):
        command = super().__new__(cls, " ".join((program, *leading)))
        command.program, command.words = program, [program, *leading]
        return command

    def argv(self, name, *arguments):
        """For `program`, so that `name` is what the script finds as the interpreter's name."""
        leading = self.words[1:]
        return ["moonletctl", *leading, "--argv0", name, *arguments] if leading else [name, *arguments]

    def install(self, path):
        """Makes `path` a program that does this."""
        if len(self.words) == 1:
            path.symlink_to(self.program)
        else:
            path.write_text(f'#!/bin/sh\nexec {self} --argv0 {path.name} "$@"\n')
            path.chmod(0o755)


BY_LUA = Command(REAL_LUA)
THAWED = Command(MOONLET)
SERVED = Command(MOONLETCTL, "run")
BY_MOONLET = THAWED if THAW else SERVED
# A stand-in has another file than the program, and no name of its own.
about_the_file = pytest.mark.skipif(bool(ON_OLD_KERNEL), reason="IT IS ABOUT THE PROGRAM'S FILE: on this kernel only")


def os_execute_fails():
    """Whether the real lua's os.execute tells of an error that libc has got over, as that of 5.4.7 does where there is no clone3."""
    if "moonletd" not in ON_OLD_KERNEL:
        return False
    beside = os.path.join(PROGRAMS, "lua")
    if not os.path.exists(beside):
        os.symlink(REAL_LUA, beside)
    said = subprocess.run([on_kernel(KERNEL, "lua"), "-e", "print(os.execute('exit 3'))"], capture_output=True).stdout
    return b"Function not implemented" in said


needs_os_execute = pytest.mark.skipif(os_execute_fails(), reason="LUA FAILS: its os.execute reports ENOSYS on this kernel")
# A client whose system calls are filtered is confined, for a moonletd that looks.
COMPARE = ["--compare-clients", "0"] if "moonletctl" in ON_OLD_KERNEL else []
KEEPS_CONNECTION = KERNEL == "4.14" and "moonletd" in ON_OLD_KERNEL  # without pidfds: docs/design.md, "Kernel floor"
needs_pidfd = pytest.mark.skipif(KEEPS_CONNECTION, reason="NO PIDFD: one more descriptor is open in a script")
JIT = LUA == "luajit"
with open(REAL_LUA, "rb") as program:
    MUSL = b"/lib/ld-musl" in program.read(4096)
# glibc's exit(3) did not before 2.41.
EXIT_WAITS_FOR_STREAMS = MUSL or [*map(int, re.findall(r"\d+", os.confstr("CS_GNU_LIBC_VERSION")))] >= [2, 41]
FIRST_REAL_TIME = 35 if MUSL else 34  # of the signals that this C library leaves to programs
# Where this Lua finds the tests' own C module; the default path stays behind it.
CPATH = os.path.join(BUILD, "modules", "?.so") + ";;"
PATIENCE = int(os.environ.get("PATIENCE", 60))  # seconds until a test that waits for an event gives up


def environment(**changes):
    """A small environment of known content. MOONLET_FALLBACK forbids to hide a failure behind lua."""
    env = {
        "PATH": os.path.dirname(REAL_LUA) + ":" + os.environ["PATH"],  # where the fallback is found
        "HOME": "/nonexistent",
        "LANG": "C",
        "LUA_CPATH": CPATH,
        "MOONLET_FALLBACK": "",
    }
    if not THAW:
        env["MOONLET_IMAGE"] = ""  # neither made beside a socket nor looked for there
    env.update(changes)
    return {name: value for name, value in env.items() if value is not None}


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(child) for child in children.read().split()]


class Zygote:
    """A moonletd of the test's own. It serves when the constructor returns."""

    command = SERVED

    def __init__(self, directory, *warm_up, options=(), env=None, wait=True, stdin=subprocess.DEVNULL,
                 command=(MOONLETD,), **popen):
        self.socket = os.path.join(str(directory), "zygote.sock")
        self.log_path = os.path.join(str(directory), "zygote.log")
        self.serves = None
        ready, told = os.pipe()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*command, "--socket", self.socket, "--ready-fd", str(told), *COMPARE, *options, *warm_up],
                stdin=stdin, stdout=log, stderr=log, pass_fds=(told,),
                env=environment() if env is None else env, **popen)
        os.close(told)
        with os.fdopen(ready, "rb") as pipe:
            served = pipe.read(1) == b"\n"
        if wait and not served:
            raise AssertionError("moonletd does not serve: " + self.log())

    @property
    def pid(self):
        return self.process.pid

    def variables(self):
        """What names it to a client."""
        return {"MOONLET_SOCKET": self.socket}

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    @property
    def image(self):
        return self.socket.removesuffix(".sock") + ".image"

    @property
    def server(self):
        """The process that listens, and whose children scripts are; moonletd itself keeps the image."""
        if self.serves is None:
            self.serves = children_of(self.pid)[0]  # the oldest
        return self.serves

    def descriptors(self):
        """Of the process that listens."""
        return sorted(int(fd) for fd in os.listdir(f"/proc/{self.server}/fd"))

    def children(self):
        """Scripts, and who tells the status."""
        return children_of(self.server)

    def is_idle(self):
        """No launch runs or waits: there is the socket to listen on, and the one to the keeper."""
        try:
            links = [os.readlink(f"/proc/{self.server}/fd/{fd}") for fd in self.descriptors()]
        except (FileNotFoundError, ProcessLookupError):  # gone since they were listed
            return False
        return self.children() == [] and sum(link.startswith("socket:") for link in links) == 2

    def is_fresh(self):
        """No warm-up runs, and none is due that the keeper knows of."""
        return children_of(self.pid) == [self.server]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(PATIENCE)
        if SANITIZED:
            assert "Sanitizer" not in self.log() and "runtime error" not in self.log(), self.log()
        return status


def freeze_to(path, warm_up, start):
    """Freezes a warm-up: start(argv) runs moonlet with these arguments, and returns how that ended. With MOONLET_ON an image on
    another one: the warm-up is that of the upper one, on "nothing", or of the lower one, with nothing on "itself"."""
    if LAYERED is None:
        return start(["--freeze", path, *warm_up])
    lower, upper = ([], warm_up) if LAYERED == "nothing" else (warm_up, [])
    below = path + ".below"
    first = start(["--freeze", below, *lower])
    if first.returncode != 0:
        return first
    os.chmod(below, 0o644)  # whoever may read the upper one
    second = start(["--image", below, "--freeze", path, *upper])
    second.stdout, second.stderr = first.stdout + second.stdout, first.stderr + second.stderr
    return second


class FrozenZygote:
    """What stands in for a zygote where its warm-up is frozen: an image beside the socket that a zygote would have, which
    may be named. Without `wait` it may be that the warm-up cannot be frozen: then there is no image."""

    command = THAWED

    def __init__(self, directory, *warm_up, options=(), env=None, wait=True, stdin=subprocess.DEVNULL, socket=None, **popen):
        assert not options, "only moonletd has them: is the test about moonletd?"
        self.socket = socket or os.path.join(str(directory), "zygote.sock")
        self.image = self.socket.removesuffix(".sock") + ".image"
        done = freeze_to(self.image, warm_up, lambda argv: subprocess.run(
            [MOONLET, *argv], stdin=stdin, capture_output=True, env=environment() if env is None else env, timeout=PATIENCE, **popen))
        self.status = done.returncode
        self.output = (done.stdout + done.stderr).decode(errors="replace")
        assert os.path.exists(self.image) == (self.status == 0), self.output
        if wait and self.status != 0:
            raise AssertionError("moonlet does not freeze: " + self.output)

    def log(self):
        return self.output

    def variables(self):
        return {"MOONLET_SOCKET": self.socket}

    def stop(self):
        return 0


def starter(kind, directory):
    """start(warm-up..., options=..., env=...): something of this kind, with directories of their own below `directory`. Then
    it stops all of them."""
    started = []

    def start(*warm_up, **arguments):
        its = directory / f"{'image' if kind is FrozenZygote else 'zygote'}{len(started)}"  # sockets have short paths
        its.mkdir()
        started.append(kind(its, *warm_up, **arguments))
        return started[-1]

    yield start
    for it in started:
        it.stop()


def stays(kind, directory):
    """One for all tests of a module: no launch changes it."""
    it = kind(directory)
    yield it
    assert it.stop() == 0, it.log()


# What launches are made from: a zygote, or an image of its warm-up.
@pytest.fixture
def start_zygote(tmp_path):
    yield from starter(FrozenZygote if THAW else Zygote, tmp_path)


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    yield from stays(FrozenZygote if THAW else Zygote, tmp_path_factory.mktemp("zygote"))


# A moonletd in any case.
@pytest.fixture
def start_moonletd(tmp_path):
    yield from starter(Zygote, tmp_path)


@pytest.fixture(scope="module")
def moonletd(tmp_path_factory):
    yield from stays(Zygote, tmp_path_factory.mktemp("moonletd"))


class Image:
    """A warm-up that is frozen into a file, in a directory of the test's own. What it wrote meanwhile is in `warm_up`."""

    command = THAWED

    def __init__(self, directory, *warm_up, env=None, **options):
        self.path = os.path.join(str(directory), "image")
        done = freeze_to(self.path, warm_up, lambda argv: subprocess.run(
            ["lua", *argv], executable=MOONLET, env=environment() if env is None else env, capture_output=True, timeout=PATIENCE,
            **{"stdin": subprocess.DEVNULL, **options}))
        self.warm_up = Result(done.returncode, done.stdout, done.stderr)
        assert self.warm_up.status == 0 and os.path.exists(self.path), f"moonlet --freeze: {self.warm_up!r}"

    def variables(self):
        """What names it to a launch."""
        return {"MOONLET_IMAGE": self.path}

    def log(self):
        return repr(self.warm_up)


@pytest.fixture
def freeze(tmp_path):
    """freeze(warm-up..., env=...): an image of it."""
    made = []

    def make(*warm_up, **options):
        directory = tmp_path / f"image{len(made)}"
        directory.mkdir()
        made.append(Image(directory, *warm_up, **options))
        return made[-1]

    return make


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """One image of an empty warm-up for all tests of a module: no launch changes it."""
    return Image(tmp_path_factory.mktemp("image"))


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __eq__(self, other):
        return (self.status, self.out, self.err) == (other.status, other.out, other.err)

    def __repr__(self):
        return f"status {self.status}\n--- out\n{self.out!r}\n--- err\n{self.err!r}"


def run(program, argv, env, **options):
    """Runs `program`, a path or a Command, under the name argv[0], and returns how it ended."""
    if isinstance(program, Command):
        program, argv = program.program, program.argv(*argv)
    options.setdefault("stdin", subprocess.DEVNULL) if "input" not in options else None
    done = subprocess.run(argv, executable=program, env=env, capture_output=True, timeout=PATIENCE, **options)
    return Result(done.returncode, done.stdout, done.stderr)


def without_addresses(result):
    """What differs between two runs of lua itself: LuaJIT's tracebacks name addresses, and Lua 5.2 finds a
    function's name by walking _G in an order that is random."""
    if isinstance(result, Result):
        return Result(result.status, without_addresses(result.out), without_addresses(result.err))
    if isinstance(result, (tuple, list)):
        return [without_addresses(part) for part in result]
    if isinstance(result, str):
        return re.sub(r"\b0x[0-9a-f]+", "0x0", result)
    if isinstance(result, bytes):
        result = re.sub(rb"\b0x[0-9a-f]+", b"0x0", result)
        if LUA == "5.3" and sys.maxsize < 1 << 32:
            # table.concat there takes eight bytes for the four of an int, and what lies beside them.
            result = re.sub(rb"invalid value \(nil\) at index \d+", b"invalid value (nil) at index 1", result)
        return result.replace(b"'_G.", b"'") if LUA == "5.2" else result
    return result


class Pair:
    """Runs the same command line under the real lua and under moonlet, and demands the same of both. `zygote`: what moonlet
    launches from, a Zygote or an Image."""

    def __init__(self, zygote):
        self.zygote = zygote

    def programs(self, env=None):
        env = dict(environment() if env is None else env)
        env.update(self.zygote.variables())  # for both, so that the environment is the same
        return ((BY_LUA, env), (self.zygote.command, env))

    def __call__(self, *arguments, env=None, name="lua", **options):
        results = [run(program, [name, *arguments], its_env, **options)
                   for program, its_env in self.programs(env)]
        expected, got = map(without_addresses, results)
        assert got == expected, f"moonlet: {got!r}\n\nlua: {expected!r}\n\nlog: {self.zygote.log()}"
        return results[1]

    def script(self, tmp_path, text, *arguments, **options):
        path = tmp_path / "script.lua"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return self(str(path), *arguments, **options)


@pytest.fixture(scope="module")
def same(zygote):
    return Pair(zygote)


class PairInEach(Pair):
    """Whatever the environment is. An image is for one: it is made in that of the launch."""

    def __init__(self, start, *warm_up, **options):
        self.make = lambda env: start(*warm_up, env=env, **options)
        super().__init__(None)

    def programs(self, env=None):
        self.zygote = self.make(env)
        return super().programs(env)


def may_be_cold(env):
    """Where this environment, or something else, is not as it was when the image was made, a launch is lua's."""
    return dict(env, MOONLET_FALLBACK=REAL_LUA)


class Launch:
    """A running script, with pipes: say() to it, hear() a line of it."""

    def __init__(self, program, argv, env, **options):
        if isinstance(program, Command):
            program, argv = program.program, program.argv(*argv)
        self.process = subprocess.Popen(argv, executable=program, env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.pid = self.process.pid

    def hear(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        assert ready, "the script says nothing"
        return self.process.stdout.readline().decode().rstrip("\n")

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def kill(self, number):
        os.kill(self.pid, number)

    def end(self):
        out, err = self.process.communicate(timeout=PATIENCE)
        return Result(self.process.returncode, out, err)


@pytest.fixture
def launch(tmp_path):
    """launch(program, env, text, argument...): starts a script and leaves it running."""
    running = []

    def start(program, env, text, *arguments, name="lua", **options):
        path = tmp_path / f"running{len(running)}.lua"
        path.write_text(text)
        running.append(Launch(program, [name, str(path), *arguments], env, **options))
        return running[-1]

    yield start
    for it in running:
        it.process.kill()
        it.process.wait()
        for pipe in (it.process.stdin, it.process.stdout, it.process.stderr):
            pipe.close()


def both(pair, scenario, env=None):
    """scenario(program, env) once under lua and once under moonlet: the same result is demanded."""
    expected, got = [scenario(program, its_env) for program, its_env in pair.programs(env)]
    same = without_addresses(got) == without_addresses(expected)
    assert same, f"moonlet: {got!r}\n\nlua: {expected!r}\n\nlog: {pair.zygote.log()}"
    return got


def wait_gone(pid):
    """Waits until a process, which is no child of this one, has ended and was reaped or is a zombie."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ready, _, _ = select.select([pidfd], [], [], PATIENCE)
        assert ready, f"process {pid} still runs"
    finally:
        os.close(pidfd)


# What its build leaves out: docs/deployment.md, "What routers do without".
WITHOUT = os.environ.get("MOONLET_WITHOUT", "").split()
serves_other_users = pytest.mark.skipif("OTHER_USERS" in WITHOUT, reason="THIS MOONLETD SERVES ONE USER: left out of its build")
needs_tracer = pytest.mark.skipif("TRACER" in WITHOUT, reason="NO WARM-UP IS TRACED: left out of this build")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="NEEDS ROOT: run it as root to have this tested")


def needs_program(name, package):
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    return pytest.mark.skipif(found is None, reason=f"{package.upper()} IS NOT INSTALLED: no {name}")


class World:
    """Namespaces with an init of their own: what is started, mounted or linked there is gone with the init.

    `prepare` are lines of a shell script, the last of which becomes the init; /run is empty for them. With `cgroup`
    /sys/fs/cgroup is a cgroup of their own; with `network` there is no network but what they make."""

    NAMESPACES = ["--mount", "--uts", "--ipc", "--pid"]
    # A cgroup is not gone with its processes: it is removed, the innermost first.
    IN_A_CGROUP = """
        at=$(mktemp -d)
        mount -t cgroup2 cgroup2 $at
        group=$at/moonlet-test-$$
        mkdir $group
        (echo 0 >$group/cgroup.procs; exec "$@") || true
        find $group -depth -type d -exec rmdir {} +
        umount $at
        rmdir $at
    """

    def __init__(self, *prepare, log, env, cgroup=False, network=False):
        self.log_path, self.env = str(log), env
        self.kinds = self.NAMESPACES + ["--cgroup"] * cgroup + ["--net"] * network
        ready, told = os.pipe()
        script = ["mount --make-rprivate /", "mount -t tmpfs -o mode=755 tmpfs /run", "mount -t proc proc /proc"]
        script += ["mount -t cgroup2 cgroup2 /sys/fs/cgroup"] * cgroup
        script += [*prepare[:-1], f"echo >&{told}", f"exec {told}>&-", "exec " + prepare[-1]]
        argv = ["unshare", *self.kinds, "--fork", "--kill-child", "bash", "-euc", "\n".join(script)]
        if cgroup:
            argv = ["unshare", "--mount", "bash", "-euc", self.IN_A_CGROUP, "world", *argv]
        with open(log, "wb") as output:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env,
                                            pass_fds=(told,))
        os.close(told)
        with os.fdopen(ready, "rb") as pipe:
            heard, _, _ = select.select([pipe], [], [], PATIENCE)
            served = heard and pipe.read(1) == b"\n"
        if not served:
            if not heard:
                self.end()
            if "unshare failed: Operation not permitted" in self.log():
                pytest.skip("NEEDS NAMESPACES: this root may not make any")
            raise AssertionError("the world is not ready: " + self.log())
        self.init = self.find_init()

    def find_init(self):
        """Below this process each has one child, until one is in another pid namespace."""
        pid = self.process.pid
        while os.stat(f"/proc/{pid}/ns/pid") == os.stat("/proc/self/ns/pid"):
            with open(f"/proc/{pid}/task/{pid}/children") as children:
                pid = int(children.read())
        return pid

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def inside(self, *argv):
        """The command that runs `argv` in here."""
        return ["nsenter", f"--target={self.init}", *self.kinds, "--root", "--", *argv]

    def run(self, *argv, env=None, **options):
        return run("nsenter", self.inside(*argv), self.env if env is None else env, **options)

    def end(self):
        os.kill(self.find_init(), signal.SIGKILL)
        self.process.wait(PATIENCE)


@pytest.fixture
def open_directory():
    """A directory that other users may enter: pytest's own are for its user alone."""
    with tempfile.TemporaryDirectory(prefix="moonlet-test-") as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)
