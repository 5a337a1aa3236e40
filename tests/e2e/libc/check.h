/* What the checks of libc (test_libc.py) have in common. Each is a function of Lua that returns text: facts
 * that hold in any process in the same way, such as "the thread sees 1", and none that is new each time, such
 * as an address. */
#ifndef CHECK_H
#define CHECK_H

struct check {
  const char* name;
  void (*run)(char** arguments); /* strings, NULL behind the last one */
};

/* Each ends with a nameless one. */
extern const struct check thread_checks[], lock_checks[], process_checks[], loading_checks[], memory_checks[],
    stack_checks[], signal_checks[], timer_checks[], exit_checks[], stream_checks[], lookup_checks[],
    fact_checks[];

/* Adds a line to what the check returns. */
void say(const char* format, ...) __attribute__((format(printf, 1, 2)));

/* Says what came of one step, from an errno: "lock: Success". */
void say_error(const char* step, int error);

/* Runs `act` in a forked child, and says what it says and how it ended. */
void say_of_child(void (*act)(void));

/* Says how a child ended, from its wait status. */
void say_end(const char* who, int status);

/* Waits for a child, also where signals interrupt. Returns its wait status. */
int wait_for(int pid);

/* Ends the process with a line on standard error: the check itself cannot go on. */
void give_up(const char* what) __attribute__((noreturn));

#define MUST(condition)                    \
  do {                                     \
    if (!(condition)) give_up(#condition); \
  } while (0)

#endif
