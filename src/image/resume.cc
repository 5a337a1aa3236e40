#include "image/resume.h"

#include "base/layout.h"
#include "base/memory.h"
#include "image/address_space.h"
#include "image/window.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
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

// What is not in the file is memory of no file from here on: on tmpfs a hole that somebody writes to, in a
// mapping of his own, takes memory, for as long as the file is there.
bool replace_holes(const Segment& it, int fd, Word page) {
  constexpr Word kLeast = 64 << 10;  // bytes: fewer are not worth a call
  const Word end = it.offset + it.size;
  for (Word at = it.offset; at < end;) {
    const long hole = syscall(SYS_lseek, fd, at, SEEK_HOLE);
    if (hole < 0 || static_cast<Word>(hole) >= end) break;
    const long data = syscall(SYS_lseek, fd, hole, SEEK_DATA);
    at = data < 0 || static_cast<Word>(data) > end ? end : static_cast<Word>(data);
    const Word from = (static_cast<Word>(hole) + page - 1) & ~(page - 1);
    const Word to = at & ~(page - 1);
    if (to < from + kLeast) continue;
    void* const address = reinterpret_cast<void*>(it.address + (from - it.offset));
    if (mmap(address, to - from, it.protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
      return false;
  }
  return true;
}

bool replace_all_holes(const Tables& tables, int image) {
  for (uint32_t i = 0; i < tables.header().segments; i++) {
    const Segment& it = tables.segments()[i];
    const bool is_below = it.file >= 0 && tables.is_image(static_cast<uint32_t>(it.file));
    if ((it.protection & kWrite) == 0 || !(is_below || it.file == kOfImage)) continue;
    const int fd = is_below ? open(tables.path(static_cast<uint32_t>(it.file)), O_RDONLY | O_CLOEXEC) : image;
    const bool is_done = fd < 0 || replace_holes(it, fd, tables.header().page_size);
    if (is_below && fd >= 0) close(fd);
    if (!is_done) return false;
  }
  return true;
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
  if (room == MAP_FAILED || tables == MAP_FAILED) return {base, nullptr, errno};
  its.base.at = static_cast<const char*>(tables);
  const bool is_done = replace_all_holes(its.base, mapped.image);
  close(mapped.image);
  if (!is_done) return {base, nullptr, errno};
  apply_patches(its.base);  // of which some lie in holes
  its.stack_room = {reinterpret_cast<uintptr_t>(room), reinterpret_cast<uintptr_t>(room) + kStackSize};
  its.stack = its.stack_room.to;
  if (!block_brk(expected.page_size) || !block_above(end_of(its.base), expected.page_size))
    return {base, "nothing can be loaded where images lie (is address space limited?)"};
  return jump_into(mapped, base, its);
}

}  // namespace moonlet::image
