// moonletctl, which does for moonlet what has nothing to do with a launch: the client itself stays small.
#pragma once

namespace moonlet::client {

/// Replaces this process by moonletctl, with all of `argv`: the one beside this program, else one on $PATH.
/// Exits with 125, and says what was tried, if there is none.
[[noreturn]] void become_companion(char** argv);

}  // namespace moonlet::client
