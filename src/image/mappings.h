// What is mapped in this process, as proc_pid_maps(5) tells it.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace moonlet::image {

struct Mapping {
  uintptr_t from;
  uintptr_t to;
  uint8_t protection;  // Protection
  bool is_shared;
  uint64_t offset;  // in the file, bytes
  uint32_t major, minor;
  uint64_t inode;    // 0: no file
  const char* path;  // or "[heap]" and the like, or ""
};

/// Reads /proc/self/maps into `text`, of `size` bytes. Returns its length, or -1 with errno.
long read_mappings(char* text, size_t size);

/// Takes the line at `line` apart, which it changes. Returns the next line, or null at the end.
char* next_mapping(char* line, Mapping& mapping);

}  // namespace moonlet::image
