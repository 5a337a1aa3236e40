// The command line of a freeze: moonlet [--image BASE] --freeze IMAGE [--ignore NAME]... [--leave-out NAME]...
// [--whole] [--trust] [lua's options] [script [args]].
#pragma once

#include <limits.h>

namespace moonlet::freeze {

struct Options {
  static constexpr int kMostIgnored = 64;

  const char* image;        // path
  char room[2 * PATH_MAX];  // for it
  char base_room[2 * PATH_MAX];
  const char* base;  // path of the image that this one is to lie on, or null
  bool trust;        // no file is asked after
  int ignored;       // how many names of variables and paths no question is about
  const char* ignore[kMostIgnored];
  static constexpr int kMostLeftOut = 64;
  bool whole;    // rather no image than one without a module that was not to be left out
  int left_out;  // how many modules shall not be in the image
  const char* leave_out[kMostLeftOut];
  int argc;  // what is left: lua's
  char** argv;
};

/// Takes moonlet's own options from the front, for `options`, which is zero. Complaints end the process with
/// status 125.
void read_options(int argc, char** argv, Options& options);

}  // namespace moonlet::freeze
