// On MIPS with musl (cmake/Imports.cmake) this program exports none of the functions in front of libc's. A
// symbol with its name and hash would take 30 bytes each, and an entry point 12. Instead, where libraries have
// an address of one of these functions in their tables (GOT), it is replaced by that of an entry point of four
// bytes.
#pragma once

#include <stdint.h>

namespace moonlet::freeze {

#if defined(MOONLET_HOOKS)

/// Looks into all libraries that have been loaded so far, and into this program's own table. What a library
/// asks while it is being loaded, in its constructors, is not seen.
void hook_libraries();

/// libc's own function, by its index in interposed_list.h; null: this libc has none.
void* function_of_libc(unsigned index);

#endif

}  // namespace moonlet::freeze
