"""What was measured of one contender, and how two compare."""

import statistics
from dataclasses import dataclass

from . import proc


def quantile(values, share):
    """The value below which this share of the values lies; between two of them, by proportion."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


@dataclass
class Measured:
    """A figure, and between which bounds it lay: None where it was taken once."""

    value: float
    low: float = None
    high: float = None

    def over(self, other):
        """The quotient of two figures, as far apart as their bounds allow."""
        if self.low is None or other.low is None:
            return Measured(self.value / other.value)
        return Measured(self.value / other.value, self.low / other.high, self.high / other.low)


def spread(values):
    """The median, and 10th and 90th percentile."""
    if len(values) < 2:
        return Measured(values[0])
    return Measured(statistics.median(values), quantile(values, 0.1), quantile(values, 0.9))


def extremes(values):
    """The median of few, and the least and greatest."""
    if len(values) < 2:
        return Measured(values[0])
    return Measured(statistics.median(values), min(values), max(values))


class Samples:
    """Launches of one contender, one at a time, in batches."""

    def __init__(self):
        self.wall_us = []
        self.own_us = []  # processor time of the program and of the children that it waited for
        self.own_faults = []
        self.served = []  # for each batch, the mean of what a zygote and its children took for a launch: a proc.Served
        self.launches = 0  # in a batch

    def add(self, rows, served):
        self.launches = len(rows)
        if served:
            self.served.append(proc.Served(served.processor_us / len(rows), served.faults / len(rows)))
        for row in rows[1:]:  # the first round finds everything cold
            self.wall_us.append(float(row["wall_us"]))
            self.own_us.append(float(row["processor_us"]))
            self.own_faults.append(int(row["minor_faults"]))

    def wall(self):
        return spread(self.wall_us)

    def _with_served(self, own, name):
        own = spread(own)
        if not self.served:
            return own
        return Measured(own.value + statistics.mean(getattr(batch, name) for batch in self.served))

    def processor_us(self):
        """User and system time of a launch, over all its processes: the median. Of what a zygote does for it the
        mean is added, for the kernel does not tell more."""
        return self._with_served(self.own_us, "processor_us")

    def is_exact(self):
        """Whether the ticks in which a zygote's processor time comes are a small part of it."""
        return not self.served or proc.TICK_US / self.launches < self.processor_us().value / 20

    def faults(self):
        return self._with_served(self.own_faults, "faults")


@dataclass
class Throughput:
    """Launches per second, in each slice of time."""

    per_second: list

    def rate(self):
        return spread(self.per_second)


def ratio(left, right):
    """Of the medians of two lists; with it the ratios of what was measured side by side."""
    paired = [a / b for a, b in zip(left, right)]
    value = statistics.median(left) / statistics.median(right)
    if len(paired) < 2:
        return Measured(value)
    return Measured(value, quantile(paired, 0.1), quantile(paired, 0.9))
