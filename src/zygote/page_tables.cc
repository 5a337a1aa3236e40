#include "zygote/page_tables.h"

#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

// All of the segment gets the same treatment, because the kernel would split it otherwise, and each part costs
// every fork.
void write_once(uintptr_t address, size_t size, unsigned flags) {
  const auto page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  void* const segment = reinterpret_cast<void*>(address & ~(page_size - 1));
  size += address & (page_size - 1);
  const int protection = (flags & PF_X) != 0 ? PROT_READ | PROT_EXEC : PROT_READ;
  // A kernel that forbids memory to be written and executed says so here, before anything has changed.
  if (mprotect(segment, size, protection | PROT_WRITE) != 0) return;
  auto* const byte = static_cast<volatile char*>(segment);
  *byte = *byte;
  mprotect(segment, size, protection);
}

int write_to_segments(dl_phdr_info* object, size_t, void*) {
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_W) == 0)
      write_once(object->dlpi_addr + segment.p_vaddr, segment.p_memsz, segment.p_flags);
  }
  return 0;
}

}  // namespace

void keep_page_tables() { dl_iterate_phdr(write_to_segments, nullptr); }

}  // namespace moonlet::zygote
