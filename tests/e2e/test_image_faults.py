"""A fault at each system call of a thaw, and of a freeze: the script runs once, or lua runs it; the image is the old one or the
new one. strace injects: the call fails without being made, or the process is killed at it."""

import os
import re
import shutil
import subprocess

import pytest

from conftest import MOONLET, PATIENCE, REAL_LUA, Image, environment, needs_program

pytestmark = needs_program("strace", "strace")

BEGIN = "local f = io.open(os.getenv('RUNS'), 'a') f:write(WARM and 'moonlet\\n' or 'lua\\n') f:close() "
SCRIPT = BEGIN + "os.exit(7)"
# What the kernel may answer, of each kind of call what hurts most; the first one for all that is not named.
ERRORS = {"": ["ENOMEM", "EPERM"], "openat": ["EMFILE", "ENOENT", "EACCES"], "read": ["EIO", "EINTR"], "pread64": ["EIO", "EINTR"], "mmap": ["ENOMEM", "EACCES"],
          "statx": ["ENOSYS", "EACCES"], "madvise": ["EINVAL", "ENOMEM"], "rseq": ["ENOSYS", "EPERM"], "write": ["ENOSPC", "EIO"],
          "pwrite64": ["ENOSPC", "EIO"], "fsync": ["EIO"], "rename": ["EACCES", "ENOSPC"], "ftruncate": ["EFBIG", "ENOSPC"],
          "fork": ["EAGAIN"], "clone": ["EAGAIN"], "ptrace": ["EPERM"],
          "rt_sigprocmask": ["EFAULT"]}  # it knows no other but EINVAL: a freeze asks it which memory there is
# Without these there is no process, and strace itself says so; what is called for at the end cannot fail, nor can a signal to a
# child of one's own; brk(2) knows no errors, it tells the break.
NEVER = {"execve", "exit_group", "rt_sigreturn", "exit", "kill", "brk"}
THE_SCRIPT_S = {"write"}  # the only ones in a launch, and it looks at no result


def trace(options, argv, env, **more):
    return subprocess.run(["strace", "-f", "-qq", *options, *argv], env=env, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=PATIENCE, **more)


def calls_of(argv, env, tmp_path):
    """(name, how often) of the calls that a run makes."""
    log = tmp_path / "calls"
    trace(["-o", str(log)], argv, env)
    counts = {}
    for line in log.read_text().splitlines():
        name = re.match(r"(?:\d+ +)?(\w+)\(", line)
        if name and name[1] not in NEVER:
            counts[name[1]] = counts.get(name[1], 0) + 1
    assert "openat" in counts
    return counts


def faults_of(counts):
    for name, count in counts.items():
        for nth in range(1, count + 1):
            for error in ERRORS.get(name, ERRORS[""]):
                yield f"{name}:error={error}:when={nth}"
            yield f"{name}:signal=KILL:when={nth}"


@pytest.fixture
def tried(tmp_path):
    """tried(fault, argv, env): a run with that fault, and what it wrote to RUNS."""
    def run(fault, argv, env):
        runs = tmp_path / "runs"
        runs.write_text("")
        done = trace(["-o", "/dev/null", "-e", "inject=" + fault], argv, dict(env, RUNS=str(runs)))
        return done, runs.read_text().split()
    return run


def test_a_thaw(tmp_path, tried):
    """Whatever fails, the script runs once, in the image or under lua, or not at all and somebody is told."""
    image = Image(tmp_path, "-e", "WARM = true")
    argv = [MOONLET, "--image", image.path, "-e", SCRIPT]
    env = environment(MOONLET_FALLBACK=REAL_LUA)
    wrong = []
    counts = calls_of(argv, dict(env, RUNS="/dev/null"), tmp_path)
    for fault in faults_of({name: count for name, count in counts.items() if name not in THE_SCRIPT_S}):
        done, runs = tried(fault, argv, env)
        killed = "KILL" in fault and done.returncode in (-9, 137)
        right = len(runs) <= 1 and (
            killed or (runs and done.returncode == 7) or
            # What fails after the script has begun is the script's, and before that lua's or moonlet's own failure.
            (done.returncode in (1, 125) and done.stderr != b""))
        if not right:
            wrong.append((fault, done.returncode, runs, done.stderr[-200:]))
    assert not wrong, wrong[:20]


def test_a_freeze(tmp_path, tried):
    """Whatever fails, the image is whole: the old one, or the new one if the freeze says nothing."""
    image = Image(tmp_path, "-e", "WARM = 'old'")
    old = tmp_path / "old"
    shutil.copy2(image.path, old)
    argv = [MOONLET, "--freeze", image.path, "-e", "WARM = 'new'"]
    env = environment()
    wrong = []
    counts = calls_of(argv, env, tmp_path)
    for name in ("pread64", "mmap", "munmap", "read", "mincore", "rt_sigaction", "rt_sigprocmask", "close"):  # of many that are alike the first and the last
        counts[name] = min(counts.get(name, 0), 4)
    for fault in faults_of(counts):
        shutil.copy2(old, image.path)
        done, _ = tried(fault, argv, env)
        shown = subprocess.run([MOONLET, "--image", image.path, "-e", "print(WARM)"], env=env, capture_output=True, text=True,
                               timeout=PATIENCE)
        is_told = done.returncode != 0 and (done.stderr != b"" or "KILL" in fault)
        right = shown.stdout == "new\n" if done.returncode == 0 else is_told and shown.stdout in ("old\n", "new\n")
        left = [name for name in os.listdir(tmp_path) if name.startswith("image.")]
        if not right or (left and "KILL" not in fault and "unlink" not in fault):
            wrong.append((fault, done.returncode, shown, left, done.stderr[-200:]))
        for name in left:
            os.unlink(tmp_path / name)
    assert not wrong, wrong[:20]
