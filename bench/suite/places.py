"""Where the programs and images that are measured lie: as a user would have them, not as a compiler left them."""

import os
import pathlib
import shutil
import subprocess


def file_system(path):
    """Its type, as "tmpfs" or "ext2/ext3"."""
    done = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True)
    return done.stdout.strip()


def on_disk():
    """A directory for temporary ones: the user's cache, where it is there."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return cache if os.access(cache, os.W_OK) else "/var/tmp"


def in_memory():
    """The same on tmpfs, or None where there is none for this user."""
    for path in (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm", "/run"):
        if path and os.access(path, os.W_OK | os.X_OK) and file_system(path) == "tmpfs":
            return path
    return None


def name(directory):
    """Where a temporary directory is, for people: its parent and the type of the file system."""
    parent = str(directory.parent)
    home = os.path.expanduser("~")
    if parent.startswith(home + "/"):
        parent = "~" + parent[len(home):]
    return f"{parent} ({file_system(directory)})"


def copy(source, target):
    """Copies a program, and sees to it that its pages are read from the disk: what was just written, and is not on
    the disk yet, the kernel counts as private to its only user, and maps page by page."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def install(directory, sources):
    """Copies programs, by the name that each shall have there. Returns the directory."""
    for name, source in sources.items():
        copy(source, pathlib.Path(directory, name))
    return pathlib.Path(directory)


def allocated_kb(path):
    """What a file takes, its holes left out."""
    return os.stat(path).st_blocks * 512 / 1024
