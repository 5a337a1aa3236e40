// moonlet-bench's command line.
#pragma once

namespace moonlet::bench {

struct Options {
  // A script under lua and under moonlet.
  const char* lua = nullptr;      // --lua; else the one that moonlet falls back to
  const char* moonlet = nullptr;  // --moonlet; else the one beside this program, or on PATH
  const char* image = nullptr;    // --image: what moonlet thaws; else what it finds by itself
  char** lua_options = nullptr;   // -e, -l, -E, -W, with their values, for both; ends with null
  char** script = nullptr;        // its name and its arguments; null where there is none
  int runs = 0;                   // --runs; 0: as many as there is time for
  int warm_up = 0;                // --warmup: launches of each before the first that counts
  const char* json = nullptr;     // --export-json

  // Contenders of a file.
  const char* contenders = nullptr;  // --contenders
  const char* csv = nullptr;         // --csv
  const char* before = nullptr;      // --before: the contender that runs before each of the others, or null
  int concurrency = 0;               // --concurrency; 0: one launch after another
  double seconds = 0;                // --seconds, of each contender
};

/// Prints and exits for --help, --version (status 0) and for what is wrong (status 2).
Options read_options(int argc, char** argv);

}  // namespace moonlet::bench
