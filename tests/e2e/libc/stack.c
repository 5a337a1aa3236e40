/* The stack: how far it grows, what ends it, its canary, and others beside it. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <ucontext.h>
#endif

#include "check.h"

#define FRAME 16384

/* Where the stack ends, as /proc has it. */
static uintptr_t stack_end(void) {
  unsigned long from, to = 0;
  char line[512];
  FILE* maps = fopen("/proc/self/maps", "r");
  MUST(maps != NULL);
  while (fgets(line, sizeof line, maps))
    if (strstr(line, "[stack]")) MUST(sscanf(line, "%lx-%lx", &from, &to) == 2);
  fclose(maps);
  MUST(to != 0);
  return to;
}

/* Fills frames down to `lowest`. Returns how many. */
__attribute__((noinline)) static unsigned descend(uintptr_t lowest, unsigned depth) {
  volatile unsigned char frame[FRAME];
  for (unsigned i = 0; i < FRAME; i += 1024) frame[i] = (unsigned char)depth;
  unsigned reached = (uintptr_t)frame < lowest ? depth : descend(lowest, depth + 1);
  for (unsigned i = 0; i < FRAME; i += 1024) MUST(frame[i] == (unsigned char)depth);
  return reached;
}

/* Down to 128 KB above the limit: what the kernel keeps free of other mappings is really free. */
static void deep_stack(char** unused) {
  (void)unused;
  struct rlimit limit;
  MUST(getrlimit(RLIMIT_STACK, &limit) == 0);
  size_t size = limit.rlim_cur == RLIM_INFINITY ? (size_t)64 << 20 : limit.rlim_cur;
  unsigned frames = descend(stack_end() - size + (128 << 10), 0);
  say("deep: %d", (size_t)frames * FRAME > size * 3 / 4 - (300 << 10));
}

static volatile int is_endless = 1;

__attribute__((noinline)) static unsigned overflow(unsigned depth) {
  volatile unsigned char frame[FRAME];
  for (unsigned i = 0; i < FRAME; i += 1024) frame[i] = (unsigned char)depth;
  return (is_endless ? overflow(depth + 1) : 0) + frame[depth % FRAME];
}

static void overflow_here(char** unused) {
  (void)unused;
  say("%u", overflow(0));
}

static uintptr_t lowest_stack;

static void on_overflow(int number, siginfo_t* info, void* context) {
  (void)context;
  uintptr_t at = (uintptr_t)info->si_addr;
  char line[100];
  int is_below = at < lowest_stack + FRAME + 65536 && at > lowest_stack - FRAME - (2 << 20);
  int size = snprintf(line, sizeof line, "signal %d, code %d, at the stack's end: %d\n", number, info->si_code,
                      is_below);
  MUST(write(1, line, (size_t)size) == size);
  _exit(7);
}

/* Its handler runs on a stack of its own. */
static void overflow_handled(char** unused) {
  (void)unused;
  static char spare[65536];
  stack_t stack = {.ss_sp = spare, .ss_size = sizeof spare};
  struct sigaction action;
  struct rlimit limit;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_overflow;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  MUST(getrlimit(RLIMIT_STACK, &limit) == 0);
  lowest_stack = stack_end() - limit.rlim_cur;
  MUST(sigaltstack(&stack, NULL) == 0 && sigaction(SIGSEGV, &action, NULL) == 0);
  say("%u", overflow(0));
}

static char alternate[65536];
static volatile int is_on_alternate;

static void where(int number) {
  char local;
  (void)number;
  is_on_alternate = &local >= alternate && &local < alternate + sizeof alternate;
}

static void signal_stack(char** unused) {
  (void)unused;
  stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate}, old;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = where;
  action.sa_flags = SA_ONSTACK;
  MUST(sigaltstack(NULL, &old) == 0);
  say("none before: %d", (old.ss_flags & SS_DISABLE) != 0);
  MUST(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
  raise(SIGUSR1);
  say("used: %d", is_on_alternate);
  stack.ss_flags = SS_DISABLE;
  MUST(sigaltstack(&stack, NULL) == 0);
  raise(SIGUSR1);
  say("used: %d", is_on_alternate);
  signal(SIGUSR1, SIG_DFL);
}

static jmp_buf place;
static sigjmp_buf place_with_mask;

__attribute__((noinline)) static void jump(int depth) {
  volatile char frame[1000];
  frame[depth] = 1;
  if (depth > 50) longjmp(place, frame[depth] + 41);
  if (is_endless) jump(depth + 1);
  frame[0] = 1;
}

static void jump_from_handler(int number) { siglongjmp(place_with_mask, number); }

static void jumps(char** unused) {
  (void)unused;
  volatile int turns = 0;
  int value = setjmp(place);
  if (value == 0) jump(0);
  say("value %d", value);
  signal(SIGUSR1, jump_from_handler);
  sigsetjmp(place_with_mask, 1);
  if (turns < 3) {
    turns++;
    raise(SIGUSR1);
  }
  sigset_t blocked;
  sigprocmask(SIG_BLOCK, NULL, &blocked);
  say("turns %d, blocked: %d", turns, sigismember(&blocked, SIGUSR1));
  signal(SIGUSR1, SIG_DFL);
}

#ifdef __GLIBC__ /* musl has none */
static ucontext_t here, there, again;
static int steps;

static void count_steps(int by) {
  for (int i = 0; i < 3; i++) {
    steps += by;
    MUST(swapcontext(&there, &here) == 0);
  }
  steps = 99; /* and ends, at uc_link */
}
#endif

static void contexts(char** unused) {
  (void)unused;
#ifdef __GLIBC__
  static char stack[65536];
  volatile int turns = 0;
  steps = 0;
  MUST(getcontext(&there) == 0);
  there.uc_stack.ss_sp = stack, there.uc_stack.ss_size = sizeof stack;
  there.uc_link = &here;
  makecontext(&there, (void (*)(void))count_steps, 1, 10);
  while (steps != 99) {
    MUST(swapcontext(&here, &there) == 0);
    say("step %d", steps);
  }
  MUST(getcontext(&again) == 0);
  if (turns++ < 3) setcontext(&again);
  say("turns %d", turns);
#endif
}

/* What the compiler puts between variables and the return address. */
static uintptr_t canary(void) {
#if defined __x86_64__ && defined __LP64__
  uintptr_t value;
  __asm__("mov %%fs:0x28, %0" : "=r"(value));
  return value;
#elif defined __i386__
  uintptr_t value;
  __asm__("mov %%gs:0x14, %0" : "=r"(value));
  return value;
#else
  extern uintptr_t __stack_chk_guard;
  return __stack_chk_guard;
#endif
}

static void show_canary(char** unused) {
  (void)unused;
  say("%lx", (unsigned long)canary());
}

__attribute__((noinline, optimize("stack-protector-all"))) static void smash(char* (*fill)(char*, size_t)) {
  char small[8];
  fill(small, 64);
}

static char* fill_too_much(char* block, size_t size) { return memset(block, 'A', size); }

static void smashed_stack(char** unused) {
  (void)unused;
  smash(fill_too_much);
}

const struct check stack_checks[] = {{"deep_stack", deep_stack},
                                     {"overflow_here", overflow_here},
                                     {"overflow_handled", overflow_handled},
                                     {"signal_stack", signal_stack},
                                     {"jumps", jumps},
                                     {"contexts", contexts},
                                     {"show_canary", show_canary},
                                     {"smashed_stack", smashed_stack},
                                     {NULL, NULL}};
