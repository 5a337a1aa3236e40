"""The report's plots, drawn by gnuplot as SVG. White ground: they are read on light and on dark pages."""

import subprocess

from .latency import CONCURRENCY, HEAP_SIZES
from .memory import COUNTS
from .samples import quantile
from .session import Trouble

# Okabe and Ito's colours, which differ for every kind of eye.
COLOUR = {"noop": "#999999", "lua": "#d55e00", "lua-static": "#e69f00", "lua-bytecode": "#cc79a7",
          "moonlet": "#009e73", "moonlet-luacheck": "#000000", "moonlet-disk": "#56b4e9", "moonletd": "#0072b2"}

HEAD = """set terminal svg size 860,520 font "Helvetica,Arial,sans-serif,15" background "white" name "{name}"
set output "{path}"
set title "{title}"
set xlabel "{x}"
set ylabel "{y}"
set grid linecolor rgb "#dddddd"
set border 3
set tics out nomirror
set key outside right top Left reverse spacing 1.3
{options}
"""


def gnuplot(script):
    try:
        done = subprocess.run(["gnuplot", "-"], input="".join(script), capture_output=True, text=True)
    except OSError as error:
        raise Trouble(f"gnuplot does not run: {error}") from error
    if done.returncode != 0:
        raise Trouble(f"gnuplot: {done.stderr}")


def draw(session, name, title, x, y, options, curves):
    """`curves`: key of the colour, label, style, rows of numbers. Returns the name of the file."""
    script = [HEAD.format(name=name.replace("-", "_"), path=session.output / f"{name}.svg", title=title, x=x, y=y,
                          options="\n".join(options))]
    parts = []
    for i, (key, label, style, rows) in enumerate(curves):
        lines = "\n".join(" ".join(f"{value:.6g}" for value in row) for row in rows)
        script.append(f"$curve{i} << END\n{lines}\nEND\n")
        width = 3 if key.startswith("moonlet") else 2
        parts.append(f'$curve{i} with {style} linewidth {width} linecolor rgb "{COLOUR[key]}" title "{label}"')
    script.append("plot " + ", \\\n  ".join(parts) + "\n")
    gnuplot(script)
    return f"{name}.svg"


LINES = "lines"
LEVEL = "lines dashtype 2"
POINTS = "linespoints pointtype 7 pointsize 0.6"
BARS = "yerrorlines pointtype 7 pointsize 0.6"


def doubling(axis, ticks):
    """Options of an axis on which each tick is a multiple of the one before."""
    return [f"set logscale {axis} 2", f"set {axis}tics ({', '.join(map(str, ticks))})",
            f"set {axis}range [{ticks[0] * 0.9}:{ticks[-1] * 1.1}]"]


def bar(x, measured):
    low, high = measured.low, measured.high
    return (x, measured.value, measured.value if low is None else low, measured.value if high is None else high)


def started(session, results):
    """Bars of what people start, as parts of lua's time. `results`: by what it is called, samples by contender."""
    names = [what.replace('"', '\\"') for what in results]
    script = [f'''set terminal svg size 860,{90 + 90 * len(names)} font "Helvetica,Arial,sans-serif,15" background "white" \\
  name "started"
set output "{session.output / "started.svg"}"
set title "Time of a launch, as a part of lua's"
set style fill solid 0.9 noborder
set border 1
set xrange [0:1.15]
set yrange [{0.4 - len(names)}:0.6]
set xtics nomirror format "%.1f"
set ytics scale 0 ({", ".join(f'"{name}" {-row}' for row, name in enumerate(names))})
set lmargin 22
set key outside bottom center horizontal
''']
    parts = []
    for key, above in (("lua", 0.2), ("moonlet", -0.2)):
        lines = []
        for row, samples in enumerate(results.values()):
            wall = samples[key].wall().value
            lines.append(f'{above - row} {wall / samples["lua"].wall().value:.4f} "{wall / 1e3:.1f} ms"')
        script.append(f"${key} << END\n" + "\n".join(lines) + "\nEND\n")
        parts += [f'${key} using (0):1:(0):2:($1-0.18):($1+0.18) with boxxyerror linecolor rgb "{COLOUR[key]}" title "{key}"',
                  f"${key} using 2:1:3 with labels left offset 0.6,0 notitle"]
    gnuplot([*script, "plot " + ", \\\n  ".join(parts) + "\n"])
    return "started.svg"


def distributions(session, results, labels):
    curves = []
    for key, samples in results.items():
        shares = [share / 200 for share in range(1, 200)]
        rows = [(quantile(samples.wall_us, share), share * 100) for share in shares]
        curves.append((key, labels[key], LINES, rows))
    times = [row[0] for curve in curves for row in curve[3]]
    return draw(session, "hello", 'Launch of print(\\"hello\\"): how many took at most so long',
                "time of a launch, in µs", "share of launches, in %",
                ["set logscale x", "set xtics (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)",
                 f"set xrange [{min(times) * 0.9}:{max(times) * 1.1}]", "set yrange [0:100]"], curves)


def heap(session, results, labels):
    curves = []
    for key in ("moonlet", "moonletd"):
        if f"{key}-{HEAP_SIZES[0]}" in results:
            rows = [bar(size, results[f"{key}-{size}"].wall()) for size in HEAP_SIZES]
            curves.append((key, labels[key], BARS, rows))
    for key in ("lua", "lua-static", "noop"):  # levels to compare with: they have no warm heap
        if key in results:
            wall = results[key].wall().value
            curves.append((key, labels[key], LEVEL, [(size, wall) for size in HEAP_SIZES]))
    return draw(session, "warm-heap",
                'Launch of print(\\"hello\\") beside a warm heap: median, 10th to 90th percentile',
                "size of the warm heap, in MB", "time of a launch, in µs",
                [*doubling("x", HEAP_SIZES), "set yrange [0:]"], curves)


def memory(session, results, labels):
    curves = [(key, labels[key], POINTS, [(count, taken[count].value / 1024) for count in COUNTS])
              for key, taken in results.items()]
    least = min(row[1] for curve in curves for row in curve[3])
    return draw(session, "memory", "Memory of idle scripts with all of Penlight, and all that serves them",
                "running scripts", "Pss and page tables, in MB",
                [*doubling("x", COUNTS), "set logscale y", f"set yrange [{least * 0.8}:]",
                 "set ytics (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)"], curves)


def throughput(session, results, labels):
    curves = []
    for key in results[CONCURRENCY[0]]:
        if key != "noop":
            rows = [bar(concurrency, results[concurrency][key].rate()) for concurrency in CONCURRENCY]
            curves.append((key, labels[key], BARS, rows))
    return draw(session, "throughput", 'Launches of print(\\"hello\\") per second, several at once',
                "launches in flight", "launches per second",
                [*doubling("x", CONCURRENCY), "set yrange [0:]"], curves)
