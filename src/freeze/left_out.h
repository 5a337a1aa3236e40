// Modules that cannot be frozen, because their loading leaves a descriptor, a thread or a child process. The
// image is made without them and without what needs them: a launch that requires one loads it, as lua does.
#pragma once

#include "freeze/options.h"

namespace moonlet::freeze {

#if defined(MOONLET_OWN_PATH)

/// Before the warm-up: what is left out, here or in an image below, `require` returns nil for.
void begin_to_leave_out(const Options& options);

/// After complain_of_leftovers(), where nothing else stands against an image: if it has named modules alone,
/// the warm-up is run again without them, and this does not return. Says so on standard error. Where nobody
/// traces the warm-up nobody runs it again. Returns how many modules cannot be in an image that leaves out what
/// it is to leave out.
int run_without_leavers();

#else

inline void begin_to_leave_out(const Options&) {}
inline int run_without_leavers() { return 0; }

#endif

}  // namespace moonlet::freeze
