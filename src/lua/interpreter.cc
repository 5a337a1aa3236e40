#include "lua/interpreter.h"

#include "lua/arguments.h"
#include "lua/call.h"
#include "lua/command_line.h"
#include "lua/lua_api.h"
#include "lua/messages.h"
#include "lua/paths.h"
#include "lua/script.h"
#include "lua/state.h"
#include "lua/warnings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The versions differ in what a user can see: texts, order, what is on the stack below a script when it
// overflows. Each difference stands where it takes effect, under the version that has it.

namespace moonlet::interpreter {

void (*observe_module)(const char* name) = nullptr;

namespace {

void print_version() {
#if defined(MOONLET_LUAJIT)
  printf("%s -- %s. %s\n", LUAJIT_VERSION, LUAJIT_COPYRIGHT, LUAJIT_URL);
#elif LUA_VERSION_NUM == 501
  fprintf(stderr, "%s  %s\n", LUA_RELEASE, LUA_COPYRIGHT);
#else
  printf("%s\n", LUA_COPYRIGHT);
  fflush(stdout);
#endif
}

int run_chunk(lua_State* L, int status) {
  if (status == LUA_OK) status = call(L, 0, 0);
  return report(L, status);
}

int run_string(lua_State* L, const char* code, const char* name) {
#if LUA_VERSION_NUM >= 505
  return run_chunk(L, luaL_loadbufferx(L, code, strlen(code), name, "t"));
#else
  return run_chunk(L, luaL_loadbuffer(L, code, strlen(code), name));
#endif
}

// -l
int require(lua_State* L, char* name) {
#if LUA_VERSION_NUM >= 504
  char* module = strchr(name, '=');
#if LUA_VERSION_RELEASE_NUM >= 50405
  char* version = nullptr;  // "mod-v2": cut from the global's name
  if (module == nullptr) version = strchr(name, *LUA_IGMARK);
#endif
  if (module == nullptr) {
    module = name;
  } else {
    *module++ = '\0';
  }
#else
  const char* module = name;
#endif
  lua_getglobal(L, "require");
  lua_pushstring(L, module);
  const int status = call(L, 1, LIKE_LUA51 ? 0 : 1);
#if !LIKE_LUA51
  if (status == LUA_OK) {
#if LUA_VERSION_NUM >= 504 && LUA_VERSION_RELEASE_NUM >= 50405
    if (version != nullptr) *version = '\0';
#endif
    lua_setglobal(L, name);
  }
#endif
  return report(L, status);
}

// Runs -e, -l and -W, up to argv[end]. False if one failed.
bool run_options(lua_State* L, char** argv, int end) {
  for (int i = 1; i < end; i++) {
    const char option = argv[i][1];
    if (option == 'e' || option == 'l') {
      char* argument = argv[i] + 2;
      if (*argument == '\0') argument = argv[++i];
      const int status = option == 'e' ? run_string(L, argument, "=(command line)") : require(L, argument);
      if (status != LUA_OK) return false;
      if (option == 'l' && observe_module != nullptr) observe_module(argument);
    }
    if (option == 'W') warnings::switch_on(L);
  }
  return true;
}

struct Run {
  int argc;
  char** argv;
  Purpose purpose;
  bool succeeded;

  [[nodiscard]] bool is_warm_up() const { return purpose != Purpose::kLaunch; }
};

// False if it failed.
bool run_init(lua_State* L, const Run& run, const Options& options) {
  if (options.ignores_environment || run.purpose == Purpose::kFurtherWarmUp) return true;
#if LIKE_LUA51
  const char* name = "=LUA_INIT";
  const char* init = getenv(name + 1);
#else
  const char* name = "=LUA_INIT_" LUA_VERSION_MAJOR "_" LUA_VERSION_MINOR;
  const char* init = getenv(name + 1);
  if (init == nullptr) {
    name = "=LUA_INIT";
    init = getenv(name + 1);
  }
#endif
  if (init == nullptr) return true;
  const int status = init[0] == '@' ? run_chunk(L, luaL_loadfile(L, init + 1)) : run_string(L, init, name);
  return status == LUA_OK;
}

// The global `arg`. Without a script its index 0 is the program, but LuaJIT's is one beyond the last.
void set_arguments(lua_State* L, const Run& run, const Options& options) {
#if defined(MOONLET_LUAJIT)
  const int zero = options.script;
#else
  const int zero = options.script < run.argc ? options.script : 0;
#endif
  arguments::push(L, run.argc, run.argv, zero);
  arguments::set(L);
}

void refuse_bad_option(lua_State* L, const Options& options) {
  if (options.bad != nullptr) luaL_error(L, "lua cannot use option '%s'", options.bad);
}

void open_libraries(lua_State* L, const Run& run, const Options& options) {
  if (run.purpose != Purpose::kWarmUp) return;
  if (options.ignores_environment) paths::ignore_environment(L);
  warm::open_libraries(L);
}

// What comes before the options that run something: each version has its own order. False if it failed.
#if defined(MOONLET_LUAJIT)

bool begin(lua_State* L, const Run& run, const Options& options) {
  refuse_bad_option(L, options);
  open_libraries(L, run, options);
  set_arguments(L, run, options);
  if (!run_init(L, run, options)) return false;
  if (options.version) print_version();
  return true;
}

#elif LUA_VERSION_NUM >= 503

bool begin(lua_State* L, const Run& run, const Options& options) {
  refuse_bad_option(L, options);
  if (options.version) print_version();
  open_libraries(L, run, options);
  set_arguments(L, run, options);
  return run_init(L, run, options);
}

#else

bool begin(lua_State* L, const Run& run, const Options& options) {
#if LUA_VERSION_NUM == 502
  refuse_bad_option(L, options);
  if (options.version) print_version();
  open_libraries(L, run, options);
  if (!run_init(L, run, options)) return false;
#else
  open_libraries(L, run, options);
  if (!run_init(L, run, options)) return false;
  refuse_bad_option(L, options);
  if (options.version) print_version();
#endif
  // lua has no `arg` yet. A module that is loaded now may want to keep it for the scripts to come.
  if (run.is_warm_up()) set_arguments(L, run, options);
  return true;
}

#endif

bool run_all(lua_State* L, const Run& run) {
  const Options options = read_options(run.argv);
  if (!begin(L, run, options)) return false;
  if (!run_options(L, run.argv, options.script)) return false;
  if (options.script < run.argc) return run_script(L, run.argc, run.argv, options.script) == LUA_OK;
  if (!run.is_warm_up() && !options.executes && !options.version)
    run_chunk(L, luaL_loadfile(L, nullptr));  // standard input; lua succeeds in any case
  return true;
}

// What runs below everything else, as in lua: a C function in protected mode, so that tracebacks end in
// the same line.
#if LIKE_LUA51

int run_protected(lua_State* L) {
  auto* run = static_cast<Run*>(lua_touserdata(L, 1));
  run->succeeded = run_all(L, *run);
  return 0;
}

#else

int run_protected(lua_State* L) {
  auto* run = static_cast<Run*>(lua_touserdata(L, 2));
  run->succeeded = run_all(L, *run);
  if (!run->succeeded) return 0;
  lua_pushboolean(L, 1);
  return 1;
}

#endif

}  // namespace

int run(lua_State* L, int argc, char** argv, Purpose purpose) {
  rename(argv[0]);
  Run run = {argc, argv, purpose, false};
#if LIKE_LUA51
  const int status = lua_cpcall(L, run_protected, &run);
  report(L, status);
#else
  // Two arguments and one result, as in lua: what lies below a script counts when its stack overflows.
  lua_pushcfunction(L, run_protected);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, &run);
  const int status = lua_pcall(L, 2, 1, 0);
#if LUA_VERSION_NUM == 502
  if (status != LUA_OK) {
    const bool is_text = lua_type(L, -1) == LUA_TSTRING;
    print_message(is_text ? lua_tostring(L, -1) : "(error object is not a string)");
  }
#else
  report(L, status);
#endif
  lua_settop(L, 0);
#endif
  return status == LUA_OK && run.succeeded ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace moonlet::interpreter
