"""What bash, zsh and fish offer for moonlet, moonletctl, moonletd and moonlet-bench: asked of the shells themselves, each of which
finds the completions where `cmake --install` has put them."""

import os
import pty
import re
import select
import shutil
import subprocess

import pytest
from conftest import BUILD, PATIENCE, SOURCE, environment

PROGRAMS = ("moonlet", "moonletctl", "moonletd", "moonlet-bench")
COMMANDS = {*PROGRAMS, "moonlet-lua"}  # which nobody starts by hand: it has no options of its own
PACKAGE_OF_BASH = "/usr/share/bash-completion/bash_completion"
# The key that puts all that can stand at the end of the line there, and "record " in front of it.
ALL, RECORD = "\x1b*", "\x01record \n"
END = "(end)"


class Terminal:
    """A shell that somebody types in. What it offers is what it has on its line after it was asked for all."""

    def __init__(self, argv, directory, env):
        self.heard = directory / "heard"
        os.mkfifo(self.heard)
        self.fifo = os.open(self.heard, os.O_RDWR | os.O_NONBLOCK)  # it stays open between two lines
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.chdir(directory / "home")
            os.execvpe(argv[0], argv, {**env, "HEARD": str(self.heard)})
        self.pid = pid
        assert self.listen() == ["ready"]

    def listen(self):
        text = ""
        said = b""
        while not text.endswith(END + "\n"):
            ready, _, _ = select.select([self.fifo, self.terminal], [], [], PATIENCE)
            assert ready, f"no answer but {text!r}; on the terminal: {said.decode()}"
            if self.terminal in ready:
                said += os.read(self.terminal, 65536)
            if self.fifo in ready:
                text += os.read(self.fifo, 65536).decode()
        return text.splitlines()[:-1]

    def offers(self, line):
        os.write(self.terminal, (line + ALL + RECORD).encode())
        typed = line.split(" ")
        offered = self.listen()[len(typed) - 1:]
        return [] if offered == typed[-1:] else offered

    def end(self):
        os.close(self.terminal)
        os.waitpid(self.pid, 0)
        os.close(self.fifo)


RECORDS = f"""record() {{ printf '%s\\n' "$@" '{END}' >"$HEARD"; }}
"""
BASH = RECORDS + """
bind '"\\e*": insert-completions'
PROMPT_COMMAND='PROMPT_COMMAND=; record ready'
"""
ZSH = RECORDS + """
fpath=("$PREFIX/share/zsh/site-functions" $fpath)
autoload -Uz compinit
compinit -u -D
bindkey -e
zle -C all complete-word _generic
bindkey '\\e*' all
zstyle ':completion:all:*' completer _all_matches _complete
zstyle ':completion:all:*' insert true
precmd() { precmd() { : }; record ready }
"""


class Bash(Terminal):
    def __init__(self, directory, env, load):
        (directory / "bashrc").write_text(BASH + load)
        super().__init__(["bash", "--noprofile", "--rcfile", str(directory / "bashrc"), "-i"], directory, env)


class Zsh(Terminal):
    def __init__(self, directory, env):
        (directory / ".zshrc").write_text(ZSH)
        super().__init__(["zsh", "-d", "-i"], directory, {**env, "ZDOTDIR": str(directory)})


class Fish:
    def __init__(self, directory, env):
        self.home, self.env = directory / "home", env

    def offers(self, line):
        done = subprocess.run(["fish", "--private", "-c", 'complete -C "$argv"', line], capture_output=True, text=True,
                              timeout=PATIENCE, cwd=self.home, env=self.env)
        assert (done.returncode, done.stderr) == (0, "")
        offers = [offer.split("\t")[0] for offer in done.stdout.splitlines()]
        # fish 4 names also what contains the word, but completes what begins with it.
        return [offer for offer in offers if offer.startswith(line.split(" ")[-1])] or offers

    def end(self):
        pass


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    path = tmp_path_factory.mktemp("prefix")
    subprocess.run(["cmake", "--install", BUILD, "--prefix", str(path)], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module", params=["bash", "bash with its package", "zsh", "fish"])
def shell(request, prefix, tmp_path_factory):
    """A shell in a directory with a script, a folder and modules. It offers what can stand at the end of a line."""
    kind = request.param
    program = kind.split()[0]
    if shutil.which(program) is None:
        pytest.skip(f"NOT INSTALLED: {program}")
    if kind == "bash with its package" and not os.path.exists(PACKAGE_OF_BASH):
        pytest.skip("NOT INSTALLED: bash-completion")
    directory = tmp_path_factory.mktemp(program)
    for name in ("home/greet.lua", "home/greetings/more.lua", "home/not a module.lua", "modules/warm.lua",
                 "modules/anoia/init.lua", "modules/anoia/fs.lua", "modules/anoia/deep/er.lua",
                 "modules/$(touch run).lua",
                 "native/fast.so", "other/hidden.lua"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).touch()
    env = environment(HOME=str(directory / "home"), TERM="vt100", PREFIX=str(prefix), XDG_DATA_DIRS=f"{prefix}/share",
                      PATH=f"{prefix}/bin:{os.environ['PATH']}", LUA_PATH=f"{directory}/other/?.lua",
                      LUA_PATH_5_4=f"{directory}/modules/?.lua;{directory}/modules/?/init.lua;;",
                      LUA_CPATH=f"{directory}/native/?.so")
    if program == "zsh":
        started = Zsh(directory, env)
    elif program == "fish":
        started = Fish(directory, env)
    elif kind == "bash":
        started = Bash(directory, env, f"source {prefix}/share/bash-completion/completions/moonlet\n")
    else:
        started = Bash(directory, env, f"source {PACKAGE_OF_BASH}\n")
    yield started
    started.end()
    assert not (directory / "home/run").exists()  # a file's name is not a command


OF_RUN = {"--argv0"}


def help_of(program):
    return subprocess.run([os.path.join(BUILD, program), "--help"], capture_output=True, text=True, check=True).stdout


def options(program):
    """What --help names; of moonletd's, which are those of lua says its manual page."""
    text = help_of(program)
    found = set(re.findall(r"--[a-z][a-z0-9-]*", text)) - (OF_RUN if program == "moonletctl" else set())
    if program in ("moonlet", "moonlet-bench"):
        [of_lua] = re.findall(r"^lua's options: (.*) \(", text, re.MULTILINE)
        found |= set(re.findall(r"-[A-Za-z]\b", of_lua))
    if program == "moonletd":
        with open(os.path.join(SOURCE, "docs/moonletd.8")) as page:
            [of_lua] = re.findall(r"^\.Fl (.*)\nare those of\n\.Xr lua 1", page.read(), re.MULTILINE)
        found |= {"-" + letter for letter in re.findall(r"[A-Za-z]", of_lua)}
    return found


def plain(offers):
    """Without the value that some offer with an option. zsh puts the "=" behind one that may have it there, and takes it
    back when a space is typed."""
    return {offer.partition("=")[0] for offer in offers}


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_option_of_the_help_is_offered_and_no_other(shell, program):
    # What begins with two dashes may be asked for on its own.
    offered = plain(shell.offers(f"{program} -")) | plain(shell.offers(f"{program} --"))
    assert offered == options(program)


def test_options_of_moonletctl_run_are_offered_behind_that(shell):
    offered = plain(shell.offers("moonletctl run -")) | plain(shell.offers("moonletctl run --"))
    assert offered == {"--socket"} | OF_RUN | {option for option in options("moonlet") if option[1] != "-"}
    assert plain(shell.offers("moonletctl run -e x -")) == {option for option in options("moonlet") if option[1] != "-"}
    assert shell.offers("moonletctl ru") == ["run"]
    assert {offer.rstrip("/") for offer in shell.offers("moonletctl run --argv0 x gree")} == {"greet.lua", "greetings"}
    assert set(shell.offers("moonletctl run -l anoia.")) == {"anoia.fs", "anoia.deep.er"}


def test_the_beginning_of_an_option_is_completed(shell):
    assert plain(shell.offers("moonletd --m")) == {"--mode", "--max"}


def test_options_of_moonlet_are_not_offered_behind_those_of_lua(shell):
    assert plain(shell.offers("moonlet -e x -")) == {option for option in options("moonlet") if option[1] != "-"}


def test_options_of_moonletd_are_offered_behind_those_of_lua(shell):
    assert plain(shell.offers("moonletd -e x --m")) == {"--mode", "--max"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_option_is_offered_behind_the_script(shell, program):
    assert shell.offers(f"{program} greet.lua -") == []


@pytest.mark.parametrize("line", ["moonlet ", "moonlet -v ", "moonlet --socket s ", "moonlet --image i ", "moonlet -- ",
                                  "moonletd --max 3 -l m ", "moonletd --trust ", "moonlet-bench --runs 3 ",
                                  "moonlet greet.lua ", "moonletd greet.lua x ", "moonlet-bench greet.lua "])
def test_scripts_and_their_arguments_are_files(shell, line):
    assert {offer.rstrip("/") for offer in shell.offers(line + "gree")} == {"greet.lua", "greetings"}


@pytest.mark.parametrize("line", ["moonlet --socket ", "moonlet --image ", "moonlet --freeze ", "moonlet --freeze i --ignore ",
                                  "moonletd --socket ", "moonletd --image ", "moonlet-bench --contenders ", "moonlet-bench --csv "])
def test_the_value_of_an_option_that_names_a_file_is_a_file(shell, line):
    assert {offer.rstrip("/") for offer in shell.offers(line + "gree")} == {"greet.lua", "greetings"}


def test_the_value_may_stand_behind_an_equals_sign(shell):
    assert shell.offers("moonlet --socket=greet.") == ["--socket=greet.lua"]
    assert shell.offers("moonlet --freeze=greet.") == ["--freeze=greet.lua"]
    assert shell.offers("moonletd --mode=060") == ["--mode=0600"]


def test_variables_that_an_image_need_not_ask_for_are_offered(shell):
    assert shell.offers("moonlet --freeze i --ignore LUA_CPA") == ["LUA_CPATH"]


def test_a_freeze_has_options_and_a_script_of_lua(shell):
    assert set(shell.offers("moonlet --freeze i --trust --ignore TERM -l anoia.")) == {"anoia.fs", "anoia.deep.er"}
    assert {offer.rstrip("/") for offer in shell.offers("moonlet --freeze i --trust --ignore TERM gree")} == {"greet.lua", "greetings"}


def test_the_form_of_the_status_is_offered(shell):
    assert shell.offers("moonlet --status=j") == ["--status=json"]


@pytest.mark.parametrize("option", ["moonletd --max", "moonletd --warm-up-time", "moonletd --ready-fd", "moonletd -e", "moonlet -e",
                                    "moonlet-bench --runs", "moonlet-bench --warmup", "moonlet-bench --concurrency", "moonlet-bench --seconds"])
def test_nothing_is_offered_where_a_number_or_a_statement_stands(shell, option):
    assert shell.offers(f"{option} ") == []


def test_permissions_of_a_socket_are_offered(shell):
    assert set(shell.offers("moonletd --mode ")) == {"0600", "0660", "0666"}


@pytest.mark.parametrize("option", ["--lua", "--moonlet"])
def test_the_programs_to_compare_are_commands(shell, option):
    assert set(shell.offers(f"moonlet-bench {option} moonlet")) == COMMANDS


def test_a_command_can_be_measured(shell):
    assert set(shell.offers("moonlet-bench moonlet")) == COMMANDS


@pytest.mark.parametrize("program", ["moonlet", "moonletd", "moonlet-bench"])
def test_modules_on_the_path_are_offered(shell, program):
    offered = set(shell.offers(f"{program} -l "))
    assert offered >= {"warm", "anoia", "anoia.fs", "fast"}
    assert all(re.fullmatch(r"[\w.-]+", module) for module in offered)


def test_modules_on_the_default_path_are_offered_where_it_is_named(shell):
    assert set(shell.offers("moonlet -l gree")) == {"greet", "greetings.more"}


def test_modules_on_a_path_that_lua_does_not_use_are_not_offered(shell):
    assert shell.offers("moonlet -l hidd") == []


def test_modules_below_what_is_typed_are_offered(shell):
    assert set(shell.offers("moonlet -l anoia.")) == {"anoia.fs", "anoia.deep.er"}


def test_a_module_may_stand_directly_behind_its_option(shell):
    assert shell.offers("moonlet -lanoia.f") == ["-lanoia.fs"]


def test_the_completion_of_bash_passes_shellcheck():
    if shutil.which("shellcheck") is None:
        pytest.skip("NOT INSTALLED: shellcheck")
    done = subprocess.run(["shellcheck", "-s", "bash", os.path.join(SOURCE, "packaging/completions/bash/moonlet")],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
