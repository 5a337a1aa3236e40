// Finds the functions that moonletd and moonlet-lua import on MIPS, before anything else runs: see imports.S.

#include "child/log.h"

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <unistd.h>

int main(int argc, char** argv);

extern "C" {
// The C library's: starts it, calls main, and exits.
[[noreturn]] void start_c_library(int (*program)(int, char**), int argc, char** argv, void (*)(), void (*)(),
                                  void (*)()) __asm__("__libc_start_main");

// imports.S: for each import three bytes of the hash of its name, in order, what it is found to be, and the
// name that it was found by.
[[gnu::visibility("hidden")]] extern const uint8_t import_hashes[][3];
[[gnu::visibility("hidden")]] extern uintptr_t import_table[];
[[gnu::visibility("hidden")]] extern const char* found_names[];
// Numbers, which the linker knows as addresses: how many there are, and by what the hash is multiplied.
[[gnu::visibility("hidden")]] extern const char import_count[];
[[gnu::visibility("hidden")]] extern const char import_multiplier[];

// The linker's: here the loader says to debuggers where its list of objects is. They are in the order in which
// dlsym(3) looks into them.
extern const r_debug* const volatile __RLD_MAP;  // NOLINT(bugprone-reserved-identifier)

[[noreturn, gnu::used]] void moonlet_start(void** stack);
}

namespace {

bool are_equal(const char* a, const char* b) {
  while (*a == *b && *a != '\0') {
    a++;
    b++;
  }
  return *a == *b;
}

// `name` means `value`, if it is wanted, and has no meaning yet. Two names with its hash have none.
void define(const char* name, uintptr_t value, unsigned info) {
  uint32_t hash = 0;
  // Each object has a table of names.
  // NOLINTNEXTLINE(clang-analyzer-core.NullDereference)
  for (const char* letter = name; *letter != '\0'; letter++) {
    hash = (hash + static_cast<uint8_t>(*letter)) * reinterpret_cast<uintptr_t>(import_multiplier);
  }
  hash >>= 8;
  size_t low = 0;
  size_t high = reinterpret_cast<uintptr_t>(import_count);
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const uint8_t* const byte = import_hashes[middle];
    const auto wanted = static_cast<uint32_t>(byte[0] << 16 | byte[1] << 8 | byte[2]);
    if (wanted < hash) {
      low = middle + 1;
      continue;
    }
    high = middle;
    if (wanted > hash) continue;
    const char*& found = found_names[middle];
    // A variable of libc's that is weak, because the standard does not know it, is environ, and changes.
    if (info == ELF32_ST_INFO(STB_GLOBAL, STT_OBJECT)) value = *reinterpret_cast<uintptr_t*>(value);
    if (found == nullptr) {
      found = name;
    } else if (are_equal(found, name)) {
      return;
    } else {
      value = 0;
    }
    import_table[middle] = value;
    return;
  }
}

// Fills the table. False if one is not there, or may be either of two.
bool find_imports() {
  for (const link_map* object = __RLD_MAP->r_map; object != nullptr; object = object->l_next) {
    const char* names = nullptr;
    const ElfW(Sym)* symbol = nullptr;
    size_t count = 0;
    for (const ElfW(Dyn)* entry = object->l_ld; entry->d_tag != DT_NULL; entry++) {
      const uintptr_t address = object->l_addr + entry->d_un.d_ptr;
      if (entry->d_tag == DT_STRTAB) names = reinterpret_cast<const char*>(address);
      if (entry->d_tag == DT_SYMTAB) symbol = reinterpret_cast<const ElfW(Sym)*>(address);
      if (entry->d_tag == DT_MIPS_SYMTABNO) count = entry->d_un.d_val;
    }
    for (; count != 0; count--, symbol++) {
      // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): and one of symbols
      if (symbol->st_shndx != SHN_UNDEF) {
        define(names + symbol->st_name, object->l_addr + symbol->st_value, symbol->st_info);
      }
    }
  }
  for (size_t i = 0; i < reinterpret_cast<uintptr_t>(import_count); i++) {
    if (import_table[i] == 0) return false;
  }
  return true;
}

}  // namespace

// `stack`: what execve(2) has left there, the number of arguments, then these.
void moonlet_start(void** stack) {
  if (!find_imports()) {
    // Most of them must be there.
#if defined(MOONLET_PACKED_TEXTS)
    moonlet::server::log_line("built for other libraries");
#else
    static constexpr char kComplaint[] = "moonlet-lua: built for other libraries\n";
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kComplaint, sizeof kComplaint - 1);
#endif
    _exit(127);  // as the loader
  }
  const auto argc = static_cast<int>(reinterpret_cast<intptr_t>(stack[0]));
  start_c_library(main, argc, reinterpret_cast<char**>(stack + 1), nullptr, nullptr, nullptr);
}
