// The programs that moonlet becomes for what is no launch: they lie beside it, or on PATH.
#pragma once

namespace moonlet::client {

/// Becomes moonletctl with these arguments, or exits with 125 and says why not.
[[noreturn]] void become_companion(char** argv);

/// Becomes moonletctl with these arguments, or returns errno.
int execute_companion(char** argv);

/// Becomes moonlet-lua, which freezes itself, or exits with 125 and says why not. `argv`: as the kernel made
/// it.
[[noreturn]] void become_freezer(char** argv);

}  // namespace moonlet::client
