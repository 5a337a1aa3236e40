"""What the figures were measured on."""

import datetime
import os
import platform
import re
import subprocess

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


def facts(session):
    """Pairs of name and value."""
    processor = read("/proc/cpuinfo")
    memory = int(field(r"^MemTotal:\s*(\d+)", read("/proc/meminfo")).replace("unknown", "0"))
    virtual = ", a virtual machine" if " hypervisor" in processor else ""
    lua = output(session.lua, "-v").split("  ")[0]
    package = output("dpkg-query", "-W", "-f", "${Version}", "lua5.4")
    return [
        ("Date", datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        ("moonlet", f"{output(session.program('moonlet'), '--version')}, commit "
                    f"{output('git', '-C', str(BENCH), 'describe', '--always', '--dirty') or 'unknown'}"),
        ("Machine", f"{field('^model name[^:]*:(.*)', processor)}, {os.cpu_count()} processors, "
                    f"{memory / 1048576:.1f} GB{virtual}"),
        ("System", f"{field('^PRETTY_NAME=.(.*).$', read('/etc/os-release'))}, Linux {platform.release()}, "
                   f"{' '.join(platform.libc_ver())}"),
        ("Lua", f"{lua}" + (f" (package {package})" if package else "")),
        ("Load before", " ".join(f"{load:.2f}" for load in os.getloadavg())),
        ("Session", "quick: few launches of each" if session.quick else "full"),
    ]
