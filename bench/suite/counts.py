"""What a launch of hello takes in numbers that do not drift with the machine."""

import os
import re
import subprocess

from .latency import Field, add_all
from .samples import spread
from .session import WORKLOADS, Trouble

SUMMARY = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?([a-z]\w*)$", re.MULTILINE)


def run(session, contender, argv):
    done = subprocess.run(argv, env={**session.environment, **contender.variables}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise Trouble(f"{contender.key}: {' '.join(argv)}: {done.stderr}")
    return done.stdout


def system_calls(session, contender):
    """How often each is made, by name, in the program that is started."""
    summary = os.path.join(session.work, "strace")
    run(session, contender, ["strace", "-f", "-c", "-o", summary, *contender.argv])
    with open(summary) as file:
        calls = {name: int(count) for count, name in SUMMARY.findall(file.read()) if name != "total"}
    if not calls:
        raise Trouble("the summary of strace is not understood")
    return calls


def counts(session):
    """By key: page faults; and system calls, those that map, and mappings in a script, or None."""
    with Field(session) as listing:
        add_all(listing, [WORKLOADS / "mappings.lua"])
        mappings = {it.key: int(run(session, it, it.argv)) for it in listing.contenders if it.key != "noop"}
    with Field(session) as field:
        add_all(field, [WORKLOADS / "hello.lua"])
        measured = session.measure("counts", field.contenders, session.pick(100, 20))
        found = {}
        for it in field.contenders:
            calls = system_calls(session, it)
            found[it.key] = {"faults": spread(measured[it.key].own_faults), "calls": sum(calls.values()),
                             "mmap": calls.get("mmap", 0) + calls.get("mmap2", 0),
                             "mappings": mappings.get(it.key)}
            if it.zygote:  # strace has seen but a part of it
                found[it.key].update(faults=measured[it.key].faults(), calls=None, mmap=None)
        return found
