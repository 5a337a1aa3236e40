"""require "moonlet": scripts that start scripts, from lua and from moonlet, through a zygote and without one."""

import json
import os
import pty
import pwd
import select
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from conftest import (BUILD, BY_LUA, BY_MOONLET, CPATH, JIT, KEEPS_CONNECTION, LUA, PATIENCE, REAL_LUA, SANITIZED, SOURCE,
                      THAW, Pair, PairInEach, Result, about_moonletd, environment, run, wait_gone)

WITH_MODULE = os.path.join(BUILD, "?.so") + ";" + CPATH
# The module is in moonlet-lua itself; any lua loads the file, but for the sanitizers', which a program must be built with.
plain_lua = pytest.mark.skipif(SANITIZED, reason="NOT FOR PLAIN LUA: the module is built with sanitizers")

# The environment is the spawned scripts' too, and shall be the image's: so the file is found by this.
FIND_FILE = f"package.cpath = '{BUILD}/?.so;' .. package.cpath\n"
PRELUDE = """
local moonlet = require "moonlet"
local unpack = table.unpack or unpack
local function spawn(it)
  it.socket = it.socket or os.getenv "SPAWN_SOCKET"
  return moonlet.spawn(it)
end
local function start(it) return assert(spawn(it)) end
local function collect() collectgarbage() collectgarbage() end
"""


class Host:
    """A lua or a moonlet that runs scripts which spawn others, through moonletd or through the real lua. The moonlet is a
    launch of `zygote`."""

    def __init__(self, program, through, zygote, moonletd, directory):
        self.program, self.zygote, self.directory = program, moonletd, directory
        self.env = environment(MOONLET_SOCKET=zygote.socket, SPAWN_SOCKET=moonletd.socket)
        self.through_zygote = through == "zygote"
        if not self.through_zygote:
            self.env["SPAWN_SOCKET"] = "/nonexistent"
            del self.env["MOONLET_FALLBACK"]

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return str(path)

    def command(self, text, *arguments):
        find = FIND_FILE if self.program == BY_LUA else ""
        return self.program.argv("lua", self.write("host.lua", find + PRELUDE + text), *arguments)

    def run(self, text, *arguments, **options):
        options.setdefault("cwd", self.directory)
        return run(self.program.program, self.command(text, *arguments), self.env, **options)

    def __call__(self, text, *arguments, **options):
        """What the script prints. It must succeed."""
        result = self.run(text, *arguments, **options)
        assert result.status == 0, f"{result!r}\n{self.zygote.log()}"
        return result.out.decode()

    def start(self, text, *arguments, **options):
        return subprocess.Popen(self.command(text, *arguments), executable=self.program.program, env=self.env, cwd=self.directory,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)


@pytest.fixture(scope="module")
def spawner(request, zygote):
    """The moonletd through which scripts spawn others."""
    return request.getfixturevalue("moonletd") if THAW else zygote


ALL = [("lua", "zygote"), ("lua", "lua"), ("moonlet", "zygote"), ("moonlet", "lua")]


@pytest.fixture(params=[it for it in ALL if it[0] != "lua" or not (SANITIZED or THAW)], ids="-through-".join)
def host(request, zygote, spawner, tmp_path):
    program, through = request.param
    return Host({"lua": BY_LUA, "moonlet": BY_MOONLET}[program], through, zygote, spawner, tmp_path)


@pytest.fixture
def lua(zygote, spawner, tmp_path):
    return Host(BY_LUA, "zygote", zygote, spawner, tmp_path)


@pytest.fixture
def any_host(zygote, spawner, tmp_path):
    return Host(BY_MOONLET if SANITIZED or THAW else BY_LUA, "zygote", zygote, spawner, tmp_path)


def test_a_script_gets_its_arguments_and_its_status_is_told(host):
    host.write("s.lua", "io.write(#arg, arg[0], arg[1], arg[2], ...) os.exit(arg[1] + 0)")
    out = host("local s = start{'s.lua', 7, 'two words', stdout = 'pipe'} print(s.stdout:read('*a')) print(s:wait())")
    assert out == "2s.lua7two words7two words\nnil\texit\t7\n"


def test_options_of_lua_come_before_the_script(host):
    assert host("local s = start{'-e', 'print(6 * 7)'} print(s:wait())") == "42\ntrue\texit\t0\n"


def test_a_script_that_dies_of_a_signal(host):
    assert host("local s = start{'-l', 'probe', '-e', 'package.loaded.probe.kill(package.loaded.probe.pid(), 9)'} print(s:wait())") == "nil\tsignal\t9\n"


def test_a_script_that_fails_writes_its_error_where_ours_go(host):
    result = host.run("print(start{'-e', 'error(\"oops\")'}:wait())")
    assert result.out == b"nil\texit\t1\n" and b"oops" in result.err


def test_the_status_is_told_as_often_as_it_is_asked_for(host):
    assert host("local s = start{'-e', 'os.exit(5)'} s:wait() print(s:wait()) s:close() print(s:wait())") == "nil\texit\t5\n" * 2


def test_pipes_carry_much_in_both_directions(host):
    host.write("s.lua", "local all = io.read('*a') io.write(all, all) io.stderr:write(#all)")
    out = host("""
        local s = start{'s.lua', stdin = 'pipe', stdout = 'pipe', stderr = 'pipe'}
        local text = ('0123456789'):rep(300000)
        print(io.type(s.stdin), s.stdin:write(text) and true, s.stdin:close())
        print(s.stdout:read('*a') == text .. text, s.stderr:read('*a'), s:wait())
        print(s.stdout:close(), io.type(s.stdout), pcall(s.stdout.read, s.stdout))""")
    first, second, third = out.splitlines()
    assert (first, second) == ("file\ttrue\ttrue", "true\t3000000\ttrue\texit\t0")
    assert third.startswith("true\tclosed file\tfalse") and "closed file" in third


def test_streams_that_are_files_descriptors_or_nothing(host):
    host.write("in", "from a file")
    host.write("s.lua", "print(io.read('*a')) io.stderr:write('to a descriptor')")
    out = host("""
        local input, output = io.open 'in', io.open('out', 'w')
        output:write('first, ')
        local number = require 'probe'.open('err')
        print(start{'s.lua', stdin = input, stdout = output, stderr = number}:wait())
        print(start{'s.lua', stdin = 'null', stdout = 'null', stderr = 'null'}:wait())
        print(io.type(input), io.type(output))""")
    assert out == "true\texit\t0\n" * 2 + "file\tfile\n"
    assert (host.directory / "out").read_text() == "first, from a file\n"
    assert (host.directory / "err").read_text() == "to a descriptor"


def test_streams_that_are_not_named_are_ours(host):
    host.write("s.lua", "io.write(io.read('*a'), '\\n') io.stderr:write('err')")
    result = host.run("io.write('before ') start{'s.lua'}:wait() io.write('after')", input=b"in")
    assert (result.out, result.err) == (b"before in\nafter", b"err")


def test_a_script_reads_the_terminal(host):
    """It is in another process group, but is not stopped for that."""
    argv = host.command("print(start{'-e', 'print(\"heard \" .. io.read())'}:wait())")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(host.directory)
        os.execve(host.program.program, argv, host.env)
    os.write(terminal, b"this\n")
    heard = b""
    while b"exit" not in heard:
        assert select.select([terminal], [], [], PATIENCE)[0], heard
        heard += os.read(terminal, 1000)
    assert b"heard this" in heard, heard
    os.close(terminal)
    os.waitpid(pid, 0)


def test_a_stream_that_is_closed_here_is_closed_there(host):
    host.write("s.lua", "local out = io.open('out', 'w') out:write(require('probe').fds()) out:close()")
    host("local probe = require 'probe' probe.close(0) start{'s.lua', stdout = 'null', stderr = 'null'}:wait()")
    listed = [line.split()[0] for line in (host.directory / "out").read_text().splitlines() if "/dev/null" in line]
    assert listed == ["1", "2"]


def test_a_script_has_no_other_descriptors(host):
    host.write("s.lua", "io.write(require('probe').fds())")
    out = host("""
        local kept = {io.open('/etc/passwd'), io.popen('cat', 'w'), require 'probe'.open('inherited')}
        local other = start{'-e', 'io.read()', stdin = 'pipe'}
        start{'s.lua', stdin = 'null'}:wait()
        kept[2]:close()""")
    numbers = [line.split()[0] for line in out.splitlines()]
    if KEEPS_CONNECTION and host.through_zygote:
        numbers = [it for it in numbers if not it.endswith("c")]
    assert numbers == ["0", "1", "2"], out


def test_an_environment_of_its_own(host):
    host.write("s.lua", "io.write(os.getenv('A') or '-', os.getenv('B') or '-', os.getenv('HOME') or '-')")
    own = "env = {A = 'a b', B = 2}"
    assert host(f"start{{'s.lua', {own}}}:wait()") == "a b2-"
    assert host("start{'s.lua', env = {}}:wait()") == "---"
    assert host("start{'s.lua'}:wait()") == "--/nonexistent"


def test_a_directory_of_its_own(host):
    (host.directory / "sub").mkdir()
    host.write("sub/s.lua", "io.write(io.open('s.lua') and 'here')")
    assert host("print(start{'s.lua', cwd = 'sub'}:wait()) print(spawn{'s.lua', cwd = 'gone'})") == (
        "heretrue\texit\t0\nnil\tmoonlet: enter gone: No such file or directory\t2\n")


def test_everything_else_is_as_here(host):
    attributes = host.write("attributes.lua", """
        local probe = require 'probe'
        local signals = probe.signals():gsub('SigCgt[^\\n]*\\n', '')
        io.write(probe.umask(), ' ', probe.nice(), '\\n', signals, probe.limits())""")
    host.command(f"dofile '{attributes}' print '--' io.flush() start{{'{attributes}'}}:wait()")
    shell = f"trap '' USR1 HUP; umask 027; ulimit -n 100; ulimit -Sc 0; exec nice -n 3 {host.program} host.lua"
    done = subprocess.run(["bash", "-c", shell], env=host.env, cwd=host.directory, capture_output=True, text=True, timeout=PATIENCE)
    here, there = done.stdout.split("--\n")
    assert here == there and here.startswith("23 "), done


@pytest.mark.parametrize("named, number", [("", 15), ("'TERM'", 15), ("'SIGUSR1'", 10), ("9", 9), ("'KILL'", 9)])
def test_a_signal_is_sent(host, named, number):
    out = host(f"local s = start{{'-e', 'io.read()', stdin = 'pipe'}} print(s:kill({named})) print(s:wait()) print(s:kill({named}))")
    assert out == f"true\nnil\tsignal\t{number}\nnil\tNo such process\t3\n"


def test_waiting_with_a_limit(host):
    out = host("""
        local s = start{'-e', 'io.read()', stdin = 'pipe'}
        print(s:wait(0)) print(s:wait(0.01)) print(s:wait(-1)) print(s:wait(0 / 0)) print(s:kill(0))
        s.stdin:close()
        print(s:wait(60))""")
    assert out == "nil\trunning\n" * 4 + "true\ntrue\texit\t0\n"


def test_a_descriptor_for_pollers_tells_of_the_end(host):
    if KEEPS_CONNECTION and host.program == BY_MOONLET and not host.through_zygote:
        assert host("print(start{'-e', ''}:fd())") == "nil\tthis kernel has no pidfd\n"
        return
    out = host("""
        local probe = require 'probe'
        local s = start{'-e', 'io.read()', stdin = 'pipe'}
        local fd = s:fd()
        s.stdin:close()
        while not select(2, s:wait(0)):find 'exit' do assert(probe.poll(fd) == 1) end
        print(s:wait()) print(s:fd())""")
    assert out == "true\texit\t0\nnil\tthe script has ended\n"


def test_a_script_that_stops_has_not_ended(host):
    out = host("""
        local probe = require 'probe'
        local s = start{'-e', 'print(1) io.flush() io.read()', stdin = 'pipe', stdout = 'pipe'}
        s.stdout:read()
        s:kill 'STOP'
        local function state() return io.open('/proc/' .. s.pid .. '/stat'):read('*a'):match '%) (%a)' end
        while state() ~= 'T' do end
        print(s:wait(0))
        s:kill 'CONT' s.stdin:close()
        print(s:wait())""")
    assert out == "nil\trunning\ntrue\texit\t0\n"


PIDS = "local s = start{'-e', 'print(1) io.flush() io.read()', stdin = 'pipe', stdout = 'pipe'} s.stdout:read() print(s.pid) io.flush() "


@pytest.mark.parametrize("end", ["s:close()", "s = nil collect()"])
def test_a_script_ends_with_its_handle(host, end):
    process = host.start(PIDS + end + " print 'closed' io.flush() io.read()")
    pid = int(process.stdout.readline())
    assert process.stdout.readline() == b"closed\n"
    wait_gone(pid)
    children = open(f"/proc/{process.pid}/task/{process.pid}/children").read() if host.program == BY_LUA else ""
    assert children == ""  # no zombie
    process.communicate(b"\n", timeout=PATIENCE)


def test_a_script_ends_with_the_process_that_started_it(host):
    process = host.start(PIDS + "io.read()")
    pid = int(process.stdout.readline())
    process.kill()
    process.communicate(timeout=PATIENCE)
    wait_gone(pid)


def test_a_pipe_keeps_its_script(host):
    """As io.popen's file does: nobody needs to keep the handle."""
    out = host("""
        local out = start{'-e', 'print(1) io.flush() print(#io.read())', stdin = 'pipe', stdout = 'pipe'}
        local input
        input, out = out.stdin, out.stdout
        print(out:read()) collect() input:write('four\\n') input:close()
        print(out:read())""")
    assert out == "1\n4\n"


def test_a_closed_handle(host):
    out = host(PIDS + """print(s:close(), s:close()) print(s:wait()) print(s:fd()) print(s:kill())""")
    assert out.splitlines()[1:] == ["true\ttrue", "nil\tthe handle is closed", "nil\tthe script has ended", "nil\tNo such process\t3"]


@pytest.mark.skipif(LUA in ("5.1", "5.2", "5.3") or JIT, reason="this Lua has no variables that are to be closed")
def test_a_variable_that_is_to_be_closed(host):
    out = host("local kept do local s <close> = start{'-e', 'io.read()', stdin = 'pipe'} kept = s end print(kept:wait())")
    assert out == "nil\tthe handle is closed\n"


def test_a_thousand_scripts_leave_nothing(host):
    count = 1000 if host.through_zygote and not SANITIZED else 100
    while not host.zygote.is_idle():  # of the tests before
        os.sched_yield()
    before = len(host.zygote.descriptors())
    out = host("""
        local probe = require 'probe'
        local function number() collect() return select(2, probe.fds():gsub('\\n', '')) end
        start{'-e', '', stdout = 'pipe', stderr = 'pipe'}:wait()
        local before = number()
        for i = 1, tonumber(arg[1]) do
          local s = start{'-e', '', stdin = 'null', stdout = 'pipe', stderr = 'pipe'}
          if i % 3 > 0 then assert(s:wait()) end
          if i % 3 > 1 then s:close() end
          if i % 100 == 0 then collect() end
        end
        print(number() - before)""", str(count))
    assert out == "0\n"
    while not host.zygote.is_idle():
        os.sched_yield()
    assert len(host.zygote.descriptors()) == before


def test_several_scripts_at_once(host):
    out = host("""
        local all, sum = {}, 0
        for i = 1, 20 do all[i] = start{'-e', 'io.read() os.exit(' .. i .. ')', stdin = 'pipe'} end
        for i = 20, 1, -1 do all[i].stdin:close() end
        for i = 1, 20 do sum = sum + select(3, all[i]:wait()) end
        print(sum)""")
    assert out == "210\n"


def waits(pid):
    """Whether a process sleeps in the kernel."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "S"


def interrupt_its_wait(process):
    """SIGINT, when the script whose pid is the second line that it writes sleeps."""
    process.stdout.readline()
    pid = int(process.stdout.readline())
    while not waits(pid):
        os.sched_yield()
    process.send_signal(signal.SIGINT)


def test_ctrl_c_interrupts_a_wait(host):
    process = host.start(PIDS + "print(require 'probe'.pid()) io.flush() s:wait()", stderr=subprocess.PIPE)
    interrupt_its_wait(process)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and b"interrupted!" in err


def test_ctrl_c_interrupts_a_spawn_that_waits_for_its_turn(any_host, start_moonletd):
    """Nothing is left of it, and nothing runs."""
    zygote = start_moonletd(options=["--max", "1"])
    any_host.env["SPAWN_SOCKET"] = zygote.socket
    process = any_host.start(PIDS + """
        local probe = require 'probe'
        local before = probe.fds()
        print(probe.pid()) io.flush()
        print(pcall(spawn, {'-e', 'io.open("ran", "w")'})) collect()
        print(before == probe.fds()) s.stdin:close() print(s:wait())""")
    interrupt_its_wait(process)
    out, _ = process.communicate(timeout=PATIENCE)
    assert out.decode().splitlines()[1:] == ["true", "true\texit\t0"] and out.startswith(b"false\t") and b"interrupted!" in out
    assert not (any_host.directory / "ran").exists()


# What is wrong with an argument is said with its name.
@pytest.mark.parametrize("argument, message", [
    ("", "table expected"),
    ("{}", "a script is missing"),
    ("{nil, 'x'}", "a script is missing"),
    ("{'x', nil, 'y'}", "3: no such option"),
    ("{'x', [1.5] = 'y', 'z'}", "1.5: no such option"),
    ("{true}", "[1]: string expected, got boolean"),
    ("{'x', {}}", "[2]: string expected, got table"),
    ("{'x\\0y'}", "string contains zeros"),
    ("{'x', Env = {}}", "Env: no such option"),
    ("{'x', [true] = 1}", "boolean: no such option"),
    ("{'x', socket = {}}", "socket: string expected, got table"),
    ("{'x', socket = 1}", "socket: string expected, got number"),
    ("{'x', cwd = true}", "cwd: string expected, got boolean"),
    ("{'x', cwd = 1}", "cwd: string expected, got number"),
    ("{'x', env = 'A=b'}", "env: table expected, got string"),
    ("{'x', env = {'A=b'}}", "env: a name must be a string"),
    ("{'x', env = {['A=b'] = 'c'}}", "env: 'A=b' is no name of a variable"),
    ("{'x', env = {[''] = 'c'}}", "env: '' is no name of a variable"),
    ("{'x', env = {A = true}}", "env.A: string expected, got boolean"),
    ("{'x', env = {A = 'b\\0c'}}", "env: string contains zeros"),
    ("{'x', stdin = true}", "stdin: file, descriptor, \"pipe\" or \"null\" expected, got boolean"),
    ("{'x', stdout = 'Pipe'}", "stdout: neither \"pipe\" nor \"null\""),
    ("{'x', stderr = -1}", "stderr: no number of a descriptor"),
    ("{'x', stderr = 1.5}", "stderr: no number of a descriptor"),
    ("{'x', stdin = closed}", "stdin: the file is closed"),
])
def test_a_bad_argument_is_named(any_host, argument, message):
    out = any_host(f"""
        closed = io.open '/dev/null' closed:close()
        local before = require 'probe'.fds()
        print(pcall(moonlet.spawn{", " + argument if argument else ""}))
        collect()
        assert(require 'probe'.fds() == before)""")
    assert out.startswith("false\tbad argument #1 to ") and message in out, out


def test_bad_arguments_of_methods(any_host):
    out = any_host("""
        local s = start{'-e', ''}
        print(pcall(s.kill, s, 'NOSUCH')) print(pcall(s.kill, s, 1000)) print(pcall(s.kill, s, {}))
        print(pcall(s.wait, s, 'soon')) print(pcall(s.wait)) print(pcall(s.wait, io.stdout)) print(s.nothing)""")
    for line, message in zip(out.splitlines(), ["no signal 'NOSUCH'", "no number of a signal", "string expected, got table",
                                                "number expected, got string", "moonlet script expected",
                                                "moonlet script expected", "nil"]):
        assert message in line, out


def test_a_descriptor_that_is_not_open(any_host):
    assert any_host("print(spawn{'-e', '', stdin = 99})") == "nil\tmoonlet: pass stdin: Bad file descriptor\t9\n"


def test_without_a_zygote_and_a_fallback_nothing_runs(any_host):
    out = any_host("print(spawn{'-e', 'print(1)', socket = '/nonexistent'})")
    assert out == "nil\tmoonlet: connect /nonexistent: No such file or directory (is moonletd running?)\t2\n"


def test_another_fallback(any_host):
    any_host.env["MOONLET_FALLBACK"] = "echo"
    assert any_host("print(start{'a', 'b c', socket = '/nonexistent'}:wait())") == "a b c\ntrue\texit\t0\n"


def test_a_fallback_that_cannot_be_started(any_host):
    any_host.env["MOONLET_FALLBACK"] = "/nonexistent/lua"
    out = any_host("print(spawn{'-e', 'print(1)', socket = '/nonexistent'})")
    assert out == ("nil\tmoonlet: connect /nonexistent: No such file or directory (is moonletd running?)\n"
                   "moonlet: exec the fallback /nonexistent/lua: No such file or directory\t2\n")


def test_what_is_declined_goes_to_lua(any_host, tmp_path):
    any_host.env["SPAWN_SOCKET"] = path = str(tmp_path / "declines")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        for fallback, shown in (("", b""), (REAL_LUA, b"1\ntrue\texit\t0\n")):
            any_host.env["MOONLET_FALLBACK"] = fallback
            process = any_host.start("print(start{'-e', 'print(1)'}:wait())", stderr=subprocess.PIPE)
            with listening.accept()[0] as connection:
                connection.recv(1 << 20)
                connection.sendall(b"\x02\0\0\0\x07\0\0\0because")
            out, err = process.communicate(timeout=PATIENCE)
            assert out == shown and (b"because" in err) == (fallback == ""), (out, err)


def test_a_zygote_that_dies_before_the_end(any_host, start_moonletd, tmp_path):
    """The script goes on, can be sent signals, and how it ends is not known."""
    zygote = start_moonletd()
    any_host.env["SPAWN_SOCKET"] = zygote.socket
    code = PIDS + """
        io.read() print(s:wait(0)) print(s:wait(0)) print(s:kill(0)) io.flush()
        if arg[1] then s:kill(arg[1]) else s.stdin:close() end
        print(s:wait()) print(s:wait())"""
    for arguments in ([], ["KILL"]):
        process = any_host.start(code, *arguments)
        pid = int(process.stdout.readline())
        os.kill(zygote.server, signal.SIGKILL)
        zygote.process.wait()
        out, _ = process.communicate(b"\n", timeout=PATIENCE)
        lines = out.decode().splitlines()
        lost = "nil\tmoonletd is gone, and so is how the script ended"
        assert lines[-2:] == [lost, lost]
        if not KEEPS_CONNECTION:
            assert lines[:3] == ["nil\trunning", "nil\trunning", "true"]
        wait_gone(pid)
        zygote = start_moonletd()
        any_host.env["SPAWN_SOCKET"] = zygote.socket


def test_a_script_may_wait_for_its_turn(any_host, start_moonletd):
    """--max: the launch waits, and goes on."""
    zygote = start_moonletd(options=["--max", "1"])
    any_host.env["SPAWN_SOCKET"] = zygote.socket
    out = any_host("""
        local first = start{'-e', 'print(1)'}
        print(start{'-e', 'print(2)'}:wait())
        print(first:wait())""")
    assert out == "1\n2\ntrue\texit\t0\ntrue\texit\t0\n"


@plain_lua
def test_warm_tells_how_this_script_runs(lua, start_zygote, tmp_path):
    """Not in lua, nor in a warm-up; in a script of moonlet, also by a module that the warm-up has loaded."""
    assert lua("print(moonlet.warm)") == "false\n"
    shown = tmp_path / "shown"
    zygote = start_zygote("-e", f"m = require 'moonlet' io.open('{shown}', 'w'):write(tostring(m.warm))")
    assert shown.read_text() == "false"
    env = environment(MOONLET_SOCKET=zygote.socket)
    assert run(BY_MOONLET, ["lua", "-e", "print(m.warm, require 'moonlet' == m)"], env).out == b"true\ttrue\n"
    _, (moonlet, env) = PairInEach(start_zygote).programs(environment(LUA_CPATH=WITH_MODULE))  # where the module is a file
    assert run(moonlet, ["lua", "-e", "print(require 'moonlet'.warm)"], env).out == b"true\n"


def test_a_handle_tells_how_its_script_runs(host):
    """While it runs, after its end, and where moonletd has started it, but an answer differs from the image's."""
    out = host("""
        local s = start{'-e', 'io.read()', stdin = 'pipe'}
        print(s.warm, s.warm) s.stdin:close() s:wait() print(s.warm)
        local s = start{'-e', ''} s:wait() print(s.warm)
        local its = {} for _, name in ipairs{'PATH', 'MOONLET_SOCKET'} do its[name] = os.getenv(name) end
        its.LUA_PATH, its.MOONLET_FALLBACK = '/nonexistent/?.lua;;', os.getenv 'LUA' print(start{'-e', '', env = its}.warm)""".replace(
            "os.getenv 'LUA'", f"'{REAL_LUA}'"))
    how = "true" if host.through_zygote else "false"
    assert out == f"{how}\t{how}\n{how}\n{how}\nfalse\n"


def test_how_a_script_runs_is_not_known_once_its_handle_is_closed(host):
    out = host("local s = start{'-e', 'io.read()', stdin = 'pipe'} s:close() print(s.warm)")
    assert out == ("nil\n" if host.through_zygote else "false\n")


# moonlet.status and moonlet.reload


def test_the_status_is_what_moonletctl_tells(any_host, spawner):
    told = any_host("""
        local s = assert(moonlet.status(os.getenv 'SPAWN_SOCKET'))
        local names = {}
        for name, value in pairs(s) do names[#names + 1] = name .. '=' .. (type(value) == 'table' and #value or value) end
        table.sort(names)
        print(table.concat(names, '\\n'))""")
    its = dict(it.split("=", 1) for it in told.splitlines())
    ctl = subprocess.run([os.path.join(BUILD, "moonletctl"), "--socket", spawner.socket, "--status=json"], capture_output=True,
                         timeout=PATIENCE, check=True)
    expected = json.loads(ctl.stdout)
    assert set(its) == {name for name, value in expected.items() if value is not None} - {
        "max", "image_age_seconds", "variables", "other_questions", "warm_up_runs", "warm_up_fails", "error", "made_anew", "verdict",
        "outdated", "clock_asked_by", "questions", "not_used", "not_used_age_seconds", "declined_for", "thawed"}
    for name in ("version", "socket", "pid", "images"):
        assert its[name] == str(expected[name]), name


def test_the_status_tells_of_running_scripts(host, spawner):
    host.write("s.lua", "print 'runs' io.stdout:flush() io.read()")
    out = host("""
        local s = start{'s.lua', 'two words', stdin = 'pipe', stdout = 'pipe', socket = arg[1]}
        s.stdout:read()
        for _, it in ipairs(assert(moonlet.status(arg[1])).scripts) do
          if it.pid == s.pid then
            print(it.script, #it.command, it.command[2], it.command[3], it.client_pid > 1, it.uid, it.user,
                  it.private_bytes > 0, it.shared_bytes > 0, it.age_seconds < 60)
          end
        end""", spawner.socket)
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert out == f"s.lua two words\t3\ts.lua\ttwo words\ttrue\t{os.geteuid()}\t{user}\ttrue\ttrue\ttrue\n"


def test_reload_returns_when_the_warm_up_has_run_anew(any_host, start_moonletd):
    base = start_moonletd()
    out = any_host("""
        print(moonlet.reload(arg[1]))
        print(moonlet.status(arg[1]).images)""", base.socket)
    assert out == "true\n2\n"


@about_moonletd
def test_a_script_reloads_the_zygote_that_has_started_it(start_zygote, tmp_path):
    base = start_zygote()
    code = "local m = require 'moonlet' print(m.reload()) print(m.status().images, m.status().running) os.exit(3)"
    done = run(BY_MOONLET, ["lua", "-e", code], environment(MOONLET_SOCKET=base.socket))
    assert (done.status, done.out) == (3, b"true\n2\t1\n"), done


def test_who_is_not_there_has_no_status(any_host):
    out = any_host("print(moonlet.status '/nonexistent') print(moonlet.reload '/nonexistent') print(pcall(moonlet.status, {}))")
    first, second, third = out.splitlines()
    assert first == second == "nil\tmoonlet: connect /nonexistent: No such file or directory (is moonletd running?)\t2"
    assert "string expected" in third
    assert "string contains zeros" in any_host("print(pcall(moonlet.status, '/tmp/s\\0x'))")


def test_a_refusal_is_told_in_the_words_of_moonletd(any_host, tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        asking = any_host.start("print(moonlet.status(arg[1]))", path)
        with listening.accept()[0] as connection:
            connection.sendall(b"\x02\0\0\0\x0d\0\0\0not for you!\n")
        out, _ = asking.communicate(timeout=PATIENCE)
    assert out.decode() == f"nil\tmoonlet: connect {path}: not for you!\n\n"


@plain_lua
def test_outside_of_moonletd_its_functions_say_so(lua):
    out = lua("print(moonlet.watch 'x') print(pcall(moonlet.watch))")
    assert out.splitlines()[0] == "false\tnot in a warm-up" and "string expected" in out.splitlines()[1]


def test_a_module_of_the_users_own_comes_first(start_zygote, tmp_path):
    (tmp_path / "moonlet.lua").write_text("return 'the user\\'s'")
    _, (moonlet, env) = PairInEach(start_zygote).programs(environment(LUA_PATH=f"{tmp_path}/?.lua;;"))
    assert run(moonlet, ["lua", "-e", "print((require 'moonlet'))"], env).out == b"the user's\n"


def test_nothing_of_it_shows_until_it_is_required(zygote):
    Pair(zygote)("-e", """
        local searchers = package.searchers or package.loaders
        print(#searchers, package.preload.moonlet, package.loaded.moonlet, package.path, package.cpath)
        print(pcall(require, 'moonlet.no.such')) print(pcall(require, 'nosuch'))
        package.cpath = nil print(pcall(searchers[4], 'x'))""")


def test_a_handle_of_the_warm_up_is_not_a_scripts(start_zygote):
    """An image cannot have one: not its descriptors, not its child."""
    zygote = start_zygote("-e", "s = require 'moonlet'.spawn{'-e', 'io.read()', stdin = 'pipe'}",
                          env=environment(MOONLET_FALLBACK=None, MOONLET_SOCKET="/nonexistent"), wait=not THAW)
    assert "left a child process" in zygote.log() and "open: pipe" in zygote.log(), zygote.log()


FENNEL = """
-- Stands in for Fennel: its sources are Lua, and each is translated to Lua whose lines are two further down.
local fennel = {}
function fennel.dofile(name, options, ...)
  local file = assert(io.open(name))
  local text = file:read '*a'
  file:close()
  local chunk, problem = (loadstring or load)('\\n\\n' .. text, '@' .. name)
  if not chunk then error(fennel.untranslate(problem), 0) end
  return chunk(...)
end
function fennel.makeSearcher(options)
  assert(next(options) == nil)
  return function(name)
    local path = './' .. name:gsub('%.', '/') .. '.fnl'
    local file = io.open(path)
    if not file then return '\\n\\tno file ' .. path end
    file:close()
    return function(...) return fennel.dofile(path, options, ...) end, path
  end
end
function fennel.untranslate(text) return (text:gsub('%.fnl:(%d+)', function(line) return ('.fnl:%d'):format(line - 2) end)) end
function fennel.traceback(message) return fennel.untranslate(debug.traceback(message, 2)) end
return fennel
"""
MOONSCRIPT = """
-- Stands in for MoonScript in the same way.
return {loadfile = function(name)
  local file, problem = io.open(name)
  if not file then return nil, problem end
  local text = file:read '*a'
  file:close()
  return (loadstring or load)('\\n\\n' .. text, '@' .. name)
end}
"""
MOONSCRIPT_ERRORS = """
return {rewrite_traceback = function(text, message)
  assert(text:find '^stack traceback:')
  return ((message .. '\\n' .. text):gsub('%.moon:(%d+)', function(line) return ('.moon:%d'):format(line - 2) end))
end}
"""


@pytest.fixture(scope="module")
def compilers(tmp_path_factory):
    directory = tmp_path_factory.mktemp("compilers")
    (directory / "moonscript").mkdir()
    for name, text in (("fennel", FENNEL), ("moonscript/base", MOONSCRIPT), ("moonscript/errors", MOONSCRIPT_ERRORS)):
        (directory / f"{name}.lua").write_text(text)
    return environment(LUA_PATH=f"{directory}/?.lua;;")


@pytest.fixture
def translate(compilers, start_zygote, tmp_path):
    zygote = start_zygote("-l", "fennel", "-l", "moonscript.base", "-l", "moonscript.errors", env=compilers)

    def launch(name, text, *arguments):
        (tmp_path / name).write_text(text)
        return run(BY_MOONLET, ["lua", name, *arguments], dict(compilers, MOONLET_SOCKET=zygote.socket), cwd=tmp_path)

    return launch


@pytest.mark.parametrize("suffix", ["fnl", "moon"])
def test_a_script_goes_through_a_compiler_that_is_warm(translate, suffix):
    result = translate(f"s.{suffix}", "print(arg[0], arg[1], #arg, ...) os.exit(4)", "a", "b")
    assert (result.status, result.out) == (4, f"s.{suffix}\ta\t2\ta\tb\n".encode())


def test_a_fennel_script_finds_modules_of_fennel(compilers, start_zygote, tmp_path):
    """As with the program fennel: behind all others. What is warm stays warm, but for what has looked for such a module in vain."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "part.fnl").write_text("return {name = ..., deep = require 'parts.deep'}")
    (tmp_path / "parts" / "deep.fnl").write_text("return 'deep'")
    (tmp_path / "both.fnl").write_text("return 'Fennel'")
    (tmp_path / "both.lua").write_text("return 'Lua'")
    (tmp_path / "looks.lua").write_text("return {found = pcall(require, 'part')}")
    (tmp_path / "warm.lua").write_text("return {}")
    env = dict(compilers, LUA_PATH=f"{tmp_path}/?.lua;{compilers['LUA_PATH']}")
    zygote = start_zygote("-l", "fennel", "-l", "looks", "-e", "its = require 'warm'", env=env)
    (tmp_path / "s.fnl").write_text("""
        local part = require 'part'
        print(part.name, part.deep, require 'both', require 'warm' == its, require 'looks'.found)
        print((select(2, pcall(require, 'no.such')):gsub('.*%c%c', '')))""")
    result = run(BY_MOONLET, ["lua", "s.fnl"], dict(env, MOONLET_SOCKET=zygote.socket), cwd=tmp_path)
    assert result == Result(0, b"part\tdeep\tLua\ttrue\ttrue\nno file ./no/such.fnl\n", b"")
    (tmp_path / "s.lua").write_text("print(pcall(require, 'part'), require 'looks'.found)")
    result = run(BY_MOONLET, ["lua", "s.lua"], dict(env, MOONLET_SOCKET=zygote.socket), cwd=tmp_path)
    assert result.out.startswith(b"false\t") and result.out.endswith(b"false\n"), result


@pytest.mark.parametrize("suffix", ["fnl", "moon"])
def test_its_errors_tell_the_lines_of_the_source(translate, suffix):
    result = translate(f"s.{suffix}", "local function fail()\n  error 'oops'\nend\nfail()\nprint()")
    assert result.status == 1 and result.err.startswith(f"lua: s.{suffix}:2: oops".encode()), result
    assert f"\ts.{suffix}:4: in ".encode() in result.err and b"stack traceback" in result.err


@pytest.mark.parametrize("suffix", ["fnl", "moon"])
def test_what_it_cannot_compile_is_an_error(translate, suffix):
    result = translate(f"s.{suffix}", "local = 1")
    assert result.status == 1 and f"s.{suffix}:".encode() in result.err and b"near '='" in result.err
    result = translate("other.lua", "local = 1")
    assert result.err.startswith(b"lua: other.lua:1:")


def test_an_error_that_is_no_text(translate):
    assert translate("s.fnl", "error{}").status == 1
    assert translate("s.moon", "error{}").status == 1


def test_without_a_compiler_it_is_lua(zygote, tmp_path):
    for name in ("s.fnl", "s.moon"):
        Pair(zygote).script(tmp_path, "print(...)", "a")
        (tmp_path / name).write_text("(print 1)\n(print 2 3")
        assert Pair(zygote)(name, cwd=tmp_path).status == 1


@plain_lua
def test_the_example_of_the_manual(lua, start_moonletd):
    shutil.copy(os.path.join(SOURCE, "docs/examples/parallel.lua"), lua.directory)
    lua.env["LUA_CPATH"] = WITH_MODULE
    lua.env["MOONLET_SOCKET"] = start_moonletd(env=environment(LUA_CPATH=WITH_MODULE)).socket
    for number in range(5):
        lua.write(f"job{number}.lua", f"os.exit({number} == 3 and 1 or 0)")
    jobs = [f"job{number}.lua" for number in range(5)]
    result = run(REAL_LUA, ["lua", "parallel.lua", "2", *jobs], lua.env, cwd=lua.directory)
    assert result.status == 1 and sorted(result.out.decode().splitlines()) == sorted(
        [f"{name}: exit {int(name == 'job3.lua')}" for name in jobs]), result


@plain_lua
def test_the_example_wants_its_number(lua):
    env = dict(lua.env, LUA_CPATH=WITH_MODULE)
    result = run(REAL_LUA, ["lua", os.path.join(SOURCE, "docs/examples/parallel.lua"), "job.lua", "job.lua"], env)
    assert result == Result(2, b"", b"usage: parallel.lua N SCRIPT...\n")
