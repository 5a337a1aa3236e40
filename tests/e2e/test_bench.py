"""moonlet-bench: what it measures, and what it says. bench/run: that it goes through, and its report."""

import contextlib
import csv
import json
import os
import pty
import re
import shutil
import statistics
import subprocess
import termios

import pytest
from conftest import BUILD, LUA, MOONLET, PATIENCE, REAL_LUA, SANITIZED, SOURCE, Result, environment

BENCH = os.path.join(BUILD, "moonlet-bench")
# A module that takes a while to load.
SLOW = 'local begun = os.clock() repeat until os.clock() - begun > 0.05 return true'


@pytest.fixture
def bench(tmp_path):
    """bench(argument..., zygote=...): runs moonlet-bench where the module "slow" is found."""
    (tmp_path / "slow.lua").write_text(SLOW)
    env = environment(LUA_PATH=f"{tmp_path}/?.lua;;", MOONLET_SOCKET=str(tmp_path / "nobody.sock"))

    def run(*arguments, zygote=None, **variables):
        own = {**env, **variables, **({"MOONLET_SOCKET": zygote.socket} if zygote else {})}
        done = subprocess.run([BENCH, *map(str, arguments)], env=own, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE)
        return Result(done.returncode, done.stdout, done.stderr)

    run.env = env
    return run


@pytest.fixture
def script(tmp_path):
    def write(text, name="script.lua", mode=0o644):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(mode)
        return path
    return write


def compare(bench, *arguments, **options):
    return bench("--lua", REAL_LUA, "--moonlet", MOONLET, "--runs", "5", *arguments, **options)


judges = pytest.mark.skipif(SANITIZED, reason="on a slow machine AddressSanitizer costs as much as a script that is judged")


@judges
def test_it_says_what_a_script_saves(bench, script, start_zygote):
    zygote = start_zygote("-l", "slow", env=bench.env)
    result = compare(bench, script('require "slow"'), zygote=zygote)
    assert result.status == 0, result
    assert re.match(r"moonlet is [\d.]+ times as fast: it saves [\d.]+ ms of [\d.]+ ms per launch\.\n\n", result.out), result
    assert "5 launches of each, by turns" in result.out
    titles, *lines = [line.split() for line in result.out.splitlines() if re.match(r"in ms|lua +\d|moonlet +\d", line)]
    figures = {line[0]: dict(zip(titles[2:], map(float, line[1:]), strict=True)) for line in lines}
    assert figures["lua"]["median"] > 50 > figures["moonlet"]["median"], result
    for of in figures.values():
        assert of["min"] <= of["p10"] <= of["median"] <= of["p90"] <= of["max"], result
        assert of["min"] <= of["mean"] <= of["max"] and 0 <= of["spread"] <= of["max"], result


@judges
def test_it_says_that_a_script_gains_nothing(bench, script, start_zygote):
    zygote = start_zygote(env=bench.env)
    result = compare(bench, script('os.execute("sleep 0.5")'), zygote=zygote)
    assert result.status == 0, result
    assert "moonlet gains nothing here: " in result.out, result


def test_it_names_the_modules_that_are_not_warm(bench, script, start_zygote, tmp_path):
    (tmp_path / "outer.lua").write_text('require "slow" return true')
    zygote = start_zygote(env=bench.env)
    result = compare(bench, script('require "outer" os.exit(0)'), zygote=zygote)
    assert result.status == 0, result
    assert result.out.endswith(" -l outer\n"), result  # which loads "slow"


def test_a_module_that_is_the_program_is_not_made_warm(bench, script, start_zygote, tmp_path):
    (tmp_path / "program.lua").write_text('require "slow" os.exit(0)')
    result = compare(bench, script('require "program"'), zygote=start_zygote(env=bench.env))
    assert result.out.endswith(" -l slow\n"), result


def test_without_moonletd_it_says_how_to_start_it(bench, script):
    result = compare(bench, script('require "slow"'))
    assert result.status == 1 and result.out == "", result
    assert "nobody.image: No such file or directory" in result.err
    assert result.err.endswith("moonletd -l slow &\n"), result


@judges
def test_a_script_in_an_image_that_is_named(bench, script, freeze):
    made = freeze("-l", "slow", env=bench.env)
    result = compare(bench, "--image", made.path, script('require "slow"'))
    assert result.status == 0, result
    assert re.search(r"moonlet is [\d.]+ times as fast: it saves [\d.]+ ms of [\d.]+ ms per launch", result.out), result


def test_modules_that_are_not_warm_in_the_image(bench, script, freeze):
    made = freeze(env=bench.env)
    result = compare(bench, "--image", made.path, script('require "slow"'))
    assert result.status == 0 and result.out.endswith(
        "not warm in its image. Add these to the options that you freeze that with:\n    -l slow\n"), result


def test_without_an_image_it_says_how_to_make_it(bench, script, tmp_path):
    result = compare(bench, "--image", tmp_path / "image", script('require "slow"'))
    assert result.status == 1 and result.out == "", result
    assert result.err.endswith(f"{MOONLET} --freeze {tmp_path}/image -l slow\n"), result


def test_a_script_is_found_as_a_shell_would_find_it(bench, script, start_zygote, tmp_path):
    script('#!/usr/bin/env lua\nprint(arg[0])', "some-command", 0o755)
    result = compare(bench, "some-command", zygote=start_zygote(env=bench.env),
                     PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert result.status == 0 and str(tmp_path / "some-command") + ": 5 launches" in result.out, result


@pytest.mark.parametrize("name", ["no-such-command", "./no-such-file.lua"])
def test_a_script_that_is_not_there(bench, name):
    result = compare(bench, name)
    assert result == Result(1, "", f"moonlet-bench: there is no script {name} (see moonlet-bench --help)\n")


def test_a_program_that_is_not_there(bench, script):
    result = bench("--lua", "no-such-lua", script("print(1)"))
    assert result == Result(1, "", "moonlet-bench: there is no no-such-lua (see moonlet-bench --help)\n")


def test_a_script_for_another_interpreter(bench, script):
    path = script("#!/bin/sh\nexec lua something.lua\n")
    result = compare(bench, path)
    assert result.status == 1 and result.err.startswith(f"moonlet-bench: {path} is run by sh, not by lua.\n"), result
    path = script("#! /usr/bin/env -S python3 -B\n")
    assert f"{path} is run by python3, not by lua" in compare(bench, path).err


def test_a_compiled_program(bench):
    result = compare(bench, REAL_LUA)
    assert result.status == 1 and "is a compiled program, not a Lua script" in result.err, result


def test_a_script_for_another_lua_is_measured_with_a_note(bench, script, start_zygote):
    path = script("#!/usr/bin/env lua9.9\nprint(1)")
    result = compare(bench, path, zygote=start_zygote(env=bench.env))
    assert result.status == 0, result
    assert f"\nnote: its first line asks for lua9.9; this is {os.path.basename(REAL_LUA)}\n" in result.out


def test_a_script_that_fails_is_not_measured(bench, script, start_zygote):
    path = script('error("broken")')
    result = compare(bench, path, zygote=start_zygote(env=bench.env))
    assert result.status == 1 and f"{path} fails under {REAL_LUA}: " in result.err and "broken" in result.err, result


def test_a_script_that_ends_in_two_ways_is_not_measured(bench, script, start_zygote):
    path = script("os.exit(warm and 3 or 4)")
    result = compare(bench, path, zygote=start_zygote("-e", "warm = true", env=bench.env))
    assert result == Result(
        1, "", f"moonlet-bench: {path} exits with 4 under lua, but exits with 3 under moonlet: there is nothing to compare\n")


def test_a_status_that_is_not_0_is_noted(bench, script, start_zygote):
    result = compare(bench, script("os.exit(7)"), zygote=start_zygote(env=bench.env))
    assert result.status == 0 and "\nnote: it exits with 7, under both\n" in result.out, result


def test_output_that_differs_is_noted(bench, script, start_zygote):
    result = compare(bench, script("print(warm)"), zygote=start_zygote("-e", "warm = true", env=bench.env))
    assert result.status == 0, result
    assert "\nnote: under moonlet, standard output differs from that under lua.\n" in result.out


def test_output_that_always_differs_is_noted_as_that(bench, script, start_zygote):
    path = script('io.stderr:write(io.open("/proc/self/stat"):read("*a"))')  # which begins with the pid
    result = compare(bench, path, zygote=start_zygote(env=bench.env))
    assert ("\nnote: under moonlet, standard error differs from that under lua; but so it does between two runs of lua\n"
            in result.out), result


@pytest.mark.parametrize("arguments", [[], ["--runs", "0", "x.lua"], ["--runs"], ["--bogus"], ["--csv", "x", "x.lua"],
                                       ["-l", "slow"], ["-e"], ["-i", "x.lua"], ["--warmup", "-1", "x.lua"],
                                       ["--contenders", "x", "--csv", "y", "--runs", "1", "-e", "0"],
                                       ["--contenders", "x", "--csv", "y", "--runs", "1", "--export-json", "z"],
                                       ["--contenders", "x"], ["--contenders", "x", "--csv", "y"],
                                       ["--contenders", "x", "--csv", "y", "--runs", "1", "--seconds", "1"],
                                       ["--contenders", "x", "--csv", "y", "--runs", "1", "script.lua"],
                                       ["--before", "x", "x.lua"],
                                       ["--contenders", "x", "--csv", "y", "--image", "z", "--runs", "1"],
                                       ["--contenders", "x", "--csv", "y", "--concurrency", "1", "--seconds", "1",
                                        "--before", "x"]])
def test_wrong_arguments(bench, arguments):
    result = bench(*arguments)
    assert result.status == 2 and result.out == "", result
    assert re.fullmatch(r"moonlet-bench: .*\(see moonlet-bench --help\)\n", result.err), result


def test_lua_s_options_are_for_both(bench, start_zygote):
    zygote = start_zygote("-l", "slow", env=bench.env)
    result = compare(bench, "-l", "slow", "-e", "os.exit(package.loaded.slow and 9)", zygote=zygote)
    assert result.status == 0, result
    assert "the statement: 5 launches of each" in result.out and "\nnote: it exits with 9, under both\n" in result.out, result
    result = compare(bench, "-e", "error('broken', 0)", zygote=zygote)
    assert result == Result(1, "", f"moonlet-bench: the statement fails under {REAL_LUA}: broken\n")


def test_figures_for_programs_are_as_hyperfine_writes_them(bench, script, start_zygote, tmp_path):
    path = script("os.exit(7)", "a \"script\" of \u00e4.lua")
    result = compare(bench, "--warmup", "2", "--export-json", tmp_path / "out.json", path, "an argument",
                     zygote=start_zygote(env=bench.env))
    assert result.status == 0 and result.err == "", result
    lua, moonlet = json.loads((tmp_path / "out.json").read_text())["results"]
    assert (lua["command"], moonlet["command"]) == (f"{REAL_LUA} {path} an argument", f"{MOONLET} {path} an argument")
    for of in (lua, moonlet):
        assert len(of["times"]) == 5 and of["exit_codes"] == [7] * 5
        assert of["min"] == min(of["times"]) and of["max"] == max(of["times"])
        assert of["median"] == pytest.approx(statistics.median(of["times"]), abs=1e-8)
        assert of["mean"] == pytest.approx(statistics.mean(of["times"]), abs=1e-8)
        assert of["stddev"] == pytest.approx(statistics.stdev(of["times"]), abs=1e-8)
        assert of["user"] + of["system"] > 0


def test_a_file_for_the_figures_that_cannot_be_written(bench, script, start_zygote, tmp_path):
    result = compare(bench, "--export-json", tmp_path / "nowhere" / "out.json", script(""), zygote=start_zygote(env=bench.env))
    assert result == Result(1, "", f"moonlet-bench: create {tmp_path}/nowhere/out.json: No such file or directory\n")


def on_terminal(bench, *arguments, columns=80, **variables):
    """What moonlet-bench writes to a terminal of so many columns."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, columns))
    process = subprocess.Popen([BENCH, "--lua", REAL_LUA, "--moonlet", MOONLET, *map(str, arguments)], stdin=its, stdout=its, stderr=its,
                               env={**bench.env, **variables})
    os.close(its)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: nobody has it open any more
        while more := os.read(ours, 4096):
            shown += more
    os.close(ours)
    assert process.wait(PATIENCE) == 0, shown
    return shown.decode().replace("\r\n", "\n")


@judges
def test_a_terminal_shows_progress_and_how_the_times_are_distributed(bench, script, start_zygote):
    zygote = start_zygote("-l", "slow", env=bench.env)
    shown = on_terminal(bench, "--runs", "5", script('require "slow"'), MOONLET_SOCKET=zygote.socket, LC_ALL="C.UTF-8", NO_COLOR="1")
    assert "\r\033[Krunning it once under lua ..." in shown and "running it once under moonlet ..." in shown
    assert re.search(r"measuring: \d+ %, \d+ s left \(\d launches, mean: lua [\d.]+ ms, moonlet [\d.]+ ms\)", shown), shown
    *_, removed = shown.split("\033[K")
    assert re.match(r"moonlet is [\d.]+ times as fast: ", removed), "progress is removed before the result"
    bars = re.search("^lua      (.*)\nmoonlet  (.*)\n +([\\d.]+) ms +\\(logarithmic\\) ([\\d.]+) ms\n", removed, re.MULTILINE)
    assert len(bars[1]) == len(bars[2]) == 70 and set(bars[1] + bars[2]) <= set(" ▁▂▃▄▅▆▇█"), removed
    assert bars[2].strip() and bars[1].strip() and bars[2][0] != " " and bars[1][-1] != " ", removed
    assert float(bars[4]) > 50 > float(bars[3])


def test_a_terminal_without_utf_8_and_a_narrow_one(bench, script, start_zygote):
    zygote = start_zygote(env=bench.env)
    shown = on_terminal(bench, "--runs", "3", script(""), columns=60, MOONLET_SOCKET=zygote.socket, LC_ALL="C")
    bars = re.search("^lua      (.*)\nmoonlet  (.*)\n +[\\d.]+ ms", shown, re.MULTILINE)
    assert len(bars[1]) == len(bars[2]) == 50 and shown.isascii(), shown
    assert all(len(line) < 60 for line in re.findall("\033\\[K([^\r\n]*)\r", shown)), shown


@pytest.mark.skipif(SANITIZED, reason="nothing is frozen in a build with AddressSanitizer")
def test_an_image_that_is_being_made_is_waited_for(bench, script, tmp_path):
    """The first launch under moonlet has it made, in the background."""
    variables = {"MOONLET_WARM": "-l slow", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    (tmp_path / "cache").mkdir()
    result = bench("--lua", REAL_LUA, "--moonlet", MOONLET, "--runs", "3", script('require "slow"'), **variables)
    assert result.status == 0 and result.out.startswith("moonlet is "), result
    assert result.err == "moonlet-bench: waiting for the image of MOONLET_WARM, which is being made ...\n"


def test_where_nothing_is_warm_it_says_what_makes_it_so(bench, script):
    result = compare(bench, script('require "slow"'), MOONLET_SOCKET="", XDG_RUNTIME_DIR="/nonexistent")
    assert result.status == 1 and result.err.endswith("\n    export MOONLET_WARM='-l slow'\n"), result


def contenders(tmp_path, *lines):
    path = tmp_path / "contenders"
    path.write_text("".join("\t".join(line) + "\n" for line in lines))
    return path


def test_contenders_are_launched_in_rounds_and_each_launch_is_written(bench, tmp_path):
    listed = contenders(tmp_path, ("first", REAL_LUA, "-e", "os.exit(0)"),
                        ("second", "STATUS=5", REAL_LUA, "-e", 'os.exit(tonumber(os.getenv("STATUS")))'))
    result = bench("--contenders", listed, "--csv", tmp_path / "out.csv", "--runs", "8")
    assert result == Result(0, "", "")
    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    for number in range(8):
        both = [row for row in rows if row["round"] == str(number)]
        assert sorted(row["contender"] for row in both) == ["first", "second"]
    assert {row["contender"] + " " + row["status"] for row in rows} == {"first 0", f"second {5 << 8}"}
    assert all(float(row["wall_us"]) > 0 and float(row["processor_us"]) > 0 and int(row["minor_faults"]) > 0
               for row in rows)
    assert len({row["contender"] for row in rows[::2]}) == 2, "the order does not change"


def test_one_contender_runs_before_each_of_the_others_and_is_not_measured(bench, tmp_path):
    def say(name):
        return REAL_LUA, "-e", f'io.open("{tmp_path}/said", "a"):write("{name}\\n")'
    listed = contenders(tmp_path, *((name, *say(name)) for name in ("first", "front", "second")))
    result = bench("--contenders", listed, "--csv", tmp_path / "out.csv", "--runs", "8", "--before", "front")
    assert result == Result(0, "", "")
    said = (tmp_path / "said").read_text().split()
    assert said[::2] == ["front"] * 16 and sorted(said[1::2]) == ["first"] * 8 + ["second"] * 8
    with open(tmp_path / "out.csv", newline="") as file:
        assert [row["contender"] for row in csv.DictReader(file)] == said[1::2]


def test_a_contender_to_run_before_the_others_that_is_not_there(bench, tmp_path):
    listed = contenders(tmp_path, ("first", REAL_LUA, "-e", ""))
    result = bench("--contenders", listed, "--csv", tmp_path / "out.csv", "--runs", "1", "--before", "front")
    assert result == Result(1, "", "moonlet-bench: there is no contender 'front'\n")


def test_contenders_run_several_at_once(bench, tmp_path):
    listed = contenders(tmp_path, ("good", REAL_LUA, "-e", ""), ("bad", REAL_LUA, "-e", "os.exit(1)"))
    result = bench("--contenders", listed, "--csv", tmp_path / "out.csv", "--concurrency", "4", "--seconds", "0.2")
    assert result == Result(0, "", "")
    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["contender"] for row in rows] == ["good", "bad"] * (len(rows) // 2)
    for row in rows:
        assert int(row["launches"]) >= 4 and float(row["seconds"]) > 0
        assert int(row["failures"]) == (int(row["launches"]) if row["contender"] == "bad" else 0)


def test_a_contender_that_is_not_there(bench, tmp_path):
    listed = contenders(tmp_path, ("first", "/no/such/program"))
    result = bench("--contenders", listed, "--csv", tmp_path / "out.csv", "--runs", "1")
    assert result == Result(1, "", "moonlet-bench: run /no/such/program: No such file or directory\n")


@pytest.mark.skipif(LUA != "5.4" or SANITIZED, reason="once is enough: in the release build")
@pytest.mark.skipif(shutil.which("gnuplot") is None, reason="GNUPLOT IS NOT INSTALLED: bench/run is not tested")
def test_the_benchmark_runs_through_and_reports(tmp_path):
    subprocess.run(["cmake", "--build", BUILD, "--target", "bench_programs"], check=True, capture_output=True)
    done = subprocess.run([os.path.join(SOURCE, "bench", "run"), "--build", BUILD, "--quick", "--output", tmp_path],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "report.txt").read_text()
    assert done.stdout == f"{text}\nWritten: {tmp_path}/report.md\n"
    markdown = (tmp_path / "report.md").read_text()
    for plot in ("started.svg", "hello.svg", "warm-heap.svg", "memory.svg", "throughput.svg"):
        assert f"({plot})" in markdown
        assert (tmp_path / plot).read_text().rstrip().endswith("</svg>")
    # A user finds first what moonlet gains.
    summary = markdown.partition("## In short")[2].partition("## ")[0]
    assert re.search(r'^\| print\("hello"\) \| [\d.]+ ms \| [\d.]+ ms \| (as fast|[\d.]+ times as fast) \|$', summary, re.MULTILINE)
    assert markdown.index("## In short") < markdown.index('## print("hello")') < markdown.index("## What is to be reached")
    # Every goal has its row, and each is measured but for those of a contender that is not there, which is said.
    goals = markdown.partition("## What is to be reached")[2].partition("##")[0]
    rows = [line.split(" | ") for line in goals.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 18
    for row in rows:
        assert row[1] != "NOT MEASURED" or row[-1].rstrip(" |") in "".join(re.findall("LEFT OUT.*", text)), row
    for title in ('print("hello")', 'require "pl.pretty"', "luaposix", "luacheck --version", "luacheck over", "garbage",
                  "warm heap", "modules in the image", "loaded or frozen", "for itself", "Memory of idle scripts",
                  "per second", "numbers that do not drift"):
        assert re.search(f"^## .*{re.escape(title)}", markdown, re.MULTILINE), title
    assert re.search("^moonlet: moonlet .*commit ", text, re.MULTILINE)
    # The load comes first, and whoever reads the figures is told where it was high.
    load = float(re.match(r"Load before: ([\d.]+) ", text).group(1))
    assert ("THE MACHINE WAS NOT QUIET" in markdown) == (load > os.cpu_count() / 4)


@pytest.mark.skipif(LUA != "5.4" or SANITIZED, reason="once is enough: in the release build")
def test_a_section_that_does_not_exist(tmp_path):
    done = subprocess.run([os.path.join(SOURCE, "bench", "run"), "--only", "nothing"], capture_output=True, text=True)
    assert done.returncode == 2 and "there is no section nothing" in done.stderr


@pytest.mark.skipif(LUA != "5.4" or SANITIZED, reason="once is enough: in the release build")
@pytest.mark.skipif(shutil.which("gnuplot") is None, reason="GNUPLOT IS NOT INSTALLED: bench/run is not tested")
def test_a_build_that_is_not_complete(tmp_path):
    done = subprocess.run([os.path.join(SOURCE, "bench", "run"), "--build", tmp_path], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"bench/run: {tmp_path} has no moonlet: the target bench_programs makes it\n"
