"""The report's plots, drawn by gnuplot as SVG. White ground: they are read on light and on dark pages."""

import subprocess

from .latency import CONCURRENCY, HEAP_SIZES
from .memory import COUNTS
from .samples import quantile
from .session import Trouble

# Okabe and Ito's colours, which differ for every kind of eye.
COLOUR = {"noop": "#999999", "floor": "#56b4e9", "floor-spare": "#0072b2", "lua": "#d55e00", "lua-static": "#e69f00",
          "lua-bytecode": "#cc79a7", "moonlet": "#009e73", "moonlet-spare": "#000000"}

HEAD = """set terminal svg size 860,520 font "Helvetica,Arial,sans-serif,15" background "white" name "{name}"
set output "{path}"
set title "{title}"
set xlabel "{x}"
set ylabel "{y}"
set grid linecolor rgb "#dddddd"
set border 3
set tics nomirror
set key outside right top Left reverse spacing 1.3
{options}
"""


def draw(session, name, title, x, y, options, curves, style):
    """`curves`: (key of the colour, label, rows of numbers)."""
    script = [HEAD.format(name=name.replace("-", "_"), path=session.output / f"{name}.svg", title=title, x=x, y=y,
                          options="\n".join(options))]
    for i, (_, _, rows) in enumerate(curves):
        script.append(f"$curve{i} << END\n" + "\n".join(" ".join(f"{value:.6g}" for value in row) for row in rows) + "\nEND\n")
    script.append("plot " + ", \\\n  ".join(
        f'$curve{i} with {style} linewidth 2 pointtype 7 pointsize 0.5 linecolor rgb "{COLOUR[key]}" title "{label}"'
        for i, (key, label, _) in enumerate(curves)) + "\n")
    try:
        done = subprocess.run(["gnuplot", "-"], input="".join(script), capture_output=True, text=True)
    except OSError as error:
        raise Trouble(f"gnuplot does not run: {error}") from error
    if done.returncode != 0:
        raise Trouble(f"gnuplot: {done.stderr}")
    return f"{name}.svg"


def logarithmic(axis, ticks):
    return [f"set logscale {axis} 2", f"set {axis}tics ({', '.join(str(tick) for tick in ticks)})"]


def distributions(session, results, labels):
    curves = []
    for key, samples in results.items():
        shares = [share / 200 for share in range(1, 200)]
        curves.append((key, labels[key], [(quantile(samples.wall_us, share), share * 100) for share in shares]))
    return draw(session, "hello", "Launch of print(\\\"hello\\\"): how many took at most so long",
                "time of a launch, in µs", "share of launches, in %",
                ["set logscale x", "set xtics (50, 100, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000)", "set yrange [0:100]"],
                curves, "lines")


def heap(session, results, labels):
    curves = []
    for key in ("moonlet", "moonlet-spare"):
        if f"{key}-{HEAP_SIZES[0]}" in results:
            walls = [(size, results[f"{key}-{size}"].wall()) for size in HEAP_SIZES]
            curves.append((key, labels[key], [(size, wall.value, wall.low, wall.high) for size, wall in walls]))
    for key in ("lua", "lua-static", "floor", "floor-spare"):  # which have no warm heap: a level to compare with
        if key in results:
            wall = results[key].wall()
            curves.append((key, labels[key], [(size, wall.value, wall.low, wall.high) for size in (HEAP_SIZES[0], HEAP_SIZES[-1])]))
    return draw(session, "warm-heap", "Launch of print(\\\"hello\\\") beside a warm heap (median, 10th to 90th percentile)",
                "size of the warm heap, in MB", "time of a launch, in µs",
                [*logarithmic("x", HEAP_SIZES), "set xrange [0.9:72]", "set yrange [0:]"], curves, "yerrorlines")


def memory(session, results, labels):
    curves = [(key, labels[key], [(count, taken[count].value / 1024) for count in COUNTS])
              for key, taken in results.items()]
    return draw(session, "memory", "Memory of idle scripts with Penlight's pl.pretty, with all that serves them",
                "running scripts", "sum of Pss, in MB",
                [*logarithmic("x", COUNTS), "set logscale y", "set ytics (0.5, 1, 2, 5, 10, 20, 50, 100, 200)"], curves, "linespoints")


def throughput(session, results, labels):
    keys = [key for key in results[CONCURRENCY[0]] if key != "noop"]
    curves = [(key, labels[key], [(concurrency, rate.value, rate.low or rate.value, rate.high or rate.value)
                                  for concurrency in CONCURRENCY for rate in [results[concurrency][key].rate()]])
              for key in keys]
    return draw(session, "throughput", "Launches of print(\\\"hello\\\") per second, several at once",
                "launches in flight", "launches per second",
                [*logarithmic("x", CONCURRENCY), "set yrange [0:]"], curves, "yerrorlines")
