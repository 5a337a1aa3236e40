// exit(3), where there is nothing for it to do but to flush the streams: in glibc it walks through each
// library's data to find that out, which takes fourteen page faults of some sixty that a launch has.
#pragma once

namespace moonlet::freeze {

/// After the warm-up: whether a script's exit may leave out handlers and destructors, because so far there are
/// none. From here on a handler that is registered, and a library that is opened, make exit whole again.
/// Returns whether it may.
bool prepare_plain_exit();

}  // namespace moonlet::freeze
