#include "lua/requiring.h"

#include "base/file_identity.h"
#include "base/layout.h"
#include "lua/arguments.h"
#include "lua/belongings.h"
#include "lua/lua_api.h"
#include "lua/modules.h"
#include "lua/needs.h"

#include <locale.h>
#include <string.h>

namespace moonlet::requiring {

void (*observe)() = nullptr;
bool (*leaves_out)(const char* name) = nullptr;

namespace {

lua_CFunction real = nullptr;
bool is_sealed = false;

// In the registry: numbers of modules by name, and by number what their loading has returned beside their
// value. Also what decides where modules are found, as it was when it was last looked at, under the names of
// the fields of `package`; under kSearcher and the numbers below it the searchers themselves, and under
// kStandard those that Lua began with.
int store = 0;
constexpr int kSearcher = -1;
constexpr int kStandard = -100;
constexpr int kStandards = 4;
constexpr const char* kPackage = "/package";  // no name of a module
constexpr const char* kPaths[] = {"/path", "/cpath"};
constexpr const char* kPreload = "/preload";
constexpr const char* kLoaded = "/loaded";
#if LUA_VERSION_NUM >= 502
constexpr const char* kSearchers = "/searchers";
#else
constexpr const char* kSearchers = "/loaders";
#endif

// Pushes it. Returns its index.
int push_store(lua_State* L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, store);
  return lua_gettop(L);
}

// Pushes the field of `package` that `name` stands for.
void push_field(lua_State* L, int in, const char* name) {
  lua_getfield(L, in, kPackage);
  lua_getfield(L, -1, name + 1);
  lua_remove(L, -2);
}

// Pushes the field `name` of the table at `index`, which nobody's metatable sees.
void push_raw(lua_State* L, int index, const char* name) {
  lua_pushstring(L, name);
  lua_rawget(L, index);
}

// The modules that are being loaded, the innermost last. One whose loading has failed is still there.
struct Loading {
  int module;
  lua_State* thread;
};
constexpr int kDeepest = 200;  // as deep as C functions call each other
MOONLET_LARGE Loading loading[kDeepest];
int depth = 0;
lua_State* main_thread = nullptr;
int last = 0;  // that nobody needed

int require(lua_State* L);

// Drops those from `loading` whose loading has failed: `require` does not run any more. The innermost one that
// does is the caller's. Looks no deeper than there are entries: LuaJIT allows thousands of calls within each
// other, and counts them anew for each level.
void drop_failed(lua_State* L) {
  int entries = 0;
  for (int i = 0; i < depth; i++) entries += loading[i].thread == L;
  int calls = -1;
  lua_Debug frame;
  for (int level = 0; calls < entries && lua_getstack(L, level, &frame) != 0; level++) {
    lua_getinfo(L, "f", &frame);
    if (lua_tocfunction(L, -1) == require) calls++;
    pop(L);
  }
  if (calls == 0 && L == main_thread) depth = 0;
  for (int i = 0; i < depth; i++) {
    if (loading[i].thread != L) continue;
    if (calls == 0) depth = i;
    if (calls == 1) depth = i + 1;
    calls--;
  }
}

// Whoever has done what was done since the last call: the innermost module.
void note(lua_State* L) {
  belongings::note(L, current());
  if (observe != nullptr) observe();
}

int require_in_warm_up(lua_State* L, const char* name) {
  drop_failed(L);
  if (leaves_out != nullptr && leaves_out(name)) {
    lua_pushnil(L);
    return 1;
  }
  const int module = needs::add(name);
  needs::add_need(current(), module);
  if (depth == 0) last = module;
  const int top = lua_gettop(L);
  modules::push_loaded(L);
  push_raw(L, top + 1, name);
  const bool is_loaded = lua_toboolean(L, -1) != 0;
  lua_settop(L, top);
  if (is_loaded || module == 0 || depth == kDeepest) return real(L);
  note(L);
  loading[depth++] = {module, L};
  const int above = depth;
  const int results = real(L);
  depth = above;
  note(L);
  depth--;
  if (results == 2) {
    const int in = push_store(L);
    lua_pushvalue(L, in - 1);
    lua_rawseti(L, in, module);
    pop(L);
  }
  return results;
}

// What a script may have changed since the warm-up.

int generation = 0;               // how often where modules are found has changed
bool is_plain = true;             // nothing stands in front of Lua's own searchers
bool distrusts = false;           // modules are found, or load, in another way
bool has_more_searchers = false;  // behind the warm-up's: they find what these do not
bool asks_directory = false;
FileIdentity directory;
char* locale = nullptr;

// Whether the field of `package` that `name` stands for is another one than when it was last looked at.
bool has_changed(lua_State* L, int in, const char* name) {
  push_field(L, in, name);
  lua_getfield(L, in, name);
  const bool is_same = lua_rawequal(L, -1, -2) != 0;
  pop(L);
  if (is_same) {
    pop(L);
  } else {
    lua_setfield(L, in, name);
  }
  return !is_same;
}

void look_at_places(lua_State* L, int in) {
  bool moved = false;
  for (const char* name : kPaths) moved |= has_changed(L, in, name);
  if (asks_directory && !directory.is_at(".")) {
    directory.find(".");
    moved = true;
  }
  if (moved) generation++;
}

// Compares the searchers with those that were kept from `first` on: `count` of them, or if it is 0 all that
// were kept.
bool are_searchers(lua_State* L, int in, int first, int count) {
  push_field(L, in, kSearchers);
  const int list = lua_gettop(L);
  bool are_same = lua_istable(L, list);
  for (int i = 1; are_same && (count == 0 || i <= count); i++) {
    lua_rawgeti(L, list, i);
    lua_rawgeti(L, in, first - i);
    if (lua_isnil(L, -1)) {
      has_more_searchers = !lua_isnil(L, -2);
      break;
    }
    are_same = lua_rawequal(L, -1, -2) != 0;
    lua_settop(L, list);
  }
  lua_settop(L, list - 1);
  return are_same;
}

void keep_searchers(lua_State* L, int in, int first) {
  push_field(L, in, kSearchers);
  const int list = lua_gettop(L);
  for (int i = 1; lua_istable(L, list); i++) {
    lua_rawgeti(L, list, i);
    const bool is_end = lua_isnil(L, -1);
    lua_rawseti(L, in, first - i);  // the end too: an image below may have had more of them
    if (is_end) break;
  }
  lua_settop(L, list - 1);
}

// Whether each entry of the table `one` is in the other, at these indices.
bool is_within(lua_State* L, int one, int other) {
  const int top = lua_gettop(L);
  bool is_same = true;
  for (lua_pushnil(L); is_same && lua_next(L, one) != 0; lua_settop(L, top + 1)) {
    lua_pushvalue(L, top + 1);
    lua_rawget(L, other);
    is_same = lua_rawequal(L, -1, -2) != 0;
  }
  lua_settop(L, top);
  return is_same;
}

// Whether a module of the group that is not the script's yet has another entry in the table `now` than in
// `before`, which are indices.
bool is_entered_anew(lua_State* L, int group, int now, int before) {
  const int top = lua_gettop(L);
  bool is_same = true;
  for (int i = 1; i <= needs::count() && is_same; i++) {
    if (needs::at(i).group != group || needs::is_given(i)) continue;
    push_raw(L, now, needs::at(i).name);
    push_raw(L, before, needs::at(i).name);
    is_same = lua_rawequal(L, -1, -2) != 0;
    lua_settop(L, top);
  }
  return !is_same;
}

// In package.loaded: a test has put something else in the place of a module, say.
bool is_replaced(lua_State* L, int in, int group) {
  modules::push_loaded(L);
  lua_getfield(L, in, kLoaded);
  const int before = lua_gettop(L);
  const bool is_replaced = is_entered_anew(L, group, before - 1, before);
  lua_settop(L, before - 2);
  return is_replaced;
}

// In package.preload.
bool is_preloaded(lua_State* L, int in, int group) {
  modules::push_preload(L);
  lua_getfield(L, in, kPreload);
  const int now = lua_gettop(L) - 1;
  const int before = now + 1;
  const bool is_preloaded = lua_istable(L, now) && !(is_within(L, now, before) && is_within(L, before, now)) &&
                            is_entered_anew(L, group, now, before);
  lua_settop(L, now - 1);
  return is_preloaded;
}

// Whether one of the group has asked for a module that the warm-up has not found: a searcher more may find it.
bool has_missed_one(lua_State* L, int in, int group) {
  lua_getfield(L, in, kLoaded);
  bool missed = false;
  for (int i = 1; i <= needs::count() && !missed; i++) {
    if (needs::at(i).group != group || needs::at(i).has_origin) continue;
    lua_getfield(L, -1, needs::at(i).name);
    missed = lua_isnil(L, -1);
    pop(L);
  }
  pop(L);
  return missed;
}

// Whether a module of the group that is not the script's yet would come from another file now.
bool is_misplaced(lua_State* L, int in, int group) {
  lua_getfield(L, in, kPackage);
  bool misplaced = false;
  for (int i = 1; i <= needs::count() && !misplaced; i++) {
    const needs::Module& module = needs::at(i);
    if (module.group != group || needs::is_given(i)) continue;
    ModuleOrigin now;
    misplaced = now.find(L, lua_gettop(L), module.name) != module.has_origin || now.file != module.origin.file;
  }
  pop(L);
  return misplaced;
}

// Whether lua would load what is warm of the group, as far as the places where modules are found decide that.
bool is_right(lua_State* L, int in, int group) {
  needs::Module& first = needs::at(group);
  if (first.looked_at != generation) {
    if (!is_plain || is_misplaced(L, in, group)) return false;
    first.looked_at = generation;
  }
  return true;
}

// The metatables of package.loaded and package.preload: with another one a script sees modules come and go.
const void* metatables[2];

void find_metatables(lua_State* L, const void* (&found)[2]) {
  const int top = lua_gettop(L);
  modules::push_loaded(L);
  modules::push_preload(L);
  for (int i = 0; i < 2; i++)
    found[i] =
        lua_istable(L, top + 1 + i) && lua_getmetatable(L, top + 1 + i) != 0 ? lua_topointer(L, -1) : nullptr;
  lua_settop(L, top);
}

bool has_other_metatables(lua_State* L) {
  const void* now[2];
  find_metatables(L, now);
  return now[0] != metatables[0] || now[1] != metatables[1];
}

// Keeps a copy of the table on top, and pops it.
void keep_copy(lua_State* L, int in, const char* name) {
  const int table = lua_gettop(L);
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, table) != 0;) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, table + 1);
  }
  lua_setfield(L, in, name);
  lua_settop(L, table - 1);
}

int dropped;  // group

void drop(lua_State* L, int group) {
  dropped = group;
  belongings::take_away(L, [](int module) {
    return module != 0 && needs::at(module).group == dropped && !needs::is_given(module);
  });
  needs::give_group(group);
}

int require_in_script(lua_State* L, const char* name) {
  const int top = lua_gettop(L);
  const int in = push_store(L);
  lua_getfield(L, in, name);
  const auto module = static_cast<int>(lua_tointeger(L, -1));
  bool is_first = module != 0 && !needs::is_given(module);
  if (is_first) {
    luaL_checkstack(L, LUA_MINSTACK, nullptr);
    look_at_places(L, in);
    if (!are_searchers(L, in, kSearcher, 0) || arguments::is_replaced(L) || has_other_metatables(L) ||
        strcmp(setlocale(LC_ALL, nullptr), locale) != 0)
      distrusts = true;
    const int group = needs::at(module).group;
    is_first = !distrusts && !(has_more_searchers && has_missed_one(L, in, group)) &&
               !is_preloaded(L, in, group) && !is_replaced(L, in, group) && is_right(L, in, group);
    if (is_first) {
      needs::give(module);
    } else {
      drop(L, group);
    }
  }
  lua_settop(L, top);
  const int results = real(L);
#if LUA_VERSION_NUM >= 504
  if (is_first && results == 1) {
    push_store(L);
    lua_rawgeti(L, -1, module);
    lua_remove(L, -2);
    if (!lua_isnil(L, -1)) return 2;
    pop(L);
  }
#endif
  return results;
}

int require(lua_State* L) {
  if (lua_type(L, 1) != LUA_TSTRING) return real(L);
  const char* name = lua_tostring(L, 1);
  return is_sealed ? require_in_script(L, name) : require_in_warm_up(L, name);
}

}  // namespace

void install(lua_State* L) {
  main_thread = L;
  belongings::watch(L);
  lua_newtable(L);
  store = luaL_ref(L, LUA_REGISTRYINDEX);
  const int in = push_store(L);
  modules::push_package(L);
  lua_setfield(L, in, kPackage);
  keep_searchers(L, in, kStandard);
  // Lua's function finds the table `package` by what surrounds it.
  lua_getglobal(L, "require");
  real = lua_tocfunction(L, -1);
#if LUA_VERSION_NUM >= 502
  lua_getupvalue(L, -1, 1);
  lua_pushcclosure(L, require, 1);
#else
  lua_pushcfunction(L, require);
  lua_getfenv(L, -2);
  lua_setfenv(L, -2);
#endif
  lua_setglobal(L, "require");
  lua_settop(L, in - 1);
}

int current() { return depth > 0 ? loading[depth - 1].module : 0; }

void note_option(lua_State* L) {
  depth = 0;
  belongings::note(L, last);
}

void seal(lua_State* L) {
  arguments::seal(L);  // nobody shall hold that for it
  depth = 0;
  memset(loading, 0, sizeof loading);  // or it would be an image's
  note(L);
  const int in = push_store(L);
  for (const char* name : kPaths) has_changed(L, in, name);
  keep_searchers(L, in, kSearcher);
  is_plain = are_searchers(L, in, kStandard, kStandards);
  modules::push_preload(L);
  keep_copy(L, in, kPreload);
  modules::push_loaded(L);
  keep_copy(L, in, kLoaded);
  find_metatables(L, metatables);
  lua_getfield(L, in, kPackage);
  for (int i = 1; i <= needs::count(); i++) {
    needs::Module& module = needs::at(i);
    module.has_origin = module.origin.find(L, in + 1, module.name);
    asks_directory |= module.origin.depends_on_directory;
    lua_pushinteger(L, i);
    lua_setfield(L, in, module.name);
  }
  lua_settop(L, in - 1);
  directory.find(".");
  locale = strdup(setlocale(LC_ALL, nullptr));
  needs::form_groups();
  is_sealed = true;
}

void unseal(lua_State* L) {
  is_sealed = false;
  generation = 0;
  distrusts = asks_directory = false;
  needs::take_all();
  belongings::note(L, 0);  // what a launch does before its script is no module's
}

void look_again(lua_State* L) {
  const int in = push_store(L);
  look_at_places(L, in);
  for (int i = 1; i <= needs::count() && generation != 0; i++) {
    if (needs::at(i).group == i && !is_right(L, in, i)) drop(L, i);
  }
  lua_settop(L, in - 1);
}

}  // namespace moonlet::requiring
