"""The model of a launch (docs/launch.pml), in all orders: one end, never two runs, no wait without end."""

import os
import re
import shutil
import subprocess

import pytest
from conftest import SOURCE

MODEL = os.path.join(SOURCE, "docs", "launch.pml")
with open(MODEL, encoding="utf-8") as model:
    MUTANTS = sorted(set(re.findall(r"MUTANT_[A-Z_]+", model.read())))
NEED_TWO = ("MUTANT_SIGCHLD_TAKEN_AFTER_REAPING",)  # clients: mistakes that one alone cannot bring to light

pytestmark = pytest.mark.skipif(not (shutil.which("spin") and shutil.which("gcc")),
                                reason="SPIN OR GCC IS NOT INSTALLED: the model is not checked")


def search(directory, *definitions, circles=False):
    """What spin's search says of the model: for circles as well, or for all else."""
    options = [f"-D{definition}" for definition in definitions]
    subprocess.run(["spin", *options, "-a", MODEL], cwd=directory, check=True, stdin=subprocess.DEVNULL)
    kind = "-DNP" if circles else "-DSAFETY"
    subprocess.run(["gcc", "-w", "-O1", kind, "-DMEMLIM=1000", "-o", "pan", "pan.c"], cwd=directory, check=True)
    pan = ["./pan", "-m10000", "-w22", *(["-l"] if circles else [])]
    return subprocess.run(pan, cwd=directory, stdout=subprocess.PIPE, text=True, check=True).stdout


def holds(told):
    """Nothing was found, and nothing was left out."""
    complete = not re.search("Search not completed|max search depth too small|reached -DMEMLIM", told)
    return complete and "errors: 0" in told


def test_a_launch_has_one_end_and_one_run(tmp_path):
    told = search(tmp_path)
    assert holds(told), told


def test_no_launch_goes_round_in_circles(tmp_path):
    told = search(tmp_path, circles=True)
    assert holds(told), told


@pytest.mark.parametrize("end", ["exited", "killed", "fallback", "failed", "gone"])
def test_each_end_is_possible(tmp_path, end):
    """Else the model would promise little."""
    told = search(tmp_path, f"NEVER={end}")
    assert "assertion violated" in told and "errors: 1" in told, told


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mistake_is_found(tmp_path, mutant):
    clients = "CLIENTS=2" if mutant in NEED_TWO else "CLIENTS=1"
    told = search(tmp_path, mutant, clients, circles=mutant == "MUTANT_READS_ON_AT_THE_END")
    assert re.search(r"assertion violated|invalid end state|non-progress cycle", told) and "errors: 1" in told, told
