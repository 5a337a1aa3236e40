/* Mutexes of each kind, and what else threads wait for. Many keep the id of the thread that has them. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static void make_mutex(pthread_mutex_t* mutex, int type, int is_robust, int is_shared, int protocol) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, type);
  if (is_robust) MUST(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
  if (is_shared) MUST(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0);
  MUST((errno = pthread_mutexattr_setprotocol(&attributes, protocol)) == 0);
  MUST(pthread_mutex_init(mutex, &attributes) == 0);
  pthread_mutexattr_destroy(&attributes);
}

static void* try_and_release(void* mutex) {
  int locked = pthread_mutex_trylock(mutex);
  if (locked == 0) pthread_mutex_unlock(mutex);
  return (void*)(long)locked;
}

static void* only_unlock(void* mutex) { return (void*)(long)pthread_mutex_unlock(mutex); }

static int by_another(void* (*body)(void*), pthread_mutex_t* mutex) {
  pthread_t thread;
  void* result;
  MUST(pthread_create(&thread, NULL, body, mutex) == 0);
  MUST(pthread_join(thread, &result) == 0);
  return (int)(long)result;
}

static void recursive_mutex(char** unused) {
  (void)unused;
  pthread_mutex_t mutex;
  make_mutex(&mutex, PTHREAD_MUTEX_RECURSIVE, 0, 0, PTHREAD_PRIO_NONE);
  say_error("lock", pthread_mutex_lock(&mutex));
  say_error("again", pthread_mutex_lock(&mutex));
  say_error("another", by_another(try_and_release, &mutex));
  say_error("its unlock", by_another(only_unlock, &mutex));
  say_error("unlock", pthread_mutex_unlock(&mutex));
  say_error("again", pthread_mutex_unlock(&mutex));
  say_error("once more", pthread_mutex_unlock(&mutex));
  say_error("another", by_another(try_and_release, &mutex));
}

static void checked_mutex(char** unused) {
  (void)unused;
  pthread_mutex_t mutex;
  make_mutex(&mutex, PTHREAD_MUTEX_ERRORCHECK, 0, 0, PTHREAD_PRIO_NONE);
  say_error("lock", pthread_mutex_lock(&mutex));
  say_error("again", pthread_mutex_lock(&mutex));
  say_error("another", by_another(try_and_release, &mutex));
  say_error("its unlock", by_another(only_unlock, &mutex));
  say_error("unlock", pthread_mutex_unlock(&mutex));
  say_error("again", pthread_mutex_unlock(&mutex));
}

struct handover {
  pthread_mutex_t mutex;
  sem_t locked;
};

static void* hold_for_a_while(void* argument) {
  struct handover* handover = argument;
  MUST(pthread_mutex_lock(&handover->mutex) == 0);
  sem_post(&handover->locked);
  nanosleep(&(struct timespec){0, 1000000}, NULL); /* so that main really waits; right without it too */
  return (void*)(long)pthread_mutex_unlock(&handover->mutex);
}

/* The kernel itself compares thread ids here. */
static void inherited_priority(char** unused) {
  (void)unused;
  struct handover handover;
  pthread_t thread;
  void* result;
  make_mutex(&handover.mutex, PTHREAD_MUTEX_ERRORCHECK, 0, 0, PTHREAD_PRIO_INHERIT);
  sem_init(&handover.locked, 0, 0);
  say_error("lock", pthread_mutex_lock(&handover.mutex));
  say_error("again", pthread_mutex_lock(&handover.mutex));
  MUST(pthread_create(&thread, NULL, hold_for_a_while, &handover) == 0);
  say_error("unlock", pthread_mutex_unlock(&handover.mutex));
  sem_wait(&handover.locked);
  say_error("after another", pthread_mutex_lock(&handover.mutex));
  MUST(pthread_join(thread, &result) == 0);
  say_error("its unlock", (int)(long)result);
  say_error("own", pthread_mutex_unlock(&handover.mutex));
}

static void* die_with(void* mutex) { return (void*)(long)pthread_mutex_lock(mutex); }

static void take_over(pthread_mutex_t* mutex) {
  say_error("lock", pthread_mutex_lock(mutex));
  say_error("consistent", pthread_mutex_consistent(mutex));
  say_error("unlock", pthread_mutex_unlock(mutex));
  say_error("lock", pthread_mutex_lock(mutex));
  say_error("unlock", pthread_mutex_unlock(mutex));
}

static void robust_in_a_thread(char** unused) {
  (void)unused;
  pthread_mutex_t mutex;
  make_mutex(&mutex, PTHREAD_MUTEX_NORMAL, 1, 0, PTHREAD_PRIO_NONE);
  say_error("its lock", by_another(die_with, &mutex));
  take_over(&mutex);
}

static pthread_mutex_t* shared_mutex(void) {
  pthread_mutex_t* mutex = mmap(NULL, sizeof *mutex, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  MUST(mutex != MAP_FAILED);
  make_mutex(mutex, PTHREAD_MUTEX_NORMAL, 1, 1, PTHREAD_PRIO_NONE);
  return mutex;
}

static void robust_in_a_process(char** unused) {
  (void)unused;
  pthread_mutex_t* mutex = shared_mutex();
  pid_t pid = fork();
  MUST(pid >= 0);
  if (pid == 0) _exit(pthread_mutex_lock(mutex));
  say_end("the owner", wait_for(pid));
  take_over(mutex);
  munmap(mutex, sizeof *mutex);
}

/* robust_main: the main thread itself ends with the script and has the mutex. A child tells of it. */
static void robust_main(char** unused) {
  (void)unused;
  pthread_mutex_t* mutex = shared_mutex();
  int ends[2];
  MUST(pipe(ends) == 0);
  MUST(pthread_mutex_lock(mutex) == 0);
  pid_t pid = fork();
  MUST(pid >= 0);
  if (pid != 0) return;
  char byte;
  close(ends[1]);
  MUST(read(ends[0], &byte, 1) == 0); /* ends with the process, whose mutexes were released before */
  int locked = pthread_mutex_trylock(mutex);
  const char* answer = locked == EOWNERDEAD ? "the owner has died\n" : locked == EBUSY ? "busy\n" : "free\n";
  MUST(write(1, answer, strlen(answer)) > 0);
  _exit(0);
}

static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static int turn;

static void* answer_turns(void* argument) {
  pthread_mutex_lock(&plain);
  for (int i = 0; i < 100; i++) {
    while (turn % 2 == 0) pthread_cond_wait(&condition, &plain);
    turn++;
    pthread_cond_broadcast(&condition);
  }
  pthread_mutex_unlock(&plain);
  return argument;
}

static void conditions(char** unused) {
  (void)unused;
  pthread_t thread;
  turn = 0;
  MUST(pthread_create(&thread, NULL, answer_turns, NULL) == 0);
  pthread_mutex_lock(&plain);
  for (int i = 0; i < 100; i++) {
    while (turn % 2 == 1) pthread_cond_wait(&condition, &plain);
    turn++;
    pthread_cond_broadcast(&condition);
  }
  struct timespec past = {0, 0};
  pthread_mutex_unlock(&plain);
  MUST(pthread_join(thread, NULL) == 0);
  pthread_mutex_lock(&plain);
  say_error("timed", pthread_cond_timedwait(&condition, &plain, &past));
  pthread_mutex_unlock(&plain);
  say("turns: %d", turn);
}

static void* try_both(void* lock) {
  int reads = pthread_rwlock_tryrdlock(lock);
  if (reads == 0) pthread_rwlock_unlock(lock);
  return (void*)(long)reads;
}

static void read_write_locks(char** unused) {
  (void)unused;
  pthread_t thread;
  void* result;
  say_error("write", pthread_rwlock_wrlock(&rwlock));
#ifdef __GLIBC__ /* musl waits for itself */
  say_error("again", pthread_rwlock_wrlock(&rwlock));
  say_error("read", pthread_rwlock_rdlock(&rwlock));
#endif
  MUST(pthread_create(&thread, NULL, try_both, &rwlock) == 0);
  MUST(pthread_join(thread, &result) == 0);
  say_error("another", (int)(long)result);
  say_error("unlock", pthread_rwlock_unlock(&rwlock));
  say_error("read", pthread_rwlock_rdlock(&rwlock));
  say_error("unlock", pthread_rwlock_unlock(&rwlock));
}

static pthread_mutex_t held;
static int is_made;

/* held_mutex: called twice, locks the first time and unlocks the second. */
static void held_mutex(char** unused) {
  (void)unused;
  if (!is_made++) {
    make_mutex(&held, PTHREAD_MUTEX_RECURSIVE, 0, 0, PTHREAD_PRIO_NONE);
    say_error("lock", pthread_mutex_lock(&held));
  } else {
    say_error("unlock", pthread_mutex_unlock(&held));
  }
}

const struct check lock_checks[] = {{"recursive_mutex", recursive_mutex},
                                    {"checked_mutex", checked_mutex},
                                    {"inherited_priority", inherited_priority},
                                    {"robust_in_a_thread", robust_in_a_thread},
                                    {"robust_in_a_process", robust_in_a_process},
                                    {"robust_main", robust_main},
                                    {"conditions", conditions},
                                    {"read_write_locks", read_write_locks},
                                    {"held_mutex", held_mutex},
                                    {NULL, NULL}};
