// Where calls of the functions in interposed_list.h arrive. A few instructions for each: they keep the
// arguments, whatever and however many those are, ask moonlet_forward() where libc's own function is, and jump
// there.

#if (defined(__x86_64__) && !defined(__ILP32__)) || defined(__aarch64__) || \
    (defined(__mips__) && _MIPS_SIM == _ABIO32)

#if defined(__x86_64__)

// rax holds how many vector registers a call with "..." has; no function of the list is given any.
__asm__(
    ".text\n"
    "moonlet_interposed:\n"
    "  push %rax\n"
    "  push %r9\n"
    "  push %r8\n"
    "  push %rcx\n"
    "  push %rdx\n"
    "  push %rsi\n"
    "  push %rdi\n"
    "  mov %r11d, %edi\n"
    "  mov %rsp, %rsi\n"
    "  call moonlet_forward\n"
    "  mov %rax, %r11\n"
    "  pop %rdi\n"
    "  pop %rsi\n"
    "  pop %rdx\n"
    "  pop %rcx\n"
    "  pop %r8\n"
    "  pop %r9\n"
    "  pop %rax\n"
    "  jmp *%r11\n");
#define ENTRY "  endbr64\n  mov $moonlet_index, %r11d\n  jmp moonlet_interposed\n"

#elif defined(__aarch64__)

__asm__(
    ".text\n"
    "moonlet_interposed:\n"
    "  stp x29, x30, [sp, #-96]!\n"
    "  mov x29, sp\n"
    "  stp x0, x1, [sp, #16]\n"
    "  stp x2, x3, [sp, #32]\n"
    "  stp x4, x5, [sp, #48]\n"
    "  stp x6, x7, [sp, #64]\n"
    "  str x8, [sp, #80]\n"
    "  mov w0, w16\n"
    "  add x1, sp, #16\n"
    "  bl moonlet_forward\n"
    "  mov x16, x0\n"
    "  ldp x0, x1, [sp, #16]\n"
    "  ldp x2, x3, [sp, #32]\n"
    "  ldp x4, x5, [sp, #48]\n"
    "  ldp x6, x7, [sp, #64]\n"
    "  ldr x8, [sp, #80]\n"
    "  ldp x29, x30, [sp], #96\n"
    "  br x16\n");
#define ENTRY "  hint #34\n  mov w16, #moonlet_index\n  b moonlet_interposed\n"  // bti c

#else

// The caller has room for the four registers. $25 is the function's own address, as calls of shared objects
// have it.
#if defined(__PIC__)
#define CALL_FORWARD "  .cpload $25\n  la $25, moonlet_forward\n  jalr $25\n"
#define ENTRY                                                                                                 \
  "  .set noreorder\n  .cpload $25\n  .set reorder\n  la $25, moonlet_interposed\n  li $2, moonlet_index\n  " \
  "jr $25\n"
#else
#define CALL_FORWARD "  jal moonlet_forward\n"
#define ENTRY "  li $2, moonlet_index\n  j moonlet_interposed\n"
#endif
__asm__(
    ".text\n"
    ".set push\n"
    ".set nomips16\n"
    ".set noreorder\n"
    ".globl moonlet_interposed\n"
    ".hidden moonlet_interposed\n"
    ".ent moonlet_interposed\n"
    "moonlet_interposed:\n"
#if defined(__PIC__)
    "  .cpload $25\n"
#endif
    "  .set reorder\n"
    "  sw $4, 0($29)\n"
    "  sw $5, 4($29)\n"
    "  sw $6, 8($29)\n"
    "  sw $7, 12($29)\n"
    "  move $5, $29\n"
    "  addiu $29, $29, -24\n"
    "  sw $31, 20($29)\n"
    "  move $4, $2\n"
#if defined(__PIC__)
    "  la $25, moonlet_forward\n"
    "  jalr $25\n"
#else
    "  jal moonlet_forward\n"
#endif
    "  lw $31, 20($29)\n"
    "  addiu $29, $29, 24\n"
    "  lw $4, 0($29)\n"
    "  lw $5, 4($29)\n"
    "  lw $6, 8($29)\n"
    "  lw $7, 12($29)\n"
    "  move $25, $2\n"
    "  jr $25\n"
    ".end moonlet_interposed\n"
    ".set pop\n");

#endif

#if defined(__mips__)
#define BEGIN ".set push\n.set nomips16\n.set reorder\n"
#define END ".set pop\n"
#else
#define BEGIN ""
#define END ""
#endif

// The index is the position in the list.
#if !defined(MOONLET_HOOKS)
__asm__(".set moonlet_index, 0\n");
#define FUNCTION(name, handler, reads)                                                                         \
  __asm__(BEGIN ".globl " #name "\n.type " #name ", %function\n" #name ":\n" ENTRY ".size " #name ", .-" #name \
                "\n" END ".set moonlet_index, moonlet_index + 1\n");
#include "freeze/interposed_list.h"
#endif

#endif
