"""Neither moonletd nor moonlet has lost memory or descriptors when it ends, says valgrind."""

import re
import resource
import shutil
import signal

from conftest import BY_MOONLET, MOONLETD, environment, may_be_cold, needs_program, run, wait_gone

pytestmark = needs_program("valgrind", "valgrind")

SCRIPTS = [("print(1)", 0), ("os.exit(7)", 7), ("os.exit(3, true)", 3), ("error('x')", 1), ("io.read()", 0),
           ("local p = require 'probe'; p.kill(p.pid(), 9)", -9)]


# From 3.24 on a descriptor that is open at the end is an error, and so is a call with -1, which cannot be suppressed: what else is wrong says the log.
VERSION = run("/bin/sh", ["sh", "-c", "valgrind --version"], environment()).out.decode()
FINDS_ALL = [*map(int, re.findall(r"\d+", VERSION))] >= [3, 24]
WRONG = re.compile("Invalid (read|write|free)|uninitialised|overlap|Mismatched free|Syscall param|Jump to|Process terminating.*SIGSEGV|lost: [1-9]")


def command(log):
    # Who ends need not give back what it holds. What counts is growth.
    return ["valgrind", "--track-fds=yes", "--leak-check=full", "--errors-for-leak-kinds=none",
            *([] if FINDS_ALL else ["--error-exitcode=99"]), f"--log-file={log}"]


def check(log):
    assert not FINDS_ALL or not WRONG.search(log.read_text()), log.read_text()


def take_limit_of_valgrind():
    """It keeps twelve descriptors for itself, and lets no program have them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard - 12), hard - 12))


def held_at_exit(log, pid):
    """(number of descriptors, {kind of block: "bytes in blocks"}, all that valgrind says of this process)"""
    text = "\n".join(line for line in log.read_text().splitlines() if line.startswith(f"=={pid}=="))
    descriptors = int(re.search(r"FILE DESCRIPTORS: (\d+) open", text).group(1))
    return descriptors, dict(re.findall(r"(\w+ (?:lost|reachable)): ([\d,]+ bytes in [\d,]+ blocks)", text)), text


def test_moonletd_holds_no_more_after_many_launches_than_after_one(start_zygote, tmp_path):
    """Neither of its processes, nor after images that were made anew."""
    found = []
    for rounds in (1, 4):
        log = tmp_path / f"{rounds}.log"
        zygote = start_zygote("-e", "x = 1", command=[*command(log), MOONLETD])
        server = zygote.server
        env = may_be_cold(environment(MOONLET_SOCKET=zygote.socket))
        for turn in range(rounds):
            for text, status in SCRIPTS:
                result = run(BY_MOONLET, ["lua", "-e", text], env, preexec_fn=take_limit_of_valgrind)
                assert result.status == status, f"{result!r}\n{zygote.log()}"
            zygote.process.send_signal(signal.SIGHUP)
            while zygote.log().count("a new image") <= turn:
                pass
        assert zygote.stop() == 0, log.read_text()
        check(log)
        wait_gone(server)
        found.append([held_at_exit(log, pid) for pid in (zygote.pid, server)])
    for one, four in zip(*found):
        assert one[:2] == four[:2], found


def test_a_client_holds_nothing_of_its_heap_and_uses_none(start_zygote, tmp_path):
    zygote = start_zygote()
    for number, (text, status) in enumerate(SCRIPTS):
        log = tmp_path / f"{number}.log"
        env = may_be_cold(environment(MOONLET_SOCKET=zygote.socket))  # valgrind adds to the loader's variables
        result = run(shutil.which("valgrind"), [*command(log), *BY_MOONLET.words, "-e", text], env)
        assert result.status == status, f"{result!r}\n{zygote.log()}"
        check(log)
        assert "no leaks are possible" in log.read_text() or status < 0, log.read_text()
