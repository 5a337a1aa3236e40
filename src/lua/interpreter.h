// lua(1) itself: the command line, LUA_INIT, the script, error messages and exit status of the stand-alone
// interpreter, as the embedded version has them (its manual's section "Lua Stand-alone").
#pragma once

struct lua_State;

namespace moonlet::interpreter {

enum class Purpose {
  kWarmUp,   // opens the standard libraries first; without a script nothing is run
  kRenewal,  // the same; an error takes one line of the log, and leaves no module that has loaded by half
  kLaunch,   // in a state that a warm-up has prepared; without a script standard input is run
};

/// What must be known of a command line before any of it runs.
struct Outline {
  bool invalid;               // lua rejects it, and explains its options
  bool ignores_environment;   // -E
  int script;                 // its index in argv, or argc
  bool interactive;           // -i, or nothing to run and a terminal on standard input
  bool other_engine_options;  // LuaJIT's -b, -j, -O
};

/// Reads `argv` (null-terminated, argv[0] present). One that is invalid has nothing else.
Outline outline(char** argv);

/// Runs the command line in `L`, whose stack is empty, and prints errors as lua does, but for an invalid
/// command line, of which it says less. `argv` may be written to, as lua does. Returns the exit status,
/// EXIT_SUCCESS or EXIT_FAILURE; does not close `L`. A script that calls os.exit does not return.
int run(lua_State* L, int argc, char** argv, Purpose purpose);

/// Raises an error that ends the innermost run() of `L`'s main thread without a message. It does not return.
void leave(lua_State* L);

/// In a process that has become another one amidst its run(): errors are told as those of a program that was
/// started as `name`, which lives as long as it.
void rename(const char* name);

}  // namespace moonlet::interpreter
