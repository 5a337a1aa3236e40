#include "ctl/answer.h"

#include "ctl/escape.h"

#include <limits.h>
#include <string.h>

namespace moonlet::ctl {

Text command_line(const protocol::RunningScript& script) {
  const char* const end = script.command.data + script.command.size;
  Text line;
  for (const char* at = protocol::first_argument(script); at < end; at += strlen(at) + 1) {
    if (line.size() > 0) line.add(" ");
    line.add(at);
  }
  return line;
}

Text printable(const protocol::Problem& problem) {
  Text text;
  add_printable(text, problem.text, strlen(problem.text), INT_MAX);
  return text;
}

}  // namespace moonlet::ctl
