// moonlet --wrap: a file that starts a Lua program with its modules warm.
#pragma once

namespace moonlet::ctl {

/// `argv`: behind --wrap, [-o FILE] and the program, in either order, then perhaps "--" and arguments of the
/// program. Runs it once, writes the file and says so. Returns the status for exit(3), or ends this program
/// with protocol::kOwnFailure and a message.
int wrap(char** argv);

}  // namespace moonlet::ctl
