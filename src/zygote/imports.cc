// Finds the functions that moonletd imports on MIPS, before anything else runs: see imports.S.

#include "zygote/log.h"

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <unistd.h>

int main(int argc, char** argv);

extern "C" {
// The C library's: starts it, calls main, and exits.
[[noreturn]] void start_c_library(int (*program)(int, char**), int argc, char** argv, void (*)(), void (*)(),
                                  void (*)()) __asm__("__libc_start_main");

// imports.S: the hashes of the imports' names, in order, and what each is found to be.
[[gnu::visibility("hidden")]] extern const uint16_t import_hashes[];
[[gnu::visibility("hidden")]] extern uintptr_t import_table[];
// Numbers, which the linker knows as addresses: how many there are, and by what the hash is multiplied.
[[gnu::visibility("hidden")]] extern const char import_count[];
[[gnu::visibility("hidden")]] extern const char import_multiplier[];

// The linker's: here the loader says to debuggers where its list of objects is. They are in the order in which
// dlsym(3) looks into them.
extern const r_debug* const volatile __RLD_MAP;  // NOLINT(bugprone-reserved-identifier)

[[noreturn, gnu::used]] void moonlet_start(void** stack);
}

namespace {

struct Wanted {
  uint32_t hash;
  const char* name;  // by which it was found
  uintptr_t value;   // 0: none, or there is another name with this hash
};

bool are_equal(const char* a, const char* b) {
  while (*a == *b && *a != '\0') {
    a++;
    b++;
  }
  return *a == *b;
}

// `name` means `value`, if it is wanted and has no meaning yet.
void define(Wanted* wanted, const char* name, uintptr_t value, unsigned info) {
  uint32_t hash = 0;
  for (const char* letter = name; *letter != '\0'; letter++) {
    hash = (hash + static_cast<uint8_t>(*letter)) * reinterpret_cast<uintptr_t>(import_multiplier);
  }
  hash >>= 10;
  while (wanted->hash < hash) wanted++;
  if (wanted->hash != hash) return;
  if (wanted->name == nullptr) {
    wanted->name = name;
    // A variable of libc's that is weak, because the standard does not know it, is environ, and changes.
    if (info == ELF32_ST_INFO(STB_GLOBAL, STT_OBJECT)) value = *reinterpret_cast<uintptr_t*>(value);
    wanted->value = value;
  } else if (!are_equal(wanted->name, name)) {
    wanted->value = 0;
  }
}

// Fills the table. False if one is not there, or may be either of two. `wanted`: room for all, and the end.
[[gnu::noinline]] bool find_imports(Wanted* wanted) {
  const auto count = reinterpret_cast<uintptr_t>(import_count);
  uint32_t hash = 0;
  const uint16_t* more = import_hashes;
  for (size_t i = 0; i < count; i++) {
    while (*more == 0xffff) hash += *more++;
    hash += *more++;
    wanted[i] = {hash, nullptr, 0};
  }
  wanted[count].hash = UINT32_MAX;
  for (const link_map* object = __RLD_MAP->r_map; object != nullptr; object = object->l_next) {
    const char* names = nullptr;
    const Elf32_Sym* symbol = nullptr;
    size_t symbols = 0;
    for (const Elf32_Dyn* entry = object->l_ld; entry->d_tag != DT_NULL; entry++) {
      const uintptr_t address = object->l_addr + entry->d_un.d_ptr;
      if (entry->d_tag == DT_STRTAB) names = reinterpret_cast<const char*>(address);
      if (entry->d_tag == DT_SYMTAB) symbol = reinterpret_cast<const Elf32_Sym*>(address);
      if (entry->d_tag == DT_MIPS_SYMTABNO) symbols = entry->d_un.d_val;
    }
    for (; symbols != 0; symbols--, symbol++) {
      if (symbol->st_shndx != SHN_UNDEF) {
        define(wanted, names + symbol->st_name, object->l_addr + symbol->st_value, symbol->st_info);
      }
    }
  }
  bool complete = true;
  for (size_t i = 0; i < count; i++) {
    import_table[i] = wanted[i].value;
    if (wanted[i].value == 0) complete = false;
  }
  return complete;
}

}  // namespace

// `stack`: what execve(2) has left there, the number of arguments, then these.
void moonlet_start(void** stack) {
  Wanted wanted[257];
  if (!find_imports(wanted)) {
    moonlet::zygote::log_line("built for other libraries");  // most of which must be there
    _exit(127);                                              // as the loader
  }
  const auto argc = static_cast<int>(reinterpret_cast<intptr_t>(stack[0]));
  start_c_library(main, argc, reinterpret_cast<char**>(stack + 1), nullptr, nullptr, nullptr);
}
