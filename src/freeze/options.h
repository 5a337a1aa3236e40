// The command line of a freeze: moonlet --freeze IMAGE [--ignore NAME]... [--trust] [lua's options] [script
// [args]].
#pragma once

namespace moonlet::freeze {

struct Options {
  const char* image;  // path
  bool trust;         // no file is asked after
  int argc;           // what is left: lua's
  char** argv;
};

/// Takes moonlet's own options from the front. Complaints end the process with status 125.
Options read_options(int argc, char** argv);

}  // namespace moonlet::freeze
