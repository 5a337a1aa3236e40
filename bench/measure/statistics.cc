#include "measure/statistics.h"

#include <math.h>
#include <stdlib.h>

namespace moonlet::bench {

namespace {

int by_value(const void* left, const void* right) {
  const double a = *static_cast<const double*>(left);
  const double b = *static_cast<const double*>(right);
  return (a > b ? 1 : 0) - (a < b ? 1 : 0);
}

}  // namespace

void sort(double* values, int count) { qsort(values, static_cast<size_t>(count), sizeof *values, by_value); }

double quantile(const double* sorted, int count, double share) {
  const double position = share * (count - 1);
  const int below = static_cast<int>(position);
  const int above = below + 1 < count ? below + 1 : below;
  return sorted[below] + (sorted[above] - sorted[below]) * (position - below);
}

Moments moments(const double* values, int count) {
  double sum = 0;
  for (int i = 0; i < count; i++) sum += values[i];
  const double mean = sum / count;
  double squares = 0;
  for (int i = 0; i < count; i++) squares += (values[i] - mean) * (values[i] - mean);
  return {mean, count > 1 ? sqrt(squares / (count - 1)) : 0};
}

Interval median_interval(const double* sorted, int count) {
  // Each value is below the median as often as a coin shows heads: the ranks of a binomial distribution,
  // by its normal approximation, rounded outwards.
  const int low = static_cast<int>(floor((count - 1.96 * sqrt(count)) / 2));
  const int rank = low > 1 ? low - 1 : 0;
  return {sorted[rank], sorted[count - 1 - rank]};
}

}  // namespace moonlet::bench
