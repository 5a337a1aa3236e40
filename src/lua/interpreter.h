// lua(1) itself, as the embedded version has it (its manual's section "Lua Stand-alone").
#pragma once

struct lua_State;

namespace moonlet::interpreter {

enum class Purpose {
  kWarmUp,         // opens the standard libraries first; without a script nothing is run
  kFurtherWarmUp,  // in a state that a warm-up has prepared; without a script nothing is run, nor is LUA_INIT
  kLaunch,         // likewise; without a script standard input is run
};

/// If not null, called when an option -l has loaded `name`, which may be "global=module".
extern void (*observe_module)(const char* name);

/// Runs the command line in `L`, whose stack is empty, and prints errors as lua does, but for an invalid
/// command line, of which it says less. `argv` may be written to, as lua does. Returns the exit status,
/// EXIT_SUCCESS or EXIT_FAILURE; does not close `L`. A script that calls os.exit does not return.
int run(lua_State* L, int argc, char** argv, Purpose purpose);

}  // namespace moonlet::interpreter
