// The image beside the socket, for launches that need no moonletd: it is made by a program of its own (moonlet
// --freeze), while this one serves.
#pragma once

#include "zygote/options.h"

namespace moonlet::zygote {

/// Before the warm-up, which may write to its arguments: remembers what to freeze, and removes the image of an
/// earlier start, whose warm-up may have been another. Logs what fails.
void prepare_freezer(const Options& options);

/// When this image is ready to serve: starts the freeze and leaves it alone. Its output goes to the log.
void start_freezer();

}  // namespace moonlet::zygote
