// Finds the functions that moonletd imports on MIPS, before anything else runs: see imports.S.

#include "zygote/log.h"

#include <dlfcn.h>
#include <stdint.h>
#include <unistd.h>

int main(int argc, char** argv);

extern "C" {
// The C library's: starts it, calls main, and exits.
[[noreturn]] void start_c_library(int (*program)(int, char**), int argc, char** argv, void (*)(), void (*)(),
                                  void (*)()) __asm__("__libc_start_main");

// imports.S: for each name how many letters it shares with the one before it, then its others; at the end
// none. The functions of these names are wanted here; then, from import_copies on, the values of variables.
[[gnu::visibility("hidden")]] extern const char import_names[];
[[gnu::visibility("hidden")]] extern void* import_table[];
[[gnu::visibility("hidden")]] extern void* import_copies[];
[[gnu::visibility("hidden")]] extern void* (*const find_symbol)(void* handle, const char* name);  // dlsym(3)

[[noreturn, gnu::used]] void moonlet_start(void** stack);
}

namespace {

// Fills the table. False if a function is not there. `report`: says which, for which most others must be.
bool find_imports(bool report) {
  char name[64];
  bool complete = true;
  const char* at = import_names;
  for (void** import = import_table; at[1] != '\0'; import++) {
    char* end = name + *at++;
    while (*at >= ' ') *end++ = *at++;
    *end = '\0';
    void* const found = find_symbol(RTLD_DEFAULT, name);
    if (found == nullptr) {
      complete = false;
      if (report) moonlet::zygote::log_line("%s: symbol not found", name);
      continue;
    }
    *import = import < import_copies ? found : *static_cast<void**>(found);
  }
  return complete;
}

}  // namespace

// `stack`: what execve(2) has left there, the number of arguments, then these.
void moonlet_start(void** stack) {
  if (!find_imports(false)) {
    find_imports(true);
    _exit(127);  // as the loader
  }
  const auto argc = static_cast<int>(reinterpret_cast<intptr_t>(stack[0]));
  start_c_library(main, argc, reinterpret_cast<char**>(stack + 1), nullptr, nullptr, nullptr);
}
