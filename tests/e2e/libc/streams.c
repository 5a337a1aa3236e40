/* stdio, and what is said through it by others. */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>
#include <wchar.h>
#ifdef __GLIBC__
#include <error.h>
#endif

#include "check.h"

/* mixed: through the buffer and past it. The order tells how standard output is buffered. */
static void mixed(char** unused) {
  (void)unused;
  fputs("buffered\n", stdout);
  MUST(write(1, "direct\n", 7) == 7);
  fputs("half a line", stdout);
  MUST(write(1, "direct\n", 7) == 7);
  fputs(" and the rest\n", stdout);
  fputs("to standard error\n", stderr);
  MUST(write(1, "direct\n", 7) == 7);
}

static void put_back(char** unused) {
  (void)unused;
  int c = getc(stdin);
  say("read %c, put back %c", c, ungetc('X', stdin));
  char line[100] = "";
  say("line %s", fgets(line, sizeof line, stdin) ? line : "none");
}

/* read_line: what it has read ahead goes back to a file at the end. */
static void read_line(char** unused) {
  (void)unused;
  char* line = NULL;
  size_t size = 0;
  ssize_t length = getline(&line, &size, stdin);
  say("%zd %s", length, length > 0 ? line : "");
  free(line);
}

static void memory_streams(char** unused) {
  (void)unused;
  char *text = NULL, word[20] = "";
  size_t size = 0;
  int number = 0;
  double fraction = 0;
  FILE* file = open_memstream(&text, &size);
  MUST(file != NULL);
  fprintf(file, "%s %d %.2f", "word", 7, 2.5);
  fclose(file);
  say("%zu %s", size, text);
  file = fmemopen(text, size, "r");
  MUST(file != NULL && fscanf(file, "%19s %d %lf", word, &number, &fraction) == 3);
  fclose(file);
  say("%s %d %.2f", word, number, fraction);
  free(text);
#ifdef __GLIBC__
  MUST(asprintf(&text, "%ls %n%5.1f|%-8s|%+d", L"wide", &number, 1.25, "left", 3) > 0);
#else
  MUST(asprintf(&text, "%ls %5.1f|%-8s|%+d", L"wide", 1.25, "left", 3) > 0);
#endif
  say("%s", text);
  free(text);
}

static void temporary_files(char** unused) {
  (void)unused;
  char name[] = "/tmp/moonlet-test-XXXXXX", other[] = "/tmp/moonlet-test-XXXXXX",
       directory[] = "/tmp/moonlet-test-XXXXXX";
  char line[20] = "";
  FILE* file = tmpfile();
  MUST(file != NULL && fputs("temporary", file) >= 0);
  rewind(file);
  say("%s", fgets(line, sizeof line, file));
  fclose(file);
  int fd = mkstemp(name), second = mkostemp(other, O_CLOEXEC);
  struct stat status;
  MUST(fd >= 0 && second >= 0 && fstat(fd, &status) == 0);
  say("two: %d, mode %o", strcmp(name, other) != 0, status.st_mode);
  say("gone: %d", unlink(name) == 0 && unlink(other) == 0);
  close(fd), close(second);
  MUST(mkdtemp(directory) != NULL);
  say("gone: %d", rmdir(directory));
}

/* unfinished(path): a stream that nobody closes: its buffer is written at the end. */
static void unfinished(char** arguments) {
  FILE* file = fopen(arguments[0], "a");
  MUST(file != NULL && fputs("not flushed\n", file) >= 0);
}

static void numbers(char** unused) {
  (void)unused;
  char* end;
  long double pi = 3.14159265358979323846264338327950288L;
  say("%.25Lf %Le %La", pi, pi * 1e100L, 1.5L);
  say("%.17g %a %g %g", 0.1, 0.1, 1.0 / 0.0, 5e-324);
  say("%.20Lg", strtold("2.718281828459045235360287471352662498", &end));
  say("%a %a", strtod("0x1.8p3", &end), strtod("1e400", &end));
  say("%s", strerror(errno));
  say("%ld %lx %s", strtol("-0777", &end, 0), strtoul("ffffzz", &end, 16), end);
  say("%d", atoi("123abc"));
}

/* options(argument...): getopt says on standard error, under the program's name, what is wrong. */
static void options(char** arguments) {
  char* argv[10] = {"lua"};
  int argc = 1, option;
  static const struct option names[] = {
      {"all", no_argument, NULL, 'a'}, {"file", required_argument, NULL, 'f'}, {NULL, 0, NULL, 0}};
  for (; arguments[argc - 1] != NULL; argc++) argv[argc] = arguments[argc - 1];
  optind = 0; /* anew, in both libcs */
  while ((option = getopt_long(argc, argv, "af:", names, NULL)) != -1)
    say("option %c %s", option, optarg ? optarg : "");
  for (; optind < argc; optind++) say("operand %s", argv[optind]);
}

/* Messages under the name that this process was started by. */
static void named_messages(char** unused) {
  (void)unused;
  fflush(stdout);
  errno = EACCES;
  warn("%s", "warned");
  warnx("%s", "warned");
  errno = ENOENT;
  perror("perror");
#ifdef __GLIBC__
  error(0, ENOENT, "%d", 1);
  error_at_line(0, 0, "file", 7, "%d", 2);
  say("names: %s %s", program_invocation_name, program_invocation_short_name);
#endif
}

static void error_and_exit(char** unused) {
  (void)unused;
#ifdef __GLIBC__
  error(7, EACCES, "the end");
#else
  errno = EACCES;
  err(7, "the end");
#endif
}

/* Whether or not there is a daemon. */
static void log_messages(char** unused) {
  (void)unused;
  syslog(LOG_DEBUG | LOG_USER, "moonlet's tests: under its own name");
  openlog("moonlet-test", LOG_PERROR, LOG_USER);
  errno = EACCES;
  syslog(LOG_DEBUG, "moonlet's tests: %d %m", 5);
  setlogmask(LOG_UPTO(LOG_ERR));
  syslog(LOG_DEBUG, "not shown");
  setlogmask(LOG_UPTO(LOG_DEBUG));
  closelog();
}

/* assertion: ends with abort, and a message under the program's name. */
static void assertion(char** unused) {
  (void)unused;
#ifdef __GLIBC__
  extern void __assert_fail(const char*, const char*, unsigned, const char*) __attribute__((noreturn));
  __assert_fail("1 == 2", "file.c", 3, "function");
#else
  abort();
#endif
}

/* heap_fault: malloc finds a block that is freed twice, and aborts. */
static void heap_fault(char** unused) {
  (void)unused;
#ifdef __GLIBC__
  void (*volatile release)(void*) = free;
  char* block = malloc(3000);
  MUST(block != NULL);
  release(block + 8);
#else
  abort();
#endif
}

const struct check stream_checks[] = {{"mixed", mixed},
                                      {"put_back", put_back},
                                      {"read_line", read_line},
                                      {"memory_streams", memory_streams},
                                      {"temporary_files", temporary_files},
                                      {"unfinished", unfinished},
                                      {"numbers", numbers},
                                      {"options", options},
                                      {"named_messages", named_messages},
                                      {"error_and_exit", error_and_exit},
                                      {"log_messages", log_messages},
                                      {"assertion", assertion},
                                      {"heap_fault", heap_fault},
                                      {NULL, NULL}};
