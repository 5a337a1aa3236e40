// How many values there are of each size, for a terminal.
#pragma once

namespace moonlet::bench {

struct Series {
  const char* name;      // eight letters at most
  const double* sorted;  // in ms, above 0
};

/// Prints a line for each of two series of `count` values, and below these the scale that both share, in
/// `columns` at most. The scale is logarithmic, since one series may lie far below the other. With `utf8` the
/// lines are of blocks of eight heights, else of letters.
void print_histogram(const Series (&series)[2], int count, int columns, bool utf8);

}  // namespace moonlet::bench
