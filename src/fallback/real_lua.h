// What no warm Lua can do.
#pragma once

namespace moonlet::fallback {

/// Whether lua with these arguments would talk to a person: -i, or nothing to run and a terminal to read from.
/// Options that lua rejects are left to it. LuaJIT's -b, -j and -O steer the compiler of a whole process, which
/// is running already where a script is warm: the real luajit has them.
bool needs_real_lua(char** argv);

}  // namespace moonlet::fallback
