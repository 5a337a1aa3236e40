#include "freeze/tracee.h"

#include <elf.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

namespace moonlet::freeze::questions {

#if defined(__x86_64__)

bool read_call(pid_t pid, CallMade* call) {
  user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, pid, nullptr, &registers) != 0) return false;
  constexpr unsigned kCode32 = 0x23;  // __USER32_CS
  *call = {registers.cs == kCode32 ? -1 : static_cast<long>(registers.orig_rax),
           {registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9}};
  return true;
}

#elif defined(__aarch64__)

bool read_call(pid_t pid, CallMade* call) {
  user_regs_struct registers;
  iovec room = {&registers, sizeof registers};
  if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &room) != 0) return false;
  *call = {room.iov_len == sizeof registers ? static_cast<long>(registers.regs[8]) : -1, {}};
  memcpy(call->argument, registers.regs, sizeof call->argument);
  return true;
}

#elif defined(__mips__)

bool read_call(pid_t pid, CallMade* call) {
  // Register 2 has the number, 4 to 7 what the first four arguments are. No call of the table needs the others.
  errno = 0;
  call->number = ptrace(PTRACE_PEEKUSER, pid, 2, nullptr);
  for (uintptr_t i = 0; i < 4; i++)
    call->argument[i] = static_cast<unsigned long>(ptrace(PTRACE_PEEKUSER, pid, 4 + i, nullptr));
  return errno == 0;
}

#else

bool read_call(pid_t, CallMade*) { return false; }

#endif

size_t read_memory(pid_t pid, unsigned long address, void* to, size_t size) {
  iovec here = {to, size};
  iovec there = {reinterpret_cast<void*>(address), size};
  const ssize_t done = process_vm_readv(pid, &here, 1, &there, 1, 0);
  if (done >= 0) return static_cast<size_t>(done);
  if (errno != ENOSYS && errno != EPERM) return 0;
  // Without CONFIG_CROSS_MEMORY_ATTACH: word by word.
  size_t got = 0;
  while (got < size) {
    const unsigned long from = (address + got) & ~(sizeof(long) - 1);
    errno = 0;
    const long word = ptrace(PTRACE_PEEKDATA, pid, from, nullptr);
    if (errno != 0) break;
    const size_t skipped = address + got - from;
    const size_t part = sizeof word - skipped < size - got ? sizeof word - skipped : size - got;
    memcpy(static_cast<char*>(to) + got, reinterpret_cast<const char*>(&word) + skipped, part);
    got += part;
  }
  return got;
}

bool read_text(pid_t pid, unsigned long address, char* to, size_t size) {
  // Most texts end in the first part. No part reaches into a page that need not be there.
  constexpr size_t kPart = 256, kSmallestPage = 4096;
  size_t got = 0;
  while (got < size) {
    size_t part = kSmallestPage - (address + got) % kSmallestPage;
    if (part > kPart) part = kPart;
    if (part > size - got) part = size - got;
    if (read_memory(pid, address + got, to + got, part) != part) return false;
    if (memchr(to + got, '\0', part) != nullptr) return true;
    got += part;
  }
  return false;
}

}  // namespace moonlet::freeze::questions
