/* launches COUNT AT_ONCE PROGRAM [ARGUMENT...]: runs the program that often, so many at a time, and prints how
 * often it ended with which status ("7 19998"; a death by a signal is negative). */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

enum { MOST = 256 };
static long counts[2 * MOST]; /* by status + MOST */

static void fail(const char* what) {
  perror(what);
  exit(1);
}

static void start(char** argv) {
  pid_t pid;
  if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) != 0) fail("launches: start");
}

static void take_one(void) {
  int status;
  if (wait(&status) < 0) fail("launches: wait");
  counts[MOST + (WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status))]++;
}

int main(int argc, char** argv) {
  long count, at_once, started;
  int i;
  if (argc < 4) {
    fputs("usage: launches COUNT AT_ONCE PROGRAM [ARGUMENT...]\n", stderr);
    return 1;
  }
  count = atol(argv[1]);
  at_once = atol(argv[2]);
  for (started = 0; started < count; started++) {
    if (started >= at_once) take_one();
    start(argv + 3);
  }
  for (i = 0; i < at_once && i < count; i++) take_one();
  for (i = 0; i < 2 * MOST; i++) {
    if (counts[i] != 0) printf("%d %ld\n", i - MOST, counts[i]);
  }
  return 0;
}
