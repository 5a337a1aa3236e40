// The modules in package.loaded: which of them the warm-up has loaded, from which files, and whether a script
// would find the same.
#pragma once

struct lua_State;

namespace moonlet::modules {

/// After luaL_openlibs: remembers which modules are the standard libraries, and `require` itself. Raises Lua
/// errors.
void remember_standard(lua_State* L);

/// At the seal: lists each module that the warm-up has loaded and that a file stands for. Raises Lua errors.
/// Where memory is short, what is listed until then counts.
void list(lua_State* L);

/// The next list() begins anew.
void forget_list();

/// After the seal: the names of those that are listed, sorted, null-terminated; the caller's to free, but not
/// the names. Null without memory.
const char** names();

/// Pushes the table `package`, or those that are its fields `loaded` and `preload`, as `require` itself finds
/// them.
void push_package(lua_State* L);
void push_loaded(lua_State* L);
void push_preload(lua_State* L);

#if defined(MOONLET_OWN_PATH)

// requiring::look_again() does this, for each group of modules by itself.
inline bool is_elsewhere() { return false; }
inline void drop_misplaced(lua_State*, int, bool) {}

#else

/// Whether this process has another working directory than at the seal, and a listed module may depend on it.
bool is_elsewhere();

/// Drops the listed modules if `require` would load one of them from another file now. It drops them all,
/// because any of them may hold that one. `all`: the paths in the table `package` (at that index) have changed,
/// so each module is looked for; else only those that depend on the directory are. Raises Lua errors.
void drop_misplaced(lua_State* L, int package, bool all);

#endif

}  // namespace moonlet::modules
