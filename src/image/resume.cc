#include "image/resume.h"

#include "base/layout.h"
#include "image/address_space.h"
#include "image/window.h"

#include <elf.h>
#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef AT_IGNORE
#define AT_IGNORE 1
#endif

namespace moonlet::image {

namespace {

bool is_error(const void* mapped) {
  return reinterpret_cast<uintptr_t>(mapped) > static_cast<uintptr_t>(-4096);
}

// Both lie far above the image, where the kernel puts what it places by itself.
void* map_stack() {
  return mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}
void* map_tables(const Mapped& mapped) {
  return mmap(nullptr, mapped.tables_size, PROT_READ, MAP_PRIVATE, mapped.image, 0);
}

}  // namespace

Doubt resume(char* base, const Expected& expected, char** argv, uintptr_t stack_pointer) {
  MOONLET_LARGE static Launch launch;
  Stack stack(stack_pointer);
  settle_layout(stack);
  argv[0] = stack.argv[0];  // not before: the process may have executed itself anew
  for (size_t i = 0; i < stack.auxc; i++) {
    if (stack.auxiliary[i].type == AT_SYSINFO_EHDR) stack.auxiliary[i].type = AT_IGNORE;
  }
  int argc = 0;
  while (argv[argc] != nullptr) argc++;
  launch = {argc, argv, stack.envp, stack.auxiliary, 0, nullptr, nullptr, nullptr, {}};
  Mapped mapped;
  if (Doubt doubt = map(base, -1, expected, launch, mapped)) return doubt;
  void* const room = map_stack();
  void* const tables = map_tables(mapped);
  close(mapped.image);
  if (is_error(room) || is_error(tables) || !block_brk(expected.page_size) ||
      !block_above(mapped.end, expected.page_size))
    return {base, "nothing can be loaded where images lie (is address space limited?)"};
  launch.base = static_cast<char*>(tables);
  launch.stack_room.from = reinterpret_cast<uintptr_t>(room);
  launch.stack_room.to = launch.stack = launch.stack_room.from + kStackSize;
  jump(mapped, launch);
  return {base, "the thread pointer cannot be set", errno};
}

}  // namespace moonlet::image
