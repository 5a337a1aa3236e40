// An image on its way into the file system.
#pragma once

#include "freeze/options.h"
#include "freeze/questions.h"
#include "image/launch.h"
#include "image/tables.h"

#include <stdint.h>

namespace moonlet::freeze {

/// Freezes this process into a new file beside options.image, thaws that once as a test, and renames it over
/// the old one, which stays whole if anything fails. Returns the exit status; complaints go to standard error.
/// `asked`: what the warm-up has asked. `stack`, `frame`, `base`: image::Content has them.
int write_image(const Options& options, const questions::Collected& asked, image::Entry entry,
                image::Range stack, uintptr_t frame, image::Tables base);

}  // namespace moonlet::freeze
