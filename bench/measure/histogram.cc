#include "measure/histogram.h"

#include "measure/statistics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

namespace moonlet::bench {

namespace {

constexpr int kNameWidth = 9;
constexpr int kMostBins = 100;
constexpr int kHeights = 9;  // none, and eight
constexpr const char* kBlocks[kHeights] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr const char* kLetters[kHeights] = {" ", ".", ":", "-", "=", "+", "*", "#", "@"};

struct Scale {
  double low;
  double high;
  int bins;
};

int bin_of(const Scale& scale, double value) {
  if (value <= scale.low) return 0;
  const int bin = static_cast<int>(log(value / scale.low) / log(scale.high / scale.low) * scale.bins);
  return bin < scale.bins ? bin : scale.bins - 1;
}

void print_series(const Series& series, int count, const Scale& scale, bool utf8) {
  int in[kMostBins] = {};
  int most = 1;
  for (int i = 0; i < count; i++) {
    const int now = ++in[bin_of(scale, series.sorted[i])];
    if (now > most) most = now;
  }
  printf("%-*s", kNameWidth, series.name);
  for (int bin = 0; bin < scale.bins; bin++) {
    // Rounded up: a bin with one value is not empty.
    const int height = (in[bin] * (kHeights - 1) + most - 1) / most;
    fputs((utf8 ? kBlocks : kLetters)[height], stdout);
  }
  putchar('\n');
}

}  // namespace

void print_histogram(const Series (&series)[2], int count, int columns, bool utf8) {
  Scale scale = {series[0].sorted[0], 0, columns - kNameWidth - 1};
  if (scale.bins > kMostBins) scale.bins = kMostBins;
  for (const Series& it : series) {
    if (it.sorted[0] < scale.low) scale.low = it.sorted[0];
    // Few stragglers shall not make all else narrow: they are in the last bin.
    const double high = quantile(it.sorted, count, 0.98);
    if (high > scale.high) scale.high = high;
  }
  if (scale.low <= 0) return;
  if (scale.high < scale.low * 1.1) scale.high = scale.low * 1.1;
  for (const Series& it : series) print_series(it, count, scale, utf8);
  char low[32];
  char high[64];
  snprintf(low, sizeof low, "%.2f ms", scale.low);
  snprintf(high, sizeof high, "(logarithmic) %.2f ms", scale.high);
  const int between = scale.bins - static_cast<int>(strlen(low));
  printf("%-*s%s%*s\n", kNameWidth, "", low, between, high);
}

}  // namespace moonlet::bench
