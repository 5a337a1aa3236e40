// What a C library keeps of the process that it began in, and a thaw must make true of the launch's: found
// while freezing, mended first of all in a thaw. docs/image.md has the list with the reason for each.
#pragma once

#include "image/launch.h"

#include <stdint.h>

namespace moonlet::image {

/// Finds where libc keeps these things. To be called at the beginning of main, while there is one thread.
/// `block` is the address of argc. Exits with a message if that cannot be found.
void find_libc_state(uintptr_t block);

#if defined(MOONLET_LAYERS)
/// In a process that goes on with an image's warm-up: copies the environment to where it will be frozen, as
/// that of the first warm-up is. False without memory.
bool take_environment();
#endif

/// The last thing before the pages are read: forgets what only this process is to know, such as the strings of
/// its environment and arguments, and takes what has changed meanwhile (the robust list, limits). Variables
/// that the `size` bytes of `questions` are about stay: they are the same in each launch, and whoever asked may
/// have kept the pointer.
void prepare_libc_state(const char* questions, uint32_t size);

/// Whether the pages at `from` up to `to` are read-only but have to be written by mend(): it protects them
/// then.
bool is_mended(uintptr_t from, uintptr_t to);

/// What libc takes for the number of this thread.
int thread_id();

/// The auxiliary vector that libc sees.
const AuxiliaryEntry* auxiliary_vector();

/// In a thaw, before anything of libc is used: makes it true of this process. Without stack protector.
void mend(const Launch& launch);

}  // namespace moonlet::image
