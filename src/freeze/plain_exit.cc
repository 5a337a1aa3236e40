#include "freeze/plain_exit.h"

#include "base/replaces.h"

#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern "C" void _fini();  // this program's own: what the C compiler's start files make of it when nobody adds
                          // to it

namespace moonlet::freeze {

namespace {

bool is_plain = false;
bool has_handlers = false;

// Bytes of code of a _fini with nothing in it.
#if defined(__x86_64__)
constexpr size_t kEmptyFini = 9;
#else
constexpr size_t kEmptyFini = 16;
#endif

// Looks for destructors of an object. The one that each has runs the object's own handlers, which are counted.
int look_for_destructors(dl_phdr_info* object, size_t, void* found) {
  const ElfW(Dyn)* dynamic = nullptr;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
      dynamic = reinterpret_cast<const ElfW(Dyn)*>(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
  }
  for (; dynamic != nullptr && dynamic->d_tag != DT_NULL; dynamic++) {
    const bool many = dynamic->d_tag == DT_FINI_ARRAYSZ && dynamic->d_un.d_val > sizeof(void*);
    const bool other = dynamic->d_tag == DT_FINI &&
                       memcmp(reinterpret_cast<const void*>(object->dlpi_addr + dynamic->d_un.d_ptr),
                              reinterpret_cast<const void*>(&_fini), kEmptyFini) != 0;
    if (many || other) *static_cast<bool*>(found) = true;
  }
  return 0;
}

}  // namespace

bool prepare_plain_exit() {
  bool has_destructors = false;
  dl_iterate_phdr(look_for_destructors, &has_destructors);
  is_plain = !has_handlers && !has_destructors;
  return is_plain;
}

MOONLET_UNCHECKED void note_exit_handler() {
  has_handlers = true;
  is_plain = false;
}

MOONLET_UNCHECKED void note_library() { is_plain = false; }

void note_thread() { is_plain = false; }

}  // namespace moonlet::freeze

// In front of libc's, for liblua and every C module.
extern "C" [[gnu::visibility("default")]] void exit(int status) {
  if (moonlet::freeze::is_plain) {
    fflush(nullptr);
    if (__freading(stdin) != 0) fflush(stdin);  // gives back what was read ahead of a seekable one
    _exit(status);
  }
  reinterpret_cast<void (*)(int)>(dlsym(RTLD_NEXT, "exit"))(status);
  __builtin_unreachable();  // as <stdlib.h> declares it
}
