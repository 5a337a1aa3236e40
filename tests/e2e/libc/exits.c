/* What runs at the end, and in which order. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

static void write_line(const char* line) { MUST(write(1, line, strlen(line)) == (ssize_t)strlen(line)); }

static int calls;
static void first(void) { write_line("first\n"); }
static void second(void) {
  write_line("second\n");
  atexit(first); /* one more, from within */
}
static void third(void) { printf("third %d, in a buffer\n", calls); }
#ifdef __GLIBC__
static void with_status(int status, void* argument) {
  char line[100];
  snprintf(line, sizeof line, "status %d %s\n", status, (char*)argument);
  write_line(line);
}
#endif

/* at_exit: registers. What the warm-up has registered runs at each launch's end, behind what the script
 * registers. */
static void at_exit(char** unused) {
  (void)unused;
  calls++;
  MUST(atexit(first) == 0 && atexit(second) == 0 && atexit(third) == 0);
}

/* on_exits: for a script that leaves by os.exit, as its end unloads this module before. */
static void on_exits(char** unused) {
  (void)unused;
#ifdef __GLIBC__
  MUST(on_exit(with_status, "of on_exit") == 0);
#endif
}

static char noted[4096];

static void note_the_end(void) {
  int fd = open(noted, O_WRONLY | O_CREAT | O_APPEND, 0600);
  MUST(fd >= 0 && write(fd, "C ", 2) == 2);
  close(fd);
}

/* note_at_exit(path): adds to a file. */
static void note_at_exit(char** arguments) {
  snprintf(noted, sizeof noted, "%s", arguments[0]);
  MUST(atexit(note_the_end) == 0);
}

static void quickly(void) { write_line("quickly\n"); }

static void quick_exits(char** arguments) {
  MUST(at_quick_exit(quickly) == 0);
  if (arguments[0] != NULL) quick_exit(atoi(arguments[0]));
}

static void* exit_here(void* status) { exit(atoi(status)); }

static void exit_of_a_thread(char** arguments) {
  pthread_t thread;
  MUST(pthread_create(&thread, NULL, exit_here, arguments[0]) == 0);
  for (;;) pause();
}

static pthread_t main_thread;
static const char* how;

/* Waits for the main thread, says so, and ends as it was told. */
static void* outlive(void* argument) {
  (void)argument;
  void* result = NULL;
  int error = pthread_join(main_thread, &result);
  char line[100];
  int size = snprintf(line, sizeof line, "main ended: %d, cancelled: %d\n", error, result == PTHREAD_CANCELED);
  MUST(write(1, line, (size_t)size) == size);
  if (!strcmp(how, "exit")) exit(5);
  if (!strcmp(how, "abort")) abort();
  return NULL; /* the last thread: the process exits with 0 */
}

/* exit_of_main(how): the main thread ends, and another one goes on. */
static void exit_of_main(char** arguments) {
  pthread_t thread;
  how = arguments[0];
  main_thread = pthread_self();
  MUST(pthread_create(&thread, NULL, outlive, NULL) == 0);
  pthread_exit((void*)7);
}

static void* cancel_main(void* argument) {
  pthread_cancel(main_thread);
  return outlive(argument);
}

/* cancel_of_main(how): likewise, by the other thread. */
static void cancel_of_main(char** arguments) {
  pthread_t thread;
  how = arguments[0];
  main_thread = pthread_self();
  MUST(pthread_create(&thread, NULL, cancel_main, NULL) == 0);
  for (;;) pause();
}

static void exit_in_handler(void) { _exit(17); }

static void exit_in_exit(char** unused) {
  (void)unused;
  MUST(atexit(exit_in_handler) == 0);
}

__attribute__((destructor)) static void destructor(void) { write_line("destructor of libc_probe\n"); }

const struct check exit_checks[] = {{"at_exit", at_exit},
                                    {"on_exits", on_exits},
                                    {"note_at_exit", note_at_exit},
                                    {"quick_exits", quick_exits},
                                    {"exit_of_a_thread", exit_of_a_thread},
                                    {"exit_of_main", exit_of_main},
                                    {"cancel_of_main", cancel_of_main},
                                    {"exit_in_exit", exit_in_exit},
                                    {NULL, NULL}};
