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
        self.batches = []  # dictionaries of sums per launch, one for each batch

    def add(self, rows, served):
        # The first round finds everything cold.
        self.wall_us += [float(row["wall_us"]) for row in rows[1:]]
        launches = len(rows)
        own = {"client_us": sum(float(row["processor_us"]) for row in rows) / launches,
               "client_faults": sum(int(row["minor_faults"]) for row in rows) / launches,
               "launches": launches}
        for name in ("zygote_us", "children_us", "zygote_faults", "children_faults"):
            own[name] = getattr(served, name) / launches if served else 0
        self.batches.append(own)

    def wall(self):
        return spread(self.wall_us)

    def cost(self, name):
        """Mean per launch of client_us, zygote_us, children_us or the same with _faults."""
        return extremes([batch[name] for batch in self.batches])

    def processor_us(self):
        """User and system time of a launch, over all its processes."""
        return extremes([batch["client_us"] + batch["zygote_us"] + batch["children_us"] for batch in self.batches])

    def is_exact(self):
        """Whether the ticks in which a zygote's processor time comes are a small part of it."""
        tick_us = proc.TICK_US / self.batches[0]["launches"]
        return self.cost("children_us").value == 0 or tick_us < self.processor_us().value / 20

    def faults(self):
        return extremes([batch["client_faults"] + batch["zygote_faults"] + batch["children_faults"]
                         for batch in self.batches])


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
