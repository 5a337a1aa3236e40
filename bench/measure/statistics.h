// What many samples say.
#pragma once

namespace moonlet::bench {

/// Sorts `values`, ascending.
void sort(double* values, int count);

/// The value below which `share` (0 to 1) of the sorted `values` lie; between two of them, by proportion.
/// `count` is at least 1.
double quantile(const double* sorted, int count, double share);

struct Moments {
  double mean;
  double deviation;  // the standard deviation of what `count` values were drawn from; 0 for one value
};
Moments moments(const double* values, int count);

struct Interval {
  double low;
  double high;
};

/// Where the median of what `sorted` was drawn from lies, with a confidence of 95 %, whatever its distribution.
/// With fewer than six values, which cannot tell so much, it is where all of them lie.
Interval median_interval(const double* sorted, int count);

}  // namespace moonlet::bench
