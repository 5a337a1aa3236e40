"""Descriptors: the client's, with its numbers, and none more."""

import os
import pty
import socket
import subprocess
import tempfile

import pytest
from conftest import KEEPS_CONNECTION, PATIENCE, THAW, Pair, both, environment, may_be_cold, needs_pidfd, needs_tracer

LIST = "io.write((require('probe').fds():gsub('pipe:%[%d+%]', 'pipe'):gsub('socket:%[%d+%]', 'socket')))"
if KEEPS_CONNECTION:  # close-on-exec, and the only one
    LIST = LIST[:-2] + ":gsub('%d+c socket\\n', '', 1)))"


def test_only_the_standard_streams_are_open(same, tmp_path):
    result = same.script(tmp_path, LIST)
    assert result.out.splitlines() == [b"0 /dev/null", b"1 pipe", b"2 pipe"]


@needs_pidfd
def test_a_list_from_outside_shows_the_same(same, tmp_path):
    same.script(tmp_path, "os.execute('ls /proc/$PPID/fd')")


def shell(same, command, script_text, tmp_path):
    script = tmp_path / "s.lua"
    script.write_text(script_text)

    def scenario(program, env):
        done = subprocess.run(["bash", "-c", command.replace("LUA", f"{program} {script}")], env=env,
                              capture_output=True, timeout=PATIENCE)
        return done.returncode, done.stdout, done.stderr

    return both(same, scenario)


@pytest.mark.parametrize("redirect", [
    "3</etc/passwd", "3</etc/passwd 4>/dev/null 9</etc/group", "5</etc/passwd", "63</etc/passwd", "64</etc/passwd",
    "200</etc/passwd", "1000</etc/passwd", "3</etc/passwd 64</etc/group 65</dev/null 500</dev/null",
    "0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-", "0<&- 3</etc/passwd", "0<&- 1>&- 2>&- 3>OUT 7</dev/null",
    "3<&0 0</etc/passwd 4>&1", "<> /dev/null", "10</etc/passwd 4<&- 5<&-",
])
def test_redirections(same, tmp_path, redirect):
    out = tmp_path / "out"
    redirect = redirect.replace("OUT", str(out))
    # The list goes to a file, because any of the streams may be closed; opened after the list is made.
    text = LIST.replace("io.write(", "local list = (") + f" local f = io.open('{tmp_path}/list', 'w') f:write(list) f:close()"
    lists = []
    script = tmp_path / "s.lua"
    script.write_text(text)

    def scenario(program, env):
        # ulimit: descriptors up to 1000, also where the tests run with fewer.
        command = f"ulimit -n 4096; exec {program} {script} {redirect}"
        done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, timeout=PATIENCE)
        with open(tmp_path / "list") as found:
            lists.append(found.read())
        os.unlink(tmp_path / "list")
        return done.returncode, done.stdout, done.stderr, lists[-1]

    both(same, scenario)


def test_process_substitution(same, tmp_path):
    shell(same, "LUA <(echo from a command) 3< <(echo another)",
          "for line in io.lines(arg[1]) do print(line) end for line in io.lines('/dev/fd/3') do print(line) end", tmp_path)


def test_hundreds_of_descriptors(same, tmp_path):
    """More than one message can pass (253), with gaps, in both directions."""
    script = tmp_path / "s.lua"
    script.write_text(LIST)

    def scenario(program, env):
        opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(600)]
        kept = [fd for fd in opened if fd % 3 != 0]
        try:
            done = subprocess.run(program.argv("lua", str(script)), executable=program.program, env=env, capture_output=True,
                                  stdin=subprocess.DEVNULL, pass_fds=kept)
        finally:
            for fd in opened:
                os.close(fd)
        return done.returncode, done.stdout, done.stderr

    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    try:
        result = both(same, scenario)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert result[1].count(b"/dev/null") > 390


def test_close_on_exec_stays_off(same, tmp_path):
    assert b"c " not in shell(same, "LUA 3</etc/passwd 7</etc/group", LIST, tmp_path)[1]


def test_a_readiness_pipe(same, tmp_path):
    script = tmp_path / "s.lua"
    script.write_text("local p = require 'probe' p.write(5, 'ready\\n') p.close(5) io.read()")

    def scenario(program, env):
        ready, told = os.pipe()
        process = subprocess.Popen(["bash", "-c", f"exec {program} {script} 5>&{told}" + (f" {told}>&-" if told != 5 else "")],
                                   env=env, stdin=subprocess.PIPE, pass_fds=(told,))
        os.close(told)
        with os.fdopen(ready, "rb") as pipe:
            heard = pipe.read()  # to its end: nobody else holds it, though the script runs on
        running = process.poll() is None
        process.communicate(b"\n", timeout=PATIENCE)
        return heard, running, process.returncode

    # The stand-in must not hold the pipe either.
    assert both(same, scenario) == (b"ready\n", True, 0)


def test_closed_streams_are_closed_for_their_readers(same, tmp_path):
    """What the script closes, nobody holds on its behalf: the reader of its output goes on at once."""
    script = tmp_path / "s.lua"
    script.write_text("print('last words') io.stdout:flush() require('probe').close(1) io.read()")

    def scenario(program, env):
        process = subprocess.Popen(program.argv("lua", str(script)), executable=program.program, env=env, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        heard = process.stdout.read()
        process.stdin.close()
        return heard, process.wait(PATIENCE)

    both(same, scenario)


def test_standard_streams_of_every_kind(same, tmp_path):
    """What the script finds: a file with its offset, a pipe, a socket, a terminal, /dev/null."""
    text = "print(io.read('*l')) print(io.read('*l')) io.stderr:write('to stderr\\n')"

    def with_file(program, env):
        path = tmp_path / "in"
        path.write_text("skipped\nfirst\nsecond\nthird\n")
        with open(path, "rb", buffering=0) as file, open(tmp_path / "out", "w+b") as out:
            file.seek(8)
            out.write(b"before\n")
            out.flush()
            script = tmp_path / "s.lua"
            script.write_text(text)
            subprocess.run(program.argv("lua", str(script)), executable=program.program, env=env, stdin=file, stdout=out, stderr=out)
            # exit gives back what was read ahead: the next program goes on behind the second line.
            rest = file.read()
            out.seek(0)
            return out.read(), rest

    assert both(same, with_file)[1] == b"third\n"

    def with_socket(program, env):
        ours, theirs = socket.socketpair()
        script = tmp_path / "s.lua"
        script.write_text(text)
        process = subprocess.Popen(program.argv("lua", str(script)), executable=program.program, env=env, stdin=theirs, stdout=theirs,
                                   stderr=theirs)
        theirs.close()
        ours.sendall(b"one\ntwo\n")
        ours.shutdown(socket.SHUT_WR)
        heard = b""
        while chunk := ours.recv(4096):
            heard += chunk
        return heard, process.wait(PATIENCE)

    both(same, with_socket)


def test_position_in_a_standard_stream_is_that_of_the_scripts_file(start_zygote, tmp_path):
    """moonletd has files of its own there, in which its warm-up has had a look at where it is."""
    source = tmp_path / "in"
    source.write_text("0123456789")
    script = tmp_path / "s.lua"
    script.write_text("""print(io.read(3), io.stdin:seek('cur'), io.stdout:seek('cur'))
                         io.stderr:write(io.stderr:seek('cur'), ' ')""")

    def into_files(program, env):
        with open(source, "rb", buffering=0) as file, tempfile.TemporaryFile(buffering=0) as out, \
                tempfile.TemporaryFile(buffering=0) as err:
            file.seek(2)
            out.write(b"before ")
            err.write(b"before it ")
            subprocess.run(program.argv("lua", str(script)), executable=program.program, env=env, stdin=file, stdout=out, stderr=err)
            out.write(b"after")
            err.write(b"after")
            out.seek(0)
            err.seek(0)
            return file.read(), out.read(), err.read()

    with open(source) as file:
        look = "io.stdout:seek('cur') io.stderr:seek('cur')"  # standard input none can read the same again
        zygote = start_zygote("-e", look, stdin=file)
    assert both(Pair(zygote), into_files) == (b"56789", b"before 234\t5\t7\nafter", b"before it 10 after")


BUFFERING = """
    io.write('written ')
    io.stderr:write('to stderr ')
    print('a line')
    io.stderr:write('then ')
    io.write('more')
    io.stderr:write('last ')
"""


def test_buffering_is_that_of_lua(same, tmp_path):
    """stdout and stderr in one pipe, file or terminal: the order shows how each is buffered."""
    script = tmp_path / "s.lua"
    script.write_text(BUFFERING)

    def into_pipe(program, env):
        return subprocess.run(program.argv("lua", str(script)), executable=program.program, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT).stdout

    def into_file(program, env):
        with tempfile.TemporaryFile() as out:
            subprocess.run(program.argv("lua", str(script)), executable=program.program, env=env, stdout=out, stderr=out)
            out.seek(0)
            return out.read()

    def into_terminal(program, env):
        master, slave = pty.openpty()
        process = subprocess.Popen(program.argv("lua", str(script)), executable=program.program, env=env, stdin=slave, stdout=slave,
                                   stderr=slave)
        process.wait(PATIENCE)
        os.close(slave)
        heard = b""
        try:
            while chunk := os.read(master, 4096):
                heard += chunk
        except OSError:  # EIO: the other side is closed
            pass
        os.close(master)
        return heard

    assert both(same, into_pipe) != both(same, into_terminal)
    both(same, into_file)


def test_buffering_does_not_depend_on_the_warm_up(start_zygote, tmp_path):
    """A warm-up that has printed has settled how its own stdout is buffered."""
    test_buffering_is_that_of_lua(Pair(start_zygote("-e", "print('warm')")), tmp_path)


def test_output_of_the_warm_up_is_not_repeated(start_zygote):
    zygote = start_zygote("-e", "io.write('left in the buffer')")
    assert Pair(zygote)("-e", "print('mine')").out == b"mine\n"
    assert zygote.log().count("left in the buffer") == 1


@needs_tracer
def test_a_warm_up_that_reads_standard_input(start_zygote):
    """It would be another's: scripts are lua's, and moonletd says why."""
    zygote = start_zygote("-e", "io.read('*l')", stdin=open("/etc/passwd"), wait=not THAW)
    assert "standard input" in zygote.log()
    assert Pair(zygote)("-e", "print(io.read('*a'))", input=b"mine", env=may_be_cold(environment())).out == b"mine\n"


def test_a_warm_up_that_leaves_a_descriptor_is_told_so(start_zygote, tmp_path):
    """An image cannot have one: scripts are lua's."""
    shared = tmp_path / "shared"
    shared.write_text("one\ntwo\n")
    zygote = start_zygote("-e", f"io.open('{tmp_path}/shared2', 'w'):close() file = io.open('{shared}')", wait=not THAW)
    assert str(shared) in zygote.log() and "shared2" not in zygote.log()
    assert Pair(zygote)("-e", "print(file)", env=may_be_cold(environment())).out == b"nil\n"
