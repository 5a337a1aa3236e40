"""How long a launch takes: each workload with its contenders."""

import contextlib
import pathlib

from .prepare import bytecode_path
from .session import (LUA51, LUA53, LUACHECK_MODULES, LUACHECK_PATH, PENLIGHT, WORKLOADS, Contender)

LUACHECK = {"LUA_PATH": LUACHECK_PATH}


def warm(modules):
    return [word for module in modules for word in ("-l", module)]


# As scripts/quickstart has it.
LUACHECK_AND_PENLIGHT = warm([*LUACHECK_MODULES, "pl.pretty"])


class Field:
    """The contenders of one workload. Leave it as a context to stop their zygotes."""

    def __init__(self, session):
        self.session = session
        self.contenders = []
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def add(self, key, argv, variables=None, zygote=None, job=""):
        if key not in self.session.absent:
            self.contenders.append(Contender(key, [str(word) for word in argv], variables or {}, zygote, job))

    def add_noop(self):
        self.add("noop", [self.session.program("noop")], job=None)

    def add_lua(self, script, variables=None, static=True, bytecode=None):
        """`bytecode`: the LUA_PATH with which modules are found compiled."""
        self.add("lua", [self.session.lua, *script], variables)
        if static:
            self.add("lua-static", [self.session.static_lua, *script], variables)
        if bytecode:
            self.add("lua-bytecode", [self.session.lua, *script], {"LUA_PATH": bytecode})
            if static:
                self.add("lua-static-bytecode", [self.session.static_lua, *script], {"LUA_PATH": bytecode})

    def add_thawed(self, key, name, warm_up, script, variables=None, lua="5.4", on_disk=False, job=""):
        """moonlet with an image of its own. `name`: the warm-up's."""
        if key in self.session.absent:
            return
        image = self.session.images.make(name, warm_up, variables, lua, on_disk)
        moonlet = [self.session.program("moonlet", lua), "--image", image]
        self.session.note_warm_size(name, moonlet, variables)
        self.add(key, [*moonlet, *script], variables, job=job)

    def add_served(self, key, name, warm_up, script, variables=None, lua="5.4"):
        """moonlet through a moonletd of its own."""
        zygote = self.stack.enter_context(
            self.session.moonletd(name, *warm_up, variables=variables, lua=lua))
        self.add(key, [self.session.program("moonletctl", lua), "run", "--socket", zygote.socket, *script], variables, zygote)

    def add_moonlet(self, name, warm_up, script, variables=None, lua="5.4"):
        self.add_thawed("moonlet", name, warm_up, script, variables, lua)
        self.add_served("moonletd", name, warm_up, script, variables, lua)


def add_all(field, script):
    """Whoever says hello, with the same environment."""
    field.add_noop()
    field.add_lua(script, LUACHECK)
    field.add_thawed("moonlet", "bare", [], script, LUACHECK)
    field.add_thawed("moonlet-disk", "bare", [], script, LUACHECK, on_disk=True)
    field.add_thawed("moonlet-luacheck", "luacheck", LUACHECK_AND_PENLIGHT, script, LUACHECK)
    field.add_served("moonletd", "bare", [], script, LUACHECK)


def hello(session):
    """print("hello"). Rounds enough that a zygote's processor time is exact, though in ticks."""
    with Field(session) as field:
        add_all(field, [WORKLOADS / "hello.lua"])
        return session.measure("hello", field.contenders, session.pick(1000, 300), session.pick(3, 1))


def hello_51(session):
    """On Lua 5.1, which looks for more files in vain."""
    with Field(session) as field:
        script = [WORKLOADS / "hello.lua"]
        field.add("lua", [LUA51, *script], LUACHECK)
        field.add_thawed("moonlet", "bare", [], script, LUACHECK, lua="5.1")
        field.add_thawed("moonlet-luacheck", "luacheck", LUACHECK_AND_PENLIGHT, script, LUACHECK, lua="5.1")
        return session.measure("hello-51", field.contenders, session.pick(2000, 100))


def pretty(session):
    with Field(session) as field:
        script = [WORKLOADS / "pretty.lua"]
        field.add_lua(script, bytecode=bytecode_path(session.bytecode / "5.4"))
        field.add_moonlet("pretty", warm(["pl.pretty"]), script)
        return session.measure("pretty", field.contenders, session.pick(1000, 100))


def posix(session):
    """On Lua 5.3, because Debian has no luaposix for 5.4."""
    with Field(session) as field:
        script = [WORKLOADS / "posix.lua"]
        field.add("lua", [LUA53, *script])
        field.add("lua-bytecode", [LUA53, *script], {"LUA_PATH": bytecode_path(session.bytecode / "5.3")})
        field.add_moonlet("posix", warm(["posix"]), script, lua="5.3")
        return session.measure("posix", field.contenders, session.pick(1000, 100))


def add_luacheck(field, arguments):
    script = ["/usr/bin/luacheck", *arguments]
    # It needs a C module, which a static lua cannot load.
    compiled = bytecode_path(field.session.bytecode / "5.4", LUACHECK_PATH)
    field.add_lua(script, LUACHECK, static=False, bytecode=compiled)
    field.add_moonlet("luacheck", LUACHECK_AND_PENLIGHT, script, LUACHECK)


def luacheck_version(session):
    """Beside it, by turns, what of it is the programs that it starts, and no interpreter's: a script that does but
    start them, and one that does not even that."""
    with Field(session) as field:
        add_luacheck(field, ["--version"])
        for job in ("uname", "hello"):
            script = [WORKLOADS / f"{job}.lua"]
            field.add(f"lua-{job}", [session.lua, *script], LUACHECK, job=job)
            field.add_thawed(f"moonlet-{job}", "luacheck", LUACHECK_AND_PENLIGHT, script, LUACHECK, job=job)
        return session.measure("luacheck-version", field.contenders, session.pick(200, 10))


def luacheck_tree(session):
    with Field(session) as field:
        add_luacheck(field, ["--no-cache", "--no-color", PENLIGHT])
        return session.measure("luacheck-tree", field.contenders, session.pick(20, 2))


def churn(session):
    """A fixed amount of garbage, which takes lua about a second, beside luacheck's modules."""
    with Field(session) as field:
        script = [WORKLOADS / "churn.lua", session.pick(150000, 30000)]
        field.add_lua(script, LUACHECK)
        field.add_moonlet("luacheck", LUACHECK_AND_PENLIGHT, script, LUACHECK)
        return session.measure("churn", field.contenders, session.pick(10, 2))


HEAP_SIZES = (1, 4, 16, 64)  # MB


def heap(session):
    """hello beside a warm heap of 1 to 64 MB. Keys are moonlet-1, moonletd-1 and so on."""
    with Field(session) as field:
        script = [WORKLOADS / "hello.lua"]
        field.add_noop()
        field.add_lua(script)
        for size in HEAP_SIZES:
            warm_up = [WORKLOADS / "warm-heap.lua", size]
            field.add_thawed(f"moonlet-{size}", f"heap-{size}", warm_up, script)
            field.add_served(f"moonletd-{size}", f"heap-{size}", warm_up, script)
        return session.measure("heap", field.contenders, session.pick(1000, 50))


FILES = 500


def questions(session):
    """hello in an image that asks after 500 modules, and in one with the same that asks after none."""
    directory = pathlib.Path(session.work) / "modules"
    directory.mkdir()
    for number in range(FILES):
        (directory / f"module{number}.lua").write_text(f"return {number}\n")
    variables = {"LUA_PATH": f"{directory}/?.lua"}
    warm_up = ["-e", f"for i = 0, {FILES - 1} do require('module' .. i) end"]
    with Field(session) as field:
        script = [WORKLOADS / "hello.lua"]
        field.add_lua(script, variables, static=False)
        field.add_thawed("moonlet", "modules", warm_up, script, variables)
        field.add_thawed("moonlet-trust", "trusted-modules", ["--trust", *warm_up], script, variables)
        return session.measure("questions", field.contenders, session.pick(1000, 100))


LAYERS = pathlib.Path(__file__).parents[2] / "docs" / "examples" / "layers"


def layers(session):
    """hello in the third of three images that lie on one another, and in one that has all that is in them."""
    with Field(session) as field:
        script = [WORKLOADS / "hello.lua"]
        field.add_lua(script, LUACHECK, static=False)
        everything = ["-l", "lfs", "-e", f"dofile '{LAYERS}/penlight.lua' dofile '{LAYERS}/luacheck.lua'"]
        field.add_thawed("moonlet", "everything", everything, script, LUACHECK)
        if "moonlet" not in session.absent:
            base = session.images.make("layer-base", ["-l", "lfs"], LUACHECK)
            middle = session.images.make("layer-penlight", [LAYERS / "penlight.lua"], LUACHECK, base=base)
            top = session.images.make("layer-luacheck", [LAYERS / "luacheck.lua"], LUACHECK, base=middle)
            field.add("moonlet-layers", [session.program("moonlet"), "--image", top, *script], LUACHECK)
        return session.measure("layers", field.contenders, session.pick(1000, 100))


def freeze(session):
    """A freeze of luacheck's modules, and lua that loads them and ends."""
    modules = warm(LUACHECK_MODULES)
    with Field(session) as field:
        moonlet = session.program("moonlet")
        field.add("lua", [session.lua, *modules, WORKLOADS / "nothing.lua"], LUACHECK)
        field.add("freeze", [moonlet, "--freeze", (session.memory or session.disk) / "made.image", *modules], LUACHECK)
        field.add("freeze-disk", [moonlet, "--freeze", session.disk / "made.image", *modules], LUACHECK)
        return session.measure("freeze", field.contenders, session.pick(200, 20))


CONCURRENCY = (1, 2, 4, 8, 16)


def throughput(session):
    """hello, several at once. Returns results by concurrency, then by key."""
    with Field(session) as field:
        add_all(field, [WORKLOADS / "hello.lua"])
        session.check(field.contenders)
        return {concurrency: session.measure_throughput(f"throughput-{concurrency}", field.contenders, concurrency,
                                                        session.pick(2, 0.2)) for concurrency in CONCURRENCY}
