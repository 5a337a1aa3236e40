/* Signals: handlers, masks, queues, and deaths. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static volatile siginfo_t taken;
static volatile int count;

static void take(int number, siginfo_t* info, void* context) {
  (void)context;
  memcpy((void*)&taken, info, sizeof taken);
  if (number == info->si_signo) count++;
}

static void handle(int number, int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = take;
  action.sa_flags = SA_SIGINFO | flags;
  sigemptyset(&action.sa_mask);
  MUST(sigaction(number, &action, NULL) == 0);
}

/* Who sends raise's: this thread of this process. */
static void raises(char** unused) {
  (void)unused;
  count = 0;
  handle(SIGUSR1, 0);
  say("raise: %d", raise(SIGUSR1));
  say("handled %d, code %d, own: %d", count, taken.si_code, taken.si_pid == (pid_t)syscall(SYS_getpid));
  say("real time: %d to %d", SIGRTMIN, SIGRTMAX);
  handle(SIGRTMIN + 1, SA_RESTART);
  say("raise: %d", raise(SIGRTMIN + 1));
  say("handled %d, %s", count, strsignal(SIGRTMIN + 1));
  signal(SIGUSR1, SIG_DFL), signal(SIGRTMIN + 1, SIG_DFL);
}

static void queues(char** unused) {
  (void)unused;
  sigset_t set, old;
  siginfo_t info;
  int number = 0;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN), sigaddset(&set, SIGUSR2);
  MUST(pthread_sigmask(SIG_BLOCK, &set, &old) == 0);
  pid_t self = (pid_t)syscall(SYS_getpid);
  for (int i = 1; i <= 3; i++) MUST(sigqueue(self, SIGRTMIN, (union sigval){.sival_int = i}) == 0);
  MUST(kill(self, SIGUSR2) == 0);
  say("wait: %d", sigwait(&set, &number));
  say("first %d", number);
  for (int i = 1; i <= 3; i++) {
    MUST(sigwaitinfo(&set, &info) == SIGRTMIN);
    say("value %d", info.si_value.sival_int);
  }
  int fd = signalfd(-1, &set, SFD_CLOEXEC);
  struct signalfd_siginfo read_info;
  MUST(fd >= 0 && kill(self, SIGUSR2) == 0);
  MUST(read(fd, &read_info, sizeof read_info) == sizeof read_info);
  say("read %d, own: %d", (int)read_info.ssi_signo, (pid_t)read_info.ssi_pid == self);
  close(fd);
  MUST(kill(self, SIGUSR2) == 0 && sigpending(&set) == 0);
  say("pending: %d", sigismember(&set, SIGUSR2));
  count = 0;
  handle(SIGUSR2, 0);
  MUST(sigsuspend(&old) < 0);
  say("suspend: %s, handled %d", strerror(errno), count);
  signal(SIGUSR2, SIG_DFL);
  MUST(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
}

/* An interrupted call goes on with SA_RESTART, and fails without. */
static void* interrupt(void* main_thread) {
  while (count == 0) { /* until it was handled: once may be too early */
    pthread_kill(*(pthread_t*)main_thread, SIGUSR1);
    sched_yield();
  }
  return NULL;
}

static void interrupts(char** unused) {
  (void)unused;
  pthread_t thread, self = pthread_self();
  int ends[2];
  char byte;
  MUST(pipe(ends) == 0);
  count = 0;
  handle(SIGUSR1, 0);
  sigset_t set, old;
  sigemptyset(&set), sigaddset(&set, SIGUSR1);
  MUST(pthread_sigmask(SIG_BLOCK, &set, &old) == 0);
  MUST(pthread_create(&thread, NULL, interrupt, &self) == 0);
  fd_set reads;
  FD_ZERO(&reads);
  FD_SET(ends[0], &reads);
  int ready = pselect(ends[0] + 1, &reads, NULL, NULL, NULL, &old);
  say("select: %d %s", ready, strerror(errno));
  MUST(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
  MUST(pthread_join(thread, NULL) == 0);
  say("handled: %d", count > 0);
  MUST(write(ends[1], "x", 1) == 1 && read(ends[0], &byte, 1) == 1);
  close(ends[0]), close(ends[1]);
  signal(SIGUSR1, SIG_DFL);
}

static void dispositions(char** unused) {
  (void)unused;
  struct sigaction action;
  sigset_t blocked;
  sigprocmask(SIG_BLOCK, NULL, &blocked);
  for (int number = 1; number < 65; number++) {
    if (syscall(SYS_rt_sigaction, number, NULL, NULL, 8) != 0) continue;
    if (sigaction(number, NULL, &action) != 0) continue; /* libc's own */
    if (action.sa_handler != SIG_DFL)
      say("%d: %s", number, action.sa_handler == SIG_IGN ? "ignored" : "handled");
    if (sigismember(&blocked, number)) say("%d: blocked", number);
  }
  say("default else");
}

static int is_set;

/* kept_handler: set at the first call, in the warm-up or here. */
static void kept_handler(char** unused) {
  (void)unused;
  if (!is_set++) handle(SIGUSR1, 0);
  count = 0;
  raise(SIGUSR1);
  say("handled: %d", count);
}

static void set_up(int number) {
  (void)number;
  MUST(write(1, "handled\n", 8) == 8);
}

/* aborts(kind): the process ends here. */
static void aborts(char** arguments) {
  if (!strcmp(arguments[0], "handled")) signal(SIGABRT, set_up);
  if (!strcmp(arguments[0], "ignored")) signal(SIGABRT, SIG_IGN);
  if (!strcmp(arguments[0], "raised")) raise(SIGABRT);
  abort();
}

static void raise_and_die(char** arguments) { say("raise: %d", raise(atoi(arguments[0]))); }

static volatile int* volatile nowhere = (int*)8;
static void crash_here(void) { *nowhere = 1; }
static void abort_here(void) { abort(); }
static void divide(void) {
  volatile int zero = 0;
#if defined __x86_64__ || defined __i386__
  say("%d", 1000 / zero);
#else
  raise(SIGFPE);
  say("%d", zero);
#endif
}

static void deaths_of_children(char** unused) {
  (void)unused;
  say_of_child(crash_here);
  say_of_child(abort_here);
  say_of_child(divide);
}

const struct check signal_checks[] = {{"raises", raises},
                                      {"queues", queues},
                                      {"interrupts", interrupts},
                                      {"dispositions", dispositions},
                                      {"kept_handler", kept_handler},
                                      {"aborts", aborts},
                                      {"raise_and_die", raise_and_die},
                                      {"deaths_of_children", deaths_of_children},
                                      {NULL, NULL}};
