"""Warm-ups that are frozen, each once in a session."""

import subprocess

from . import places


class Trouble(Exception):
    """The benchmark cannot go on; the text says why."""


class Images:
    """`session` has the programs and their environment. Images lie in `directory`, and those that are asked for on
    disk in `disk`."""

    def __init__(self, session, directory, disk):
        self.session = session
        self.directory = directory
        self.disk = disk
        self.made = {}  # by name, version of Lua, and whether it is on disk

    def make(self, name, warm_up, variables=None, lua="5.4", on_disk=False, base=None):
        """The path of an image. `warm_up`: --trust, then lua's options, then a script and its arguments, as far as
        they are wanted. `base`: the path of an image that it lies on."""
        key = name, lua, on_disk
        if key not in self.made:
            path = (self.disk if on_disk else self.directory) / f"{name}-{lua}.image"
            on_base = ["--image", base] if base else []
            freeze = [self.session.program("moonlet", lua), *on_base, "--freeze", str(path), *map(str, warm_up)]
            done = subprocess.run(freeze, env={**self.session.environment, **(variables or {})},
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode != 0:
                raise Trouble(f"{' '.join(freeze)}: {done.stdout}{done.stderr}")
            self.made[key] = path
        return str(self.made[key])

    def size_kb(self, name, lua="5.4"):
        return places.allocated_kb(self.made[name, lua, False])
