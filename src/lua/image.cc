#include "lua/image.h"

#include "lua/finalizers.h"
#include "lua/lua_api.h"
#include "lua/sealed_heap.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

// Keys in the registry: the addresses of these.
char key_of_standard;    // set of names in package.loaded that the standard libraries put there
char key_of_randomseed;  // math.randomseed itself, whatever the warm-up does to the table
char key_of_last_object;
char key_of_arguments;  // table with weak values: at 1 the warm-up's `arg`, while somebody holds it

#if LUA_VERSION_NUM >= 502
constexpr const char* kPathVariables[] = {"LUA_PATH_" LUA_VERSION_MAJOR "_" LUA_VERSION_MINOR, "LUA_PATH",
                                          "LUA_CPATH_" LUA_VERSION_MAJOR "_" LUA_VERSION_MINOR, "LUA_CPATH"};
#else
constexpr const char* kPathVariables[] = {"LUA_PATH", "LUA_CPATH"};
#endif
constexpr int kVariables = sizeof kPathVariables / sizeof *kPathVariables;

// A module that the warm-up loaded and that a file stands for.
struct WarmModule {
  char* name;
  dev_t device;
  ino_t inode;
  bool depends_on_directory;  // a relative entry of the path was tried, or taken
};

// Written by seal, read by children.
struct Sealed {
  WarmModule* module = nullptr;
  int modules = 0;
  const char* relative_module = nullptr;  // one that was found through a relative entry
  bool depends_on_directory = false;      // one of them does
  dev_t directory_device = 0;             // working directory at the seal
  ino_t directory_inode = 0;
  char* variable[kVariables] = {};  // the path variables at start; null: not set
  bool ignored_environment = false;
  const void* metatable_of_globals = nullptr;
  char* time_zone = nullptr;  // $TZ at the seal
};
Sealed sealed;

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

void push_package(lua_State* L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "package");
  lua_remove(L, -2);
}

// Tries to open one candidate of a path, as package.searchpath does. `identity` on success.
bool readable(const char* file, struct stat& identity) {
  const int fd = open(file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool found = fstat(fd, &identity) == 0;
  close(fd);
  return found;
}

bool found_relative = false;  // of the last search that found something: whether through a relative entry

// Where a module comes from under a path: the manual's package.searchpath. `relative` is set when an entry
// that depends on the working directory was tried. False if there is no file.
bool search(const char* path, const char* name, size_t name_length, struct stat& identity, bool& relative) {
  while (*path != '\0') {
    const size_t entry = strcspn(path, ";");
    char file[PATH_MAX];
    size_t used = 0;
    bool fits = true;
    for (size_t i = 0; i < entry && fits; i++) {
      const bool mark = path[i] == '?';
      const size_t size = mark ? name_length : 1;
      fits = used + size < sizeof file;
      if (!fits) break;
      memcpy(file + used, mark ? name : path + i, size);
      if (mark) {
        for (size_t k = used; k < used + size; k++) {
          if (file[k] == '.') file[k] = '/';
        }
      }
      used += size;
    }
    if (fits && used > 0) {
      file[used] = '\0';
      if (file[0] != '/') relative = true;
      if (readable(file, identity)) {
        found_relative = file[0] != '/';
        return true;
      }
    }
    path += entry;
    if (*path == ';') path++;
  }
  return false;
}

// The searchers that look for files, in their order: a Lua file, a C library, the library of the root.
bool locate(lua_State* L, int package, const char* name, struct stat& identity, bool& relative) {
  bool found = false;
  const size_t length = strlen(name);
  lua_getfield(L, package, "path");
  lua_getfield(L, package, "cpath");
  const char* path = lua_tostring(L, -2);
  const char* cpath = lua_tostring(L, -1);
  if (path != nullptr) found = search(path, name, length, identity, relative);
  if (!found && cpath != nullptr) {
    found = search(cpath, name, length, identity, relative);
    const char* dot = strchr(name, '.');
    if (!found && dot != nullptr)
      found = search(cpath, name, static_cast<size_t>(dot - name), identity, relative);
  }
  lua_pop(L, 2);
  return found;
}

// Records every module in package.loaded that the warm-up added and that has a file.
int record_modules(lua_State* L) {
  finalizers::seal(L);
  push_package(L);
  const int package = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  const int loaded = lua_gettop(L);
  lua_pushlightuserdata(L, &key_of_standard);
  lua_rawget(L, LUA_REGISTRYINDEX);
  const int standard = lua_gettop(L);
  int capacity = 0;
  for (lua_pushnil(L); lua_next(L, loaded) != 0; lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    const char* name = lua_tostring(L, -2);
    lua_getfield(L, standard, name);
    const bool added = lua_isnil(L, -1);
    lua_pop(L, 1);
    struct stat identity = {};
    bool relative = false;
    if (!added || !locate(L, package, name, identity, relative)) continue;
    if (sealed.modules == capacity) {
      capacity = capacity == 0 ? 64 : 2 * capacity;
      void* grown = realloc(sealed.module, sizeof(WarmModule) * static_cast<size_t>(capacity));
      if (grown == nullptr) return luaL_error(L, "not enough memory");
      sealed.module = static_cast<WarmModule*>(grown);
    }
    sealed.module[sealed.modules++] = {copy_of(name), identity.st_dev, identity.st_ino, relative};
    sealed.depends_on_directory |= relative;
    if (found_relative) sealed.relative_module = sealed.module[sealed.modules - 1].name;
  }
  lua_settop(L, 0);
  return 0;
}

// Forgets what math.random has handed out. Versions with a fixed seed start over from it.
void reset_random(lua_State* L) {
#if defined(MOONLET_LUAJIT)
  lua_pushlightuserdata(L, &key_of_randomseed);
  lua_rawget(L, LUA_REGISTRYINDEX);
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
  lua_pushlightuserdata(L, &key_of_randomseed);
  lua_rawget(L, LUA_REGISTRYINDEX);
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

// Collects all garbage. Where the collector is generational, what is left is old afterwards: a script's
// collections neither visit nor write it.
void collect(lua_State* L) {
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
  if (lua_toboolean(scratch, 1) != 0) {
    lua_pushboolean(scratch, 1);
    lua_setfield(scratch, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  lua_pushcfunction(scratch, luaopen_package);
  lua_pushstring(scratch, "package");
  lua_call(scratch, 1, 1);
  if (!lua_istable(scratch, -1)) {  // LuaJIT leaves it as a global
    lua_getglobal(scratch, "package");
  }
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
    lua_pop(L, 1);
  }
  lua_close(scratch);
  return computed;
}

bool in_sealed_directory() {
  struct stat here = {};
  return stat(".", &here) == 0 && here.st_dev == sealed.directory_device &&
         here.st_ino == sealed.directory_inode;
}

// A warm module is used only where `require` would load the same file now. If one would not, none is: those
// that hold it would hold the wrong one.
void drop_misplaced_modules(lua_State* L, int package, bool all) {
  bool misplaced = false;
  for (int i = 0; i < sealed.modules && !misplaced; i++) {
    const WarmModule& module = sealed.module[i];
    if (!all && !module.depends_on_directory) continue;
    struct stat identity = {};
    bool relative = false;
    misplaced = !locate(L, package, module.name, identity, relative) || identity.st_dev != module.device ||
                identity.st_ino != module.inode;
  }
  if (!misplaced) return;
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  for (int i = 0; i < sealed.modules; i++) {
    lua_pushnil(L);
    lua_setfield(L, -2, sealed.module[i].name);
  }
  lua_pop(L, 1);
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
  if (sealed.modules > 0) {
    if (changed) {
      drop_misplaced_modules(L, package, true);
    } else if (sealed.depends_on_directory && !in_sealed_directory()) {
      drop_misplaced_modules(L, package, false);
    }
  }
  if (ignores_environment != sealed.ignored_environment) {
    if (ignores_environment) {
      lua_pushboolean(L, 1);
    } else {
      lua_pushnil(L);
    }
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  return 0;
}

// A standard stream that the warm-up has used has settled on a way of buffering that fits the zygote's
// descriptor, not the child's.
void renew_stream(FILE* stream, int fd) {
  if (__fbufsize(stream) == 0) return;  // glibc: never used. musl always has a buffer
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
  lua_pushlightuserdata(L, &key_of_last_object);
  lua_insert(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

void finish(lua_State* L, int status) {
  leaving = true;
  status_at_leave = status;
  if (!finalizers::run(L)) lua_close(L);
  exit(status);  // also where a script has found and undone the last object
}

void use_incremental_collector() { incremental = true; }

void open_libraries(lua_State* L) {
#if LUA_VERSION_NUM < 504
  lua_gc(L, LUA_GCSTOP, 0);
#endif
  for (int i = 0; i < kVariables; i++) sealed.variable[i] = copy_of(getenv(kPathVariables[i]));
  lua_getfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  sealed.ignored_environment = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  luaL_openlibs(L);
#if LUA_VERSION_NUM >= 504
#if LUA_VERSION_RELEASE_NUM >= 50404
  lua_gc(L, LUA_GCRESTART);
#endif
  if (!incremental) lua_gc(L, LUA_GCGEN, 0, 0);
#else
  lua_gc(L, LUA_GCRESTART, 0);
#endif
  finalizers::watch(L);
  lua_pushlightuserdata(L, &key_of_standard);
  lua_newtable(L);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  for (lua_pushnil(L); lua_next(L, -2) != 0;) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_pushboolean(L, 1);
    lua_rawset(L, -5);  // standard[name] = true
  }
  lua_pop(L, 1);
  lua_rawset(L, LUA_REGISTRYINDEX);
  lua_getglobal(L, "math");
  lua_pushlightuserdata(L, &key_of_randomseed);
  lua_getfield(L, -2, "randomseed");
  lua_rawset(L, LUA_REGISTRYINDEX);
  lua_pop(L, 1);
}

void set_global(lua_State* L, const char* name) {
  push_globals(L);
  const bool has_metatable = lua_getmetatable(L, -1) != 0;
  const void* metatable = has_metatable ? lua_topointer(L, -1) : nullptr;
  if (has_metatable) lua_pop(L, 1);
  lua_insert(L, -2);
  lua_pushstring(L, name);
  lua_insert(L, -2);
  if (metatable == sealed.metatable_of_globals) {
    lua_rawset(L, -3);
  } else {
    lua_settable(L, -3);
  }
  lua_pop(L, 1);
}

void push_argument_table(lua_State* L, int positive, int other) {
  lua_pushlightuserdata(L, &key_of_arguments);
  lua_rawget(L, LUA_REGISTRYINDEX);
  if (!lua_istable(L, -1)) {  // the first one, of the warm-up
    lua_pop(L, 1);
    lua_pushlightuserdata(L, &key_of_arguments);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_insert(L, -3);
    lua_rawset(L, LUA_REGISTRYINDEX);
    lua_createtable(L, positive, other);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, 1);
    lua_remove(L, -2);
    return;
  }
  lua_rawgeti(L, -1, 1);
  lua_remove(L, -2);
  if (!lua_istable(L, -1)) {
    lua_pop(L, 1);
    lua_createtable(L, positive, other);
    return;
  }
  lua_pushnil(L);
  lua_setmetatable(L, -2);
  for (lua_pushnil(L); lua_next(L, -2) != 0;) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_pushnil(L);
    lua_rawset(L, -4);
  }
}

void seal(lua_State* L) {
  push_globals(L);
  if (lua_getmetatable(L, -1) != 0) {
    sealed.metatable_of_globals = lua_topointer(L, -1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  lua_pushnil(L);
  set_global(L, "arg");
  // First of all, because finalizers are the warm-up's code too: they print, and take random numbers.
  collect(L);
  // Whoever still holds the warm-up's arguments shall not take them for a script's.
  push_argument_table(L, 0, 0);
  lua_pop(L, 1);
  lua_pushcfunction(L, record_modules);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) lua_pop(L, 1);  // out of memory: what is recorded counts
  struct stat here = {};
  if (stat(".", &here) == 0) {
    sealed.directory_device = here.st_dev;
    sealed.directory_inode = here.st_ino;
  }
  sealed.time_zone = copy_of(getenv("TZ"));
#if LUA_VERSION_NUM < 504
  reset_random(L);
#endif
  fflush(nullptr);
  // glibc's stream would go on in the old way of buffering until it leaves off writing: a seek does that,
  // also where it fails.
  fseek(stdout, 0, SEEK_CUR);
  __fpurge(stdin);
  heap::seal();
}

const char* relative_module() { return sealed.relative_module; }

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
  if (luaL_loadfile(L, "/dev/null") != LUA_OK || lua_pcall(L, 0, 0, 0) != LUA_OK) lua_pop(L, 1);
}

const char* thaw(lua_State* L, bool ignores_environment) {
  renew_stream(stdout, STDOUT_FILENO);
  if (feof(stdin) != 0 || ferror(stdin) != 0) clearerr(stdin);
  // glibc reads $TZ once, at the first localtime_r.
  if (!same_text(getenv("TZ"), sealed.time_zone)) tzset();
  const bool elsewhere = sealed.depends_on_directory && !in_sealed_directory();
  if (!elsewhere && !environment_differs(ignores_environment)) return nullptr;
  lua_pushcfunction(L, thaw_protected);
  lua_pushboolean(L, ignores_environment ? 1 : 0);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return nullptr;
  const char* reason = lua_tostring(L, -1);
  return reason != nullptr ? reason : "unknown error";
}

}  // namespace moonlet::image
