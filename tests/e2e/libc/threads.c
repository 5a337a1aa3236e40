/* Threads: their variables, ids, stacks, names, clocks and ends. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define COUNT 8

static pid_t thread_id(void) { return (pid_t)syscall(SYS_gettid); }

/* Runs `body` in a thread and returns what it returned. */
static void* in_thread(void* (*body)(void*), void* argument) {
  pthread_t thread;
  void* result;
  MUST((errno = pthread_create(&thread, NULL, body, argument)) == 0);
  MUST((errno = pthread_join(thread, &result)) == 0);
  return result;
}

static __thread int counter = 1;
static __thread char large[70000];
static pthread_barrier_t barrier;

struct seen {
  int counter, large;
  int* address;
};

static void* use_variables(void* argument) {
  struct seen* seen = argument;
  *seen = (struct seen){counter, large[sizeof large - 1], &counter};
  counter += 10;
  memset(large, 7, sizeof large);
  pthread_barrier_wait(&barrier); /* all live at once: no two at one address */
  return NULL;
}

static void thread_local(char** unused) {
  (void)unused;
  pthread_t threads[COUNT];
  struct seen seen[COUNT];
  pthread_barrier_init(&barrier, NULL, COUNT);
  counter++, large[0]++;
  for (int i = 0; i < COUNT; i++) MUST(pthread_create(&threads[i], NULL, use_variables, &seen[i]) == 0);
  for (int i = 0; i < COUNT; i++) MUST(pthread_join(threads[i], NULL) == 0);
  for (int i = 0; i < COUNT; i++) {
    int shared = seen[i].address == &counter;
    for (int j = 0; j < i; j++) shared |= seen[i].address == seen[j].address;
    say("thread %d: %d %d%s", i, seen[i].counter, seen[i].large, shared ? " shared" : "");
  }
  say("main: %d %d %d", counter, large[0], large[sizeof large - 1]);
  pthread_barrier_destroy(&barrier);
}

static void* square(void* argument) {
  long number = (long)argument;
  char* block = malloc((size_t)number * 100 + 1);
  memset(block, 1, (size_t)number * 100 + 1);
  free(block);
  return (void*)(number * number);
}

static void many_threads(char** unused) {
  (void)unused;
  pthread_t threads[200];
  long sum = 0;
  for (long i = 0; i < 200; i++) MUST(pthread_create(&threads[i], NULL, square, (void*)i) == 0);
  for (int i = 0; i < 200; i++) {
    void* result;
    MUST(pthread_join(threads[i], &result) == 0);
    sum += (long)result;
  }
  say("sum %ld", sum);
}

static void* id_of_thread(void* argument) {
  (void)argument;
  return (void*)(long)(thread_id() == getpid());
}

static void thread_ids(char** unused) {
  (void)unused;
  say("main is the process: %d", thread_id() == getpid());
  say("a thread is: %d", (int)(long)in_thread(id_of_thread, NULL));
  say("equal to itself: %d", pthread_equal(pthread_self(), pthread_self()) != 0);
}

static volatile pid_t signalled;
static pthread_t main_thread;

static void note_thread(int number) {
  (void)number;
  signalled = thread_id();
}

static void* signal_main(void* argument) {
  (void)argument;
  say("alive: %d", pthread_kill(main_thread, 0));
  say("sent: %d", pthread_kill(main_thread, SIGUSR1));
#ifdef __GLIBC__
  say("with a value: %d", pthread_sigqueue(main_thread, SIGUSR2, (union sigval){.sival_int = 5}));
#endif
  return NULL;
}

static void signal_to_main(char** unused) {
  (void)unused;
  main_thread = pthread_self();
  signal(SIGUSR1, note_thread), signal(SIGUSR2, note_thread);
  in_thread(signal_main, NULL);
  say("handled by main: %d", signalled == getpid());
  signal(SIGUSR1, SIG_DFL), signal(SIGUSR2, SIG_DFL);
}

static void* read_name(void* name) {
  say_error("name", pthread_getname_np(main_thread, name, 16));
  say("%s", (char*)name);
  say("renamed: %d", pthread_setname_np(main_thread, "by-a-thread"));
  return NULL;
}

static void thread_names(char** unused) {
  (void)unused;
  char name[16] = "";
  main_thread = pthread_self();
  say("own: %d", pthread_setname_np(main_thread, "own"));
  in_thread(read_name, name);
  say_error("now", pthread_getname_np(main_thread, name, sizeof name));
  say("%s", name);
}

static void* schedule_main(void* argument) {
  (void)argument;
  struct sched_param parameters = {0};
  int policy = -1;
  say_error("read", pthread_getschedparam(main_thread, &policy, &parameters));
  say("policy %d", policy);
  parameters.sched_priority = 0;
  say("to batch: %d", pthread_setschedparam(main_thread, SCHED_BATCH, &parameters));
  say_error("read", pthread_getschedparam(main_thread, &policy, &parameters));
  say("policy %d", policy);
  say("and back: %d", pthread_setschedparam(main_thread, SCHED_OTHER, &parameters));
  cpu_set_t cpus;
  say("affinity: %d", pthread_getaffinity_np(main_thread, sizeof cpus, &cpus));
  say("kept: %d", pthread_setaffinity_np(main_thread, sizeof cpus, &cpus));
  return NULL;
}

static void schedule(char** unused) {
  (void)unused;
  main_thread = pthread_self();
  in_thread(schedule_main, NULL);
  say("main's policy: %d", sched_getscheduler(getpid()));
}

/* In a thread clock_gettime of another thread's clock asks for its id. */
static void* read_clock(void* clock) {
  struct timespec now;
  say("main's clock: %d", clock_gettime(*(clockid_t*)clock, &now));
  return NULL;
}

static void cpu_clocks(char** unused) {
  (void)unused;
  clockid_t clock, clock_of_process;
  struct timespec now = {0, 0}, later = {0, 0};
  say("clock: %d", pthread_getcpuclockid(pthread_self(), &clock));
  say("of the process: %d", clock_getcpuclockid(0, &clock_of_process));
  say("of its pid: %d", clock_getcpuclockid(getpid(), &clock_of_process));
  say("read: %d", clock_gettime(clock, &now));
  say("read: %d", clock_gettime(clock_of_process, &later));
  do {
    MUST(clock_gettime(clock, &later) == 0);
  } while (later.tv_sec == now.tv_sec && later.tv_nsec == now.tv_nsec);
  in_thread(read_clock, &clock);
}

static void stack_of(const char* who) {
  pthread_attr_t attributes;
  void* stack;
  size_t size, guard;
  char local;
  say("%s: %d", who, pthread_getattr_np(pthread_self(), &attributes));
  MUST(pthread_attr_getstack(&attributes, &stack, &size) == 0);
  MUST(pthread_attr_getguardsize(&attributes, &guard) == 0);
  say("a variable is in it: %d", &local >= (char*)stack && &local < (char*)stack + size);
  say("guard: %zu", guard);
  pthread_attr_destroy(&attributes);
}

static void* stack_of_thread(void* argument) {
  (void)argument;
  stack_of("thread");
  return NULL;
}

static void thread_stacks(char** unused) {
  (void)unused;
  pthread_attr_t attributes;
  size_t size;
  pthread_attr_init(&attributes);
  pthread_attr_getstacksize(&attributes, &size);
  say("default: %zu", size);
  pthread_attr_destroy(&attributes);
#ifdef __GLIBC__
  MUST(pthread_getattr_default_np(&attributes) == 0);
  pthread_attr_getstacksize(&attributes, &size);
  say("default: %zu", size);
#endif
  stack_of("main");
  in_thread(stack_of_thread, NULL);
}

/* Where the main thread's stack is, as /proc and as libc have it. */
static void main_stack(char** unused) {
  (void)unused;
  pthread_attr_t attributes;
  void* stack;
  size_t size;
  unsigned long from = 0, to = 0;
  char line[512];
  FILE* maps = fopen("/proc/self/maps", "r");
  MUST(maps != NULL);
  while (fgets(line, sizeof line, maps))
    if (strstr(line, "[stack]")) MUST(sscanf(line, "%lx-%lx", &from, &to) == 2);
  fclose(maps);
  MUST(pthread_getattr_np(pthread_self(), &attributes) == 0);
  MUST(pthread_attr_getstack(&attributes, &stack, &size) == 0);
  say("a variable is on [stack]: %d", (unsigned long)&size >= from && (unsigned long)&size < to);
#ifdef __GLIBC__ /* musl says how much is mapped, below a pointer of its own */
  struct rlimit limit;
  MUST(getrlimit(RLIMIT_STACK, &limit) == 0);
  unsigned long above = to - ((unsigned long)stack + size); /* arguments and environment */
  say("the rest of its limit: %d", above < 64 << 10 && size == limit.rlim_cur - above);
#endif
}

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int destroyed, made;

static void destroy(void* value) { destroyed += (int)(long)value; }
static void make_key(void) {
  made++;
  MUST(pthread_key_create(&key, destroy) == 0);
}

static void* use_key(void* argument) {
  MUST(pthread_getspecific(key) == NULL);
  pthread_setspecific(key, argument);
  return NULL;
}

static void thread_keys(char** unused) {
  (void)unused;
  pthread_once(&once, make_key);
  say("kept: %ld", (long)pthread_getspecific(key));
  pthread_setspecific(key, (void*)((long)pthread_getspecific(key) + 100));
  in_thread(use_key, (void*)3);
  say("made %d, destroyed %d, own %ld", made, destroyed, (long)pthread_getspecific(key));
}

static void note(void* flag) { *(int*)flag = 1; }

static void* pause_until_cancelled(void* flag) {
  pthread_cleanup_push(note, flag);
  for (;;) pause();
  pthread_cleanup_pop(0);
  return NULL;
}

static void* spin_until_cancelled(void* ready) {
  int unused;
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &unused);
  sem_post(ready);
  for (;;) {
  }
  return NULL;
}

static void cancel(char** unused) {
  (void)unused;
  pthread_t thread;
  void* result;
  int cleaned = 0;
  MUST(pthread_create(&thread, NULL, pause_until_cancelled, &cleaned) == 0);
  say("cancel: %d", pthread_cancel(thread));
  MUST(pthread_join(thread, &result) == 0);
  say("cancelled: %d, cleaned up: %d", result == PTHREAD_CANCELED, cleaned);
  sem_t ready;
  sem_init(&ready, 0, 0);
  MUST(pthread_create(&thread, NULL, spin_until_cancelled, &ready) == 0);
  sem_wait(&ready);
  say("cancel: %d", pthread_cancel(thread));
  MUST(pthread_join(thread, &result) == 0);
  say("cancelled: %d", result == PTHREAD_CANCELED);
}

static void* wait_here(void* go) {
  sem_wait(go);
  return NULL;
}

/* glibc tells each thread, by its id, to change its ids. */
static void ids_of_all_threads(char** unused) {
  (void)unused;
  pthread_t thread;
  sem_t go;
  sem_init(&go, 0, 0);
  MUST(pthread_create(&thread, NULL, wait_here, &go) == 0);
  say("setresuid: %d", setresuid((uid_t)-1, geteuid(), (uid_t)-1));
  say("setresgid: %d", setresgid((gid_t)-1, getegid(), (gid_t)-1));
  sem_post(&go);
  MUST(pthread_join(thread, NULL) == 0);
}

const struct check thread_checks[] = {{"thread_local", thread_local},
                                      {"many_threads", many_threads},
                                      {"thread_ids", thread_ids},
                                      {"signal_to_main", signal_to_main},
                                      {"thread_names", thread_names},
                                      {"schedule", schedule},
                                      {"cpu_clocks", cpu_clocks},
                                      {"thread_stacks", thread_stacks},
                                      {"main_stack", main_stack},
                                      {"thread_keys", thread_keys},
                                      {"cancel", cancel},
                                      {"ids_of_all_threads", ids_of_all_threads},
                                      {NULL, NULL}};
