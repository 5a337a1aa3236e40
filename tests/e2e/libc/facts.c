/* What a process knows of itself: auxiliary vector, environment, processor, /proc. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "check.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

extern char** environ;

static void auxiliary(char** unused) {
  (void)unused;
  const struct {
    const char* name;
    unsigned long type;
  } numbers[] = {
      {"page size", AT_PAGESZ}, {"ticks", AT_CLKTCK}, {"secure", AT_SECURE},           {"user", AT_UID},
      {"effective", AT_EUID},   {"group", AT_GID},    {"effective", AT_EGID},          {"processor", AT_HWCAP},
      {"and more", AT_HWCAP2},  {"flags", AT_FLAGS},  {"signal stack", AT_MINSIGSTKSZ}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    say("%s: %lx", numbers[i].name, getauxval(numbers[i].type));
  const char* platform = (const char*)getauxval(AT_PLATFORM);
  say("platform: %s", platform != NULL ? platform : "none");
  errno = 0;
  say("no such: %lu", getauxval(9999));
  say("%s", strerror(errno));
  const unsigned char* program = (const unsigned char*)getauxval(AT_PHDR);
  say("headers: %d, of %lu bytes, some: %d", program != NULL, getauxval(AT_PHENT), getauxval(AT_PHNUM) > 0);
  say("entry: %d", getauxval(AT_ENTRY) != 0);
}

static void executed_name(char** unused) {
  (void)unused;
  const char* name = (const char*)getauxval(AT_EXECFN);
  say("%s", name != NULL ? name : "none");
}

/* The 16 bytes that the kernel gives to each program. */
static void random_bytes(char** unused) {
  (void)unused;
  const unsigned char* bytes = (const unsigned char*)getauxval(AT_RANDOM);
  char shown[33] = "";
  MUST(bytes != NULL);
  for (int i = 0; i < 16; i++) sprintf(shown + 2 * i, "%02x", bytes[i]);
  say("%s", shown);
}

static void show_environment(const char* when) {
  int count = 0;
  for (char** at = environ; at != NULL && *at != NULL; at++) count++;
  say("%s: %d", when, count);
}

static int by_text(const void* a, const void* b) { return strcmp(*(char* const*)a, *(char* const*)b); }

static void variables(char** unused) {
  (void)unused;
  static char put[] = "LIBC_PROBE_PUT=put";
  say("home: %s, %s", getenv("HOME"), secure_getenv("HOME") != NULL ? secure_getenv("HOME") : "none");
  say("set: %d", setenv("LIBC_PROBE_SET", "set", 1));
  say("kept: %d", setenv("LIBC_PROBE_SET", "other", 0));
  say("put: %d", putenv(put));
  say("%s %s", getenv("LIBC_PROBE_SET"), getenv("LIBC_PROBE_PUT"));
  memcpy(put + sizeof put - 4, "new", 3);
  say("%s", getenv("LIBC_PROBE_PUT"));
  fflush(stdout);
  say_end("a command", system("[ $LIBC_PROBE_SET = set ] && [ $LIBC_PROBE_PUT = new ]"));
  for (int i = 0; i < 300; i++) {
    char name[30];
    snprintf(name, sizeof name, "LIBC_PROBE_%d", i);
    MUST(setenv(name, name, 1) == 0);
  }
  say("%s", getenv("LIBC_PROBE_299"));
  for (int i = 0; i < 300; i++) {
    char name[30];
    snprintf(name, sizeof name, "LIBC_PROBE_%d", i);
    MUST(unsetenv(name) == 0);
  }
  memcpy(put + sizeof put - 4, "put", 3);
  MUST(unsetenv("LIBC_PROBE_SET") == 0 && unsetenv("LIBC_PROBE_PUT") == 0);
}

/* Each variable but those that tell moonlet and lua where they are. */
static void list_variables(char** unused) {
  (void)unused;
  size_t count = 0;
  while (environ != NULL && environ[count] != NULL) count++;
  char** sorted = malloc((count + 1) * sizeof *sorted);
  MUST(sorted != NULL);
  for (size_t i = 0; i < count; i++) sorted[i] = environ[i];
  qsort(sorted, count, sizeof *sorted, by_text);
  for (size_t i = 0; i < count; i++) say("%s", sorted[i]);
  free(sorted);
}

/* clear: the environment is empty, and can be filled. A child gets it so. */
static void clear(char** unused) {
  (void)unused;
  show_environment("some before");
  say("clear: %d", clearenv());
  show_environment("after");
  say("home: %d", getenv("HOME") == NULL);
  MUST(setenv("ONLY", "this", 1) == 0);
  show_environment("filled");
  fflush(stdout);
  say_end("a command", system("[ \"$ONLY\" = this ] && [ -z \"$HOME\" ]"));
}

#ifdef __GLIBC__
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned __rseq_size __attribute__((weak));

static long registered_cpu(void) {
  if (&__rseq_size == NULL || __rseq_size == 0) return -1;
  const char* self = __builtin_thread_pointer();
  return *(const volatile uint32_t*)(self + __rseq_offset + 4);
}
#endif

static unsigned kernel_cpu(void) {
  unsigned cpu = 0;
  syscall(SYS_getcpu, &cpu, NULL, NULL);
  return cpu;
}

static void* cpu_of_thread(void* wrong) {
  *(int*)wrong += sched_getcpu() != (int)kernel_cpu();
  return NULL;
}

/* Pinned to each processor in turn. */
static void processors(char** unused) {
  (void)unused;
  cpu_set_t allowed, one;
  int wrong = 0, wrong_in_threads = 0, wrong_registered = 0;
  MUST(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
  for (int turn = 0; turn < 2; turn++)
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
      if (!CPU_ISSET(cpu, &allowed)) continue;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      MUST(sched_setaffinity(0, sizeof one, &one) == 0);
      wrong += sched_getcpu() != cpu;
#ifdef __GLIBC__
      long registered = registered_cpu();
      wrong_registered += registered != -1 && registered != cpu;
#endif
      pthread_t thread;
      MUST(pthread_create(&thread, NULL, cpu_of_thread, &wrong_in_threads) == 0);
      MUST(pthread_join(thread, NULL) == 0);
    }
  MUST(sched_setaffinity(0, sizeof allowed, &allowed) == 0);
  say("wrong: %d, in threads: %d, registered: %d", wrong, wrong_in_threads, wrong_registered);
  say("allowed: %d, online: %ld, there: %ld", CPU_COUNT(&allowed), sysconf(_SC_NPROCESSORS_ONLN),
      sysconf(_SC_NPROCESSORS_CONF));
}

static void system_facts(char** unused) {
  (void)unused;
  struct utsname names;
  struct sysinfo info;
  struct rlimit limit;
  struct rusage usage;
  char host[256] = "", directory[4096] = "";
  MUST(uname(&names) == 0 && gethostname(host, sizeof host) == 0 && sysinfo(&info) == 0);
  say("%s %s %s %s", names.sysname, names.release, names.machine, host);
  say("page %ld %d, memory %ld, open %ld, args %ld", sysconf(_SC_PAGESIZE), getpagesize(),
      sysconf(_SC_PHYS_PAGES), sysconf(_SC_OPEN_MAX), sysconf(_SC_ARG_MAX));
  MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  say("files: %lu, table: %d", (unsigned long)limit.rlim_cur, getdtablesize());
  say("in %s", getcwd(directory, sizeof directory));
  say("usage: %d", getrusage(RUSAGE_SELF, &usage));
#ifdef _SC_SIGSTKSZ
  say("signal stack: %ld", sysconf(_SC_SIGSTKSZ));
#endif
}

/* of_status(name...): lines of /proc/self/status. */
static void of_status(char** arguments) {
  char line[512];
  FILE* status = fopen("/proc/self/status", "r");
  MUST(status != NULL);
  while (fgets(line, sizeof line, status))
    for (char** name = arguments; *name != NULL; name++)
      if (!strncmp(line, *name, strlen(*name)) && line[strlen(*name)] == ':')
        say("%.*s", (int)strcspn(line, "\n"), line);
  fclose(status);
}

static void process_facts(char** unused) {
  (void)unused;
  say("one thread: %d", access("/proc/self/task", F_OK));
  DIR* tasks = opendir("/proc/self/task");
  MUST(tasks != NULL);
  int count = 0;
  for (struct dirent* entry; (entry = readdir(tasks));) count += entry->d_name[0] != '.';
  closedir(tasks);
  say("tasks: %d", count);
  int death_signal = -1, is_subreaper = -1;
  MUST(prctl(PR_GET_PDEATHSIG, &death_signal) == 0 && prctl(PR_GET_CHILD_SUBREAPER, &is_subreaper) == 0);
  say("dumpable %d, death signal %d, subreaper %d", prctl(PR_GET_DUMPABLE), death_signal, is_subreaper);
  say("slack %d, no new privileges %d, keep capabilities %d", prctl(PR_GET_TIMERSLACK),
      prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_KEEPCAPS));
  char line[512], *stack = NULL;
  FILE* maps = fopen("/proc/self/maps", "r");
  MUST(maps != NULL);
  int writable_code = 0;
  while (fgets(line, sizeof line, maps)) {
    if (strstr(line, "[stack]")) stack = strdup(strchr(line, ' '));
    writable_code += strstr(line, " rwx") != NULL;
  }
  fclose(maps);
  say("stack: %.5s, writable code: %d", stack != NULL ? stack : "none", writable_code);
  free(stack);
}

const struct check fact_checks[] = {{"auxiliary", auxiliary},
                                    {"executed_name", executed_name},
                                    {"random_bytes", random_bytes},
                                    {"variables", variables},
                                    {"list_variables", list_variables},
                                    {"clear", clear},
                                    {"processors", processors},
                                    {"system_facts", system_facts},
                                    {"of_status", of_status},
                                    {"process_facts", process_facts},
                                    {NULL, NULL}};
