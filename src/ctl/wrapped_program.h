// A Lua program that shall be wrapped: which Lua runs it, and which modules it loads.
#pragma once

#include "ctl/text.h"

#include <limits.h>

namespace moonlet::ctl {

/// How a run has ended, and what it has printed.
struct Outcome {
  int status;  // waitpid(2)
  Text output;
  Text errors;

  /// Whether both are the same, but for numbers: these may be times.
  [[nodiscard]] bool is_like(const Outcome& other) const;
};

/// Names of modules, each with a newline behind it. Those that a module loads come before it.
struct LoadedModules {
  Text all;
  Text outermost;  // without those that others of them have loaded
};

class WrappedProgram {
 public:
  /// Finds the program, as a shell does, but for files that --wrap has made. Fails without.
  explicit WrappedProgram(const char* name);

  /// Asks the interpreter of its first line which Lua it is, and with which options it runs a script. Fails if
  /// that is not the Lua of this moonlet.
  void ask_interpreter();

  /// Runs the program, with these arguments (null-terminated) and without input. `modules` gets what it has
  /// loaded.
  Outcome run(char** arguments, LoadedModules& modules) const;

  /// The same, by the moonlet at `moonlet`, thawed from `image`.
  Outcome run_warm(char* moonlet, char* image, char** arguments) const;

  [[nodiscard]] const char* path() const { return path_; }

  /// What its first line starts: the name of the interpreter, then lua's own options; null-terminated.
  [[nodiscard]] char* const* interpreter() const { return interpreter_; }

 private:
  static constexpr int kMostWords = 16;

  char path_[PATH_MAX];
  char answer_[PATH_MAX];                   // of the interpreter
  char* interpreter_[kMostWords + 1] = {};  // in `answer_`
};

/// What a file that --wrap has made has in its second line.
constexpr char kWrapperMark[] = "# Made by moonlet --wrap";

/// Whether the file at `path` is one.
bool is_wrapper(const char* path);

/// Runs `argv`, found on PATH. Standard input is empty; `output` and `error` are the others. Returns its wait
/// status, or fails.
int run_and_wait(char** argv, int output, int error);

}  // namespace moonlet::ctl
