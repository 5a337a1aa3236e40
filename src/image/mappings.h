// What is mapped in this process, as proc_pid_maps(5) tells it.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace moonlet::image {

/// What /proc/self/smaps tells beyond that (VmFlags, CONFIG_PROC_PAGE_MONITOR).
struct MemoryFlags {
  bool wiped_on_fork;
  bool droppable;
  const char* unfit;  // why a copy of the process would not have this memory, or null
};

struct Mapping {
  uintptr_t from;
  uintptr_t to;
  uint8_t protection;  // Protection
  bool is_shared;
  uintptr_t offset;     // in the file, bytes
  unsigned long inode;  // 0: no file
  const char* path;     // or "[heap]" and the like, or ""
};

/// Reads /proc/self/maps, or smaps, into `text`, of `size` bytes. Returns its length, or -1 with errno.
long read_mappings(const char* path, char* text, size_t size);

/// The flags of the mapping that begins at `from`, in the text of smaps; none where there is no such mapping.
#if defined(MOONLET_PAGE_MONITOR)
MemoryFlags find_flags(const char* smaps, uintptr_t from);
#else
inline MemoryFlags find_flags(const char*, uintptr_t) { return {}; }
#endif

/// Takes the line at `line` apart, which it changes. Returns the next line, or null at the end.
char* next_mapping(char* line, Mapping& mapping);

}  // namespace moonlet::image
