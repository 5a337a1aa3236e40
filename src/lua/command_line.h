// lua's command line, before any of it runs.
#pragma once

namespace moonlet::interpreter {

struct Options {
  const char* bad = nullptr;  // the option that is not valid: of the others nothing is to be used
  bool interactive = false;
  bool version = false;
  bool executes = false;  // -e
  bool ignores_environment = false;
  bool other_engine = false;  // LuaJIT's -b, -j, -O
  int script = 0;             // its index in argv, or argc
};

/// Reads `argv` (null-terminated, argv[0] present) as lua does.
Options read_options(char** argv);

/// What must be known of a command line by who decides where it shall run.
struct Outline {
  bool invalid;               // lua rejects it, and explains its options
  bool ignores_environment;   // -E
  int script;                 // its index in argv, or argc
  bool interactive;           // -i, or nothing to run and a terminal on standard input
  bool other_engine_options;  // LuaJIT's -b, -j, -O
};

/// Reads `argv` (null-terminated, argv[0] present). One that is invalid has nothing else.
Outline outline(char** argv);

}  // namespace moonlet::interpreter
