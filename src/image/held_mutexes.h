// Mutexes that the warm-up has locked and left locked (lgi does so as long as Lua runs): they belong to a
// thread by its number, and that thread has another one in each launch.
#pragma once

#include <stdint.h>

namespace moonlet::image {

/// While freezing: looks for mutexes in [from, to) that belong to the thread `owner`.
void find_held_mutexes(uintptr_t from, uintptr_t to, int owner);

/// Before that: of those that were found for an image below only what `owner` holds still counts.
void look_at_held_mutexes(int owner);

/// In a thaw, and behind a fork where a warm-up goes on: gives them to the thread `owner`.
void hand_over_mutexes(int owner);

}  // namespace moonlet::image
