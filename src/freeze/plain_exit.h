// exit(3), where there is nothing for it to do but to flush the streams: in glibc it walks through each
// library's data to find that out, which takes fourteen page faults of some sixty that a launch has.
#pragma once

namespace moonlet::freeze {

#if defined(MOONLET_PLAIN_EXIT)

/// After the warm-up: whether a script's exit may leave out handlers and destructors, because so far there are
/// none. From here on a handler that is registered, and a library that is opened, make exit whole again.
/// Returns whether it may.
bool prepare_plain_exit();

/// A handler is registered that exit(3) is to call.
void note_exit_handler();

/// A library is opened: it may have handlers or destructors. What a warm-up opens is looked at afterwards.
void note_library();

/// A thread is made. One that waits in a stream holds the stream's lock, for which flushing all of them would
/// wait, and libc's own end does not.
void note_thread();
#else

inline bool prepare_plain_exit() { return false; }
inline void note_exit_handler() {}
inline void note_library() {}
inline void note_thread() {}

#endif

}  // namespace moonlet::freeze
