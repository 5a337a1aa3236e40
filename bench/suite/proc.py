"""What the kernel tells of processes, from /proc."""

import os
from dataclasses import dataclass

TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


@dataclass
class Served:
    """What a zygote and its children have cost so far. Of children it counts what was reaped."""

    zygote_us: float
    children_us: float
    zygote_faults: int
    children_faults: int

    def __sub__(self, other):
        return Served(self.zygote_us - other.zygote_us, self.children_us - other.children_us,
                      self.zygote_faults - other.zygote_faults, self.children_faults - other.children_faults)


def served(pid):
    """proc_pid_stat(5). The kernel counts the processor time to the nanosecond and shows it in ticks."""
    with open(f"/proc/{pid}/stat") as file:
        field = file.read().rpartition(")")[2].split()  # field[0] is the third of the manual page
    return Served(TICK_US * (int(field[11]) + int(field[12])), TICK_US * (int(field[13]) + int(field[14])),
                  int(field[7]), int(field[8]))


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def memory(pid):
    """smaps_rollup of a process, in KB by name, as Pss and Private_Dirty."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        lines = [line.split() for line in file if line.endswith("kB\n")]
    return {line[0].rstrip(":"): int(line[1]) for line in lines}
