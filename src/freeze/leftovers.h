// What a warm-up may leave that no image can hold: open descriptors, threads, children, timers, and what it did
// to its process.
#pragma once

namespace moonlet::freeze {

/// Before the warm-up: what there is now is nobody's leftover.
void remember_process();

/// After the module `name`, an -l option, was loaded: what has come since the last call is its.
void note_module(const char* name);

/// After the warm-up. Waits a little for those that are about to end.
bool has_left_threads();

/// After the warm-up: says on standard error what it has left, with the module that did. Returns how many such
/// things there are.
int complain_of_leftovers();

}  // namespace moonlet::freeze
