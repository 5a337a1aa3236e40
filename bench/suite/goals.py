"""What moonlet sets out to reach: each a measured ratio and its bound."""

from dataclasses import dataclass

from .samples import Measured, extremes, ratio


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
            raise Missing("left out by --only")
        found = self.results[section]
        for key in keys:
            if key not in found:
                spare = "moonlet-spare" if str(key).startswith("moonlet-spare") else key
                raise Missing(self.session.absent[spare])
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
        each = [(one["client_us"] + one["zygote_us"] + one["children_us"]) / other["client_us"]
                for one, other in zip(left.batches, right.batches)]
        return extremes(each), durations(left.processor_us().value, right.processor_us().value)

    def faults(self):
        samples = self.find("hello-beside-luacheck", "moonlet")
        warm_mb = self.session.warm_kb["luacheck"] / 1024
        return samples.cost("children_faults"), f"beside a warm heap of {warm_mb:.1f} MB"

    def private_dirty(self, when):
        left, right = self.find("private-dirty", when, "moonlet"), self.find("private-dirty", when, "lua")
        client = self.find("private-dirty", when, "client").value
        return left.over(right), f"{sizes(left.value, right.value)}; and its client: {client:.0f} KB"

    def many(self, section):
        left, right = self.find(section, "moonlet", 32), self.find(section, "lua", 32)
        return left.over(right), sizes(left.value, right.value)

    def throughput(self):
        left = self.find("throughput", 8, "moonlet")
        right = self.find("throughput", 8, "lua")
        return (ratio(left.per_second, right.per_second),
                f"{left.rate().value:.0f} / {right.rate().value:.0f} launches per second")

    def all(self):
        return [
            self.latency("hello, of lua", 0.40, "hello", "moonlet", "lua"),
            self.latency("hello with a spare, of lua", 0.30, "hello", "moonlet-spare", "lua"),
            self.latency("hello, of lua linked statically", 1.00, "hello", "moonlet", "lua-static"),
            self.latency("hello with a spare, of lua linked statically", 0.75, "hello", "moonlet-spare",
                         "lua-static"),
            self.latency("hello, of the floor zygote", 1.30, "hello", "moonlet", "floor"),
            self.latency("hello with a spare, of the floor zygote with one", 1.30, "hello", "moonlet-spare",
                         "floor-spare"),
            self.latency("hello with a spare, 64 MB warm, of that with 1 MB", 1.3, "heap", "moonlet-spare-64",
                         "moonlet-spare-1"),
            self.latency("hello beside 500 watched files, of the same with --trust", 1.05, "watched", "moonlet",
                         "moonlet-trust"),
            self.latency('require "pl.pretty", of lua', 0.15, "pretty", "moonlet", "lua"),
            self.latency("luacheck --version, of lua", 0.05, "luacheck-version", "moonlet", "lua"),
            self.goal("processor time of hello (client, child, zygote), of lua", 0.50, self.processor),
            self.goal("page faults of the child of hello, in number", 45, self.faults),
            self.goal("Private_Dirty of an idle script with luacheck's modules, of lua", 0.10,
                      lambda: self.private_dirty("idle")),
            self.goal("the same after a second of garbage, of lua", 0.70, lambda: self.private_dirty("churned")),
            self.goal("memory of 32 idle scripts with all of Penlight, of lua", 0.15, lambda: self.many("many")),
            self.goal("the same with pl.pretty alone", 0.15, lambda: self.many("many-small")),
            self.goal("launches per second of hello, 8 at once, of lua", 3, self.throughput, at_least=True),
        ]
