"""Neither moonletd nor moonlet has lost memory or descriptors when it ends, says valgrind."""

import re
import resource
import shutil
import subprocess

import pytest
from conftest import BY_MOONLET, MOONLETD, environment, needs_program, run

pytestmark = needs_program("valgrind", "valgrind")

SCRIPTS = [("print(1)", 0), ("os.exit(7)", 7), ("os.exit(3, true)", 3), ("error('x')", 1), ("io.read()", 0),
           ("local p = require 'probe'; p.kill(p.pid(), 9)", -9)]


def command(log):
    # Who ends need not give back what it holds: moonletd's heap is taken apart by its end. What counts is growth.
    return ["valgrind", "--child-silent-after-fork=yes", "--track-fds=yes", "--leak-check=full",
            "--errors-for-leak-kinds=none", "--error-exitcode=99", f"--log-file={log}"]


def like_valgrind(**changes):
    """What valgrind adds to an environment is the loader's: client and zygote must have it both or neither. With
    LD_BIND_NOW moonletd need not execute itself anew, which would leave valgrind."""
    env = environment(LD_BIND_NOW="1", **changes)
    env_under_valgrind = subprocess.run(["valgrind", "-q", shutil.which("env")], env=env, capture_output=True, check=True)
    for line in env_under_valgrind.stdout.decode().splitlines():
        name, _, value = line.partition("=")
        if name.startswith("LD_"):
            env[name] = value
    return env


def take_limit_of_valgrind():
    """It keeps twelve descriptors for itself, and lets no program have them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard - 12), hard - 12))


def held_at_exit(log):
    """(number of descriptors, {kind of block: "bytes in blocks"}, all that valgrind says)"""
    text = log.read_text()
    descriptors = int(re.search(r"FILE DESCRIPTORS: (\d+) open", text).group(1))
    return descriptors, dict(re.findall(r"(\w+ (?:lost|reachable)): ([\d,]+ bytes in [\d,]+ blocks)", text)), text


@pytest.mark.parametrize("spare", ["0", "2"])
def test_a_zygote_holds_no_more_after_many_launches_than_after_one(start_zygote, tmp_path, spare):
    found = []
    for rounds in (1, 4):
        log = tmp_path / f"{rounds}.log"
        zygote = start_zygote("-e", "x = 1", command=[*command(log), MOONLETD], options=("--spare", spare),
                              env=environment(LD_BIND_NOW="1"))
        env = like_valgrind(MOONLET_SOCKET=zygote.socket)
        for text, status in SCRIPTS * rounds:
            result = run(BY_MOONLET, ["lua", "-e", text], env, preexec_fn=take_limit_of_valgrind)
            assert result.status == status, f"{result!r}\n{zygote.log()}"
        assert zygote.stop() == 0, log.read_text()
        found.append(held_at_exit(log))
    assert found[0][:2] == found[1][:2] and found[0][1], found


def test_a_client_holds_nothing_of_its_heap_and_uses_none(start_zygote, tmp_path):
    zygote = start_zygote(env=like_valgrind())
    for number, (text, status) in enumerate(SCRIPTS):
        log = tmp_path / f"{number}.log"
        env = environment(LD_BIND_NOW="1", MOONLET_SOCKET=zygote.socket)
        result = run(shutil.which("valgrind"), [*command(log), *BY_MOONLET.words, "-e", text], env)
        assert result.status == status, f"{result!r}\n{zygote.log()}"
        assert "no leaks are possible" in log.read_text() or status < 0, log.read_text()
