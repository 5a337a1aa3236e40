// What a warm-up may leave that no image can hold: open descriptors, threads, children, timers, and what it did
// to its process.
#pragma once

namespace moonlet::freeze {

/// Before the warm-up: what there is now is nobody's leftover.
void remember_process();

/// What has come since the last call is of the module `name`, which has to stay; null: of the script.
void note_module(const char* name);

/// Before the module `name` makes a thread; null: the script does.
void note_thread_of(const char* name);

/// After the warm-up. Waits a little for those that are about to end.
bool has_left_threads();

/// If not null, told of each of those that follow whose it is; null: of no module alone.
extern void (*observe_leaver)(const char* name);

/// After the warm-up: says on standard error what it has left, with the module that did. Returns how many such
/// things there are.
int complain_of_leftovers();

}  // namespace moonlet::freeze
