"""How long a launch takes: each workload with its contenders."""

import contextlib
import pathlib

from .prepare import bytecode_path
from .session import LUACHECK_MODULES, LUACHECK_PATH, PENLIGHT, WORKLOADS, Contender

LUACHECK = {"LUA_PATH": LUACHECK_PATH}


def warm(modules):
    return [word for module in modules for word in ("-l", module)]


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

    def add(self, key, argv, variables=None, zygote=None):
        if key not in self.session.absent:
            self.contenders.append(Contender(key, [str(word) for word in argv], variables or {}, zygote))

    def add_moonlet(self, name, warm_up, script, variables=None, keys=("moonlet", "moonlet-spare"), build=None):
        for spare, key in enumerate(keys):
            if spare == 1 and not self.session.can_spare():
                continue
            zygote = self.stack.enter_context(
                self.session.moonletd(name, *warm_up, spare=spare, variables=variables, build=build))
            moonlet = [str((build or self.session.build) / "moonlet"), "--socket", zygote.socket]
            self.session.note_warm_size(name, moonlet, variables)
            self.add(key, [*moonlet, *script], variables, zygote)

    def add_floors(self):
        self.add("noop", [self.session.program("bench/noop")])
        for spare, key in enumerate(("floor", "floor-spare")):
            zygote = self.stack.enter_context(self.session.floor_zygote(spare))
            self.add(key, [self.session.program("bench/floor-client"), zygote.socket], zygote=zygote)

    def add_lua(self, script, variables=None, static=True, bytecode=None):
        """`bytecode`: the LUA_PATH with which modules are found compiled."""
        self.add("lua", [self.session.lua, *script], variables)
        if static:
            self.add("lua-static", [self.session.static_lua, *script], variables)
        if bytecode:
            self.add("lua-bytecode", [self.session.lua, *script], {"LUA_PATH": bytecode})
            if static:
                self.add("lua-static-bytecode", [self.session.static_lua, *script], {"LUA_PATH": bytecode})


def hello(session):
    """print("hello"), nothing warm. Rounds enough that a zygote's processor time is exact, though in ticks."""
    with Field(session) as field:
        script = [WORKLOADS / "hello.lua"]
        field.add_floors()
        field.add_lua(script)
        field.add_moonlet("bare", [], script)
        return session.measure("hello", field.contenders, 1000, session.pick(5, 1))


def hello_beside_luacheck(session):
    with Field(session) as field:
        script = [WORKLOADS / "hello.lua"]
        field.add_lua(script, LUACHECK)
        field.add_moonlet("luacheck", warm(LUACHECK_MODULES), script, LUACHECK)
        return session.measure("hello-beside-luacheck", field.contenders, 1000, session.pick(5, 1))


def pretty(session):
    with Field(session) as field:
        script = [WORKLOADS / "pretty.lua"]
        field.add_lua(script, bytecode=bytecode_path(session.bytecode / "5.4"))
        field.add_moonlet("penlight", warm(["pl.pretty"]), script)
        return session.measure("pretty", field.contenders, session.pick(1000, 100))


def posix(session):
    """On Lua 5.3, because Debian has no luaposix for 5.4."""
    with Field(session) as field:
        script = [WORKLOADS / "posix.lua"]
        field.add("lua", [session.lua53, *script])
        field.add("lua-bytecode", [session.lua53, *script], {"LUA_PATH": bytecode_path(session.bytecode / "5.3")})
        field.add_moonlet("posix", warm(["posix"]), script, build=session.build53)
        return session.measure("posix", field.contenders, session.pick(1000, 100))


def luacheck(session, name, arguments, rounds):
    with Field(session) as field:
        script = ["/usr/bin/luacheck", *arguments]
        # It needs a C module, which a static lua cannot load.
        field.add_lua(script, LUACHECK, static=False, bytecode=bytecode_path(session.bytecode / "5.4", LUACHECK_PATH))
        field.add_moonlet("luacheck", warm(LUACHECK_MODULES), script, LUACHECK)
        return session.measure(name, field.contenders, rounds)


def luacheck_version(session):
    return luacheck(session, "luacheck-version", ["--version"], session.pick(200, 20))


def uname(session):
    """What of luacheck --version is the programs that it starts, and no interpreter's."""
    with Field(session) as field:
        script = [WORKLOADS / "uname.lua"]
        field.add_lua(script)
        field.add_moonlet("bare", [], script)
        return session.measure("uname", field.contenders, session.pick(200, 20))


def luacheck_tree(session):
    return luacheck(session, "luacheck-tree", ["--no-cache", "--no-color", PENLIGHT], session.pick(20, 3))


def churn(session):
    """A fixed amount of garbage, which takes lua about a second, beside luacheck's modules."""
    with Field(session) as field:
        script = [WORKLOADS / "churn.lua", session.pick(150000, 30000)]
        field.add_lua(script, LUACHECK)
        field.add_moonlet("luacheck", warm(LUACHECK_MODULES), script, LUACHECK)
        return session.measure("churn", field.contenders, session.pick(10, 3))


HEAP_SIZES = (1, 4, 16, 64)  # MB


def heap(session):
    """hello beside a warm heap of 1 to 64 MB. Keys are moonlet-1, moonlet-spare-1 and so on."""
    with Field(session) as field:
        script = [WORKLOADS / "hello.lua"]
        field.add_floors()
        field.add_lua(script)
        for size in HEAP_SIZES:
            field.add_moonlet(f"heap-{size}", [WORKLOADS / "warm-heap.lua", size], script,
                              keys=(f"moonlet-{size}", f"moonlet-spare-{size}"))
        return session.measure("heap", field.contenders, session.pick(1000, 150))


WATCHED_FILES = 500


def watched(session):
    """hello from a zygote that watches 500 modules, and from one with the same that watches none."""
    directory = pathlib.Path(session.work) / "watched"
    directory.mkdir()
    for number in range(WATCHED_FILES):
        (directory / f"module{number}.lua").write_text(f"return {number}\n")
    variables = {"LUA_PATH": f"{directory}/?.lua"}
    warm_up = ["-e", f"for i = 0, {WATCHED_FILES - 1} do require('module' .. i) end"]
    with Field(session) as field:
        script = [WORKLOADS / "hello.lua"]
        field.add_moonlet("watched", warm_up, script, variables, keys=("moonlet",))
        field.add_moonlet("trusted", ["--trust", *warm_up], script, variables, keys=("moonlet-trust",))
        return session.measure("watched", field.contenders, session.pick(3000, 500))


CONCURRENCY = (1, 2, 4, 8, 16)


def throughput(session):
    """hello, several at once. Returns results by concurrency, then by key."""
    with Field(session) as field:
        script = [WORKLOADS / "hello.lua"]
        field.add_floors()
        field.add_lua(script)
        field.add_moonlet("bare", [], script)
        session.check(field.contenders)
        return {concurrency: session.measure_throughput(f"throughput-{concurrency}", field.contenders, concurrency,
                                                        session.pick(2, 0.2)) for concurrency in CONCURRENCY}
