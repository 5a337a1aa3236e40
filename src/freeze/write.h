// An image on its way into the file system.
#pragma once

#include "freeze/options.h"
#include "freeze/questions.h"
#include "image/launch.h"
#include "image/tables.h"

#include <stddef.h>
#include <stdint.h>

namespace moonlet::freeze {

/// What is frozen.
struct Source {
  image::Entry entry;
  image::Range stack;  // see image::Content, as for the rest
  uintptr_t frame;
  image::Tables base;
  const image::Range* unused;
  size_t unused_count;
};

/// Freezes this process into a new file beside options.image, thaws that once as a test, and renames it over
/// the old one, which stays whole if anything fails. Returns the exit status; complaints go to standard error.
/// `asked`: what the warm-up has asked. `notes`, `modules` and `heap`: see image::Content.
int write_image(const Options& options, const questions::Collected& asked, const Source& source,
                const char* const* notes, uint32_t modules, uint32_t heap);

}  // namespace moonlet::freeze
