// The command line of a freeze: moonlet --freeze IMAGE [--ignore NAME]... [--trust] [--base] [lua's options]
// [script [args]].
#pragma once

#include <limits.h>

namespace moonlet::freeze {

struct Options {
  static constexpr int kMostIgnored = 64;

  const char* image;        // path
  char room[2 * PATH_MAX];  // for it
  bool trust;               // no file is asked after
  bool is_base;             // --base: others will lie on it
  int ignored;              // how many names of variables and paths no question is about
  const char* ignore[kMostIgnored];
  int argc;  // what is left: lua's
  char** argv;
};

/// Takes moonlet's own options from the front. Complaints end the process with status 125.
void read_options(int argc, char** argv, Options& options);

}  // namespace moonlet::freeze
