// The file of an image: its layout is known, and this process' pages do not change any more.
#pragma once

#include "image/workspace.h"

namespace moonlet::image {

/// Writes what is in `work` to the open file `fd`, empty, and synchronizes it. If that fails the workspace has
/// the reason.
void write_image_file(Workspace& work, int fd);

}  // namespace moonlet::image
