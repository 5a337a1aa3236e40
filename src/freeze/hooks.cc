#include "freeze/hooks.h"

#if defined(MOONLET_HOOKS)

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

extern "C" {
// src/server/imports.S: what the program imports, then what is interposed; how many of each, which the linker
// knows as addresses; and the entry points.
[[gnu::visibility("hidden")]] extern uintptr_t import_table[];
[[gnu::visibility("hidden")]] extern const char import_count[];
[[gnu::visibility("hidden")]] extern const char interposed_count[];
[[gnu::visibility("hidden")]] extern const char interposed_entries[];

// Where the first of those that are interposed was found.
[[gnu::visibility("hidden")]] extern const link_map* imported_from;

extern const r_debug* const volatile __RLD_MAP;  // NOLINT(bugprone-reserved-identifier): the linker's
}

namespace moonlet::freeze {

namespace {

size_t imported() { return reinterpret_cast<uintptr_t>(import_count); }
size_t interposed() { return reinterpret_cast<uintptr_t>(interposed_count); }

// The address of an entry point: it is of MIPS16 code.
uintptr_t entry(size_t index) {
  constexpr uintptr_t kBytes = 4, kShortInstructions = 1;
  return (reinterpret_cast<uintptr_t>(interposed_entries) + index * kBytes) | kShortInstructions;
}

void hook(uintptr_t* table, size_t count) {
  // The loader may have protected it (relro).
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t from = reinterpret_cast<uintptr_t>(table) & ~(page - 1);
  mprotect(reinterpret_cast<void*>(from), reinterpret_cast<uintptr_t>(table + count) - from,
           PROT_READ | PROT_WRITE);
  for (; count > 0; count--, table++) {
    for (size_t i = 0; i < interposed(); i++) {
      if (*table != 0 && *table == import_table[imported() + i]) *table = entry(i);
    }
  }
}

}  // namespace

void* function_of_libc(unsigned index) { return reinterpret_cast<void*>(import_table[imported() + index]); }

void hook_libraries() {
  hook(import_table, imported());
  for (const link_map* object = __RLD_MAP->r_map->l_next; object != nullptr; object = object->l_next) {
    if (object == imported_from) continue;  // libc's own calls are none of the warm-up's
    uintptr_t* table = nullptr;
    size_t count = 0;
    for (const ElfW(Dyn)* it = object->l_ld; it->d_tag != DT_NULL; it++) {
      const uintptr_t value = it->d_un.d_val;
      if (it->d_tag == DT_PLTGOT) table = reinterpret_cast<uintptr_t*>(object->l_addr + value);
      if (it->d_tag == DT_MIPS_LOCAL_GOTNO || it->d_tag == DT_MIPS_SYMTABNO) count += value;
      if (it->d_tag == DT_MIPS_GOTSYM) count -= value;
    }
    hook(table, count);
  }
}

}  // namespace moonlet::freeze

#endif
