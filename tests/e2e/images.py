"""The file of an image (src/image/format.h), for tests that make others of it: read, changed, and written with a checksum
that is right."""

import os
import struct

MAGIC = b"moonlet\n"
FORMAT = 8
OF_IMAGE, OF_NOTHING, WRITTEN, BORDER = -1, -2, -3, -4
READ, WRITE, EXECUTE = 1, 2, 4
TRUSTED = 1
IMAGE_BELOW = 0xffffffff  # the `sample` of a file that is an image

WORD = (1 << 64) - 1
HEADER = "=8sIIQQQqqQQIIIIIIQQIIII"
FIELDS = ["magic", "format", "lua", "checksum", "tables_size", "file_size", "made_seconds", "made_nanoseconds", "entry",
          "thread_pointer", "segments", "files", "questions", "questions_size", "page_size", "flags", "build", "processor",
          "notes_size", "modules", "heap", "patches"]
SEGMENT = "=QQQhBB4x"
SEGMENT_FIELDS = ["address", "size", "offset", "file", "protection", "nature"]
FILE = "=QII"
FILE_FIELDS = ["identity", "path", "sample"]
UNCHECKED = struct.calcsize("=8sIIQ")  # up to the checksum and with it


def mix(value, word):
    value = (value ^ word) * 0x9E3779B97F4A7C15 & WORD
    return value ^ value >> 32


def checksum(data):
    value = len(data)
    for (word,) in struct.iter_unpack("=Q", data[:len(data) // 8 * 8]):
        value = mix(value, word)
    return value


def build(version):
    """Of the moonlet of this version."""
    value = FORMAT
    for byte in version.encode():
        value = mix(value, byte)
    return value


class Image:
    """Tables, taken apart: the header's fields are attributes; `segment` and `file` are lists of dictionaries; `patch` is words that
    differ from an image below, `rest` are questions and texts, and `pages` what is behind the tables."""

    def __init__(self, data):
        for name, value in zip(FIELDS, struct.unpack_from(HEADER, data)):
            setattr(self, name, value)
        at = struct.calcsize(HEADER)
        self.segment, at = self.take(data, at, SEGMENT, SEGMENT_FIELDS, self.segments)
        self.file, at = self.take(data, at, FILE, FILE_FIELDS, self.files)
        self.patch = bytearray(data[at:at + 8 * self.patches])
        self.rest = bytearray(data[at + 8 * self.patches:self.tables_size])
        self.pages = data[self.tables_size:]

    @staticmethod
    def take(data, at, layout, names, count):
        size = struct.calcsize(layout)
        return [dict(zip(names, struct.unpack_from(layout, data, at + i * size))) for i in range(count)], at + count * size

    def names(self):
        """Of its modules."""
        return [name.decode() for name in self.pages[:self.notes_size].split(b"\0")[:-1]]

    def text(self, offset):
        """The one at this offset of the tables."""
        at = offset - (self.tables_size - len(self.rest))
        return bytes(self.rest[at:self.rest.index(0, at)]).decode()

    def set_text(self, offset, text):
        """Another one in its place, which is not longer."""
        at = offset - (self.tables_size - len(self.rest))
        room = self.rest.index(0, at) - at
        assert len(text) <= room
        self.rest[at:at + room] = text.encode().ljust(room, b"\0")

    @classmethod
    def read(cls, path):
        with open(path, "rb") as file:
            return cls(file.read())

    def header(self):
        return struct.pack(HEADER, *(getattr(self, name) for name in FIELDS))

    def tables(self, right=True):
        """With a checksum that is right, if asked for."""
        behind = b"".join(struct.pack(SEGMENT, *it.values()) for it in self.segment)
        behind += b"".join(struct.pack(FILE, *it.values()) for it in self.file) + bytes(self.patch) + bytes(self.rest)
        if right:
            data = self.header() + behind
            self.checksum = checksum(data[UNCHECKED:self.tables_size])
        return self.header() + behind

    def write(self, path, right=True):
        replace(path, self.tables(right) + self.pages, self.made_seconds, self.made_nanoseconds)


def replace(path, data, seconds, nanoseconds):
    """Puts `data` in the place of the image `path`, with the time that its header tells."""
    with open(path + ".new", "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)
    os.utime(path + ".new", ns=(seconds * 10**9 + nanoseconds,) * 2)
    os.replace(path + ".new", path)


def boundaries(image):
    """Offsets at which parts of the file begin, ascending."""
    header, segment, file = map(struct.calcsize, (HEADER, SEGMENT, FILE))
    files = header + image.segments * segment
    return [0, len(MAGIC), UNCHECKED, header, files, files + image.files * file, image.questions + image.questions_size,
            image.tables_size, *sorted(it["offset"] for it in image.segment if it["file"] == OF_IMAGE), image.file_size]
