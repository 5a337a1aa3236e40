// The way out for every launch that has not begun: the real lua, with the same argv.
#pragma once

#include "fallback/refusal.h"

namespace moonlet::fallback {

/// Replaces this process by the real Lua interpreter: $MOONLET_FALLBACK, else the one named at build time,
/// searched on $PATH, never this program itself. With raised privileges (AT_SECURE) neither variable counts.
/// `argv` goes over as it is, its first string too. Exits with 125 and says why where $MOONLET_FALLBACK is
/// empty (`refusal` alone counts) or where the interpreter cannot be started (both failures count). The caller
/// has given back the signal mask.
[[noreturn]] void fall_back(char** argv, const Refusal& refusal);

/// Replaces this process by `name`, searched on $PATH if there is no slash in it, but never this program
/// itself. Returns errno: ELOOP if that is all there was.
int exec_on_path(const char* name, char** argv);

}  // namespace moonlet::fallback
