"""What moonlet sets out to reach: each a measured ratio and its bound."""

from dataclasses import dataclass

from .samples import Measured, ratio, spread


@dataclass
class Goal:
    what: str
    bound: float
    measured: Measured = None
    detail: str = ""  # the figures behind the ratio; or, where nothing was measured, why
    at_least: bool = False

    @property
    def met(self):
        value = self.measured.value
        return value >= self.bound if self.at_least else value <= self.bound


def durations(left, right):
    if right < 10e3:
        return f"{left:.0f} µs / {right:.0f} µs"
    return f"{left / 1e3:.2f} ms / {right / 1e3:.2f} ms"


def sizes(left, right):
    if right < 10240:
        return f"{left:.0f} KB / {right:.0f} KB"
    return f"{left / 1024:.1f} MB / {right / 1024:.1f} MB"


class Missing(Exception):
    """A figure that was not measured; the text says why."""


class Goals:
    def __init__(self, session, results):
        self.session = session
        self.results = results

    def find(self, section, *keys):
        """results[section][key]..., or Missing."""
        if section not in self.results:
            raise Missing(self.session.absent.get(section, "left out by --only"))
        found = self.results[section]
        for key in keys:
            if key not in found:
                raise Missing(self.session.absent[key])
            found = found[key]
        return found

    def latency(self, what, bound, section, key, against):
        def measure():
            left, right = self.find(section, key), self.find(section, against)
            behind = durations(left.wall().value, right.wall().value)
            return ratio(left.wall_us, right.wall_us), behind
        return self.goal(what, bound, measure)

    def goal(self, what, bound, measure, at_least=False):
        goal = Goal(what, bound, at_least=at_least)
        try:
            goal.measured, goal.detail = measure()
        except Missing as missing:
            goal.detail = str(missing)
        return goal

    def processor(self):
        left, right = self.find("hello", "moonlet"), self.find("hello", "lua")
        return ratio(left.own_us, right.own_us), durations(left.processor_us().value, right.processor_us().value)

    def luacheck_alone(self):
        """luacheck --version, less what a script that only starts its two shells takes longer than hello."""
        def alone(key):
            whole, uname, hello = (self.find("luacheck-version", name).wall_us
                                   for name in (key, f"{key}-uname", f"{key}-hello"))
            return [version - (shells - nothing) for version, shells, nothing in zip(whole, uname, hello)]
        left, right = alone("moonlet"), alone("lua")
        return ratio(left, right), durations(spread(left).value, spread(right).value)

    def private(self, when):
        left, right = self.find("private", when, "moonlet"), self.find("private", when, "lua")
        return left.over(right), sizes(left.value, right.value)

    def many(self, section, image):
        left, right = self.find(section, "moonlet", 32), self.find(section, "lua", 32)
        behind = sizes(left.value, right.value)
        if self.session.memory:
            behind += f"; {self.session.images.size_kb(image) / 1024:.1f} MB of it is the image"
        return left.over(right), behind

    def throughput(self):
        left = self.find("throughput", 8, "moonlet")
        right = self.find("throughput", 8, "lua")
        return (ratio(left.per_second, right.per_second),
                f"{left.rate().value:.0f} / {right.rate().value:.0f} launches per second")

    def layers(self):
        self.find("layers", "moonlet-layers")
        size = self.session.images.size_kb
        three = sum(size(name) for name in ("layer-base", "layer-penlight", "layer-luacheck"))
        one = size("everything")
        return Measured(three / one, None, None), sizes(three, one)

    def freeze(self):
        made, loaded = self.find("freeze", "freeze"), self.find("freeze", "lua")
        behind = f"{durations(made.wall().value, loaded.wall().value)} on tmpfs"
        if "freeze-disk" in self.session.absent:
            behind = f"{durations(made.wall().value, loaded.wall().value)} on disk"
        else:
            disk = self.find("freeze", "freeze-disk")
            behind += f"; on disk {durations(disk.wall().value, loaded.wall().value)}: " \
                      f"{ratio(disk.wall_us, loaded.wall_us).value:.2f}"
        return ratio(made.wall_us, loaded.wall_us), behind

    def all(self):
        return [
            self.latency("hello, of lua", 0.30, "hello", "moonlet", "lua"),
            self.latency("hello, of lua linked statically", 0.85, "hello", "moonlet", "lua-static"),
            self.latency("hello, of a static no-op", 2.4, "hello", "moonlet", "noop"),
            self.goal("processor time of hello, all processes, of lua", 0.29, self.processor),
            self.latency("hello with luacheck and Penlight in the image, of hello with nothing in it", 1.40, "hello",
                         "moonlet-luacheck", "moonlet"),
            self.latency("the same on Lua 5.1", 1.60, "hello-51", "moonlet-luacheck", "moonlet"),
            self.latency('require "pl.pretty", of lua', 0.12, "pretty", "moonlet", "lua"),
            self.latency('require "posix" (Lua 5.3), of lua', 0.12, "posix", "moonlet", "lua"),
            self.latency("luacheck --version, of lua", 0.20, "luacheck-version", "moonlet", "lua"),
            self.goal("the same less its two uname shells", 0.05, self.luacheck_alone),
            self.goal("launches per second of hello, 8 at once, of lua", 3.2, self.throughput, at_least=True),
            self.goal("private memory of an idle script with luacheck's modules, of lua", 0.040,
                      lambda: self.private("idle")),
            self.goal("the same after a second of garbage, of lua", 0.70, lambda: self.private("churned")),
            self.goal("memory of 32 idle scripts with all of Penlight, of lua", 0.16,
                      lambda: self.many("many", "penlight")),
            self.goal("the same with pl.pretty alone", 0.15, lambda: self.many("many-small", "pretty")),
            self.goal("a freeze of luacheck's modules, of lua loading them", 1.5, self.freeze),
            self.latency("hello in the third of three images on one another, of hello in one that has it all", 1.10,
                         "layers", "moonlet-layers", "moonlet"),
            self.goal("the three images, of the one", 1.10, self.layers),
        ]
