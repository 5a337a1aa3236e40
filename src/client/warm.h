// The images of $MOONLET_WARM, which need no moonletd.
#pragma once

#include "image/cache_path.h"

namespace moonlet::client {

/// The path that thaw() looks at, and that have_frozen() goes by, and leaves as it is. One, because it is
/// large.
image::CachePath& cache_path();

/// Has moonletctl freeze the warm-up that cache_path() has the name of, in the background, if it is time for
/// that: the process that becomes it is nobody's child here, and who waits for a signal or a child of this
/// process meets neither. Nothing is waited for but the forks. Says nothing where that cannot be, because the
/// script runs all the same.
void have_frozen();

}  // namespace moonlet::client
