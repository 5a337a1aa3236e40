// What differs from machine to machine in a thaw: the thread pointer, and the two jumps.
#pragma once

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

// The short instructions of MIPS16 reach neither the thread pointer nor all registers.
#if defined(__mips__)
#define MOONLET_LONG_INSTRUCTIONS [[gnu::nomips16]]
#else
#define MOONLET_LONG_INSTRUCTIONS
#endif

namespace moonlet::image {

/// Makes `pointer` what libc finds its thread's data by (the ABI's thread pointer). False if the kernel
/// refuses.
inline bool set_thread_pointer(uintptr_t pointer) {
#if defined(__x86_64__)
  constexpr int kSetFs = 0x1002;  // ARCH_SET_FS, <asm/prctl.h>
  return syscall(SYS_arch_prctl, kSetFs, pointer) == 0;
#elif defined(__aarch64__)
  __asm__ volatile("msr tpidr_el0, %0" : : "r"(pointer));
  return true;
#elif defined(__mips__)
  return syscall(SYS_set_thread_area, pointer) == 0;
#else
#error "which register does this machine's ABI have for the thread pointer?"
#endif
}

/// The thread pointer of the calling thread.
MOONLET_LONG_INSTRUCTIONS inline uintptr_t thread_pointer() {
  uintptr_t pointer;
#if defined(__x86_64__)
  __asm__("mov %%fs:0, %0" : "=r"(pointer));
#elif defined(__aarch64__)
  __asm__("mrs %0, tpidr_el0" : "=r"(pointer));
#elif defined(__mips__)
  pointer = reinterpret_cast<uintptr_t>(__builtin_thread_pointer());
#endif
  return pointer;
}

/// An address beside which libc keeps what it has of the calling thread.
inline uintptr_t thread_block() {
#if defined(__mips__)
  constexpr uintptr_t kAhead = 0x7000;  // as far is the pointer from the end of it (the ABI's TLS_TP_OFFSET)
#else
  constexpr uintptr_t kAhead = 0;
#endif
  return thread_pointer() - kAhead;
}

/// How this thread rounds, and what it does with tiny numbers (fenv(3)): what some libraries set as they are
/// loaded. 0 where it is not known.
inline uint64_t float_control() {
#if defined(__x86_64__)
  uint32_t control;
  uint16_t old_control;  // of the x87
  __asm__ volatile("stmxcsr %0\n fnstcw %1" : "=m"(control), "=m"(old_control));
  return uint64_t{old_control} << 32 | (control & ~uint32_t{0x3f});  // without what calculations have left
#elif defined(__aarch64__)
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  return control;
#else
  return 0;
#endif
}

inline void set_float_control(uint64_t control) {
#if defined(__x86_64__)
  const auto low = static_cast<uint32_t>(control);
  const auto old_control = static_cast<uint16_t>(control >> 32);
  __asm__ volatile("ldmxcsr %0\n fldcw %1" : : "m"(low), "m"(old_control));
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" : : "r"(control));
#else
  (void)control;
#endif
}

/// Jumps to `target` with `argument` where a function's first one is, `stack` as it is, and nothing that leads
/// back.
MOONLET_LONG_INSTRUCTIONS [[noreturn]] inline void jump(uintptr_t stack, uintptr_t target,
                                                        const void* argument) {
#if defined(__x86_64__)
  __asm__ volatile(
      "mov %0, %%rsp\n"
      "xor %%ebp, %%ebp\n"
      "xor %%edx, %%edx\n"  // for a program: no function to be registered with atexit(3)
      "jmp *%1\n"
      :
      : "a"(stack), "c"(target), "D"(argument)  // not in rbp
      : "memory", "rdx");
#elif defined(__aarch64__)
  register const void* first __asm__("x0") = argument;
  register uintptr_t top __asm__("x1") = stack;
  register uintptr_t there __asm__("x2") = target;  // not in x29 or x30
  __asm__ volatile(
      "mov sp, %0\n"
      "mov x29, #0\n"
      "mov x30, #0\n"
      "br %1\n"
      :
      : "r"(top), "r"(there), "r"(first)
      : "memory");
#elif defined(__mips__)
  register const void* first __asm__("$4") = argument;
  register uintptr_t there __asm__("$25") = target;
  __asm__ volatile(
      ".set push\n"
      ".set noreorder\n"
      "move $29, %0\n"
      "move $31, $0\n"
      "move $2, $0\n"  // as edx above
      "jr %1\n"
      "nop\n"
      ".set pop\n"
      :
      : "r"(stack), "r"(there), "r"(first)
      : "memory", "$2");
#endif
  __builtin_unreachable();
}

/// Calls `function` with `argument` on the stack that ends at `stack`. For what never returns.
[[noreturn]] inline void call_on_stack(uintptr_t stack, uintptr_t function, const void* argument) {
  stack &= ~uintptr_t{15};
#if defined(__x86_64__)
  stack -= sizeof(uintptr_t);  // where a call leaves the address to return to
  *reinterpret_cast<uintptr_t*>(stack) = 0;
#elif defined(__mips__)
  stack -= 32;  // room for the callee's four arguments
#endif
  jump(stack, function, argument);
}

/// Jumps to a program's first instruction, with `stack` as execve(2) would leave the stack pointer.
[[noreturn]] inline void start_program(uintptr_t stack, uintptr_t entry) { jump(stack, entry, nullptr); }

}  // namespace moonlet::image
