"""What the kernel tells of processes, from /proc."""

import os
from dataclasses import dataclass

TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


@dataclass
class Served:
    """What a zygote and its children have cost so far. Of children it counts what was reaped."""

    processor_us: float
    faults: int

    def __sub__(self, other):
        return Served(self.processor_us - other.processor_us, self.faults - other.faults)


def served(pid):
    """proc_pid_stat(5). The kernel counts the processor time to the nanosecond and shows it in ticks."""
    with open(f"/proc/{pid}/stat") as file:
        field = file.read().rpartition(")")[2].split()  # field[0] is the third of the manual page
    return Served(TICK_US * sum(map(int, field[11:15])), int(field[7]) + int(field[8]))


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def memory(pid):
    """smaps_rollup of a process, in KB by name, as Pss and Private_Dirty."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        lines = [line.split() for line in file if line.endswith("kB\n")]
    return {line[0].rstrip(":"): int(line[1]) for line in lines}


def private_kb(pid):
    """What a process has written to and shares with nobody. Of a mapping it is the lesser of two: Anonymous has also
    what a fork left shared, and Private_Dirty also a file's pages on tmpfs that nobody else maps just now."""
    total, anonymous, dirty = 0, 0, 0
    with open(f"/proc/{pid}/smaps") as file:
        for line in file:
            name, value = line.split()[:2]
            if name == "Anonymous:":
                anonymous = int(value)
            elif name == "Private_Dirty:":
                dirty = int(value)
            elif name == "VmFlags:":  # the last of a mapping's
                total += min(anonymous, dirty)
    return total


def shared_out_kb(pids, with_tmpfs=True):
    """The memory of processes and their page tables: Pss divides what is shared among all that share it. Without
    their files on tmpfs: whoever counts those whole, because memory keeps them whether they are mapped or not."""
    total = 0
    for pid in pids:
        kb = memory(pid)
        total += kb["Pss"] - (0 if with_tmpfs else kb["Pss_Shmem"])
        with open(f"/proc/{pid}/status") as file:
            total += next(int(line.split()[1]) for line in file if line.startswith("VmPTE:"))
    return total
