// How a child of the server becomes its client: everything that exec would have kept of the client's process,
// and then the exec of moonlet, which thaws the image.
#pragma once

#include "child/accepted.h"

namespace moonlet {
struct Refused;
}

namespace moonlet::child {

/// What the server knows of itself before it forks, so that a child changes only what differs. `image`: path of
/// the image, opened by each child; it must live as long as the server. `directory`: a descriptor from
/// open_program_directory(). `compares`: see prepare_comparison(). Call it once, with all signals at their
/// default action. From then on the process may have as many descriptors as its hard limit says. `refused` must
/// live as long as the server.
void prepare_children(const char* image, int directory, int compares, Refused& refused);

/// In a child, at once: closes what is the server's from descriptor 3 up, but for the log and `channel`.
void leave_server(int channel);

/// In a child, after leave_server(): reads the request on `accepted.connection`, makes this process the
/// client's equal, and executes moonlet with the client's arguments and environment. Declines, which ends this
/// process, where the request is not valid or where the kernel will not let it be so.
[[noreturn]] void become(Accepted accepted);

}  // namespace moonlet::child
