#include "lua/image.h"

#include "base/file_identity.h"
#include "lua/builtin_module.h"
#include "lua/finalizers.h"
#include "lua/lua_api.h"
#include "lua/sealed_heap.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

// References in the registry (luaL_ref).
int standard = 0;  // set of names in package.loaded that the standard libraries put there
int arguments =
    0;  // table with weak values: at 1 the warm-up's `arg`, while somebody holds it; 0: not made yet
#if LUA_VERSION_NUM >= 504 || defined(MOONLET_LUAJIT)
int randomseed = 0;  // math.randomseed itself, whatever the warm-up does to the table
#endif

lua_CFunction require = nullptr;

#if LUA_VERSION_NUM >= 502
constexpr const char* kPathVariables[] = {"LUA_PATH_" LUA_VERSION_MAJOR "_" LUA_VERSION_MINOR, "LUA_PATH",
                                          "LUA_CPATH_" LUA_VERSION_MAJOR "_" LUA_VERSION_MINOR, "LUA_CPATH"};
#else
constexpr const char* kPathVariables[] = {"LUA_PATH", "LUA_CPATH"};
#endif
constexpr const char* kIgnoresEnvironment = "LUA_NOENV";  // in the registry
constexpr int kVariables = sizeof kPathVariables / sizeof *kPathVariables;

// Where a module comes from.
struct Origin {
  FileIdentity file;
  bool is_relative = false;           // through a relative entry of the path
  bool depends_on_directory = false;  // such an entry was tried, or taken
};

// A module that the warm-up loaded and that a file stands for.
struct WarmModule {
  char* name;
  Origin origin;
};

// Written by seal, read by children.
struct Sealed {
  WarmModule* module = nullptr;
  int modules = 0;
  const char* relative_module = nullptr;  // one that was found through a relative entry
  bool depends_on_directory = false;      // one of them does
  FileIdentity directory;                 // working directory at the seal
  char* variable[kVariables] = {};        // the path variables at start; null: not set
  bool ignored_environment = false;
  const void* metatable_of_globals = nullptr;
#if defined(__GLIBC__)
  char* time_zone = nullptr;  // $TZ at the seal
#else
  bool on_terminal = false;  // the zygote's standard output
#endif
};
Sealed sealed;

#if defined(MOONLET_BUILTIN_MODULE)
bool above = false;                         // this image is a layer's
bool below = false;                         // it is to have layers on it
[[maybe_unused]] int kilobytes_sealed = 0;  // that Lua had in use at the seal
[[maybe_unused]] int kilobytes_below = 0;
#else
constexpr bool above = false;
constexpr bool below = false;
#endif
[[maybe_unused]] bool incremental = false;  // the collector, whatever lua would choose

// The end of a script, from finish() to the last object's finalizer. os.exit(n, true) closes the state too,
// with a status that is its own: that one is torn down.
bool leaving = false;
int status_at_leave = 0;

int leave(lua_State* L) {
  // With a function below this one, a finalizer collects garbage, and has not done its own work yet.
  lua_Debug caller;
  if (leaving && lua_getstack(L, 1, &caller) == 0) exit(status_at_leave);
  return 0;
}

char* copy_of(const char* text) { return text != nullptr ? strdup(text) : nullptr; }

bool same_text(const char* a, const char* b) {
  if (a == nullptr || b == nullptr) return a == b;
  return strcmp(a, b) == 0;
}

void push_globals(lua_State* L) {
#if LUA_VERSION_NUM >= 502
  lua_pushglobaltable(L);
#else
  lua_pushvalue(L, LUA_GLOBALSINDEX);
#endif
}

const void* metatable_of_globals(lua_State* L) {
  const int top = lua_gettop(L);
  push_globals(L);
  const void* metatable = lua_getmetatable(L, -1) != 0 ? lua_topointer(L, -1) : nullptr;
  lua_settop(L, top);
  return metatable;
}

void push_loaded(lua_State* L) { lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED"); }

void push_package(lua_State* L) {
  push_loaded(L);
  lua_getfield(L, -1, "package");
  lua_remove(L, -2);
}

// The manual's package.searchpath: where the first `length` letters of a module's name lead under a path. False
// if there is no file.
bool search(const char* path, const char* name, size_t length, Origin& origin) {
  char file[PATH_MAX];
  while (*path != '\0') {
    size_t used = 0;
    for (; *path != '\0' && *path != ';'; path++) {
      const char* from = path;
      size_t size = 1;
      if (*path == '?') {
        from = name;
        size = length;
      }
      for (size_t i = 0; i < size && used < sizeof file - 1; i++)
        file[used++] = from == name && name[i] == '.' ? '/' : from[i];
    }
    if (*path == ';') path++;
    if (used == 0 || used == sizeof file - 1) continue;
    file[used] = '\0';
    const bool is_relative = file[0] != '/';
    origin.depends_on_directory |= is_relative;
    if (access(file, R_OK) == 0 && origin.file.find(file)) {
      origin.is_relative = is_relative;
      return true;
    }
  }
  return false;
}

// The searchers that look for files, in their order: a Lua file, a C library, the library of the root.
bool locate(lua_State* L, int package, const char* name, Origin& origin) {
  const size_t length = strlen(name);
  lua_getfield(L, package, "path");
  lua_getfield(L, package, "cpath");
  const char* path = lua_tostring(L, -2);
  const char* cpath = lua_tostring(L, -1);
  lua_pop(L, 2);  // the table holds them
  if (path != nullptr && search(path, name, length, origin)) return true;
  if (cpath == nullptr) return false;
  const size_t root = strcspn(name, ".");
  return search(cpath, name, length, origin) || (root < length && search(cpath, name, root, origin));
}

// Of which the paths were made.
void remember_environment(lua_State* L) {
  for (int i = 0; i < kVariables; i++) sealed.variable[i] = copy_of(getenv(kPathVariables[i]));
  lua_getfield(L, LUA_REGISTRYINDEX, kIgnoresEnvironment);
  sealed.ignored_environment = lua_toboolean(L, -1) != 0;
  pop(L);
}

// Records every module in package.loaded that the warm-up added and that has a file.
int record_modules(lua_State* L) {
  finalizers::seal(L);
  constexpr int kPackage = 1;
  constexpr int kLoaded = 2;
  constexpr int kStandard = 3;
  push_package(L);
  push_loaded(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, standard);
  for (lua_pushnil(L); lua_next(L, kLoaded) != 0; lua_settop(L, kStandard + 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    const char* name = lua_tostring(L, -2);
    lua_getfield(L, kStandard, name);
    Origin origin;
    if (!lua_isnil(L, -1) || !locate(L, kPackage, name, origin)) continue;
    void* grown = realloc(sealed.module, sizeof(WarmModule) * static_cast<size_t>(sealed.modules + 1));
    if (grown == nullptr) return luaL_error(L, "not enough memory");
    sealed.module = static_cast<WarmModule*>(grown);
    WarmModule& added = sealed.module[sealed.modules++];
    added.name = copy_of(name);
    added.origin = origin;
    sealed.depends_on_directory |= origin.depends_on_directory;
    if (origin.is_relative) sealed.relative_module = added.name;
  }
  return 0;
}

// Forgets what math.random has handed out. Versions with a fixed seed start over from it.
void reset_random(lua_State* L) {
#if defined(MOONLET_LUAJIT)
  lua_rawgeti(L, LUA_REGISTRYINDEX, randomseed);
  lua_pushinteger(L, 0);
  lua_call(L, 1, 0);
#elif LUA_VERSION_NUM < 504
  (void)L;
  srand(1);
  srandom(1);  // one state with rand in glibc, another in musl
#else
  uint64_t seed[2] = {};
  if (getrandom(seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) {
    // Before the kernel has entropy, early at boot: what lua itself takes, and what sets children apart.
    timespec now = {};
    clock_gettime(CLOCK_MONOTONIC, &now);
    seed[0] = static_cast<uint64_t>(now.tv_sec) << 32 ^ static_cast<uint64_t>(now.tv_nsec);
    seed[1] = static_cast<uint64_t>(getpid());
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, randomseed);
  lua_pushinteger(L, static_cast<lua_Integer>(seed[0]));
  lua_pushinteger(L, static_cast<lua_Integer>(seed[1]));
  lua_call(L, 2, 0);
#endif
}

#if LUA_VERSION_NUM < 504

// Where the collector has no generations its first cycle writes to every object of the warm heap. It begins
// when the heap has grown by as much as it has in lua, twice what was left by the last one, but not for less
// than this: most scripts are gone before.
constexpr int kFirstCycleKilobytes = 512;

void put_off_first_cycle(lua_State* L) {
  const int kilobytes = lua_gc(L, LUA_GCCOUNT, 0) + 1;
  const int pause = lua_gc(L, LUA_GCSETPAUSE, 200);
  const int put_off = 100 + 100 * kFirstCycleKilobytes / kilobytes;
  lua_gc(L, LUA_GCSETPAUSE, put_off > pause ? put_off : pause);
  lua_gc(L, LUA_GCCOLLECT, 0);  // which is when the pause takes effect
  lua_gc(L, LUA_GCSETPAUSE, pause);
}

#endif

#if LUA_VERSION_NUM >= 504 && defined(MOONLET_BUILTIN_MODULE)

// A table of strings that grows is written to wherever a string lies: room for as many more as there are, so
// that a layer above can have its own without that. What a collection would take from it again it is not given.
void make_room_for_strings(lua_State* L) {
  constexpr int kOneString = 256;  // bytes, at most; the smallest table takes 512 more
  constexpr int kMost = 1 << 20;
  const auto bytes = [L] { return lua_gc(L, LUA_GCCOUNT, 0) * 1024 + lua_gc(L, LUA_GCCOUNTB, 0); };
  const bool is_running = lua_gc(L, LUA_GCISRUNNING, 0) != 0;
  lua_gc(L, LUA_GCSTOP, 0);
  for (int i = 0, before = bytes(), grown = 0; grown < kOneString && i < kMost; i++) {
    lua_pushfstring(L, "moonlet %d", i);
    pop(L);
    grown = bytes() - before;
    before += grown;
  }
  if (is_running) lua_gc(L, LUA_GCRESTART, 0);
}

// A layer whose script has stopped a generational collector has not written to what is old, and so shares it
// with the image below. Here too it is left alone: what is new gets as old in three minor collections. Returns
// false, with nothing done, for any other.
bool collect_above(lua_State* L) {
  constexpr int kUntilOld = 3;
  if (!above || lua_gc(L, LUA_GCISRUNNING, 0) != 0) return false;
  constexpr int kLittle = 8;        // to divide by
  constexpr int kUsualMajor = 100;  // percent: the script may have put off major collections
  const bool is_generational = lua_gc(L, LUA_GCGEN, 0, kUsualMajor) == LUA_GCGEN;
  lua_gc(L, LUA_GCRESTART, 0);
  if (!is_generational) lua_gc(L, LUA_GCINC, 0, 0, 0);
  // Where there is little below, more is gained by a collection of all.
  if (!is_generational || lua_gc(L, LUA_GCCOUNT, 0) > kLittle * kilobytes_below) return false;
  for (int i = 0; i < kUntilOld; i++) lua_gc(L, LUA_GCSTEP, 0);
  return true;
}

#else

void make_room_for_strings(lua_State*) {}

bool collect_above(lua_State* L) {
  if (above) lua_gc(L, LUA_GCRESTART, 0);
  return false;
}

#endif

// Collects all garbage. Where the collector is generational, what is left is old afterwards: a script's
// collections neither visit nor write it.
void collect(lua_State* L) {
  if (below) make_room_for_strings(L);
  if (collect_above(L)) return;
  lua_gc(L, LUA_GCCOLLECT, 0);
#if LUA_VERSION_NUM >= 504
  // After a collection that freed little the generational mode of 5.4 is suspended, and the next step
  // would mark everything. Entering the mode anew is what ends that.
  if (lua_gc(L, LUA_GCINC, 0, 0, 0) == LUA_GCGEN) {
    lua_gc(L, LUA_GCGEN, 0, 0);
    // When the next collection is due is left from the incremental mode: when the heap has doubled, and the
    // collection would be a major one, which writes to everything. A minor one sets what is due after it.
    lua_gc(L, LUA_GCSTEP, 0);
  }
#else
  put_off_first_cycle(L);
#endif
}

int compute_paths(lua_State* scratch) {
  if (lua_toboolean(scratch, 1) != 0) ignore_environment(scratch);
  lua_pushcfunction(scratch, luaopen_package);
  lua_pushstring(scratch, "package");
  lua_call(scratch, 1, 1);
#if defined(MOONLET_LUAJIT)
  lua_getglobal(scratch, "package");  // instead of returning it
#endif
  lua_getfield(scratch, -1, "path");
  lua_getfield(scratch, -2, "cpath");
  return 2;
}

// package.path and package.cpath as this Lua itself computes them from the environment: by asking a state
// of its own, because each version reads the variables in another way. False without memory.
bool set_paths(lua_State* L, int package, bool ignores_environment, bool& changed) {
  lua_State* scratch = luaL_newstate();
  if (scratch == nullptr) return false;
  lua_pushcfunction(scratch, compute_paths);
  lua_pushboolean(scratch, ignores_environment ? 1 : 0);
  const bool computed = lua_pcall(scratch, 1, 2, 0) == LUA_OK;
  const char* const fields[] = {"path", "cpath"};
  for (int i = 0; computed && i < 2; i++) {
    const char* value = lua_tostring(scratch, i - 2);
    lua_getfield(L, package, fields[i]);
    if (value != nullptr && !same_text(lua_tostring(L, -1), value)) {
      changed = true;
      lua_pushstring(L, value);  // out of memory here loses the scratch state, with this process
      lua_setfield(L, package, fields[i]);
    }
    pop(L);
  }
  lua_close(scratch);
  return computed;
}

bool is_elsewhere() { return sealed.depends_on_directory && !sealed.directory.is_at("."); }

// A warm module is used only where `require` would load the same file now. If one would not, none is: those
// that hold it would hold the wrong one.
void drop_misplaced_modules(lua_State* L, int package, bool all) {
  bool misplaced = false;
  for (int i = 0; i < sealed.modules && !misplaced; i++) {
    const WarmModule& module = sealed.module[i];
    if (!all && !module.origin.depends_on_directory) continue;
    Origin origin;
    misplaced = !locate(L, package, module.name, origin) || origin.file != module.origin.file;
  }
  if (!misplaced) return;
  push_loaded(L);
  for (int i = 0; i < sealed.modules; i++) {
    lua_pushnil(L);
    lua_setfield(L, -2, sealed.module[i].name);
  }
  pop(L);
}

bool environment_differs(bool ignores_environment) {
  if (ignores_environment != sealed.ignored_environment) return true;
  if (ignores_environment) return false;
  for (int i = 0; i < kVariables; i++) {
    if (!same_text(getenv(kPathVariables[i]), sealed.variable[i])) return true;
  }
  return false;
}

int thaw_protected(lua_State* L) {
  const bool ignores_environment = lua_toboolean(L, 1) != 0;
  push_package(L);
  const int package = lua_gettop(L);
  bool changed = false;
  if (environment_differs(ignores_environment) && !set_paths(L, package, ignores_environment, changed))
    return luaL_error(L, "not enough memory");
  if (changed || is_elsewhere()) drop_misplaced_modules(L, package, changed);
  if (ignores_environment) {
    ignore_environment(L);
  } else if (sealed.ignored_environment) {
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, kIgnoresEnvironment);
  }
  return 0;
}

// A standard stream that the warm-up has used has settled on a way of buffering that fits the zygote's
// descriptor, not the child's.
void renew_stream(FILE* stream, int fd) {
#if defined(__GLIBC__)
  if (__fbufsize(stream) == 0) return;  // never used
#else
  // musl's writes its first line at once, and only then looks for a terminal. One that has not yet is left so,
  // but where it may be one that has found a terminal.
  if (__flbf(stream) != 0 && !sealed.on_terminal) return;
#endif
  setvbuf(stream, nullptr, isatty(fd) != 0 ? _IOLBF : _IOFBF, BUFSIZ);
}

#if LUA_VERSION_NUM >= 504

// What luaL_newstate sets up for warnings, and gives no access to (manual, lua_WarnFunction): off until "@on",
// messages may come in pieces.
bool warnings_on = false;
bool warning_goes_on = false;

void warn(void* /*context*/, const char* message, int to_be_continued) {
  const bool is_control = !warning_goes_on && to_be_continued == 0 && *message == '@';
  if (is_control) {
    if (strcmp(message, "@on") == 0) warnings_on = true;
    if (strcmp(message, "@off") == 0) warnings_on = false;
    return;
  }
  if (!warnings_on) return;
  fprintf(stderr, "%s%s%s", warning_goes_on ? "" : "Lua warning: ", message, to_be_continued != 0 ? "" : "\n");
  fflush(stderr);
  warning_goes_on = to_be_continued != 0;
}

#endif

}  // namespace

lua_State* new_state() {
  lua_State* const standard = luaL_newstate();
  if (standard == nullptr) return nullptr;
#if LUA_VERSION_NUM >= 505
  lua_State* const L = lua_newstate(heap::allocate, nullptr, luaL_makeseed(nullptr));
#else
  lua_State* const L = lua_newstate(heap::allocate, nullptr);
#endif
  if (L == nullptr) return standard;  // LuaJIT takes only its own allocator where pointers have 32 bits of 64
  lua_atpanic(L, lua_atpanic(standard, nullptr));
#if LUA_VERSION_NUM >= 504
  lua_setwarnf(L, warn, nullptr);
#endif
  lua_close(standard);
  return L;
}

void make_last_object(lua_State* L) {
  lua_newuserdata(L, 1);
  lua_newtable(L);
  lua_pushcfunction(L, leave);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  luaL_ref(L, LUA_REGISTRYINDEX);
}

void finish(lua_State* L, int status) {
  leaving = true;
  status_at_leave = status;
  if (!finalizers::run(L)) lua_close(L);
  exit(status);  // also where a script has found and undone the last object
}

void ignore_environment(lua_State* L) {
  lua_pushboolean(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, kIgnoresEnvironment);
}

void use_incremental_collector() { incremental = true; }

void open_libraries(lua_State* L) {
#if LUA_VERSION_NUM < 504
  lua_gc(L, LUA_GCSTOP, 0);
#endif
  remember_environment(L);
  luaL_openlibs(L);
#if defined(MOONLET_BUILTIN_MODULE)
  add_builtin_module(L);
#endif
#if LUA_VERSION_NUM >= 504
#if LUA_VERSION_RELEASE_NUM >= 50404
  lua_gc(L, LUA_GCRESTART);
#endif
  if (!incremental) lua_gc(L, LUA_GCGEN, 0, 0);
#else
  lua_gc(L, LUA_GCRESTART, 0);
#endif
  finalizers::watch(L);
  lua_getglobal(L, "require");
  require = lua_tocfunction(L, -1);
  pop(L);
  lua_newtable(L);
  push_loaded(L);
  for (lua_pushnil(L); lua_next(L, -2) != 0;) {
    pop(L);
    lua_pushvalue(L, -1);
    lua_pushboolean(L, 1);
    lua_rawset(L, -5);  // standard[name] = true
  }
  pop(L);
  standard = luaL_ref(L, LUA_REGISTRYINDEX);
#if LUA_VERSION_NUM >= 504 || defined(MOONLET_LUAJIT)
  lua_getglobal(L, "math");
  lua_getfield(L, -1, "randomseed");
  randomseed = luaL_ref(L, LUA_REGISTRYINDEX);
  pop(L);
#endif
}

void set_global(lua_State* L, const char* name) {
  push_globals(L);
  lua_pushstring(L, name);
  lua_pushvalue(L, -3);
  if (metatable_of_globals(L) == sealed.metatable_of_globals) {
    lua_rawset(L, -3);
  } else {
    lua_settable(L, -3);
  }
  lua_pop(L, 2);
}

void push_argument_table(lua_State* L, int positive, int other) {
  if (arguments == 0) {  // the warm-up's
    lua_createtable(L, positive, other);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, 1);
    arguments = luaL_ref(L, LUA_REGISTRYINDEX);
    return;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, arguments);
  lua_rawgeti(L, -1, 1);
  lua_remove(L, -2);
  if (!lua_istable(L, -1)) {
    pop(L);
    lua_createtable(L, positive, other);
    return;
  }
  lua_pushnil(L);
  lua_setmetatable(L, -2);
  for (lua_pushnil(L); lua_next(L, -2) != 0;) {
    pop(L);
    lua_pushvalue(L, -1);
    lua_pushnil(L);
    lua_rawset(L, -4);
  }
}

void drop_unfinished(lua_State* L) {
  lua_Debug frame;
  push_loaded(L);
  for (int level = 0; lua_getstack(L, level, &frame) != 0; level++) {
    lua_getinfo(L, "f", &frame);
    const bool loads = lua_tocfunction(L, -1) == require;
    pop(L);
    if (!loads || lua_getlocal(L, &frame, 1) == nullptr) continue;  // its argument
    lua_pushnil(L);
    lua_rawset(L, -3);
  }
  pop(L);
}

#if defined(MOONLET_BUILTIN_MODULE)
void expect_layers(bool expected) { below = expected; }

void unseal(lua_State* L) {
  above = true;
  kilobytes_below = kilobytes_sealed;
  remember_environment(L);
  sealed.modules = 0;
  sealed.depends_on_directory = false;
  sealed.relative_module = nullptr;
}
#endif

void seal(lua_State* L) {
  sealed.metatable_of_globals = metatable_of_globals(L);
  lua_pushnil(L);
  set_global(L, "arg");
  // First of all, because finalizers are the warm-up's code too: they print, and take random numbers.
  collect(L);
  // Whoever still holds the warm-up's arguments shall not take them for a script's.
  push_argument_table(L, 0, 0);
  pop(L);
  lua_pushcfunction(L, record_modules);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) pop(L);  // out of memory: what is recorded counts
  sealed.directory.find(".");
#if defined(__GLIBC__)
  sealed.time_zone = copy_of(getenv("TZ"));
#else
  sealed.on_terminal = isatty(STDOUT_FILENO) != 0;
#endif
#if LUA_VERSION_NUM < 504
  reset_random(L);
#endif
  fflush(nullptr);
#if defined(__GLIBC__)
  // The stream would go on in the old way of buffering until it leaves off writing: a seek does that, also
  // where it fails.
  fseek(stdout, 0, SEEK_CUR);
  // Where each stream stands in its file it keeps in mind, and goes by that at the next seek. A script has
  // other files there.
  stdin->_offset = stdout->_offset = stderr->_offset = -1;
#endif
  __fpurge(stdin);
#if defined(MOONLET_BUILTIN_MODULE)
  kilobytes_sealed = lua_gc(L, LUA_GCCOUNT, 0);
#endif
  heap::seal();
}

const char* relative_module() { return sealed.relative_module; }

void describe(lua_State* L, int connection) {
  const uint32_t size[] = {static_cast<uint32_t>(lua_gc(L, LUA_GCCOUNT, 0)),
                           static_cast<uint32_t>(sealed.modules)};
  [[maybe_unused]] ssize_t written = write(connection, size, sizeof size);
  for (int i = 0; i < sealed.modules; i++) {
    const char* name = sealed.module[i].name;
    written = write(connection, name, strlen(name) + 1);
  }
}

void freshen(lua_State* L) {
  heap::prefault();
#if LUA_VERSION_NUM >= 504
  reset_random(L);
  lua_warning(L, "@off", 0);
#else
  (void)L;
#endif
}

void rehearse(lua_State* L) {
  if (luaL_loadfile(L, "/dev/null") != LUA_OK || lua_pcall(L, 0, 0, 0) != LUA_OK) pop(L);
}

const char* thaw(lua_State* L, bool ignores_environment) {
  renew_stream(stdout, STDOUT_FILENO);
  clearerr(stdin);
#if defined(__GLIBC__)
  // It reads $TZ once, at the first localtime_r; musl at each.
  if (!same_text(getenv("TZ"), sealed.time_zone)) tzset();
#endif
  if (!is_elsewhere() && !environment_differs(ignores_environment)) return nullptr;
  lua_pushcfunction(L, thaw_protected);
  lua_pushboolean(L, ignores_environment ? 1 : 0);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return nullptr;
  const char* reason = lua_tostring(L, -1);
  return reason != nullptr ? reason : "(error message not a string)";
}

}  // namespace moonlet::image
