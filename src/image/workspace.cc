#include "image/workspace.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

namespace moonlet::image {

Workspace* Workspace::create(const Content& content, Frozen& frozen) {
  void* const memory =
      mmap(nullptr, sizeof(Workspace), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* const work = static_cast<Workspace*>(memory);
  work->content = &content;
  work->frozen = &frozen;
  work->page_size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return work;
}

void Workspace::fail(const char* text, ...) {
  if (failed()) return;
  va_list arguments;
  va_start(arguments, text);
  vsnprintf(frozen->problem, sizeof frozen->problem, text, arguments);
  va_end(arguments);
}

bool Workspace::is_zero(uintptr_t at) const {
  const auto* word = reinterpret_cast<const uintptr_t*>(at);
  for (size_t i = 0; i < page_size / sizeof *word; i++) {
    if (word[i] != 0) return false;
  }
  return true;
}

}  // namespace moonlet::image
