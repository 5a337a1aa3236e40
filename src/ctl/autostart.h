// The moonletd that $MOONLET_AUTOSTART asks for.
#pragma once

namespace moonlet::ctl {

/// Makes this process a daemon, and then that moonletd, unless there is one, or an attempt has just been made.
/// Keeps nothing open, and tells the log beside the socket what goes wrong, nobody else. The caller's parent is
/// not waiting.
[[noreturn]] void autostart();

/// Makes of the path of the socket of such a moonletd that of its log.
void name_log(char* socket);

}  // namespace moonlet::ctl
