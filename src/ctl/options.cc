#include "ctl/options.h"

#include "ctl/fail.h"
#include "protocol/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace moonlet::ctl {

namespace {

constexpr char kHelp[] =
    "usage: moonletctl [--socket PATH] --status[=json] | --top | --reload\n"
#if defined(MOONLET_WARM)
    "       moonletctl --images [IMAGE...] | --forget\n"
    "       moonletctl --wrap PROGRAM [-o FILE] [-- ARGUMENTS]\n"
#endif
    "       moonletctl run [--socket PATH] [--argv0 NAME] [lua's options] script [args]\n"
    "Tells how a moonletd is, has it load its modules anew, or has it run a script.\n"
    "  --socket PATH  where moonletd listens; else $MOONLET_SOCKET,\n"
    "                 $XDG_RUNTIME_DIR/" MOONLET_SOCKET_NAME ", /run/" MOONLET_SOCKET_NAME
    "\n"
    "  --status       print how it is, what is warm, and which scripts run\n"
    "  --status=json  the same, for programs\n"
    "  --top          show it each second, until q is typed\n"
    "  --reload       have the warm-up run anew, and wait until it has\n"
#if defined(MOONLET_WARM)
    "  --images       print which images of MOONLET_WARM there are, or what these are\n"
    "  --forget       remove them\n"
    "  --wrap PROGRAM write a file that starts PROGRAM with its modules warm;\n"
    "                 ARGUMENTS are what it is tried with\n"
    "  -o FILE        that file; else ~/.local/bin/PROGRAM\n"
#endif
    "  --help         show this text\n"
    "  --version      show the version\n"
    "  run            run a script as moonlet does, but in a process that moonletd forks\n"
    "  --argv0 NAME   the name of the interpreter in the script's arg, else " MOONLET_FALLBACK_NAME
    "\n"
    "moonlet takes the options with -- too, but for the last. See moonletctl(1).\n";

struct TaskOption {
  const char* name;
  Task task;
};
constexpr TaskOption kTasks[] = {
    {"--status", Task::kStatus}, {"--status=json", Task::kStatusAsJson},
    {"--top", Task::kTop},       {"--reload", Task::kReload},
#if defined(MOONLET_WARM)
    {"--images", Task::kImages}, {"--forget", Task::kForget},
#endif
};

[[noreturn]] void print_and_exit(const char* text) {
  const bool printed = fputs(text, stdout) >= 0 && fflush(stdout) == 0;
  exit(printed ? EXIT_SUCCESS : protocol::kOwnFailure);
}

const TaskOption* find_task(const char* argument) {
  for (const TaskOption& it : kTasks) {
    if (strcmp(argument, it.name) == 0) return &it;
  }
  return nullptr;
}

}  // namespace

Options read_options(char** argv) {
  const TaskOption* task = nullptr;
  const char* socket = nullptr;
  for (char** argument = argv + 1; *argument != nullptr; argument++) {
    const TaskOption* wanted = find_task(*argument);
    if (wanted != nullptr) {
      if (task != nullptr) fail("%s and %s: one at a time", task->name, wanted->name);
      task = wanted;
    } else if (strcmp(*argument, "--help") == 0) {
      print_and_exit(kHelp);
    } else if (strcmp(*argument, "--version") == 0) {
      print_and_exit("moonletctl " MOONLET_VERSION " (" MOONLET_LUA_NAME ")\n");
    } else if (strncmp(*argument, "--socket=", 9) == 0) {
      socket = *argument + 9;
    } else if (strcmp(*argument, "--socket") == 0) {
      if (argument[1] == nullptr) fail("--socket: a path must follow");
      socket = *++argument;
    } else {
      fail("'%s' is not expected here (see moonletctl --help)", *argument);
    }
  }
  if (task == nullptr) fail("what shall be done? (see moonletctl --help)");
  return {task->task, socket};
}

}  // namespace moonlet::ctl
