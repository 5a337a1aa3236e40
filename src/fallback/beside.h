// The other programs of moonlet: they lie beside this one, or on the path.
#pragma once

#include <limits.h>
#include <stddef.h>

namespace moonlet::fallback {

/// Room for the path of a program beside this one, in bytes. Names have at most 15 letters.
constexpr size_t kBesideRoom = PATH_MAX + 16;

/// The program `name` beside this one, whether it is there or not. False without /proc.
bool find_beside(const char* name, char (&path)[kBesideRoom]);

/// Replaces this process by the program `name` beside this one, else by one on $PATH, as exec_on_path() does.
/// Returns errno.
int exec_beside_or_on_path(const char* name, char** argv);

}  // namespace moonlet::fallback
