// An image on its way into the file system.
#pragma once

#include "freeze/options.h"
#include "freeze/questions.h"
#include "image/launch.h"

#include <stdint.h>

namespace moonlet::freeze {

/// Freezes this process into a new file beside options.image, thaws that once as a test, and renames it over
/// the old one, which stays whole if anything fails. Returns the exit status; complaints go to standard error.
/// `asked`: what the warm-up has asked. `block`: the address of argc. `frame`: of main's frame. `modules` and
/// `heap`: see image::Content.
int write_image(const Options& options, const questions::Collected& asked, image::Entry entry, uintptr_t block,
                uintptr_t frame, const char* const* modules, uint32_t heap);

}  // namespace moonlet::freeze
