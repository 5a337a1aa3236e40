// moonletctl run: a script through moonletd's socket.
#pragma once

namespace moonlet::ctl {

/// Runs a script through a moonletd, in this process' place, or by lua if none serves. `argv` (argc strings,
/// null-terminated) begins with "run"; behind that are its options, lua's, and the script. Does not return.
[[noreturn]] void run(int argc, char** argv);

}  // namespace moonlet::ctl
