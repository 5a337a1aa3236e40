"""Layers: scripts that were launched become zygotes, and moonletd's warm-up becomes one by itself."""

import os
import select
import signal
import socket
import subprocess

import pytest
from conftest import (BUILD, BY_MOONLET, CPATH, JIT, LUA, MOONLETD, PATIENCE, REAL_LUA, SANITIZED, SOURCE, Pair,
                      Result, about_the_file, environment, needs_root, run, serves_other_users, wait_gone)

SERVE_AND_RUN = "local moonlet = require 'moonlet' {} moonlet.serve{{socket = '{}'{}}} moonlet.run()"


class Layer:
    """A script that is launched from `below`, and serves when the constructor returns."""

    command = BY_MOONLET

    def __init__(self, below, directory, before="", options="", text=None, env=None, name="layer", wait=True, **popen):
        self.below, self.socket = below, str(directory / (name + ".sock"))
        self.script = directory / (name + ".lua")
        self.script.write_text((text or SERVE_AND_RUN).format(before, self.socket, options))
        self.env = environment(MOONLET_SOCKET=below.socket, **(env or {}))
        self.options = popen
        self.start(wait)

    def start(self, wait=True):
        """Anew, if it has ended."""
        self.written = b""
        self.process = subprocess.Popen([*BY_MOONLET.words, str(self.script)], env=self.env,
                                        stderr=subprocess.PIPE, **{"stdin": subprocess.DEVNULL, **self.options})
        if wait:
            self.hear("serving")
            self.pid = self.scripts_of_below()[-1]

    def variables(self):
        """What names it to a client."""
        return {"MOONLET_SOCKET": self.socket}

    def scripts_of_below(self):
        with open(f"/proc/{self.below.pid}/task/{self.below.pid}/children") as children:
            return [int(pid) for pid in children.read().split()
                    if open(f"/proc/{pid}/cmdline").read().split("\0")[1:2] == [str(self.script)]]

    def hear(self, text):
        """Waits until the layer has written that."""
        while text.encode() not in self.written:
            ready, _, _ = select.select([self.process.stderr], [], [], PATIENCE)
            got = os.read(self.process.stderr.fileno(), 4096) if ready else b""
            assert got, f"no {text!r} in {self.written!r}; below: {self.below.log()}"
            self.written += got

    def log(self):
        ready, _, _ = select.select([self.process.stderr], [], [], 0)
        if ready:
            self.written += os.read(self.process.stderr.fileno(), 65536)
        return self.written.decode()

    def client_env(self, **changes):
        return environment(MOONLET_SOCKET=self.socket, **changes)

    def run(self, *arguments, env=None, **options):
        return run(BY_MOONLET, ["lua", *arguments], self.client_env(**(env or {})), **options)

    def ends(self):
        """The status with which its client ends."""
        return self.process.wait(PATIENCE)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE)
        self.process.stderr.close()


@pytest.fixture
def start_layer(tmp_path):
    """start_layer(below, ...): a layer that ends with the test."""
    started = []

    def start(below, *arguments, **options):
        options.setdefault("name", f"layer{len(started)}")
        started.append(Layer(below, tmp_path, *arguments, **options))
        return started[-1]

    yield start
    for layer in reversed(started):
        layer.close()


@pytest.fixture
def layer(zygote, start_layer):
    return start_layer(zygote, "shared = 'loaded once'")


def name_of_lua():
    return "LuaJIT" if LUA == "luajit" else "Lua " + LUA


def wait_until(layer, condition):
    """Until what `layer` tells of itself, `s`, is so."""
    code = f"local s repeat s = require 'moonlet'.status('{layer.socket}') until {condition}"
    assert run(BY_MOONLET, ["lua", "-e", code], environment(MOONLET_SOCKET=layer.below.socket)).status == 0


# What a child is


def test_its_children_have_what_it_has_loaded(layer):
    assert layer.run("-e", "print(shared)") == Result(0, b"loaded once\n", b"")


def test_serve_returns_in_children_alone_with_the_arguments_of_the_launch(zygote, start_layer):
    layer = start_layer(zygote, text="local mine = arg local its = require 'moonlet'.serve{{socket = '{1}'}}"
                        " print(its == arg, its ~= mine, its[-1], its[0], its[1], its[2], #its)")
    expected = b"true\ttrue\tlua\tscript.lua\tone\ttwo words\t2\n"
    assert layer.run("script.lua", "one", "two words") == Result(0, expected, b"")


def test_what_follows_serve_may_end_the_child(zygote, start_layer):
    layer = start_layer(zygote, text="require 'moonlet'.serve{{socket = '{1}'}} io.write(arg[0]) os.exit(tonumber(arg[1]))")
    assert layer.run("nothing-runs-this", "9") == Result(9, b"nothing-runs-this", b"")


def test_its_children_are_warm(zygote, start_layer):
    layer = start_layer(zygote, "before = moonlet.warm")
    assert layer.run("-e", "print(before, require 'moonlet'.warm)").out == b"true\ttrue\n"


def test_each_child_has_random_numbers_of_its_own(layer):
    """Where lua itself seeds them: 5.4 and later."""
    if LUA < "5.4" or JIT:
        pytest.skip("NO RANDOM SEED: each lua of this version has the same numbers")
    assert len({layer.run("-e", "print(math.random(0))").out for _ in range(5)}) == 5


def test_a_layer_lies_on_a_layer(zygote, layer, start_layer):
    upper = start_layer(layer, "shared = shared .. ', and again'")
    third = start_layer(upper, "shared = shared .. ', and a third time'")
    assert third.run("-e", "print(shared)").out == b"loaded once, and again, and a third time\n"
    assert upper.run("-e", "print(shared)").out == b"loaded once, and again\n"
    assert layer.run("-e", "print(shared)").out == b"loaded once\n"
    assert run(BY_MOONLET, ["lua", "-e", "print(shared)"], environment(MOONLET_SOCKET=zygote.socket)).out == b"nil\n"


def test_the_path_is_that_of_the_layer_and_then_of_each_launch(zygote, start_layer, tmp_path):
    for name in ("its", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "module.lua").write_text(f"return '{name}'")
    path = f"{tmp_path}/its/?.lua"
    layer = start_layer(zygote, "require 'module'", env={"LUA_PATH": path})
    code = "print((package.loaded.module), (require 'module'), (package.path))"
    assert layer.run("-e", code, env={"LUA_PATH": path}).out == f"its\tits\t{path}\n".encode()
    other = f"{tmp_path}/other/?.lua"
    assert layer.run("-e", code, env={"LUA_PATH": other}).out == f"nil\tother\t{other}\n".encode()


def test_a_file_that_the_layer_has_open_is_one_for_all_its_children(zygote, start_layer, tmp_path):
    (tmp_path / "lines").write_text("first\nsecond\nthird\n")
    layer = start_layer(zygote, f"lines = io.open('{tmp_path}/lines') lines:setvbuf('no')")
    assert f"left open: {tmp_path}/lines" in layer.log()
    assert layer.run("-e", "print(lines:seek('cur', 6))").out == b"6\n"
    assert layer.run("-e", "print(lines:seek('cur', 0))").out == b"6\n"


def test_a_file_that_the_layer_has_closed_is_in_no_child(layer):
    count = "local n = 0 for i = 3, 40 do local f = io.open('/proc/self/fd/' .. i) if f then n = n + 1 f:close() end end print(n)"
    assert layer.run("-e", count).out == run(REAL_LUA, ["lua", "-e", count], environment()).out


# moonlet.run: as lua


@pytest.fixture(scope="module")
def same(zygote, tmp_path_factory):
    layer = Layer(zygote, tmp_path_factory.mktemp("layer"))
    yield Pair(layer)
    layer.close()


SCRIPTS = {
    "succeeds": "print(...)",
    "has-a-status": "os.exit(7)",
    "has-a-status-and-closes": "os.exit(3, true)",
    "fails": "local function f() error 'oops' end f()",
    "fails-without-a-message": "error()",
    "fails-with-a-table": "error({})",
    "does-not-compile": "print(",
    "fails-in-a-coroutine": "print(coroutine.resume(coroutine.create(function() error 'in there' end)))",
    "has-a-traceback": "print(debug.traceback('here'))",
    "knows-its-arguments": "for i = -1, #arg do print(i, arg[i]) end print(select('#', ...))",
    "overflows": "local function f() return 1 + f() end f()",
    "collects-at-its-end": "local p = newproxy and newproxy(true) or setmetatable({}, {__gc = function() print 'gone' end}) kept = p",
}


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_run_runs_a_script_as_lua_does(same, tmp_path, text):
    same.script(tmp_path, text, "one", "two words")


@pytest.mark.parametrize("arguments", [["-e", "print(1)"], ["-e", "error 'oops'"], ["-v"], ["-l", "nothing"],
                                       ["nothing.lua"], ["-e", "x = 1", "-"]], ids=" ".join)
def test_run_takes_the_options_of_lua(same, arguments):
    same(*arguments, input=b"print(x)")


def test_run_takes_a_script_from_standard_input(same):
    same("-", "argument", input=b"print('from there', ...)")


def test_a_script_that_dies_of_a_signal_is_told_as_lua_would_have_it(same, tmp_path):
    result = same.script(tmp_path, "local probe = require 'probe' probe.kill(probe.pid(), 15)")
    assert result.status == -signal.SIGTERM


def test_nothing_behind_run_runs(zygote, start_layer):
    text = "local m = require 'moonlet' m.serve{{socket = '{1}'}} m.run() print 'behind'"
    assert start_layer(zygote, text=text).run("-e", "print(1)") == Result(0, b"1\n", b"")


def test_run_is_called_where_it_likes(zygote, start_layer):
    text = "local m = require 'moonlet' local function deep(n) if n == 0 then m.serve{{socket = '{1}'}} m.run() end deep(n - 1) end deep(50)"
    assert start_layer(zygote, text=text).run("-e", "error 'oops'").status == 1


# Errors


def complaint(zygote, tmp_path, code):
    (tmp_path / "script.lua").write_text("local moonlet = require 'moonlet' " + code)
    done = run(BY_MOONLET, ["lua", str(tmp_path / "script.lua")], environment(MOONLET_SOCKET=zygote.socket))
    assert done.status == 1 and done.out == b"", done
    return done.err.decode().splitlines()[0].split("script.lua:1: ")[-1].removeprefix("lua: ")


@pytest.mark.parametrize("options, expected", [
    ("max = -1", "serve: 'max' must be a whole number from 0 to 2147483647"),
    ("max = 1.5", "serve: 'max' must be a whole number from 0 to 2147483647"),
    ("max = {}", "serve: 'max' must be a whole number from 0 to 2147483647"),
    ("spare = 'many'", "serve: 'spare' must be a whole number from 0 to 1000"),
    ("spare = 1001", "serve: 'spare' must be a whole number from 0 to 1000"),
    ("idle_exit = -1", "serve: 'idle_exit' must be a whole number from 0 to 2147483"),
    ("mode = '999'", "serve: 'mode' must be a string of octal digits from \"0\" to \"777\""),
    ("mode = 660", "serve: 'mode' must be a string of octal digits from \"0\" to \"777\""),
    ("mode = ''", "serve: 'mode' must be a string of octal digits from \"0\" to \"777\""),
    ("socket = 1", "serve: 'socket' must be a path"),
    ("socket = '/tmp/a\\0b'", "serve: 'socket' must be a path"),
    ("layers = 1", "serve: 'layers' must be true or false"),
    ("sokcet = 'x'", "serve: no option 'sokcet'"),
], ids=lambda it: it.replace(" ", "") if "serve:" not in it else "")
def test_serve_refuses_what_it_does_not_know(zygote, tmp_path, options, expected):
    assert complaint(zygote, tmp_path, f"moonlet.serve{{{options}}}") == expected


def test_serve_is_not_for_who_has_read_too_many_files(zygote, tmp_path):
    code = "for i = 0, 65536 do io.open('/nonexistent/' .. i) end moonlet.serve{socket = '/nonexistent/socket'}"
    assert complaint(zygote, tmp_path, code) == "serve: too many files were read before"


def test_serve_takes_a_table(zygote, tmp_path):
    assert "table expected" in complaint(zygote, tmp_path, "moonlet.serve()")


def test_serve_is_not_for_coroutines(zygote, tmp_path):
    code = "local co = coroutine.create(function() moonlet.serve{socket = '/nonexistent/socket'} end) error(select(2, coroutine.resume(co)), 0)"
    assert complaint(zygote, tmp_path, code) == "serve: not in a coroutine"


def test_run_is_for_children_of_serve(zygote, tmp_path):
    assert complaint(zygote, tmp_path, "moonlet.run()") == "run: not in a child of serve"


def test_a_layer_whose_socket_is_in_use_ends_with_1(zygote, layer, start_layer):
    other = start_layer(zygote, text="require 'moonlet'.serve{{socket = '" + layer.socket + "'}}", wait=False)
    assert other.ends() == 1
    assert other.log().splitlines()[-1] == f"moonletd: bind {layer.socket}: Address already in use (is another moonletd running?)"
    assert layer.run("-e", "print(shared)").out == b"loaded once\n"


def test_a_layer_that_fails_before_it_serves_ends_as_any_script(zygote, start_layer):
    other = start_layer(zygote, "error('not today', 0)", wait=False)
    assert other.ends() == 1 and "not today" in other.log()


# Options


def test_max_is_how_many_run_at_once(zygote, start_layer, launch):
    layer = start_layer(zygote, options=", max = 1")
    first = launch(BY_MOONLET, layer.client_env(), "print 'runs' io.flush() io.read()")
    assert first.hear() == "runs"
    second = launch(BY_MOONLET, layer.client_env(), "print 'runs too'")
    wait_until(layer, "s.waiting == 1")
    first.say("")
    assert first.end().status == 0 and second.hear() == "runs too" and second.end().status == 0


def test_mode_is_that_of_the_socket(zygote, start_layer):
    assert os.stat(start_layer(zygote, options=", mode = '0640'").socket).st_mode & 0o777 == 0o640


def test_spares_are_forked_ahead(zygote, start_layer):
    layer = start_layer(zygote, options=", spare = 2")
    assert layer.run("-e", "print(#'warm')").out == b"4\n"
    wait_until(layer, "s.spares == 2")


def test_a_layer_ends_when_it_is_idle_for_long_enough(zygote, start_layer):
    layer = start_layer(zygote, options=", idle_exit = 1")
    assert layer.ends() == 0 and not os.path.exists(layer.socket)


# How it ends


def test_sigterm_at_its_client_ends_a_layer(layer):
    layer.process.terminate()
    assert layer.ends() == 0 and not os.path.exists(layer.socket)


def test_sigterm_at_the_layer_itself_ends_it(layer):
    os.kill(layer.pid, signal.SIGTERM)
    assert layer.ends() == 0 and not os.path.exists(layer.socket)


def test_a_layer_goes_with_its_client(layer):
    layer.process.kill()
    wait_gone(layer.pid)
    layer.ends()
    layer.start()
    assert layer.run("-e", "print(shared)").out == b"loaded once\n"


def test_a_script_goes_with_its_client(layer, launch):
    script = launch(BY_MOONLET, layer.client_env(), "local probe = require 'probe' print(probe.pid()) io.flush() io.read()")
    pid = int(script.hear())
    script.kill(signal.SIGKILL)
    wait_gone(pid)
    script.end()


# Freshness


def module_at(tmp_path, value):
    (tmp_path / "module.lua").write_text(f"return {value}")


@pytest.fixture
def with_module(tmp_path):
    module_at(tmp_path, 1)
    return {"LUA_PATH": f"{tmp_path}/?.lua"}


def has_retired(layer):
    """Its client ends with 0, so that a supervisor starts it anew."""
    return layer.ends() == 0


def test_a_layer_retires_when_a_file_that_it_has_loaded_changes(zygote, start_layer, with_module, tmp_path):
    layer = start_layer(zygote, "require 'module'", env=with_module)
    assert layer.run("-e", "print((require 'module'))", env=with_module).out == b"1\n"
    module_at(tmp_path, 2)
    assert has_retired(layer) and not os.path.exists(layer.socket)
    layer.start()
    assert layer.run("-e", "print((require 'module'))", env=with_module).out == b"2\n"


def test_a_layer_retires_when_its_script_changes(layer):
    layer.script.write_text(layer.script.read_text() + " -- changed")
    assert has_retired(layer)


@pytest.mark.parametrize("is_warm", ["in the image below", "in a layer below"])
def test_a_layer_is_watched_where_the_module_was_loaded_before_it(start_zygote, start_layer, with_module, tmp_path, is_warm):
    base = start_zygote("-e", "require 'moonlet'") if is_warm == "in the image below" else start_layer(start_zygote())
    layer = start_layer(base, "require 'module'", env=with_module)
    code = "print((require 'module'))"
    assert layer.run("-e", code, env=with_module).out == b"1\n"
    module_at(tmp_path, 2)
    assert layer.run("-e", code, env={**with_module, "MOONLET_FALLBACK": REAL_LUA}).out == b"2\n"
    assert has_retired(layer)
    layer.start()
    layer.script.write_text(layer.script.read_text() + " -- changed")
    assert has_retired(layer)


def test_a_layer_has_another_directory_than_the_image_below(start_zygote, start_layer, tmp_path):
    """What both have read by relative paths is watched where they have read it."""
    below, above = tmp_path / "below", tmp_path / "above"
    for directory in (below, above):
        directory.mkdir()
        (directory / "file.lua").write_text(f"{directory.name} = 1")
    base = start_zygote("-e", "dofile 'file.lua'", cwd=below)
    layer = start_layer(base, "dofile 'file.lua'", cwd=above)
    upper = start_layer(layer, cwd=tmp_path)
    for _ in range(2):
        for its in (layer, upper):
            assert its.run("-e", "print(below, above)") == Result(0, b"1\t1\n", b"")
    (above / "file.lua").write_text("above = 2")
    assert has_retired(layer) and has_retired(upper)
    layer.start()
    assert layer.run("-e", "print(below, above)").out == b"1\t2\n"
    (below / "file.lua").write_text("below = 2")
    assert has_retired(layer)


def test_a_layer_retires_when_a_file_of_the_image_below_changes(start_zygote, start_layer, with_module, tmp_path):
    base = start_zygote("-l", "module", env=environment(**with_module))
    layer = start_layer(base, env=with_module)
    upper = start_layer(layer, env=with_module)
    module_at(tmp_path, 2)
    assert has_retired(layer) and has_retired(upper)
    layer.start()
    upper.start()
    assert upper.run("-e", "print((require 'module'))", env=with_module).out == b"2\n"


def test_a_launch_after_a_change_never_runs_what_was_there(start_zygote, start_layer, with_module, tmp_path):
    """It runs in the real lua, where nobody has started the layer anew."""
    base = start_zygote("-l", "module", env=environment(**with_module))
    for where in (start_layer(base, env=with_module), start_layer(base, "require 'moonlet'", env=with_module)):
        module_at(tmp_path, 2)
        done = where.run("-e", "print((require 'module'))", env={**with_module, "MOONLET_FALLBACK": REAL_LUA})
        assert done.out == b"2\n", done
        assert has_retired(where)
        module_at(tmp_path, 1)
        run(BY_MOONLET, ["lua", "-e", ""], environment(MOONLET_SOCKET=base.socket))


def test_with_trust_a_layer_is_not_watched(start_zygote, start_layer, tmp_path):
    layer = start_layer(start_zygote(options=["--trust"]))
    layer.script.write_text("return")
    assert layer.run("-e", "print(#require 'moonlet'.status().watched)").out == b"0\n"
    assert layer.run("-e", "print('stays')").out == b"stays\n"


def test_sighup_has_a_layer_retire(layer):
    os.kill(layer.pid, signal.SIGHUP)
    assert has_retired(layer)


def test_sighup_below_has_the_layers_retire_which_lie_on_it(start_zygote, start_layer):
    base = start_zygote()
    layer = start_layer(base)
    upper = start_layer(layer)
    os.kill(base.pid, signal.SIGHUP)
    assert has_retired(upper) and has_retired(layer)
    assert run(BY_MOONLET, ["lua", "-e", "print('goes on')"], environment(MOONLET_SOCKET=base.socket)).out == b"goes on\n"


def test_a_layer_whose_image_below_was_not_replaced_stays(start_zygote, start_layer, tmp_path):
    """Side by side: what one has loaded is nothing to the other."""
    base = start_zygote()
    changing, other = start_layer(base), start_layer(base)
    changing.script.write_text("return")
    assert has_retired(changing)
    assert other.run("-e", "print('stays')").out == b"stays\n"


def test_a_script_that_runs_in_a_layer_that_retires_is_waited_for(layer, launch):
    ending = launch(BY_MOONLET, layer.client_env(), "print 'runs' io.flush() io.read() os.exit(7)")
    doomed = launch(BY_MOONLET, layer.client_env(), "local probe = require 'probe' print 'runs' io.flush() io.read() probe.kill(probe.pid(), 15)")
    assert ending.hear() == doomed.hear() == "runs"
    os.kill(layer.pid, signal.SIGHUP)
    assert has_retired(layer)
    ending.say("")
    assert ending.end().status == 7
    doomed.say("")
    assert doomed.end().status == -signal.SIGTERM
    wait_gone(layer.pid)


def test_a_client_that_leaves_a_layer_that_retires_takes_its_script_along(layer, launch):
    script = launch(BY_MOONLET, layer.client_env(), "local probe = require 'probe' print(probe.pid()) io.flush() io.read()")
    pid = int(script.hear())
    os.kill(layer.pid, signal.SIGHUP)
    assert has_retired(layer)
    script.kill(signal.SIGKILL)
    wait_gone(pid)
    wait_gone(layer.pid)
    script.end()


def test_a_client_that_waits_for_a_layer_that_retires_gets_lua(zygote, start_layer, launch):
    layer = start_layer(zygote, options=", max = 1")
    first = launch(BY_MOONLET, layer.client_env(), "print 'runs' io.flush() io.read()")
    assert first.hear() == "runs"
    second = launch(BY_MOONLET, layer.client_env(MOONLET_FALLBACK=REAL_LUA), "print(package.loaded.moonlet)")
    wait_until(layer, "s.waiting == 1")
    os.kill(layer.pid, signal.SIGHUP)
    assert second.hear() == "nil" and second.end().status == 0
    first.say("")
    assert first.end().status == 0


def test_with_an_inherited_socket_launches_wait_for_the_next_layer(zygote, start_layer, with_module, tmp_path, launch):
    """As a supervisor has it, which keeps the socket."""
    path = str(tmp_path / "kept.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        layer = start_layer(zygote, "require 'module'", env=with_module, stdin=listening)
        env = environment(MOONLET_SOCKET=path, **with_module)
        assert run(BY_MOONLET, ["lua", "-e", "print((require 'module'))"], env).out == b"1\n"
        module_at(tmp_path, 2)
        assert has_retired(layer)
        waiting = launch(BY_MOONLET, env, "print((require 'module'))")
        layer.start()
        assert waiting.hear() == "2" and waiting.end().status == 0
        assert os.path.exists(path)


def test_a_socket_of_systemd_is_in_no_script(zygote, start_layer, tmp_path):
    """StandardInput=socket passes it as descriptor 3 as well."""
    path = str(tmp_path / "kept.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        layer = start_layer(zygote, stdin=listening, pass_fds=(3,), preexec_fn=lambda: os.dup2(0, 3))
        assert "left open" not in layer.log()
        env = environment(MOONLET_SOCKET=path)
        code = "local f = io.open('/proc/self/fd/3') print(f)"
        assert run(BY_MOONLET, ["lua", "-e", code], env).out == run(REAL_LUA, ["lua", "-e", code], env).out == b"nil\n"


# What can be seen


def test_a_layer_tells_its_status(zygote, start_layer, with_module, tmp_path):
    layer = start_layer(zygote, "require 'module'", options=", max = 9", env=with_module)
    code = """
        local s = assert(require 'moonlet'.status(arg[1]))
        table.sort(s.modules)
        local watched = {}
        for _, path in ipairs(s.watched) do watched[path] = true end
        print(s.pid, s.max, s.reloads, table.concat(s.modules, ' '), watched[arg[2]], watched[arg[3]])"""
    (tmp_path / "ask.lua").write_text(code)
    done = run(BY_MOONLET, ["lua", str(tmp_path / "ask.lua"), layer.socket, str(layer.script), str(tmp_path / "module.lua")],
               environment(MOONLET_SOCKET=zygote.socket))
    assert done.out.decode().split("\t") == [str(layer.pid), "9", "0", "module", "true", "true\n"], done


def test_a_layer_is_a_script_of_the_image_below(zygote, layer):
    code = "for _, s in ipairs(require 'moonlet'.status().scripts) do print(s.pid, s.script) end"
    done = run(BY_MOONLET, ["lua", "-e", code], environment(MOONLET_SOCKET=zygote.socket))
    assert f"{layer.pid}\t{layer.script}" in done.out.decode().splitlines()


# Memory


def test_three_zygotes_take_little_more_than_the_largest_alone():
    """docs/examples/layers: base, with Penlight, with luacheck too; with and without what they share of the libraries."""
    if LUA != "5.4" or SANITIZED:
        pytest.skip("ONLY WHERE A COLLECTOR HAS GENERATIONS, AND MEMORY IS WHAT IT IS: Lua 5.4")
    env = environment(LUA_PATH="/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua;;", LUA_CPATH=None,
                      PATH=BUILD + ":" + os.environ["PATH"])
    for module, package in (("pl.app", "lua-penlight"), ("luacheck.runner", "lua-check")):
        if run(REAL_LUA, ["lua", "-l", module, "-e", ""], env).status != 0:
            pytest.skip(f"{package.upper()} IS NOT INSTALLED")
    done = run("/bin/sh", ["sh", os.path.join(SOURCE, "docs/examples/layers/measure"), "1.15"], env)
    assert done.status == 0, done
    print("".join(f"| {line}\n" for line in done.out.decode().splitlines()))


@pytest.mark.parametrize("path, message", [("/none", "moonlet is not on PATH"),
                                           (BUILD + ":" + os.environ["PATH"], "'moonletd' does not serve")])
def test_what_the_measurement_lacks_it_says_and_ends(path, message):
    env = environment(LUA_PATH="/none/?.lua", PATH=path)
    done = run("/bin/sh", ["sh", os.path.join(SOURCE, "docs/examples/layers/measure")], env)
    *_, last = done.err.decode().splitlines()
    assert (done.status, done.out, last.startswith("measure: " + message)) == (1, b"", True), done


# moonletd's own warm-up


SELF = "shared = 'loaded' require 'moonlet'.serve{} io.write('[', arg[0] or '', ']') require 'moonlet'.run()"


def test_a_warm_up_serves_by_itself(start_zygote, tmp_path):
    (tmp_path / "warm.lua").write_text(SELF)
    (tmp_path / "script.lua").write_text("print(shared, ...) os.exit(5)")
    zygote = start_zygote(str(tmp_path / "warm.lua"))
    script = str(tmp_path / "script.lua")
    done = run(BY_MOONLET, ["lua", script, "x"], environment(MOONLET_SOCKET=zygote.socket))
    assert done == Result(5, f"[{script}]loaded\tx\n".encode(), b"")


def test_a_warm_up_that_serves_keeps_the_options_of_the_command_line(start_zygote, tmp_path):
    (tmp_path / "warm.lua").write_text("require 'moonlet'.serve{max = 3} require 'moonlet'.run()")
    zygote = start_zygote(str(tmp_path / "warm.lua"), options=["--max", "7", "--mode", "0640"])
    env = environment(MOONLET_SOCKET=zygote.socket)
    assert run(BY_MOONLET, ["lua", "-e", "print(require 'moonlet'.status().max)"], env).out == b"3\n"
    assert os.stat(zygote.socket).st_mode & 0o777 == 0o640


def test_a_warm_up_that_serves_is_renewed(start_zygote, tmp_path):
    (tmp_path / "warm.lua").write_text(SELF)
    zygote = start_zygote(str(tmp_path / "warm.lua"))
    (tmp_path / "warm.lua").write_text(SELF.replace("loaded", "anew"))
    env = environment(MOONLET_SOCKET=zygote.socket)
    assert run(BY_MOONLET, ["lua", "-e", "print(shared)"], env).out.endswith(b"]anew\n")
    assert run(BY_MOONLET, ["lua", "-e", "print(require 'moonlet'.status().reloads)"], env).out.endswith(b"]1\n")


def test_an_error_behind_serve_is_one_of_the_script(start_zygote, tmp_path):
    """Also in an image that was made anew."""
    text = "require 'moonlet'.serve{} local function f() error 'oops' end f()"
    (tmp_path / "warm.lua").write_text("return")
    zygote = start_zygote(str(tmp_path / "warm.lua"))
    (tmp_path / "warm.lua").write_text(text)
    done = run(BY_MOONLET, ["its-name", "script.lua"], environment(MOONLET_SOCKET=zygote.socket))
    assert done.status == 1 and done.err.startswith(b"its-name: ") and b"oops\nstack traceback:\n" in done.err, done


def test_a_warm_up_that_serves_ends_with_0(start_zygote, tmp_path):
    (tmp_path / "warm.lua").write_text(SELF)
    assert start_zygote(str(tmp_path / "warm.lua")).stop() == 0


def test_a_layer_lies_on_a_warm_up_that_serves(start_zygote, start_layer, tmp_path):
    (tmp_path / "warm.lua").write_text("shared = 'below' require 'moonlet'.serve{} require 'moonlet'.run()")
    layer = start_layer(start_zygote(str(tmp_path / "warm.lua")), "shared = shared .. ' and above'")
    assert layer.run("-e", "print(shared)").out == b"below and above\n"


@about_the_file
@pytest.mark.skipif(SANITIZED, reason="THE REAL LUA IS NOT SANITIZED, AND CANNOT LOAD WHAT IS")
def test_in_the_real_lua_the_script_starts_anew_in_moonletd(tmp_path):
    """With the options and arguments that it has, in the same process."""
    script, path = tmp_path / "warm.lua", str(tmp_path / "lua.sock")
    script.write_text("warm = {given, ...} require 'moonlet'.serve{socket = arg[1]} require 'moonlet'.run()")
    env = environment(LUA_CPATH=os.path.join(BUILD, "?.so") + ";" + CPATH,
                      PATH=os.path.dirname(MOONLETD) + ":" + os.environ["PATH"])
    with subprocess.Popen([REAL_LUA, "-e", "given = 'by -e'", str(script), path, "two words"], env=env,
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr.readline() == f"moonletd: serving {name_of_lua()} at {path}\n".encode()
        code = "print(require 'moonlet'.status().pid, warm[1], warm[3])"
        told = run(BY_MOONLET, ["lua", "-e", code], environment(MOONLET_SOCKET=path, LUA_CPATH=env["LUA_CPATH"]))
        assert told == Result(0, f"{process.pid}\tby -e\ttwo words\n".encode(), b"")
        process.terminate()
        assert process.wait(PATIENCE) == 0


@needs_root
@serves_other_users
def test_another_user_s_script_shares_no_memory_with_a_layer(zygote, start_layer, open_directory):
    """What root's layer and the image below it share says when the layer is to end, and whom to signal."""
    socket_for_all = str(open_directory / "s")
    layer = start_layer(zygote, options=f", socket = '{socket_for_all}', mode = '666'")
    layer.socket = socket_for_all
    shared = "for line in io.lines('/proc/self/maps') do if line:find('^%S+ ...s') then print(line) end end"
    assert layer.run("-e", shared).out != b""
    assert layer.run("-e", shared, user=65534, group=65534, extra_groups=[], cwd="/").out == b""
