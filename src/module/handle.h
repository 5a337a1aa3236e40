// A script that moonlet.spawn has started: what Lua holds of it.
#pragma once

#include "lua/lua_api.h"
#include "protocol/script.h"

#include <sys/types.h>

namespace moonlet::module_of_lua {

/// Lives in a userdata, and owns its descriptors, so that an error of Lua's loses none: they are closed with
/// it.
struct Handle {
  enum class Source {
    kServer,  // the connection tells of the script
    kOrphan,  // the server is gone: the connection is the script's pidfd, which tells that it has ended
    kChild,   // a process of this one's own, lua: the connection is its pidfd, or -1 without
  };
  enum class End { kNone, kExited, kKilled, kUnknown, kClosed };
  static constexpr int kStreams = 3;
  static constexpr int kDirectory = kStreams;  // index in `passed` and `owned`

  protocol::Script script;
  pid_t owner;  // the process that started it: to a fork of that it is nobody's
  Source source;
  End end;
  int runs;                  // in an image: 1, by lua: 0, not known yet: -1
  int code;                  // exit status, or number of the signal
  int passed[kStreams + 1];  // what the script gets as 0 to 2, -1: nothing; and its directory
  bool owned[kStreams + 1];  // which of these are to be closed
  int own_end[kStreams];     // of the pipes, until files have them; else -1
};

/// Pushes a handle without a script, and returns it. Raises Lua errors.
Handle* push_handle(lua_State* L);

/// Pops a value, and makes it the field `name` of the handle at `index`. Raises Lua errors.
void set_field(lua_State* L, int index, const char* name);

/// Closes what was opened for the script.
void close_passed(Handle& handle);

/// Closes the connection to a moonletd, and to a script that it may have started.
void close_connection(Handle& handle);

/// Ends the script if it runs, and closes all. May be called any number of times.
void close_handle(Handle& handle);

/// Waits until `descriptor` has news; -1: for the time alone. False when `milliseconds` are over, or when a
/// signal has come: then Lua's hooks have run, which raise an error after Ctrl-C.
bool await(lua_State* L, int descriptor, int milliseconds);

}  // namespace moonlet::module_of_lua
