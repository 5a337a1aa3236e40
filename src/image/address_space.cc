#include "image/address_space.h"

#include "base/kernel.h"
#include "base/memory.h"

#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

// Where the stack may grow without limit, or for old programs (setarch -L), the kernel hands out addresses
// upwards from a third of the address space: none in a window. Such a process executes itself anew for a moment
// without that, and this variable in front of its environment says what is to be put back.
constexpr char kLayout[] = "MOONLET_LAYOUT=";
constexpr char kUnlimited = 's';
constexpr char kLegacy = 'l';

constexpr unsigned long kAskPersonality = 0xffffffff;
constexpr unsigned long kLegacyLayout = 0x0200000;  // ADDR_COMPAT_LAYOUT, personality(2)
constexpr uint64_t kUsualStack = 8 << 20;           // bytes

void set_stack_limit(uint64_t soft) {
  kernel::Limit limit;
  kernel::limit(RLIMIT_STACK, nullptr, &limit);
  limit.soft = soft;
  kernel::limit(RLIMIT_STACK, &limit, nullptr);
}

void set_legacy_layout(bool legacy) {
  const auto old = static_cast<unsigned long>(syscall(SYS_personality, kAskPersonality));
  syscall(SYS_personality, legacy ? old | kLegacyLayout : old & ~kLegacyLayout);
}

// Executes this program anew if its layout is not what images need. Returns if it is, or if that fails.
void change_layout(char** argv, char** envp, size_t envc) {
  static char variable[] = "MOONLET_LAYOUT=\0\0";
  char* what = variable + sizeof kLayout - 1;
  kernel::Limit limit;
  if (kernel::limit(RLIMIT_STACK, nullptr, &limit) == 0 && limit.soft == ~uint64_t{0}) *what++ = kUnlimited;
  if ((static_cast<unsigned long>(syscall(SYS_personality, kAskPersonality)) & kLegacyLayout) != 0)
    *what++ = kLegacy;
  if (variable[sizeof kLayout - 1] == '\0') return;
  const size_t size = (envc + 2) * sizeof(char*);
  void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  auto** const changed = static_cast<char**>(memory);
  changed[0] = variable;
  memcpy(changed + 1, envp, (envc + 1) * sizeof(char*));
  set_stack_limit(kUsualStack);
  set_legacy_layout(false);
  syscall(SYS_execve, "/proc/self/exe", argv, changed);
}

// Puts back what `variable` says. False if it is another variable.
bool restore_layout(const char* variable) {
  if (variable == nullptr || strncmp(variable, kLayout, sizeof kLayout - 1) != 0) return false;
  for (variable += sizeof kLayout - 1; *variable != '\0'; variable++) {
    if (*variable == kUnlimited) set_stack_limit(~uint64_t{0});
    if (*variable == kLegacy) set_legacy_layout(true);
  }
  return true;
}

}  // namespace

Stack::Stack(uintptr_t stack) {
  auto* const at = reinterpret_cast<long*>(stack);
  argc = static_cast<size_t>(*at);
  argv = reinterpret_cast<char**>(at + 1);
  envp = argv + argc + 1;
  for (envc = 0; envp[envc] != nullptr;) envc++;
  auxiliary = auxiliary_behind(envp);
  for (auxc = 1; auxiliary[auxc - 1].type != AT_NULL;) auxc++;
}

void settle_layout(Stack& stack) {
  if (restore_layout(*stack.envp)) {
    stack.envp++;
    stack.envc--;
  } else {
    change_layout(stack.argv, stack.envp, stack.envc);
  }
}

bool block_above(uintptr_t end, size_t page) {
  for (uintptr_t size = UINTPTR_MAX / 2 + 1; size >= page;) {
    void* const at = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
      size /= 2;
      continue;
    }
    if (reinterpret_cast<uintptr_t>(at) < end) {
      if (munmap(at, size) != 0) return false;  // an image of gigabytes
      size /= 2;
    }
  }
  void* const probe = mmap(nullptr, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  const bool is_below = probe != MAP_FAILED && reinterpret_cast<uintptr_t>(probe) < end;
  if (probe != MAP_FAILED) munmap(probe, page);
  return is_below;
}

bool block_brk(size_t page) {
  const auto at = (static_cast<uintptr_t>(syscall(SYS_brk, 0)) + page - 1) & ~(page - 1);
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  void* const wanted = reinterpret_cast<void*>(at);
  return mmap(wanted, page, PROT_NONE, kFlags, -1, 0) == wanted;
}

}  // namespace moonlet::image
