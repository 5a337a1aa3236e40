"""The report: the same tables as text and as Markdown, and the plots."""

import textwrap

from . import goals, plots
from .latency import CONCURRENCY, FILES
from .memory import COUNTS
from .samples import ratio
from .session import Trouble

LABELS = {
    "noop": "no-op, static",
    "lua": "lua",
    "lua-static": "lua, static",
    "lua-bytecode": "lua, bytecode",
    "lua-static-bytecode": "lua, static, bytecode",
    "lua-uname": "lua, two `uname -s` alone",
    "lua-hello": "lua, hello",
    "moonlet": "moonlet",
    "moonlet-disk": "moonlet, image on disk",
    "moonlet-luacheck": "moonlet, luacheck and Penlight in the image",
    "moonlet-trust": "moonlet, image made with --trust",
    "moonlet-layers": "moonlet, the third of three images on one another",
    "moonlet-uname": "moonlet, two `uname -s` alone",
    "moonlet-hello": "moonlet, hello",
    "moonletd": "moonlet through moonletd",
    "client": "its client",
    "freeze": "moonlet --freeze, on tmpfs",
    "freeze-disk": "moonlet --freeze, on disk",
}
LATENCY = {
    "hello": 'print("hello")',
    "hello-51": 'print("hello"), Lua 5.1',
    "pretty": 'require "pl.pretty"',
    "posix": 'require "posix" (luaposix), Lua 5.3',
    "luacheck-version": "luacheck --version, and what of it is no interpreter's",
    "luacheck-tree": "luacheck over Penlight's sources",
    "churn": "a fixed amount of garbage, luacheck's modules warm",
    "questions": f'print("hello"), {FILES} modules in the image',
    "layers": 'print("hello"), LuaFileSystem, Penlight and luacheck in the image',
    "freeze": "luacheck's modules, loaded or frozen",
}


def bounds(measured, form):
    """The spread behind a figure, or a dash where it was taken once."""
    return "–" if measured.low is None else f"{form(measured.low)} – {form(measured.high)}"


def two(value):
    return f"{value:.2f}"


def three(value):
    return f"{value:.3f}"


def number(value):
    return f"{value:.0f}"


# What people start, and what they call it.
SUMMARY = {
    "hello": 'print("hello")',
    "pretty": 'require "pl.pretty"',
    "posix": 'require "posix"',
    "luacheck-version": "luacheck --version",
}


class Table:
    def __init__(self, title, columns, rows, note=""):
        self.title, self.columns, self.rows, self.note = title, columns, rows, note

    def text(self):
        widths = [max(len(row[i]) for row in [self.columns, *self.rows]) for i in range(len(self.columns))]

        def line(row):
            first, *others = [cell.ljust(width) if i == 0 else cell.rjust(width)
                              for i, (cell, width) in enumerate(zip(row, widths))]
            return "  ".join(["", first, *others])
        note = textwrap.wrap(self.note, 108, initial_indent="  ", subsequent_indent="  ")
        return "\n".join([self.title, "", line(self.columns), *map(line, self.rows), *note])

    def markdown(self):
        def line(row):
            return "| " + " | ".join(row) + " |"
        rule = "|" + "---|" + "---:|" * (len(self.columns) - 1)
        note = ["", self.note] if self.note else []
        return "\n".join([f"## {self.title}", "", line(self.columns), rule, *map(line, self.rows), *note])


def times(factor):
    """How a person says a ratio of two times, the slower over the faster one."""
    return "as fast" if f"{factor:.1f}" == "1.0" else f"{factor:.1f} times as fast"


def summary_table(results):
    """What a user of moonlet wants to know first."""
    rows = []
    for section, what in SUMMARY.items():
        if section in results:
            lua, moonlet = results[section]["lua"], results[section]["moonlet"]
            rows.append([what, f"{lua.wall().value / 1e3:.2f} ms", f"{moonlet.wall().value / 1e3:.2f} ms",
                         times(1 / ratio(moonlet.wall_us, lua.wall_us).value)])
    if "throughput" in results:
        lua, moonlet = (results["throughput"][8][key].rate().value for key in ("lua", "moonlet"))
        rows.append(["launches of hello per second, 8 at once", number(lua), number(moonlet),
                     f"{moonlet / lua:.1f} times as many"])
    if "private" in results:
        lua, moonlet = (results["private"]["idle"][key].value for key in ("lua", "moonlet"))
        rows.append(["memory of its own of an idle script with luacheck's modules", f"{lua:.0f} KB",
                     f"{moonlet:.0f} KB", f"a {lua / moonlet:.0f}th"])
    return Table("In short", ["what is started", "lua", "moonlet", ""], rows) if rows else None


def goal_table(session, results):
    rows = []
    for goal in goals.Goals(session, results).all():
        bound = f"at least {goal.bound}" if goal.at_least else three(goal.bound)
        if goal.measured is None:
            rows.append([goal.what, "NOT MEASURED", "–", bound, "–", goal.detail])
        else:
            rows.append([goal.what, three(goal.measured.value), bounds(goal.measured, two), bound,
                         "yes" if goal.met else "NO", goal.detail])
    return Table("What is to be reached", ["what", "measured", "spread", "at most", "met?", "behind it"], rows,
                 "Measured: of times, the ratio of the medians, and their spread the 10th to 90th percentile of "
                 "the ratios of launches of the same round. The spread of the rest is the least to greatest of "
                 "repetitions; a dash where there was one.")


def processor_time(samples, form):
    return form(samples.processor_us().value) if samples.is_exact() else "–"


def latency_table(title, samples):
    unit, form = "µs", number
    if samples["lua"].wall().value >= 10e3:
        unit, form = "ms", lambda us: f"{us / 1e3:.2f}"
    rows = []
    for key, it in samples.items():
        against = ratio(it.wall_us, samples["lua"].wall_us)
        rows.append([LABELS[key], form(it.wall().value), bounds(it.wall(), form), two(against.value),
                     processor_time(it, form), number(it.faults().value)])
    launches = len(samples["lua"].wall_us)
    return Table(f"{title}: {launches} launches of each, in {unit}",
                 ["contender", "median", "10th – 90th percentile", "of lua", "processor time", "page faults"], rows)


def counts_table(found):
    def cell(value):
        return "–" if value is None else number(value)
    rows = [[LABELS[key], number(it["faults"].value), bounds(it["faults"], number), cell(it["calls"]),
             cell(it["mmap"]), cell(it["mappings"])] for key, it in found.items()]
    return Table('print("hello"), in numbers that do not drift',
                 ["contender", "page faults", "10th – 90th percentile", "system calls", "of them mmap",
                  "mappings"], rows,
                 "Page faults of all processes of a launch; system calls as strace counts them, execve among them; "
                 "mappings of the process while the script runs.")


def heap_table(samples, warm_kb):
    rows = []
    for key, it in samples.items():
        name, _, size = key.rpartition("-")
        label = LABELS[key] if key in LABELS else f"{LABELS[name]}, {warm_kb[f'heap-{size}'] / 1024:.1f} MB"
        rows.append([label, number(it.wall().value), bounds(it.wall(), number), processor_time(it, number),
                     number(it.faults().value)])
    return Table('print("hello") beside a warm heap of that size, in µs',
                 ["contender", "median", "10th – 90th percentile", "processor time", "page faults"], rows)


def private_table(results):
    rows = [[LABELS[key], *(cell for when in ("idle", "churned")
                            for cell in (number(results[when][key].value), bounds(results[when][key], number)))]
            for key in results["idle"]]
    return Table("Memory that a script with luacheck's modules has for itself, in KB",
                 ["process", "idle", "spread", "after a second of garbage", "spread"], rows)


def many_table(results, modules):
    rows = [[LABELS[key], *(f"{taken[count].value / 1024:.1f}" for count in COUNTS)]
            for key, taken in results.items()]
    return Table(f"Memory of idle scripts with {modules}, with all that serves them, in MB",
                 ["scripts", *map(str, COUNTS)], rows,
                 "Sum of Pss and of page tables of all processes, moonletd and the clients included. An image on tmpfs "
                 "is counted whole: memory keeps it, whether it is mapped or not.")


def throughput_table(results):
    rows = [[LABELS[key], *(number(results[concurrency][key].rate().value) for concurrency in CONCURRENCY)]
            for key in results[CONCURRENCY[0]]]
    return Table('Launches of print("hello") per second, by how many are in flight',
                 ["contender", *map(str, CONCURRENCY)], rows)


def tables(session, results):
    summary = summary_table(results)
    made = [summary] if summary else []
    for section, title in LATENCY.items():
        if section in results:
            made.append(latency_table(title, results[section]))
        if section == "hello" and "counts" in results:
            made.append(counts_table(results["counts"]))
    if "heap" in results:
        made.append(heap_table(results["heap"], session.warm_kb))
    if "private" in results:
        made.append(private_table(results["private"]))
    if "many" in results:
        made.append(many_table(results["many"], "all of Penlight"))
    if "many-small" in results:
        made.append(many_table(results["many-small"], "Penlight's pl.pretty"))
    if "throughput" in results:
        made.append(throughput_table(results["throughput"]))
    return [*made, goal_table(session, results)]


def draw(session, results):
    """Draws what there are results for. Returns the names of the files, and what went wrong."""
    drawn, failed = [], []
    started = {what: results[section] for section, what in SUMMARY.items() if section in results}
    if started:
        try:
            drawn.append(plots.started(session, started))
        except Trouble as trouble:
            failed.append(f"LEFT OUT: the plot of what is started: {trouble}")
    for section, plot in (("hello", plots.distributions), ("heap", plots.heap), ("many", plots.memory),
                          ("throughput", plots.throughput)):
        if section in results:
            try:
                drawn.append(plot(session, results[section], LABELS))
            except Trouble as trouble:
                failed.append(f"LEFT OUT: a plot of {section}: {trouble}")
    return drawn, failed


def write(session, facts, warnings, results):
    """Writes report.txt, report.md and the plots; returns the text."""
    made = tables(session, results)
    drawn, failed = draw(session, results)
    names = {**LATENCY, **LABELS}
    absent = warnings + [f"LEFT OUT: {names.get(key, key)}: {why}." for key, why in session.absent.items()] + failed
    text = "\n\n".join(["\n".join([f"{name}: {value}" for name, value in facts] + absent),
                        *(table.text() for table in made)])
    markdown = "\n\n".join(["# Benchmarks of moonlet", "\n".join(f"- {name}: {value}" for name, value in facts),
                            *(f"**{line}**" for line in absent), *(table.markdown() for table in made),
                            *(f"![{name}]({name})" for name in drawn)])
    (session.output / "report.txt").write_text(text + "\n")
    (session.output / "report.md").write_text(markdown + "\n")
    return text
