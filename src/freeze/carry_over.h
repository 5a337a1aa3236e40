// The questions of the image below: whoever asks an image that lies on it asks them too.
#pragma once

#include "image/tables.h"

namespace moonlet::freeze::questions {

/// After begin(), before the warm-up goes on: records what `base` asks, with the answers that it has, whatever
/// --ignore and --trust say.
void carry_over(const image::Tables& base);

}  // namespace moonlet::freeze::questions
