// The seal of malloc(3)'s own heap, where the warm-up's large blocks and its libraries' lie.
#pragma once

namespace moonlet::heap {

/// Leaves nothing free in malloc's heap but its end, where what is new takes fresh pages: a launch that was
/// handed some of the rest would copy the page, and those of its neighbours in malloc's lists. Takes memory
/// that is never freed. Nothing but with glibc.
void seal_malloc();

/// Whether `block` lies in that end, as it was at the last seal.
bool is_in_end(const void* block);

}  // namespace moonlet::heap
