// moonlet --wrap: a file that starts a Lua program with its modules warm.
#pragma once

namespace moonlet::ctl {

/// `argv`: behind --wrap, [-o FILE] and the program, in either order, then perhaps "--" and arguments of the
/// program. Asks the Lua of the program's first line which one it is, runs the program once, tries whether the
/// modules that it has loaded can be frozen, writes the file and says so. Returns the status for exit(3), or
/// ends this program with protocol::kOwnFailure and a message.
int wrap(char** argv);

}  // namespace moonlet::ctl
