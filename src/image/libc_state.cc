#include "image/libc_state.h"

#include "base/kernel.h"
#include "image/machine.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_rseq
#define SYS_rseq 334
#endif

// Of the C libraries: what they have of it.
extern "C" {
extern char** environ;
[[gnu::weak]] extern void* __libc_stack_end;         // glibc: pthread_getattr_np(3)
[[gnu::weak]] extern void* __curbrk;                 // glibc: sbrk(2)
[[gnu::weak]] extern const ptrdiff_t __rseq_offset;  // glibc, from 2.35
[[gnu::weak]] extern const unsigned __rseq_size;
}

namespace moonlet::image {

namespace {

struct RobustList {
  void* head;
  size_t size;  // bytes of what the head points to
};

// The kernel's struct rseq, as far as libcs need it (rseq(2), Linux 4.18).
struct RestartableSequence {
  uint32_t cpu_id_start;
  uint32_t cpu_id;
  uint64_t critical_section;
  uint32_t flags;
};
constexpr uint32_t kUninitialized = static_cast<uint32_t>(-1);
constexpr uint32_t kRegistrationFailed = static_cast<uint32_t>(-2);
#if defined(__x86_64__) || defined(__i386__) || defined(__mips__)
constexpr uint32_t kSignature = 0x53053053;  // what libcs register with; glibc has none on MIPS
#elif defined(__aarch64__)
constexpr uint32_t kSignature = 0xd428bc00;
#endif
constexpr unsigned kSequenceBytes = 32;

// Where it all is. Written while freezing, read by mend().
struct Found {
  int* thread_id;
  AuxiliaryEntry* auxiliary;
  char** argv;
  char** envp;
  char* texts;  // behind the auxiliary vector
  char* end;
  RobustList robust;
  rlimit stack;
  uintptr_t protect_from;
  uintptr_t protect_size;  // 0: nothing
};
Found found;

[[noreturn]] void fail(const char* what) {
  fprintf(stderr, "moonlet: freeze: %s: %s\n", what, strerror(errno));
  exit(EXIT_FAILURE);
}

// The words near the thread pointer that hold this thread's id. Which of them is libc's tells a fork: there it
// is the child's.
constexpr int kReach = 2560;  // bytes on each side: the largest struct pthread of both libcs has 2304

int* find_thread_id() {
  // musl's and glibc's first thread lie in one piece with their thread pointer: its page and the next ones are
  // there.
  auto* const middle = reinterpret_cast<int*>(thread_pointer());
  auto* const shared = static_cast<volatile int*>(
      mmap(nullptr, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  if (shared == MAP_FAILED) fail("map memory");
  const auto parent = static_cast<int>(syscall(SYS_gettid));
  sigset_t blocked;
  sigset_t mask;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGCHLD);
  sigprocmask(SIG_BLOCK, &blocked, &mask);
  *shared = kReach;
  bool candidate[2 * kReach / sizeof(int)];
  const auto is_mapped = [](const void* at) {
    unsigned char in_core;
    const uintptr_t page = reinterpret_cast<uintptr_t>(at) & ~uintptr_t{4095};
    return mincore(reinterpret_cast<void*>(page), 1, &in_core) == 0;
  };
  for (int i = 0; i < static_cast<int>(sizeof candidate); i++) {
    const int* const word = middle + i - kReach / static_cast<int>(sizeof(int));
    candidate[i] = is_mapped(word) && *word == parent;
  }
  const pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    const auto self = static_cast<int>(syscall(SYS_gettid));
    for (int i = 0; i < static_cast<int>(sizeof candidate); i++) {
      const int offset = i - kReach / static_cast<int>(sizeof(int));
      if (candidate[i] && middle[offset] == self) *shared = offset;
    }
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  const timespec now = {};
  sigtimedwait(&blocked, nullptr, &now);  // SIGCHLD of this one: nobody shall find it pending
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  const int offset = *shared;
  munmap(const_cast<int*>(shared), sizeof(int));
  if (offset == kReach) {
    errno = ENOTSUP;
    fail("find where libc keeps the thread's id");
  }
  return middle + offset;
}

bool is_kept(unsigned long type) {
  constexpr unsigned long kBasePlatform = 24;  // AT_BASE_PLATFORM
  return type == AT_PLATFORM || type == kBasePlatform || type == AT_RANDOM;
}

// Zeroes the strings of arguments and environment: the image may live longer than a secret in them.
void forget_texts() {
  for (char* text = found.texts; text < found.end;) {
    size_t size = strlen(text) + 1;
    bool kept = false;
    for (const AuxiliaryEntry* it = found.auxiliary; it->type != AT_NULL; it++) {
      if (!is_kept(it->type) || it->value != reinterpret_cast<unsigned long>(text)) continue;
      kept = true;
      if (it->type == AT_RANDOM) size = 16;
    }
    if (!kept) memset(text, 0, size);
    text += size;
  }
  for (char** it = found.argv; *it != nullptr; it++) *it = nullptr;
  *found.envp = nullptr;
}

void mend_thread() {
  // Its address is what glibc has registered too. musl's is another one, that of a lock which matters to a
  // thread that ends before others do; where the kernel tells it, see find_libc_state().
  *found.thread_id = static_cast<int>(syscall(SYS_set_tid_address, found.thread_id));
  if (found.robust.head != nullptr) syscall(SYS_set_robust_list, found.robust.head, found.robust.size);
  if (&__rseq_offset == nullptr || __rseq_size == 0) return;
  auto* const area = reinterpret_cast<RestartableSequence*>(thread_pointer() + __rseq_offset);
  *area = {0, kUninitialized, 0, 0};
  if (syscall(SYS_rseq, area, kSequenceBytes, 0, kSignature) != 0) area->cpu_id = kRegistrationFailed;
}

const AuxiliaryEntry* find(const AuxiliaryEntry* vector, unsigned long type) {
  while (vector->type != type && vector->type != AT_NULL) vector++;
  return vector->type == type ? vector : nullptr;
}

// libc, and whatever it has told, look at the copy of the vector that is in the image.
void mend_auxiliary(const AuxiliaryEntry* launch) {
  static constexpr unsigned long kOfProcess[] = {AT_UID, AT_EUID, AT_GID, AT_EGID, AT_SECURE, AT_EXECFN};
  for (AuxiliaryEntry* it = found.auxiliary; it->type != AT_NULL; it++) {
    const AuxiliaryEntry* const its = find(launch, it->type);
    if (its == nullptr) continue;
    for (const unsigned long type : kOfProcess) {
      if (it->type == type) it->value = its->value;
    }
    if (it->type == AT_RANDOM)
      memcpy(reinterpret_cast<void*>(it->value), reinterpret_cast<const void*>(its->value), 16);
  }
}

// No frame is live that has the old one.
void draw_canary(const AuxiliaryEntry* launch) {
#if defined(__x86_64__)
  const AuxiliaryEntry* const random = find(launch, AT_RANDOM);
  if (random == nullptr) return;
  uintptr_t canary;
  memcpy(&canary, reinterpret_cast<const void*>(random->value), sizeof canary);
  canary &= ~uintptr_t{0xff};  // so that no string is copied over it
  __asm__ volatile("mov %0, %%fs:0x28" : : "r"(canary));
#else
  (void)launch;
#endif
}

void mend_names(const Launch& launch) {
  found.argv[0] = launch.argv[0];
  environ = launch.envp;
  program_invocation_name = program_invocation_short_name = launch.argv[0];
  for (char* at = launch.argv[0]; *at != '\0';
       at++) {  // not strrchr(3), for the page of libc's that it is alone on
    if (*at == '/') program_invocation_short_name = at + 1;
  }
}

void mend_stack(const Launch& launch) {
  if (&__libc_stack_end != nullptr) {
    __libc_stack_end = reinterpret_cast<void*>(launch.stack);
    if (found.protect_size != 0)
      mprotect(reinterpret_cast<void*>(found.protect_from), found.protect_size, PROT_READ);
  }
  // glibc gives new threads as much as the limit was at its start.
#if defined(__GLIBC__)
  rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == found.stack.rlim_cur) return;
  pthread_attr_t attributes;
  if (limit.rlim_cur == RLIM_INFINITY) limit.rlim_cur = 2 << 20;  // glibc's ARCH_STACK_DEFAULT_SIZE
  if (pthread_attr_init(&attributes) != 0) return;
  if (pthread_attr_setstacksize(&attributes, limit.rlim_cur) == 0) pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
#endif
}

}  // namespace

void find_libc_state(uintptr_t block) {
  found.argv = reinterpret_cast<char**>(block) + 1;
  found.envp = found.argv + *reinterpret_cast<long*>(block) + 1;
  char** last = found.envp;
  while (*last != nullptr) last++;
  found.auxiliary = reinterpret_cast<AuxiliaryEntry*>(last + 1);
  AuxiliaryEntry* it = found.auxiliary;
  while (it->type != AT_NULL) it++;
  found.texts = reinterpret_cast<char*>(it + 1);
  while (*found.texts == '\0') found.texts++;  // to where words are aligned
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  // The block's last text is the last thing on its page.
  const char* end = found.texts;
  for (const AuxiliaryEntry* text = found.auxiliary; text->type != AT_NULL; text++) {
    if ((is_kept(text->type) || text->type == AT_EXECFN) && reinterpret_cast<const char*>(text->value) > end)
      end = reinterpret_cast<const char*>(text->value);
  }
  found.end = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(end) + page) & ~(page - 1));
  found.thread_id = find_thread_id();
  getrlimit(RLIMIT_STACK, &found.stack);
}

void prepare_libc_state() {
  syscall(SYS_get_robust_list, 0, &found.robust.head, &found.robust.size);
  if (&__curbrk != nullptr) __curbrk = nullptr;  // the next sbrk(2) asks the kernel where the heap is
  forget_texts();
}

const AuxiliaryEntry* auxiliary_vector() { return found.auxiliary; }

bool is_mended(uintptr_t from, uintptr_t to) {
  const auto at = reinterpret_cast<uintptr_t>(&__libc_stack_end);
  if (at < from || at >= to) return false;
  found.protect_from = from;
  found.protect_size = to - from;
  return true;
}

void mend(const Launch& launch) {
  draw_canary(launch.auxiliary);
  mend_thread();
  mend_auxiliary(launch.auxiliary);
  mend_names(launch);
  mend_stack(launch);
}

}  // namespace moonlet::image
