#include "image/mappings.h"

#include "image/format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

uint64_t number(char*& at, int base) {
  const uint64_t value = strtoull(at, &at, base);
  if (*at != '\0') at++;  // what separates it from the next
  return value;
}

}  // namespace

long read_mappings(char* text, size_t size) {
  const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  size_t length = 0;
  ssize_t got = 0;
  while (length < size - 1 && (got = read(fd, text + length, size - 1 - length)) > 0)
    length += static_cast<size_t>(got);
  close(fd);
  if (got != 0) {
    if (got > 0) errno = E2BIG;
    return -1;
  }
  text[length] = '\0';
  return static_cast<long>(length);
}

char* next_mapping(char* line, Mapping& mapping) {
  if (*line == '\0') return nullptr;
  char* const end = strchr(line, '\n');
  if (end == nullptr) return nullptr;
  *end = '\0';
  char* at = line;
  mapping.from = static_cast<uintptr_t>(number(at, 16));
  mapping.to = static_cast<uintptr_t>(number(at, 16));
  mapping.protection = static_cast<uint8_t>((at[0] == 'r' ? kRead : 0) | (at[1] == 'w' ? kWrite : 0) |
                                            (at[2] == 'x' ? kExecute : 0));
  mapping.is_shared = at[3] == 's';
  at += 5;
  mapping.offset = number(at, 16);
  mapping.major = static_cast<uint32_t>(number(at, 16));
  mapping.minor = static_cast<uint32_t>(number(at, 16));
  mapping.inode = number(at, 10);
  while (*at == ' ') at++;
  mapping.path = at;
  return end + 1;
}

}  // namespace moonlet::image
