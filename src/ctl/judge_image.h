// What there is to tell of an image: whether a launch, were it made here and now, would thaw it, and what is in
// it.
#pragma once

#include "ctl/text.h"

#include <stddef.h>

namespace moonlet::ctl {

enum class Judgement {
  kMissing,   // there is no such file
  kFits,      // it would be thawed
  kDiffers,   // not in this environment, at this terminal and so on
  kOutdated,  // nowhere: a file has changed, or it is damaged or of another build
};

/// Judges the image at `path`. Of the last two, `words`, of `size` bytes, gets why.
Judgement judge_image(const char* path, char* words, size_t size);

/// Adds the names of the modules that the image at `path` has, "A, B, C". Of what is no image of this build:
/// nothing.
void add_modules(const char* path, Text& out);

/// Adds the paths of the images that the one at `path` lies on, likewise.
void add_images_below(const char* path, Text& out);

}  // namespace moonlet::ctl
