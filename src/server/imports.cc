// Finds the functions that moonletd and moonlet-lua import on MIPS, before anything else runs: see imports.S.

#if defined(MOONLET_HOOKS)
#include "freeze/hooks.h"
#else
#include "child/log.h"
#endif

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

#if defined(MOONLET_HOOKS)
// Behind the imports in these tables: what is interposed (freeze/hooks.h), in the order of its list.
[[gnu::visibility("hidden")]] extern const char interposed_count[];
[[gnu::visibility("hidden")]] const link_map* imported_from = nullptr;  // where the first of them was found
#endif

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

size_t imports() { return reinterpret_cast<uintptr_t>(import_count); }

#if defined(MOONLET_HOOKS)
size_t interposed() { return reinterpret_cast<uintptr_t>(interposed_count); }
#else
constexpr size_t interposed() { return 0; }
#endif

uint32_t wanted_hash(size_t index) {
  const uint8_t* const byte = import_hashes[index];
  return static_cast<uint32_t>(byte[0] << 16 | byte[1] << 8 | byte[2]);
}

// Entry `index` of the table is `name`, unless that has two meanings.
void fill(size_t index, const char* name, uintptr_t value) {
  const char*& found = found_names[index];
  if (found == nullptr) {
    found = name;
  } else if (are_equal(found, name)) {
    return;
  } else {
    value = 0;
  }
  import_table[index] = value;
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
  for (size_t i = 0; i < interposed(); i++) {
    if (wanted_hash(imports() + i) == hash) fill(imports() + i, name, value);
  }
  size_t low = 0;
  size_t high = imports();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const uint32_t wanted = wanted_hash(middle);
    if (wanted < hash) {
      low = middle + 1;
      continue;
    }
    high = middle;
    if (wanted > hash) continue;
    // A variable of libc's that is weak, because the standard does not know it, is environ, and changes.
    if (info == ELF32_ST_INFO(STB_GLOBAL, STT_OBJECT)) value = *reinterpret_cast<uintptr_t*>(value);
    return fill(middle, name, value);
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
#if defined(MOONLET_HOOKS)
    if (imported_from == nullptr && found_names[imports()] != nullptr) imported_from = object;
#endif
  }
  for (size_t i = 0; i < imports() + interposed(); i++) {
    // Not each libc has all that are interposed.
    if (import_table[i] == 0 && (i < imports() || found_names[i] != nullptr)) return false;
  }
  return true;
}

}  // namespace

// `stack`: what execve(2) has left there, the number of arguments, then these.
void moonlet_start(void** stack) {
  if (!find_imports()) {
    // Most of them must be there.
#if defined(MOONLET_PACKED_TEXTS)
    moonlet::log_line("built for other libraries");
#else
    static constexpr char kComplaint[] = "moonlet-lua: built for other libraries\n";
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kComplaint, sizeof kComplaint - 1);
#endif
    _exit(127);  // as the loader
  }
#if defined(MOONLET_HOOKS)
  moonlet::freeze::hook_libraries();
#endif
  const auto argc = static_cast<int>(reinterpret_cast<intptr_t>(stack[0]));
  start_c_library(main, argc, reinterpret_cast<char**>(stack + 1), nullptr, nullptr, nullptr);
}
