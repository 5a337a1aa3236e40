// The child's becoming the client: everything that exec would have kept of the client's process.
#pragma once

#include "zygote/packed_text.h"
#include "zygote/request.h"
#include "zygote/serve.h"

namespace moonlet::zygote {

/// What the zygote knows of itself before it forks, so that a child changes only what differs.
/// `compares`: see prepare_comparison().
/// Call it once, after the warm-up and with every descriptor of the server's open but its connections.
void prepare_children(int compares);

/// Leaves `descriptor`, of the warm-up's making, open in children. At most 64; further ones are closed.
void keep_in_children(int descriptor);

/// Takes back what keep_in_children() was told.
void keep_none_in_children();

/// Whether there are any such.
bool has_warm_descriptors();

/// In a child, at once: gives up the zygote's terminal and closes what is the zygote's from descriptor 3 up,
/// but for the log, what prepare_children saw the warm-up leave, and `channel`.
void leave_server(int channel);

/// Reads the request on `accepted.connection` and makes this process the client's equal in all but the
/// last step, start(). Declines, which ends this process, where the request is not valid or where the
/// kernel will not let it be so. It comes after leave_server(); descriptors 0 to 2 become the client's.
void become(Accepted& accepted, LaunchRequest& request);

/// Tells the client that its script starts, and gives up the connection: from here on there is no
/// fallback. Ends this process if the client has left.
void start(const Accepted& accepted, const LaunchRequest& request);

/// Tells the client that nothing will run, and why: `format` is printf(3)'s. With `log`, tells the log too.
[[noreturn, gnu::format(printf, 3, 4)]] void decline(const Accepted& accepted, bool log, const char* format,
                                                     ...);
#if defined(MOONLET_PACKED_TEXTS)
#define decline(accepted, log, ...) decline(accepted, log, MOONLET_TEXT(__VA_ARGS__))
#endif

}  // namespace moonlet::zygote
