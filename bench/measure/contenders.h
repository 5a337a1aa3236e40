// What runs against what: a file with a line for each contender.
#pragma once

#include "measure/launch.h"

namespace moonlet::bench {

struct Contender {
  const char* name = nullptr;
  Command command;
};

struct Contenders {
  static constexpr int kMost = 64;
  Contender at[kMost];
  int count = 0;
};

/// Reads lines of NAME, then VARIABLE=VALUE any number of times, PROGRAM and its arguments, all separated by
/// tabs. PROGRAM is a path; the variables are added to this program's own environment. Ends this program if
/// that cannot be read. What is returned lives as long as the program.
const Contenders& read_contenders(const char* path);

}  // namespace moonlet::bench
