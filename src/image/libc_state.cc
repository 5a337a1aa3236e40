#include "image/libc_state.h"

#include "base/kernel.h"
#include "base/layout.h"
#include "image/child.h"
#include "image/complain.h"
#include "image/format.h"
#include "image/held_mutexes.h"
#include "image/machine.h"
#include "image/musl_state.h"

#include <dlfcn.h>
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
#include <unistd.h>

// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
#if defined(__GLIBC__)
[[gnu::weak]] extern void* __libc_stack_end;         // pthread_getattr_np(3)
[[gnu::weak]] extern void* __curbrk;                 // sbrk(2)
[[gnu::weak]] extern const ptrdiff_t __rseq_offset;  // from 2.35
[[gnu::weak]] extern const unsigned __rseq_size;
#endif
}
// NOLINTEND(bugprone-reserved-identifier)

namespace moonlet::image {

namespace {

struct RobustList {
  void* head;
  size_t size;  // bytes of what the head points to
};

// Where it all is. Written while freezing, read by mend().
struct Found {
  int* thread_id;
  uintptr_t* canary;  // where it is for all threads; null: each has its own
  char** name;        // program_invocation_name
  char** short_name;  // program_invocation_short_name
  AuxiliaryEntry* auxiliary;
  char** argv;
  char** envp;
  char* texts;  // behind the auxiliary vector
  char* end;
#if defined(MOONLET_LAYERS)
  char** taken;  // likewise, by take_environment(), or null
#endif
  RobustList robust;
  rlimit stack;
  uintptr_t protect_from;
  uintptr_t protect_size;  // 0: nothing
};
Found found;

[[noreturn]] void fail(const char* what) {
  complain("%s: %s", what, strerror(errno));
  exit(EXIT_FAILURE);
}

// The words near the thread pointer that hold this thread's id. Which of them is libc's tells a fork: there it
// is the child's.
constexpr int kReach = 2560;  // bytes on each side: the largest struct pthread of both libcs has 2304
constexpr int kWords = 2 * kReach / static_cast<int>(sizeof(int));
MOONLET_LARGE bool is_candidate[kWords];

int* first_word() { return reinterpret_cast<int*>(thread_block() - kReach); }

long find_own_id() {
  const auto self = static_cast<int>(syscall(SYS_gettid));
  for (int i = 0; i < kWords; i++) {
    if (is_candidate[i] && first_word()[i] == self) return i;
  }
  return kWords;
}

int* find_thread_id() {
  const auto self = static_cast<int>(syscall(SYS_gettid));
  constexpr uintptr_t kSmallestPage = 4096;
  bool is_readable = false;
  for (int i = 0; i < kWords; i++) {
    const int* const word = first_word() + i;
    if (i == 0 || reinterpret_cast<uintptr_t>(word) % kSmallestPage == 0)
      is_readable = kernel::is_readable(word);
    is_candidate[i] = is_readable && *word == self;
  }
  const long index = ask_child(find_own_id, kWords);
  if (index == kWords) {
    errno = ENOTSUP;
    fail("find where libc keeps the thread's id");
  }
  return first_word() + index;
}

bool is_kept(unsigned long type) { return type == AT_PLATFORM || type == kBasePlatform || type == AT_RANDOM; }

bool is_asked_for(const char* text, const char* questions, uint32_t size) {
  for (const char* at = questions; at < questions + size;) {
    const auto* const question = reinterpret_cast<const Question*>(at);
    if (question->asked == Asked::kVariable && strcmp(text_of(question), text) == 0) return true;
    at += question->size;
  }
  return false;
}

// Zeroes the strings of arguments and environment: the image may live longer than a secret in them.
void forget_texts(const char* questions, uint32_t questions_size) {
  for (char* text = found.texts; text < found.end;) {
    size_t size = strlen(text) + 1;
    bool kept = is_asked_for(text, questions, questions_size);
    for (const AuxiliaryEntry* it = found.auxiliary; it->type != AT_NULL; it++) {
      if (!is_kept(it->type) || it->value != reinterpret_cast<unsigned long>(text)) continue;
      kept = true;
      if (it->type == AT_RANDOM) size = kRandomBytes;
    }
    if (!kept) memset(text, 0, size);
    text += size;
  }
#if defined(MOONLET_LAYERS)
  for (char** it = found.taken; it != nullptr && *it != nullptr; it++) {
    if (!is_asked_for(*it, questions, questions_size)) memset(*it, 0, strlen(*it));
  }
  found.taken = nullptr;
#endif
  for (char** it = found.argv; *it != nullptr; it++) *it = nullptr;
  *found.envp = nullptr;
}

#if defined(__GLIBC__)

// The kernel's struct rseq, as far as libcs need it (rseq(2), Linux 4.18).
struct RestartableSequence {
  uint32_t cpu_id_start;
  uint32_t cpu_id;
  uint64_t critical_section;
  uint32_t flags;
};
constexpr uint32_t kUninitialized = static_cast<uint32_t>(-1);
constexpr uint32_t kRegistrationFailed = static_cast<uint32_t>(-2);
constexpr unsigned kSequenceBytes = 32;
// What glibc registers with: an instruction that traps, on most machines.
#if defined(__aarch64__)
constexpr uint32_t kSignature = 0xd428bc00;
constexpr long kRseq = 293;
#elif defined(__mips__)
constexpr uint32_t kSignature = 0x0350000d;
constexpr long kRseq = MOONLET_NEW_CALL(367);
#else
constexpr uint32_t kSignature = 0x53053053;
constexpr long kRseq = 334;
#endif

void mend_restartable_sequence() {
  if (&__rseq_offset == nullptr || __rseq_size == 0) return;
  auto* const area = reinterpret_cast<RestartableSequence*>(thread_pointer() + __rseq_offset);
  *area = {0, kUninitialized, 0, 0};
  if (syscall(kRseq, area, kSequenceBytes, 0, kSignature) != 0) area->cpu_id = kRegistrationFailed;
}

#endif

void mend_thread() {
#if defined(__GLIBC__)
  int* const cleared = found.thread_id;
  mend_restartable_sequence();
#else
  int* const cleared = thread_list_lock();
#endif
  *found.thread_id = static_cast<int>(syscall(SYS_set_tid_address, cleared));
  hand_over_mutexes(*found.thread_id);
  if (found.robust.head != nullptr) syscall(SYS_set_robust_list, found.robust.head, found.robust.size);
}

// libc, and whatever it has told, look at the copy of the vector that is in the image.
void mend_auxiliary(const AuxiliaryEntry* launch) {
  static constexpr unsigned long kOfProcess[] = {AT_UID, AT_EUID, AT_GID, AT_EGID, AT_SECURE, AT_EXECFN};
  for (AuxiliaryEntry* it = found.auxiliary; it->type != AT_NULL; it++) {
    const AuxiliaryEntry* const its = find_entry(launch, it->type);
    if (its == nullptr) continue;
    for (const unsigned long type : kOfProcess) {
      if (it->type == type) it->value = its->value;
    }
    if (it->type == AT_RANDOM)
      memcpy(reinterpret_cast<void*>(it->value), reinterpret_cast<const void*>(its->value), kRandomBytes);
  }
}

// No frame is live that has the old one.
void draw_canary(const AuxiliaryEntry* launch) {
  const AuxiliaryEntry* const random = find_entry(launch, AT_RANDOM);
  if (random == nullptr) return;
  uintptr_t canary;
  memcpy(&canary, reinterpret_cast<const void*>(random->value), sizeof canary);
  memset(&canary, 0, 1);  // so that no string is copied over it
  if (found.canary != nullptr) *found.canary = canary;
#if defined(__x86_64__)
  __asm__ volatile("mov %0, %%fs:0x28" : : "r"(canary));
#endif
}

void mend_names(const Launch& launch) {
  found.argv[0] = launch.argv[0];
  environ = launch.envp;
  if (found.name == nullptr || found.short_name == nullptr) return;
  *found.name = *found.short_name = launch.argv[0];
  for (char* at = launch.argv[0]; *at != '\0';
       at++) {  // not strrchr(3), for the page of libc's that it is alone on
    if (*at == '/') *found.short_name = at + 1;
  }
}

void mend_stack(const Launch& launch) {
#if defined(__GLIBC__)
  if (&__libc_stack_end != nullptr) __libc_stack_end = reinterpret_cast<void*>(launch.stack);
  // glibc gives new threads as much as the limit was at its start.
  rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == found.stack.rlim_cur) return;
  found.stack = limit;
  pthread_attr_t attributes;
  if (limit.rlim_cur == RLIM_INFINITY) limit.rlim_cur = 2 << 20;  // glibc's ARCH_STACK_DEFAULT_SIZE
  if (pthread_attr_init(&attributes) != 0) return;
  if (pthread_attr_setstacksize(&attributes, limit.rlim_cur) == 0) pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
#else
  take_auxiliary(launch.auxiliary);
#endif
}

// Not linked by name: a program at a fixed address would have copies of them.
template <typename Type>
void find_variable(const char* name, Type*& at) {
  at = static_cast<Type*>(dlsym(RTLD_DEFAULT, name));
}

}  // namespace

void find_libc_state(uintptr_t block) {
  found.argv = reinterpret_cast<char**>(block) + 1;
  found.envp = found.argv + *reinterpret_cast<long*>(block) + 1;
  found.auxiliary = auxiliary_behind(found.envp);
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
#if !defined(__GLIBC__)
  if (!find_musl_state(found.auxiliary)) {
    errno = ENOTSUP;
    fail("find what musl keeps of its process");
  }
#endif
  find_variable("__stack_chk_guard", found.canary);
  find_variable("__progname_full", found.name);
  find_variable("__progname", found.short_name);
  getrlimit(RLIMIT_STACK, &found.stack);
}

#if defined(MOONLET_LAYERS)
bool take_environment() {
  size_t count = 0;
  while (environ[count] != nullptr) count++;
  // Two of them: setenv(3) and whoever else may change the one that is in use.
  auto** const copies = static_cast<char**>(calloc(2 * (count + 1), sizeof(char*)));
  if (copies == nullptr) return false;
  found.taken = copies;
  for (size_t i = 0; i < count; i++) {
    copies[i] = copies[count + 1 + i] = strdup(environ[i]);
    if (copies[i] == nullptr) return false;
  }
  environ = copies + count + 1;
  return true;
}
#endif

void prepare_libc_state(const char* questions, uint32_t size) {
  syscall(SYS_get_robust_list, 0, &found.robust.head, &found.robust.size);
#if defined(__GLIBC__)                           // musl's cannot
  if (&__curbrk != nullptr) __curbrk = nullptr;  // the next sbrk(2) asks the kernel where the heap is
#endif
  forget_texts(questions, size);
}

int thread_id() { return *found.thread_id; }

const AuxiliaryEntry* auxiliary_vector() { return found.auxiliary; }

bool is_mended(uintptr_t from, uintptr_t to) {
  bool is = reinterpret_cast<uintptr_t>(found.canary) - from < to - from;
#if defined(__GLIBC__)
  is = is || reinterpret_cast<uintptr_t>(&__libc_stack_end) - from <
                 to - from;  // beside the other, if that is protected
#endif
  if (!is) return false;
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
  if (found.protect_size != 0)
    mprotect(reinterpret_cast<void*>(found.protect_from), found.protect_size, PROT_READ);
}

}  // namespace moonlet::image
