"""What the documents show: indented blocks."""

import os
import pathlib
import re

from conftest import SOURCE


def documents():
    return ["README.md", "packaging/README.md",
            *sorted(os.path.relpath(path, SOURCE) for path in pathlib.Path(SOURCE, "docs").rglob("*.md") if "benchmarks/" not in str(path))]


def blocks(name):
    """All indented blocks of a document, without their indentation."""
    text = pathlib.Path(SOURCE, name).read_text()
    found = re.findall(r"(?:\A|\n)\n((?:    .*\n|\n(?=    ))+)", text)
    return [re.sub("^    ", "", block, flags=re.MULTILINE).strip("\n") + "\n" for block in found]


def block(name, first):
    """The block that begins with `first`. Of several files in one block, each under its name in a comment, each counts."""
    parts = [part.strip("\n") + "\n" for it in blocks(name) for part in re.split(r"\n\n(?=# )", it)]
    [found] = [part for part in parts if part.startswith(first)]
    return found
