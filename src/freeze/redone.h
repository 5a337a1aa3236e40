// What a warm-up did to its process that each launch does again, so that its script finds what it would find in
// lua: another directory, umask, environment, or way of calculating.
#pragma once

namespace moonlet::freeze {

/// Before the warm-up.
void remember_what_may_be_redone();

/// After it: keeps what is to be done. Says on standard error what of it cannot be done again, and returns how
/// much that is.
int keep_what_is_redone();

/// In a launch, as the last thing before the script: from here on there is no way back to lua. Returns null, or
/// why it cannot be done; then nothing of it has been.
const char* redo();

}  // namespace moonlet::freeze
