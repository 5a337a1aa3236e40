// What lua tells of errors on standard error: the program's name, the message, a traceback.
#pragma once

struct lua_State;

namespace moonlet::interpreter {

/// Message handler of every chunk that runs (manual, lua_pcall): makes of an error what a user reads behind the
/// program's name. A compiler puts its own in its place (Host::load_script).
extern int (*message_handler)(lua_State* L);  // NOLINT(bugprone-dynamic-static-initializers): it is none

/// From here on errors are told as those of a program that was started as `name`. `name` lives as long
/// as the process.
void rename(const char* name);

/// Prints `message` as lua does.
void print_message(const char* message);

/// Prints the error on top of the stack, if `status` (of lua_pcall or luaL_load) is one, and pops it. Returns
/// `status`.
int report(lua_State* L, int status);

}  // namespace moonlet::interpreter
