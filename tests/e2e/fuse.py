"""fuse.py DIRECTORY: mounts there a file system in user space (fuse(4)) that has one empty directory, and serves it. It prints a line
when it serves, and the number of each request that would change something."""

import ctypes
import errno
import os
import stat
import struct
import sys

FORGET, INIT, GETATTR, OPENDIR, READDIR, RELEASEDIR, STATFS, LOOKUP, BATCH_FORGET = 2, 26, 3, 27, 28, 29, 17, 1, 42
CHANGES = (4, 6, 8, 9, 10, 11, 12, 13, 16, 35, 45)  # SETATTR, SYMLINK, MKNOD, MKDIR, UNLINK, RMDIR, RENAME, LINK, WRITE, CREATE, RENAME2
NODE = struct.pack("<6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, stat.S_IFDIR | 0o700, 2, 0, 0, 0, 4096, 0)  # struct fuse_attr
ANSWERS = {
    INIT: struct.pack("<4I2HI4H8I", 7, 31, 0, 0, 0, 0, 4096, 0, 0, 0, 0, *[0] * 8)[:64],
    GETATTR: struct.pack("<QII", 0, 0, 0) + NODE,
    OPENDIR: struct.pack("<QII", 0, 0, 0),
    READDIR: b"",
    RELEASEDIR: b"",
    STATFS: struct.pack("<5Q4I6I", 10**6, 10**6, 10**6, 10**6, 10**6, 4096, 255, 4096, 0, *[0] * 6),
}

device = os.open("/dev/fuse", os.O_RDWR)
data = f"fd={device},rootmode={stat.S_IFDIR:o},user_id={os.getuid()},group_id={os.getgid()}"
if ctypes.CDLL(None, use_errno=True).mount(b"none", sys.argv[1].encode(), b"fuse", 0, data.encode()) != 0:
    sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
print("serves", flush=True)
while True:
    request = os.read(device, 1 << 20)
    _, operation, unique = struct.unpack_from("<IIQ", request)
    if operation in CHANGES:
        print("change", operation, flush=True)
    if operation in (FORGET, BATCH_FORGET):
        continue
    answer = ANSWERS.get(operation)
    error = 0 if answer is not None else -(errno.ENOENT if operation == LOOKUP else errno.EROFS if operation in CHANGES else errno.ENOSYS)
    os.write(device, struct.pack("<IiQ", 16 + len(answer or b""), error, unique) + (answer or b""))
