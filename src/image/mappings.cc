#include "image/mappings.h"

#include "image/format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

unsigned long number(char*& at, int base) {
  const unsigned long value = strtoul(at, &at, base);
  if (*at != '\0') at++;  // what separates it from the next
  return value;
}

}  // namespace

long read_mappings(const char* path, char* text, size_t size) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
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

#if defined(MOONLET_PAGE_MONITOR)

MemoryFlags find_flags(const char* smaps, uintptr_t from) {
  static constexpr struct {
    char flag[3];
    const char* why;
  } kUnfit[] = {{"dc", "that a fork does not copy"},
                {"io", "of a device"},
                {"pf", "of a device"},
                {"lo", "that is locked"},
                {"ss", "a shadow stack"},
                {"um", "that another process watches"}};
  static constexpr char kFlags[] = "\nVmFlags:";
  MemoryFlags flags = {};
  char start[24];
  const int length = snprintf(start, sizeof start, "%zx-", static_cast<size_t>(from));
  const char* at = smaps;
  while (at != nullptr && strncmp(at, start, static_cast<size_t>(length)) != 0) {
    at = strchr(at, '\n');
    if (at != nullptr) at++;
  }
  if (at == nullptr) return flags;
  const char* const line = strstr(at, kFlags);
  if (line == nullptr) return flags;
  const char* const end = strchr(line + 1, '\n');
  // A key of its own for this memory (pkeys(7)) is told in a line of its own, before this one.
  const char* const key = strstr(at, "\nProtectionKey:");
  if (key != nullptr && key < line && atoi(key + sizeof "\nProtectionKey:" - 1) != 0)
    flags.unfit = "with a protection key";
  for (at = line + sizeof kFlags - 1; at != nullptr && at < end; at = strchr(at + 1, ' ')) {
    const char* const flag = at + 1;
    flags.wiped_on_fork |= strncmp(flag, "wf", 2) == 0;
    flags.droppable |= strncmp(flag, "dp", 2) == 0;
    for (const auto& it : kUnfit) {
      if (strncmp(flag, it.flag, 2) == 0) flags.unfit = it.why;
    }
  }
  return flags;
}

#endif

char* next_mapping(char* line, Mapping& mapping) {
  if (*line == '\0') return nullptr;
  char* const end = strchr(line, '\n');
  if (end == nullptr) return nullptr;
  *end = '\0';
  char* at = line;
  mapping.from = number(at, 16);
  mapping.to = number(at, 16);
  mapping.protection = static_cast<uint8_t>((at[0] == 'r' ? kRead : 0) | (at[1] == 'w' ? kWrite : 0) |
                                            (at[2] == 'x' ? kExecute : 0));
  mapping.is_shared = at[3] == 's';
  at += 5;
  mapping.offset = number(at, 16);
  at = strchr(at, ' ') + 1;  // behind the device
  mapping.inode = number(at, 10);
  while (*at == ' ') at++;
  mapping.path = at;
  return end + 1;
}

}  // namespace moonlet::image
