#include "lua/interpreter.h"

#include "lua/host.h"
#include "lua/image.h"
#include "lua/lua_api.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The versions differ in what a user can see: texts, order, what is on the stack below a script when it
// overflows. Each difference stands where it takes effect, under the version that has it.
#if defined(MOONLET_LUAJIT)
#define LIKE_LUA51 1
#else
#define LIKE_LUA51 (LUA_VERSION_NUM == 501)
#endif

namespace moonlet::interpreter {

namespace {

Host host;

lua_State* running = nullptr;        // for the handler of SIGINT
const char* program_name = nullptr;  // never empty
bool renewal = false;

struct Options {
  const char* bad = nullptr;  // the option that is not valid: of the others nothing is to be used
  bool interactive = false;
  bool version = false;
  bool executes = false;  // -e
  bool ignores_environment = false;
  bool other_engine = false;
  int first = 0;  // index of the script, or argc
};

void set_handler(int signal, void (*handler)(int)) {
#if LUA_VERSION_NUM >= 504
  struct sigaction action = {};
  action.sa_handler = handler;  // no SA_RESTART: a read that Ctrl-C interrupts fails
  sigaction(signal, &action, nullptr);
#else
  ::signal(signal, handler);
#endif
}

void stop_running(lua_State* L, lua_Debug*) {
  lua_sethook(L, nullptr, 0, 0);
#if defined(MOONLET_LUAJIT)
  luaL_where(L, 0);  // a hook in C has no frame of its own here
  lua_pushfstring(L, "%sinterrupted!", lua_tostring(L, -1));
  lua_error(L);
#else
  luaL_error(L, "interrupted!");
#endif
}

// On SIGINT. A second one kills: the script may be where no hook runs.
void interrupt(int signal) {
  set_handler(signal, SIG_DFL);
  int events = LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT;
#if LUA_VERSION_NUM >= 504
  events |= LUA_MASKLINE;
#endif
  lua_sethook(running, stop_running, events, 1);
}

void print_message(const char* message) {
  fprintf(stderr, "%s: %s\n", program_name, message);
  fflush(stderr);
}

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

#if defined(MOONLET_BUILTIN_MODULE)
char leaving;  // its address is the error value
bool is_leaving(lua_State* L) { return lua_touserdata(L, -1) == &leaving; }
#else
constexpr bool is_leaving(lua_State*) { return false; }
#endif

// Message handler of every chunk: what a user reads behind the program's name.
int describe_error(lua_State* L) {
  if (is_leaving(L)) return 1;
  if (renewal) {
    image::drop_unfinished(L);
    return 1;
  }
#if LUA_VERSION_NUM == 501 && !defined(MOONLET_LUAJIT)
  if (lua_isstring(L, 1) == 0) return 1;
  lua_getfield(L, LUA_GLOBALSINDEX, "debug");
  if (!lua_istable(L, -1)) {
    pop(L);
    return 1;
  }
  lua_getfield(L, -1, "traceback");
  if (!lua_isfunction(L, -1)) {
    lua_pop(L, 2);
    return 1;
  }
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 2);  // from the function that failed
  lua_call(L, 2, 1);
  return 1;
#elif defined(MOONLET_LUAJIT)
  if (lua_isstring(L, 1) == 0) {
    const bool described =
        !lua_isnoneornil(L, 1) && luaL_callmeta(L, 1, "__tostring") != 0 && lua_isstring(L, -1) != 0;
    if (!described) return 1;
    lua_remove(L, 1);
  }
  luaL_traceback(L, L, lua_tostring(L, 1), 1);
  return 1;
#elif LUA_VERSION_NUM == 502
  const char* message = lua_tostring(L, 1);
  if (message != nullptr) {
    luaL_traceback(L, L, message, 1);
  } else if (!lua_isnoneornil(L, 1) && luaL_callmeta(L, 1, "__tostring") == 0) {
    lua_pushliteral(L, "(no error message)");
  }
  return 1;
#else
  const char* message = lua_tostring(L, 1);
  if (message == nullptr) {
    if (luaL_callmeta(L, 1, "__tostring") != 0 && lua_type(L, -1) == LUA_TSTRING) return 1;
    message = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  }
  luaL_traceback(L, L, message, 1);
  return 1;
#endif
}

lua_CFunction message_handler = describe_error;

// Prints the error on top of the stack, if `status` is one, and removes it.
int report(lua_State* L, int status) {
  if (status == LUA_OK || is_leaving(L)) return status;
#if LUA_VERSION_NUM < 503
  if (lua_isnil(L, -1)) return status;
#endif
  const char* message = lua_tostring(L, -1);
#if LUA_VERSION_NUM < 503
  if (message == nullptr) message = "(error object is not a string)";
#else
  if (message == nullptr) message = "(error message not a string)";
#endif
  print_message(message);
  pop(L);
#if LUA_VERSION_NUM == 502
  lua_gc(L, LUA_GCCOLLECT, 0);
#endif
  return status;
}

// Calls the function below `arguments` arguments, with a traceback on error and SIGINT as an error.
int call(lua_State* L, int arguments, int results) {
  const int base = lua_gettop(L) - arguments;
  lua_pushcfunction(L, message_handler);
  lua_insert(L, base);
  running = L;
  set_handler(SIGINT, interrupt);
  const int status = lua_pcall(L, arguments, results, base);
  set_handler(SIGINT, SIG_DFL);
  lua_remove(L, base);
#if LIKE_LUA51
  if (status != LUA_OK) lua_gc(L, LUA_GCCOLLECT, 0);
#endif
  return status;
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

Options read_options(char** argv) {
  Options options;
  int i = 1;
  for (; argv[i] != nullptr; i++) {
    const char* option = argv[i];
    if (option[0] != '-' || option[1] == '\0') break;  // a script, or "-"
    const bool more = option[2] != '\0';
    options.bad = option;  // until it has been understood
    if (option[1] == '-') {
      if (more) return options;
      i++;
      break;
    }
    switch (option[1]) {
      case 'i':
      case 'v':
        if (more) return options;
        options.interactive |= option[1] == 'i';
        options.version = true;
        break;
#if LUA_VERSION_NUM >= 502 || defined(MOONLET_LUAJIT)
      case 'E':
#if LUA_VERSION_NUM >= 503
        if (more) return options;
#endif
        options.ignores_environment = true;
        break;
#endif
#if LUA_VERSION_NUM >= 504
      case 'W':
        if (more) return options;
        break;
#endif
#if defined(MOONLET_LUAJIT)
      case 'b':
      case 'O':
        options.other_engine = true;
        break;
      case 'j':
        options.other_engine = true;
        [[fallthrough]];
#endif
      case 'e':
      case 'l':
        options.executes |= option[1] == 'e';
        if (!more) {
          i++;
#if LIKE_LUA51
          if (argv[i] == nullptr) return options;
#else
          if (argv[i] == nullptr || argv[i][0] == '-') return options;
#endif
        }
        break;
      default:
        return options;
    }
  }
  options.bad = nullptr;
  options.first = i;
  return options;
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
    }
#if LUA_VERSION_NUM >= 504
    if (option == 'W') lua_warning(L, "@on", 0);
#endif
  }
  return true;
}

int run_init(lua_State* L) {
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
  if (init == nullptr) return LUA_OK;
  if (init[0] == '@') return run_chunk(L, luaL_loadfile(L, init + 1));
  return run_string(L, init, name);
}

// The table `arg`: argv, with the script at index 0.
void push_argument_table(lua_State* L, int argc, char** argv, int script) {
  image::push_argument_table(L, argc > script ? argc - script - 1 : 0, script + 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - script);
  }
}

const char* script_file(char** argv, int script) {
  // "-" is standard input, but for a file of that name behind "--".
  const bool standard_input = strcmp(argv[script], "-") == 0 && strcmp(argv[script - 1], "--") != 0;
  return standard_input ? nullptr : argv[script];
}

// luaL_loadfile, but what is not Lua goes through its compiler, if the module `moonlet` finds that.
int load_script(lua_State* L, const char* file) {
  if (file != nullptr && host.load_script != nullptr && host.load_script(L, file, message_handler))
    return LUA_OK;
  return luaL_loadfile(L, file);
}

#if LUA_VERSION_NUM <= 502 && !defined(MOONLET_LUAJIT)

int run_script(lua_State* L, int argc, char** argv, int script) {
  const int arguments = argc - (script + 1);
  luaL_checkstack(L, arguments + 3, "too many arguments to script");
  for (int i = script + 1; i < argc; i++) lua_pushstring(L, argv[i]);
  push_argument_table(L, argc, argv, script);
  image::set_global(L, "arg");
  int status = load_script(L, script_file(argv, script));
  lua_insert(L, -(arguments + 1));
  if (status == LUA_OK) {
    status = call(L, arguments, LUA_MULTRET);
  } else {
    lua_pop(L, arguments);
  }
  return report(L, status);
}

#else

// What LUA_INIT and -e have left in the table `arg`.
int push_arguments(lua_State* L) {
  lua_getglobal(L, "arg");
#if defined(MOONLET_LUAJIT)
  if (!lua_istable(L, -1)) {
    pop(L);
    return 0;
  }
  int count = 0;
  for (;;) {
    lua_rawgeti(L, -(count + 1), count + 1);
    if (lua_isnil(L, -1)) break;
    count++;
  }
  pop(L);
#else
  if (!lua_istable(L, -1)) luaL_error(L, "'arg' is not a table");
  const int count = static_cast<int>(luaL_len(L, -1));
  luaL_checkstack(L, count + 3, "too many arguments to script");
  for (int i = 1; i <= count; i++) lua_rawgeti(L, -i, i);
#endif
  lua_remove(L, -(count + 1));
  return count;
}

int run_script(lua_State* L, int, char** argv, int script) {
  int status = load_script(L, script_file(argv, script));
  if (status == LUA_OK) {
    const int arguments = push_arguments(L);
    status = call(L, arguments, LUA_MULTRET);
  }
  return report(L, status);
}

#endif

struct Run {
  int argc;
  char** argv;
  Purpose purpose;
  bool succeeded;
};

// The global `arg`. Without a script its index 0 is the program, but LuaJIT's is one beyond the last.
void set_arguments(lua_State* L, const Run& run, const Options& options) {
#if defined(MOONLET_LUAJIT)
  const int zero = options.first;
#else
  const int zero = options.first < run.argc ? options.first : 0;
#endif
  push_argument_table(L, run.argc, run.argv, zero);
  image::set_global(L, "arg");
}

// What runs below everything else, as in lua: a C function in protected mode, so that tracebacks end in
// the same line.
bool run_all(lua_State* L, Run& run) {
  char** argv = run.argv;
  const bool warm_up = run.purpose != Purpose::kLaunch;
  const Options options = read_options(argv);
#if LUA_VERSION_NUM == 501 && !defined(MOONLET_LUAJIT)
  if (warm_up) {
    image::make_last_object(L);
    image::open_libraries(L);
  }
  if (run_init(L) != LUA_OK) return false;
#endif
  if (options.bad != nullptr) luaL_error(L, "lua cannot use option '%s'", options.bad);
#if LUA_VERSION_NUM == 501 && !defined(MOONLET_LUAJIT)
  if (options.version) print_version();
#else
#if !defined(MOONLET_LUAJIT)
  if (options.version) print_version();
#endif
  if (warm_up) {
    if (options.ignores_environment) image::ignore_environment(L);
    image::make_last_object(L);
    image::open_libraries(L);
  }
#if LUA_VERSION_NUM >= 503 || defined(MOONLET_LUAJIT)
  set_arguments(L, run, options);
#endif
  if (!options.ignores_environment && run_init(L) != LUA_OK) return false;
#if defined(MOONLET_LUAJIT)
  if (options.version) print_version();
#endif
#endif
#if LUA_VERSION_NUM <= 502 && !defined(MOONLET_LUAJIT)
  // lua has no `arg` yet. A module that is loaded now may want to keep it for the scripts to come.
  if (warm_up) set_arguments(L, run, options);
#endif
  if (!run_options(L, argv, options.first < run.argc ? options.first : run.argc)) return false;
  if (options.first < run.argc) {
    if (run_script(L, run.argc, argv, options.first) != LUA_OK) return false;
  } else if (!warm_up && !options.executes && !options.version) {
    run_chunk(L, luaL_loadfile(L, nullptr));  // standard input; lua succeeds in any case
  }
  return true;
}

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

Outline outline(char** argv) {
  const Options options = read_options(argv);
  Outline outline = {};
  outline.script = options.first;
  outline.invalid = options.bad != nullptr;
  if (outline.invalid) return outline;
  outline.ignores_environment = options.ignores_environment;
  outline.other_engine_options = options.other_engine;
  outline.interactive = options.interactive || (argv[options.first] == nullptr && !options.executes &&
                                                !options.version && isatty(STDIN_FILENO) != 0);
  return outline;
}

#if defined(MOONLET_BUILTIN_MODULE)
void leave(lua_State* L) {
  lua_pushlightuserdata(L, &leaving);
  lua_error(L);
}

void rename(const char* name) {
  program_name = *name != '\0' ? name : MOONLET_PROGRAM_NAME;
  renewal = false;
}
#endif

int run(lua_State* L, int argc, char** argv, Purpose purpose) {
  program_name = argv[0][0] != '\0' ? argv[0] : MOONLET_PROGRAM_NAME;
  renewal = purpose == Purpose::kRenewal;
  if (renewal) program_name = "moonletd: the warm-up fails, what it has loaded is served";
  Run run = {argc, argv, purpose, false};
#if LIKE_LUA51
  running = L;
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

moonlet::Host* moonlet_host() { return &moonlet::interpreter::host; }
