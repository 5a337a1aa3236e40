"""The report: the same tables as text and as Markdown, and the plots."""

from . import goals, plots
from .latency import CONCURRENCY, HEAP_SIZES
from .memory import COUNTS
from .samples import ratio
from .session import Trouble

LABELS = {
    "noop": "no-op, static",
    "floor": "floor zygote",
    "floor-spare": "floor zygote, spare",
    "lua": "lua",
    "lua-static": "lua, static",
    "lua-bytecode": "lua, bytecode",
    "lua-static-bytecode": "lua, static, bytecode",
    "moonlet": "moonlet",
    "moonlet-spare": "moonlet, spare",
    "client": "moonlet's client",
}
LATENCY = {
    "hello": 'print("hello")',
    "hello-beside-luacheck": 'print("hello"), luacheck\'s modules warm',
    "pretty": 'require "pl.pretty"',
    "posix": 'require "posix" (luaposix), Lua 5.3',
    "luacheck-version": "luacheck --version",
    "luacheck-tree": "luacheck over Penlight's sources",
    "churn": "a fixed amount of garbage, luacheck's modules warm",
}


def bounds(measured, form):
    """The spread behind a figure, or a dash where it was taken once."""
    return "–" if measured.low is None else f"{form(measured.low)} – {form(measured.high)}"


def two(value):
    return f"{value:.2f}"


def number(value):
    return f"{value:.0f}"


class Table:
    def __init__(self, title, columns, rows, note=""):
        self.title, self.columns, self.rows, self.note = title, columns, rows, note

    def text(self):
        widths = [max(len(row[i]) for row in [self.columns, *self.rows]) for i in range(len(self.columns))]

        def line(row):
            first, *others = zip(row, widths)
            return ("  " + first[0].ljust(first[1]) + "".join("  " + cell.rjust(width) for cell, width in others)).rstrip()
        return "\n".join([self.title, "", line(self.columns), *map(line, self.rows), *([f"  {self.note}"] if self.note else [])])

    def markdown(self):
        def line(row):
            return "| " + " | ".join(row) + " |"
        rule = "|" + "---|" + "---:|" * (len(self.columns) - 1)
        return "\n".join([f"## {self.title}", "", line(self.columns), rule, *map(line, self.rows),
                          *(["", self.note] if self.note else [])])


def goal_table(session, results):
    rows = []
    for goal in goals.Goals(session, results).all():
        form = number if goal.bound >= 40 else two
        bound = f"at least {goal.bound:g}" if goal.at_least else f"{goal.bound:g}" if form is number else two(goal.bound)
        if goal.measured is None:
            rows.append([goal.what, "NOT MEASURED", "–", bound, "–", goal.detail])
        else:
            rows.append([goal.what, form(goal.measured.value), bounds(goal.measured, form), bound,
                         "yes" if goal.met else "NO", goal.detail])
    return Table("What is to be reached", ["ratio", "measured", "spread", "at most", "met?", "behind it"], rows,
                 "Measured: the ratio of the medians. Spread: the 10th to 90th percentile of the ratios of launches of the "
                 "same round; for the rest the least to greatest of repetitions, a dash where there was one.")


def latency_table(title, samples):
    milliseconds = samples["lua"].wall().value >= 10e3
    scale, form = (1e3, lambda us: f"{us / 1e3:.2f}") if milliseconds else (1, number)
    rows = []
    for key, it in samples.items():
        wall, processor = it.wall(), it.processor_us()
        against = ratio(it.wall_us, samples["lua"].wall_us)
        # A zygote's time comes in ticks: shown where they are a small part of it.
        ticks = 10e3 / it.batches[0]["launches"]
        exact = not it.batches[0]["children_us"] or ticks < processor.value / 20
        rows.append([LABELS[key], form(wall.value), bounds(wall, form), two(against.value),
                     form(processor.value) if exact else "–", number(it.faults().value)])
    unit = "ms" if scale == 1e3 else "µs"
    launches = len(samples["lua"].wall_us)
    return Table(f"{title}, {launches} launches of each, in {unit}",
                 ["contender", "median", "10th – 90th percentile", "of lua", "processor time", "page faults"], rows)


def cost_table(samples):
    rows = []
    for key, it in samples.items():
        parts = [it.cost(name).value for name in ("client_us", "zygote_us", "children_us")]
        faults = [it.cost(name).value for name in ("client_faults", "zygote_faults", "children_faults")]
        rows.append([LABELS[key], *map(number, [*parts, sum(parts)]), *map(number, [*faults, sum(faults)])])
    return Table('What a launch of print("hello") costs, mean',
                 ["contender", "program, µs", "zygote, µs", "child, µs", "sum, µs", "program, faults", "zygote, faults",
                  "child, faults", "sum, faults"], rows,
                 "Processor time, user and system, and minor page faults, of all the processes of a launch.")


def heap_table(samples, warm_kb):
    rows = []
    for key, it in samples.items():
        name, _, size = key.rpartition("-")
        label = LABELS[key] if key in LABELS else f"{LABELS[name]}, {warm_kb[f'heap-{size}'] / 1024:.1f} MB"
        wall = it.wall()
        rows.append([label, number(wall.value), bounds(wall, number), number(it.cost("zygote_us").value),
                     number(it.cost("children_us").value), number(it.cost("children_faults").value)])
    return Table('print("hello") against the size of the warm heap, in µs',
                 ["contender", "median", "10th – 90th percentile", "zygote's processor time", "child's processor time",
                  "child's page faults"], rows)


def private_dirty_table(results):
    rows = [[LABELS[key], *(cell for when in ("idle", "churned")
                            for cell in (number(results[when][key].value), bounds(results[when][key], number)))]
            for key in results["idle"]]
    return Table("Private_Dirty of a script with luacheck's modules, in KB",
                 ["process", "idle", "spread", "after a second of garbage", "spread"], rows)


def many_table(results):
    rows = [[LABELS[key], *(f"{taken[count].value / 1024:.1f}" for count in COUNTS)] for key, taken in results.items()]
    return Table("Memory of idle scripts with Penlight's pl.pretty, sum of Pss with all that serves them, in MB",
                 ["scripts", *map(str, COUNTS)], rows)


def throughput_table(results):
    keys = results[CONCURRENCY[0]]
    rows = [[LABELS[key], *(number(results[concurrency][key].rate().value) for concurrency in CONCURRENCY)] for key in keys]
    return Table('Launches of print("hello") per second, by how many are in flight', ["contender", *map(str, CONCURRENCY)], rows)


def tables(session, results):
    made = [goal_table(session, results)]
    for section, title in LATENCY.items():
        if section in results:
            made.append(latency_table(title, results[section]))
            if section == "hello":
                made.append(cost_table(results[section]))
    if "heap" in results:
        made.append(heap_table(results["heap"], session.warm_kb))
    if "private-dirty" in results:
        made.append(private_dirty_table(results["private-dirty"]))
    if "many" in results:
        made.append(many_table(results["many"]))
    if "throughput" in results:
        made.append(throughput_table(results["throughput"]))
    return made


def draw(session, results):
    """Draws what there are results for. Returns the names of the files, and what went wrong."""
    drawn, failed = [], []
    for section, plot in (("hello", plots.distributions), ("heap", plots.heap), ("many", plots.memory),
                          ("throughput", plots.throughput)):
        if section in results:
            try:
                drawn.append(plot(session, results[section], LABELS))
            except Trouble as trouble:
                failed.append(f"LEFT OUT: a plot of {section}: {trouble}")
    return drawn, failed


def write(session, facts, results):
    """Writes report.txt, report.md and the plots; returns the text."""
    made = tables(session, results)
    drawn, failed = draw(session, results)
    absent = [f"LEFT OUT: {LABELS[key]}: {why}." for key, why in session.absent.items()] + failed
    text = "\n\n".join(["\n".join([f"{name}: {value}" for name, value in facts] + absent),
                        *(table.text() for table in made)])
    markdown = "\n\n".join(["# Benchmarks of moonlet", "\n".join(f"- {name}: {value}" for name, value in facts),
                            *(f"**{line}**" for line in absent), *(table.markdown() for table in made),
                            *(f"![{name}]({name})" for name in drawn)])
    (session.output / "report.txt").write_text(text + "\n")
    (session.output / "report.md").write_text(markdown + "\n")
    return text
