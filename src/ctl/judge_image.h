// What a launch would find about an image, were it made here and now.
#pragma once

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

}  // namespace moonlet::ctl
