"""What the figures were measured on."""

import datetime
import os
import platform
import re
import subprocess

from . import places
from .session import BENCH


def output(*command):
    """What a command prints first, or nothing where it does not run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    return ((done.stdout + done.stderr).strip().splitlines() or [""])[0]


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def field(pattern, text):
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1).strip() if found else "unknown"


def load():
    """What has run on the machine lately: three numbers of processes, over 1, 5 and 15 minutes."""
    return os.getloadavg()


def warnings(load_before):
    """What a reader of the figures must know first."""
    most = os.cpu_count() / 4
    if load_before[0] <= most:
        return []
    return [f"THE MACHINE WAS NOT QUIET: its load was {load_before[0]:.2f} before this began, and should be at most "
            f"{most:.2f}, a quarter of its processors."]


def facts(session, load_before):
    """Pairs of name and value."""
    processor = read("/proc/cpuinfo")
    memory = int(field(r"^MemTotal:\s*(\d+)", read("/proc/meminfo")).replace("unknown", "0"))
    virtual = ", a virtual machine" if " hypervisor" in processor else ""
    lua = output(session.lua, "-v").split("  ")[0]
    package = output("dpkg-query", "-W", "-f", "${Version}", "lua5.4")
    images = session.memory or session.disk
    return [
        ("Load before", " ".join(f"{value:.2f}" for value in load_before)),
        ("Machine", f"{field('^model name[^:]*:(.*)', processor)}, {os.cpu_count()} processors, "
                    f"{memory / 1048576:.1f} GB{virtual}"),
        ("System", f"{field('^PRETTY_NAME=.(.*).$', read('/etc/os-release'))}, Linux {platform.release()}, "
                   f"{' '.join(platform.libc_ver())}"),
        ("Date", datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        ("moonlet", f"{output(session.program('moonlet'), '--version')}, commit "
                    f"{output('git', '-C', str(BENCH), 'describe', '--always', '--dirty') or 'unknown'}"),
        ("Lua", f"{lua}" + (f" (package {package})" if package else "")),
        ("Session", "quick: few launches of each" if session.quick else "full"),
        ("Programs", f"copied to {places.name(session.disk)}, written out, and read from there"),
        ("Images", f"in {places.name(images)}"),
        ("Order", session.order),
    ]
