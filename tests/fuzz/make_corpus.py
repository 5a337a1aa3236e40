#!/usr/bin/python3
"""make_corpus.py: writes the inputs that the fuzzing starts from to tests/fuzz/corpus, one directory for each target.
The requests are those of tests/e2e/client.py; what the bytes of an input mean stands in each target's source."""

import os
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import client  # noqa: E402
import images  # noqa: E402


def request(argv, env=(), fds=(), cut=(), silent=False, passed=None):
    """A request in messages: `cut` are the sizes of all but the last; the descriptors go as docs/protocol.md says."""
    fixed, variable = client.request(list(argv), list(env), dict.fromkeys(fds))
    fixed = fixed[:44] + bytes(4) + fixed[48:]  # the pid would be another one each time
    left = len(fds) + 1 if passed is None else passed
    messages = []
    if left > client.PER_MESSAGE:
        messages.append((client.PER_MESSAGE, len(fixed)))
        left -= client.PER_MESSAGE
        while left > client.PER_MESSAGE:
            messages.append((client.PER_MESSAGE, 1))
            left -= client.PER_MESSAGE
        messages.append((left, 1))
        fixed += bytes(len(messages) - 1)
        left = 0
    for size in cut:
        messages.append((left, size))
        left = 0
    head = bytes([len(messages) | (0x80 if silent else 0)])
    return head + b"".join(struct.pack("=BH", *it) for it in messages) + bytes([left]) + fixed + variable


def report(kind, value, descriptors=0):
    return bytes([descriptors]) + struct.pack("=Ii", kind, value)


def came(signal, code=0, value=0):
    return struct.pack("=BBbi", 5, signal - 1, code, value)


def said(text):
    return b"".join(bytes([4 | len(part) << 3]) + part for part in (text[i:i + 31] for i in range(0, len(text), 31)))


def strings(*texts):
    return b"".join(text + b"\0" for text in texts)


def mix(hash, word):
    hash = ((hash ^ word) * 0x9e3779b97f4a7c15) % 2**64
    return hash ^ hash >> 32


def hash_bytes(hash, data):
    hash = mix(hash, len(data))
    while len(data) >= 8:
        hash, data = mix(hash, struct.unpack_from("=Q", data)[0]), data[8:]
    return mix(hash, int.from_bytes(data, "big"))


# What a file is that has a 1 in all bytes of its status: as the target's kernel says.
THERE = hash_bytes(hash_bytes(hash_bytes(0, b"\1" * 8), b"\1" * 16), b"\1" * 32)
(BASE, DIRECTORY, FILE, LINK, KIND, TARGET, CONTENT, VARIABLE, VARIABLES, TERMINAL, WORKING_DIRECTORY, USER, HOST, PROCESSORS,
 LIMIT) = range(15)


def question(asked, text=b"", aux=0, answer=0, holds=b""):
    text += bytes(8 - (len(text) + 1) % 8 + 1)
    return struct.pack("=HBBIQ", 16 + len(text), asked, 0, len(holds) or aux, answer) + text + holds


def environment(*entries):
    return strings(*entries, *[b""] * (4 - len(entries)))


def tables(segments, files, asked, pages=65535, right=15, patches=(), **changes):
    """Those of an image of `pages` bytes, whatever of it the target then makes right (Right in tables.cc)."""
    fixed = struct.calcsize(images.HEADER) + len(segments) * struct.calcsize(images.SEGMENT) + len(files) * struct.calcsize(images.FILE) + 8 * len(patches)
    texts, paths = b"", []
    for path in files:
        paths.append(fixed + len(asked) + len(texts))
        texts += path + b"\0"
    texts += bytes(8 - len(texts) % 8)
    values = dict.fromkeys(images.FIELDS, 0)
    values.update(magic=bytes(8), segments=len(segments), files=len(files), questions=fixed, questions_size=len(asked), patches=len(patches),
                  entry=LOW + 0x1010, **changes)
    behind = b"".join(struct.pack(images.SEGMENT, *it) for it in segments)
    behind += b"".join(struct.pack(images.FILE, 4711, path, 0) for path in paths) + struct.pack(f"={len(patches)}Q", *patches)
    return struct.pack("=BH", right, pages) + struct.pack(images.HEADER, *values.values()) + behind + asked + texts


LOW = 0x180000000  # in the window
SEGMENTS = [(LOW, 0x1000, 0x1000, images.OF_IMAGE, images.READ | images.WRITE, 0),
            (LOW + 0x1000, 0x3000, 0, 0, images.READ | images.EXECUTE, 0),
            (LOW + 0x4000, 0x8000, 0x2000, images.OF_IMAGE, images.READ, 0),
            (LOW + 0x10000, 0x1000, 0, images.OF_NOTHING, images.READ | images.WRITE, 1),
            (LOW, 0x1000, 0, images.WRITTEN, 0, 0), (0, 0, 0, images.WRITTEN, 0, 0), (LOW + 0x8000, 0x1000, 0, images.BORDER, 0, 0)]

HANGS_UP = b"\6"
NO_PIDFD = b"\x0f\0"
STARTED = report(client.STARTED, 4242, 1)
SIGTERM, SIGCONT, SIGTSTP = 15, 18, 20

CORPUS = {
    "request": {
        "plain": request(["lua", "-e", "print(1)"], ["A=1", "PATH=/bin"], [0, 1, 2]),
        "bare": request([""]),
        "pieces": request(["lua", "x.lua", ""], ["", "B="], [0, 7], cut=[1, 100, 251, 10]),
        "batches": request(["lua"], ["A=1"], range(3, 3 + 255)),
        "long": request(["lua", "x" * 3000], ["A" * 900] * 16, [0, 1, 2]),
        "many": request(["lua"] + ["a"] * 400, ["b"] * 200),
        "silent": request(["lua"], silent=True)[:300],
        "short of descriptors": request(["lua"], [], [0, 1], passed=2),
        "too many descriptors": request(["lua"], [], [0, 1], passed=252),
    },
    "reports": {
        "exited": STARTED + report(client.EXITED, 3),
        "killed": STARTED + report(client.KILLED, SIGTERM),
        "stopped": STARTED + report(client.STOPPED, SIGTSTP) + came(SIGCONT) + report(client.EXITED, 0),
        "declined": report(client.DECLINED, 34) + said(b"it speaks another version of this."),
        "unknown": report(9, 1) + STARTED + report(77, 0) + report(client.EXITED, 255),
        "early signal": came(SIGTERM) + STARTED,
        "forwards": STARTED + came(SIGTERM) + came(2, -128) + NO_PIDFD + came(SIGTERM) + report(client.KILLED, 2),
        "server dies": STARTED + HANGS_UP + came(SIGTERM),
        "hangs up": HANGS_UP,
        "no pidfd": report(client.STARTED, 4242) + came(SIGTERM) + HANGS_UP,
        "small values": b"\x0b\x64\x33\x05\x2b\x05\x1b\x07",
    },
    "command_line": {
        "script": b"\0" + strings(b"lua", b"-v", b"-l", b"x", b"-e", b"print(1)", b"script.lua", b"-i"),
        "terminal": b"\1" + strings(b"lua"),
        "interactive": b"\1" + strings(b"lua", b"-i", b"-E", b"-W", b"-"),
        "socket": b"\0" + strings(b"moonlet", b"--socket", b"/s", b"--socket=/t", b"--", b"-x"),
        "moonletd": b"\0" + strings(b"moonletd", b"--socket=/s", b"--mode", b"0666", b"--max=9", b"--warm-up-time", b"2", b"--trust",
                                    b"-l", b"posix", b"--ready-fd=2", b"x.lua", b"a"),
        "status": b"\0" + strings(b"moonlet", b"--socket", b"/s", b"--status=json", b"x"),
        "help": b"\0" + strings(b"moonlet", b"--help"),
        "version": b"\0" + strings(b"moonlet", b"--version"),
        "bad": b"\0" + strings(b"moonletd", b"--max", b"99999999999999999999", b"-e"),
    },
    "environment": {
        "plain": strings(b"\1", b"/run/user/1000", b"\1", b"/usr/local/bin:/bin:/usr/bin", b"\1", b"\1", b"\1"),
        "named": strings(b"/tmp/s", b"", b"/usr/bin/lua5.4", b"", b"1", b"1", b"/run/notify"),
        "long": strings(b"/" + b"s" * 107, b"/" + b"r" * 94, b"lua", b"/" + b"p" * 4090 + b"::.:", b"2", b"\1", b"@" + b"n" * 106),
        "forbidden": strings(b"", b"\1", b"", b"\1", b"\1", b"\1", b"@abstract"),
    },
    "tables": {
        "plain": tables(SEGMENTS, [b"/lib/libc.so.6", b"/usr/lib/x.so"], question(FILE, b"/lib", answer=THERE)),
        "bare": tables(SEGMENTS[1:2], [b""], b""),
        "no entry": tables(SEGMENTS[:1], [], b""),
        "not of the window": tables([(0x400000, *SEGMENTS[0][1:]), *SEGMENTS[1:]], [b"/x"], b""),
        "one over another": tables([SEGMENTS[1], SEGMENTS[0]], [b"/x"], b""),
        "patched": tables(SEGMENTS, [b"/x"], b"", patches=[2 << 48 | LOW + 16, 4711, 4712, 1 << 48 | LOW + 0x10ff8, 0]),
        "patched beside": tables(SEGMENTS, [b"/x"], b"", patches=[2 << 48 | LOW + 0x10ff8, 4711, 4712]),
        "patched where nothing is": tables(SEGMENTS, [b"/x"], b"", patches=[1 << 48 | LOW + 0x20000, 4711]),
        "many": tables(SEGMENTS[1:2] + SEGMENTS[4:5] * 24, [b"/%d" % i for i in range(20)], bytes(64)),
        "checksum": tables(SEGMENTS, [b"/x"], b"", right=7),
        "sizes": tables(SEGMENTS, [b"/x"], b"", right=13, tables_size=1 << 40, file_size=1 << 50),
        "another": tables(SEGMENTS, [b"/x"], b"", right=14),
    },
    "questions": {
        "files": b"\0" + environment() + question(FILE, b"/lib", answer=THERE) + question(FILE, b"/no") +
                 question(BASE, b"/lua", holds=question(FILE, b"there", answer=THERE) +
                          question(DIRECTORY, answer=THERE, holds=question(FILE, b"any") * 2)) +
                 question(DIRECTORY, b"/other", holds=question(FILE, b"/no") + question(LINK, b"/no") +
                          question(TARGET, b"/no")) + question(KIND, b"/lib"),
        "trusted": b"\1" + environment(b"A=1") + question(FILE, b"/lib") + question(VARIABLE, b"A=1", 1) +
                   question(VARIABLE, b"B", 1) + question(VARIABLE, b"A=2", 1),
        "variables": b"\0" + environment(b"LD_A=1", b"_=2") + question(VARIABLES, b"\0_=\0LD_\0",
                                                                     answer=0x6d6f6f6e6c657400) + question(VARIABLES, b"LD_"),
        **{f"other {kind}": b"\0" + environment() + question(kind, b"/text", aux) for kind, aux in (
            (CONTENT, 0), (TARGET, 0), (TERMINAL, 3 << 24 | 1), (WORKING_DIRECTORY, 0), (USER, 0), (HOST, 0), (PROCESSORS, 0),
            (LIMIT, 7), (200, 0))},
    },
}


def main():
    for target, inputs in CORPUS.items():
        directory = HERE / "corpus" / target
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in inputs.items():
            (directory / name.replace(" ", "-")).write_bytes(data)


if __name__ == "__main__":
    os.umask(0o022)
    main()
