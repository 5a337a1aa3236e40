#include "image/start.h"

#include "base/layout.h"
#include "base/memory.h"
#include "image/address_space.h"
#include "image/launch.h"
#include "image/machine.h"
#include "image/window.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#ifndef AT_IGNORE
#define AT_IGNORE 1
#endif

namespace moonlet::image {

namespace {

using FileHeader = ElfW(Ehdr);
using ProgramHeader = ElfW(Phdr);

uintptr_t page_size;

uintptr_t round_down(uintptr_t value) { return value & ~(page_size - 1); }
uintptr_t round_up(uintptr_t value) { return round_down(value + page_size - 1); }

bool map_at(uintptr_t address, uintptr_t size, int protection, int flags, int fd, uintptr_t offset) {
  void* const wanted = reinterpret_cast<void*>(address);
  return mmap(wanted, size, protection, flags, fd, static_cast<off_t>(offset)) == wanted;
}

bool reserve(uintptr_t address, uintptr_t size, int protection) {
  return map_at(address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
                -1, 0);
}

// A program or a loader, on its way into memory.
struct Elf {
  FileHeader header;
  ProgramHeader program[16];
  char interpreter[256];
  uintptr_t first;  // address of the first segment, in the file
  uintptr_t size;   // bytes of address space, from there
  uintptr_t bias;   // what is added to the addresses in the file
  int fd;

  [[nodiscard]] bool is_fixed() const { return header.e_type == ET_EXEC; }
  [[nodiscard]] uintptr_t entry() const { return bias + header.e_entry; }
};

const char* read_elf(const char* path, Elf& elf) {
  elf.fd = open(path, O_RDONLY | O_CLOEXEC);
  if (elf.fd < 0) return nullptr;
  const size_t size = sizeof elf.header;
  if (read(elf.fd, &elf.header, size) != static_cast<ssize_t>(size) ||
      memcmp(elf.header.e_ident, ELFMAG, SELFMAG) != 0 || elf.header.e_phoff != size ||
      elf.header.e_phnum > sizeof elf.program / sizeof *elf.program)
    return "is no program";
  const size_t table = elf.header.e_phnum * sizeof *elf.program;
  if (read(elf.fd, elf.program, table) != static_cast<ssize_t>(table)) return "is cut short";
  for (size_t i = 0; i < elf.header.e_phnum; i++) {
    const ProgramHeader& it = elf.program[i];
    if (it.p_type == PT_LOAD) {
      if (elf.size == 0) elf.first = round_down(it.p_vaddr);
      elf.size = round_up(it.p_vaddr + it.p_memsz) - elf.first;
    }
    if (it.p_type == PT_INTERP && it.p_filesz < sizeof elf.interpreter &&
        (syscall(SYS_lseek, elf.fd, it.p_offset, SEEK_SET) < 0 ||
         read(elf.fd, elf.interpreter, it.p_filesz) != static_cast<ssize_t>(it.p_filesz)))
      return "is cut short";
  }
  if (elf.size == 0) return "has nothing to load";
  const bool may_lie =
      elf.is_fixed() ? is_in_window(elf.first, elf.first + elf.size) : elf.header.e_type == ET_DYN;
  return may_lie ? nullptr : "is linked to where no image can lie";
}

int protection_of(const ProgramHeader& it) {
  return ((it.p_flags & PF_R) != 0 ? PROT_READ : 0) | ((it.p_flags & PF_W) != 0 ? PROT_WRITE : 0) |
         ((it.p_flags & PF_X) != 0 ? PROT_EXEC : 0);
}

// What the kernel does for an execve(2) (elf(5), PT_LOAD): the file's part, zeroes behind it. At `address`,
// which then is that of the first byte behind it, unless it can only be elsewhere.
bool load(Elf& elf, uintptr_t& address) {
  elf.bias = elf.is_fixed() ? 0 : address - elf.first;
  if (!elf.is_fixed()) address += elf.size;
  for (size_t i = 0; i < elf.header.e_phnum; i++) {
    const ProgramHeader& it = elf.program[i];
    if (it.p_type != PT_LOAD) continue;
    const uintptr_t at = elf.bias + round_down(it.p_vaddr);
    const uintptr_t file_end = elf.bias + it.p_vaddr + it.p_filesz;
    const uintptr_t end = elf.bias + it.p_vaddr + it.p_memsz;
    const int protection = protection_of(it);
    if (!map_at(at, file_end - at, protection, MAP_PRIVATE | MAP_FIXED_NOREPLACE, elf.fd,
                round_down(it.p_offset)))
      return false;
    if (end <= file_end) continue;
    const uintptr_t rest = round_up(file_end);  // to the end of the page, which glibc's loader takes for itself
    memset(reinterpret_cast<void*>(file_end), 0, rest - file_end);
    if (end > rest &&
        !map_at(rest, end - rest, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0))
      return false;
  }
  close(elf.fd);
  return true;
}

bool is_text(unsigned long type) { return type == AT_PLATFORM || type == kBasePlatform || type == AT_EXECFN; }

size_t text_bytes(const Stack& stack) {
  size_t bytes = sizeof kBindNow + kRandomBytes;
  for (size_t i = 0; i < stack.argc; i++) bytes += strlen(stack.argv[i]) + 1;
  for (size_t i = 0; i < stack.envc; i++) bytes += strlen(stack.envp[i]) + 1;
  for (size_t i = 0; i < stack.auxc; i++) {
    const AuxiliaryEntry& it = stack.auxiliary[i];
    if (is_text(it.type)) bytes += strlen(reinterpret_cast<const char*>(it.value)) + 1;
  }
  return bytes;
}

// Lays a copy of what is on the kernel's stack out at `to`, as execve(2) would: words, then texts, with
// kBindNow in front of the environment.
class Block {
 public:
  Block(uintptr_t to, size_t words)
      : word_(reinterpret_cast<uintptr_t*>(to)), text_(reinterpret_cast<char*>(word_ + words)) {}

  void add(uintptr_t value) { *word_++ = value; }
  void add_text(const char* text) { add_bytes(text, strlen(text) + 1); }
  void add_bytes(const void* data, size_t size) {
    memcpy(text_, data, size);
    add(reinterpret_cast<uintptr_t>(text_));
    text_ += size;
  }

 private:
  uintptr_t* word_;
  char* text_;
};

size_t words_of(const Stack& stack) {
  return (1 + stack.argc + 1 + 1 + stack.envc + 1 + 2 * stack.auxc + 1) & ~size_t{1};
}

void copy(const Stack& stack, uintptr_t to, const Elf& program, const Elf& loader) {
  Block block(to, words_of(stack));
  block.add(stack.argc);
  for (size_t i = 0; i < stack.argc; i++) block.add_text(stack.argv[i]);
  block.add(0);
  block.add_text(kBindNow);
  for (size_t i = 0; i < stack.envc; i++) block.add_text(stack.envp[i]);
  block.add(0);
  for (size_t i = 0; i < stack.auxc; i++) {
    const AuxiliaryEntry& it = stack.auxiliary[i];
    block.add(it.type == AT_SYSINFO_EHDR ? AT_IGNORE : it.type);
    if (is_text(it.type)) {
      block.add_text(reinterpret_cast<const char*>(it.value));
    } else if (it.type == AT_RANDOM) {
      block.add_bytes(reinterpret_cast<const void*>(it.value), kRandomBytes);
    } else if (it.type == AT_PHDR) {
      block.add(program.bias + program.first + program.header.e_phoff);
    } else if (it.type == AT_PHNUM) {
      block.add(program.header.e_phnum);
    } else if (it.type == AT_ENTRY) {
      block.add(program.entry());
    } else if (it.type == AT_BASE) {
      block.add(loader.bias);
    } else {
      block.add(it.value);
    }
  }
}

uintptr_t draw_end() {
  uintptr_t random = 0;
  syscall(SYS_getrandom, &random, sizeof random,
          1);  // GRND_NONBLOCK: early at boot each image lies at one place
  return kLowestEnd + random % ((kHighestEnd - kLowestEnd) / kTableReach) * kTableReach;
}

}  // namespace

Doubt start(const char* path, uintptr_t stack_pointer) {
  MOONLET_LARGE static Elf program;
  MOONLET_LARGE static Elf loader;
  Stack stack(stack_pointer);
  settle_layout(stack);
  page_size = getauxval(AT_PAGESZ);
  if (const char* problem = read_elf(path, program)) return {path, problem};
  if (program.fd < 0) return {path, nullptr, errno};
  if (const char* problem = read_elf(program.interpreter, loader)) return {program.interpreter, problem};
  if (loader.fd < 0) return {program.interpreter, nullptr, errno};

  // From below: the stack, the block that execve(2) puts at its end, the program (on MIPS it lies at an address
  // of its own, below all this), the loader, room for libraries.
  const size_t block_size = words_of(stack) * sizeof(long) + text_bytes(stack);
  const uintptr_t end = draw_end();
  const uintptr_t block_end = end - kRoomForLibraries;
  const uintptr_t block_at = (block_end - block_size) & ~uintptr_t{15};
  const uintptr_t stack_at = round_down(block_at) - kStackSize;
  uintptr_t next = block_end;
  if (!reserve(stack_at, block_end - stack_at, PROT_READ | PROT_WRITE) || !load(program, next) ||
      !load(loader, next) || !block_brk(page_size) || !block_above(end, page_size))
    return {path, "cannot be loaded where images lie (is address space limited?)"};
  copy(stack, block_at, program, loader);
  start_program(block_at, loader.entry());
}

}  // namespace moonlet::image
