// `require` in a warm state. It looks like Lua's, which does the work. In the warm-up it takes down what each
// module needs and sets. In a script it asks one thing more of a module that is warm: would lua load the same
// one now? If not, the warm one goes, with all that needs it or that it needs, and what belongs to these.
#pragma once

struct lua_State;

namespace moonlet::requiring {

#if defined(MOONLET_OWN_PATH)

/// After luaL_openlibs: puts it in the place of Lua's. Raises Lua errors.
void install(lua_State* L);

/// If not null, called where the loading of a module begins or ends. What has been done since the last call was
/// done by current().
extern void (*observe)();

/// If not null, asked at each call in the warm-up: what it is true for is not loaded, and `require` returns
/// nil.
extern bool (*leaves_out)(const char* name);

/// The number of the module that is being loaded (lua/needs.h); 0: none.
int current();

/// Option -l has loaded a module: what lua has set for it belongs to it. Raises Lua errors.
void note_option(lua_State* L);

/// At the end of the warm-up: from here on it is a script that asks. Raises Lua errors.
void seal(lua_State* L);

/// In a sealed state that was thawed, after look_again(): the warm-up goes on, up to another seal(). Raises Lua
/// errors.
void unseal(lua_State* L);

/// In a launch, before its script: all modules go that lua would not load now, where that is known to differ.
/// Raises Lua errors.
void look_again(lua_State* L);

#else

inline void install(lua_State*) {}
inline void note_option(lua_State*) {}
inline void seal(lua_State*) {}
inline void unseal(lua_State*) {}
inline void look_again(lua_State*) {}

#endif

}  // namespace moonlet::requiring
