// What the warm-up did about signals: a launch does it again, as its own process' lua would have. What the
// process that froze had inherited is no part of that.
#pragma once

namespace moonlet::image {

/// Before the warm-up.
void remember_dispositions();

/// After it: which handlers and which ignored signals are its. libc's own are among them (pthread_cancel(3),
/// setuid(2)).
void keep_dispositions();

/// In a thaw.
void restore_dispositions();

}  // namespace moonlet::image
