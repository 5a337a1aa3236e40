#include "image/resume.h"

#include "base/layout.h"
#include "base/memory.h"
#include "image/address_space.h"
#include "image/window.h"

#include <errno.h>
#include <sys/auxv.h>
#include <unistd.h>

#ifndef AT_IGNORE
#define AT_IGNORE 1
#endif

namespace moonlet::image {

namespace {

Word end_of(const Tables& tables) {
  Word end = 0;
  for (uint32_t i = 0; i < tables.header().segments; i++) {
    const Segment& it = tables.segments()[i];
    if (it.address + it.size > end) end = it.address + it.size;
  }
  return end;
}

}  // namespace

Doubt resume(char* base, const Expected& expected, char** argv, uintptr_t stack_pointer) {
  MOONLET_LARGE static Resumption its;
  Stack stack(stack_pointer);
  settle_layout(stack);
  if (AuxiliaryEntry* const vdso = find_entry(stack.auxiliary, AT_SYSINFO_EHDR)) vdso->type = AT_IGNORE;
  its.argc = kResumes;
  its.argv = argv;
  its.envp = stack.envp;
  its.auxiliary = stack.auxiliary;
  Mapped mapped = {};
  if (Doubt doubt = map(base, -1, Use::kNotNoted, expected, its, mapped)) return doubt;
  // Both come to lie far above the image, where the kernel puts what it places by itself.
  void* const room =
      mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  void* const tables = mmap(nullptr, mapped.tables_size, PROT_READ, MAP_PRIVATE, mapped.image, 0);
  close(mapped.image);
  if (room == MAP_FAILED || tables == MAP_FAILED) return {base, nullptr, errno};
  its.base.at = static_cast<const char*>(tables);
  its.stack_room = {reinterpret_cast<uintptr_t>(room), reinterpret_cast<uintptr_t>(room) + kStackSize};
  its.stack = its.stack_room.to;
  if (!block_brk(expected.page_size) || !block_above(end_of(its.base), expected.page_size))
    return {base, "nothing can be loaded where images lie (is address space limited?)"};
  return jump_into(mapped, base, its);
}

}  // namespace moonlet::image
