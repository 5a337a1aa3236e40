#include "image/musl_state.h"

#include "image/child.h"

#include <link.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#if !defined(__GLIBC__)

namespace moonlet::image {

namespace {

// The variables of libc.
uintptr_t first;
uintptr_t last;

const AuxiliaryEntry* vector;      // that musl was given
const AuxiliaryEntry** auxiliary;  // where it keeps that
int* lock;

// Of the segment that one of them is in, what follows its read-only part.
int find_variables(dl_phdr_info* object, size_t, void*) {
  const auto one = reinterpret_cast<uintptr_t>(stderr);
  bool is_libc = false;
  uintptr_t end_of_read_only = 0;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const auto& it = object->dlpi_phdr[i];
    const uintptr_t from = object->dlpi_addr + it.p_vaddr;
    if (it.p_type == PT_GNU_RELRO) end_of_read_only = from + it.p_memsz;
    if (it.p_type != PT_LOAD || (it.p_flags & PF_W) == 0 || one - from >= it.p_memsz) continue;
    is_libc = true;
    first = from;
    last = (from + it.p_memsz) & ~(sizeof(long) - 1);
  }
  if (!is_libc) return 0;
  if (first < end_of_read_only) first = end_of_read_only;
  first = (first + sizeof(long) - 1) & ~(sizeof(long) - 1);
  return 1;
}

int* word(uintptr_t address) { return reinterpret_cast<int*>(address); }

bool main_waits;
bool all_is_marked;

// Leaves no zero in libc's variables. Then the kernel makes one, at the end of this thread.
void* mark_all(void*) {
  while (!__atomic_load_n(&main_waits, __ATOMIC_ACQUIRE))
    syscall(SYS_sched_yield);  // it holds the lock until then
  for (uintptr_t at = first; at < last; at += sizeof(int)) {
    if (*word(at) == 0) *word(at) = -1;
  }
  __atomic_store_n(&all_is_marked, true, __ATOMIC_RELEASE);
  for (;;) syscall(SYS_exit, 0);
}

// The offset of the lock, or -1. PR_GET_TID_ADDRESS would tell, where the kernel has CONFIG_CHECKPOINT_RESTORE.
long find_lock() {
  constexpr int kTries = 100000;  // milliseconds are what it takes
  pthread_t thread;
  if (pthread_create(&thread, nullptr, mark_all, nullptr) != 0) return -1;
  __atomic_store_n(&main_waits, true, __ATOMIC_RELEASE);
  while (!__atomic_load_n(&all_is_marked, __ATOMIC_ACQUIRE)) syscall(SYS_sched_yield);
  for (int i = 0; i < kTries; i++) {
    for (uintptr_t at = first; at < last; at += sizeof(int)) {
      if (__atomic_load_n(word(at), __ATOMIC_RELAXED) == 0) return static_cast<long>(at - first);
    }
    syscall(SYS_sched_yield);
  }
  return -1;
}

}  // namespace

bool find_musl_state(const AuxiliaryEntry* its) {
  vector = its;
  dl_iterate_phdr(find_variables, nullptr);
  for (uintptr_t at = first; at < last; at += sizeof(long)) {
    auto** const pointer = reinterpret_cast<const AuxiliaryEntry**>(at);
    if (*pointer == vector) auxiliary = pointer;
  }
  const long offset = ask_child(find_lock, -1);
  lock = word(first + static_cast<uintptr_t>(offset));
  return auxiliary != nullptr && offset >= 0;
}

int* thread_list_lock() { return lock; }

void take_auxiliary(AuxiliaryEntry* launch) {
  *auxiliary = launch;
  for (; launch->type != AT_NULL; launch++) {
    const unsigned long type = launch->type;
    if (type != AT_PHDR && type != AT_PHNUM && type != AT_ENTRY && type != AT_BASE) continue;
    if (const AuxiliaryEntry* its = find_entry(vector, type)) launch->value = its->value;
  }
}

}  // namespace moonlet::image

#endif
