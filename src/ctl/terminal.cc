#include "ctl/terminal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

constexpr int kUsualColumns = 80;
constexpr int kLeastColumns = 40;  // the columns of the table take that much

}  // namespace

bool is_on_terminal() { return isatty(STDOUT_FILENO) != 0; }

Colours colours() {
  const char* unwanted = getenv("NO_COLOR");
  const char* terminal = getenv("TERM");
  if (!is_on_terminal() || (unwanted != nullptr && *unwanted != '\0') || terminal == nullptr ||
      strcmp(terminal, "dumb") == 0)
    return {};
  return {"\033[1m", "\033[36m", "\033[32m", "\033[33m", "\033[31m", "\033[0m"};
}

Size size_of_terminal() {
  Size size = {kUsualColumns, INT_MAX};
  winsize window = {};
  const char* columns = getenv("COLUMNS");
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) {
    size = {window.ws_col, window.ws_row};
  } else if (columns != nullptr && atoi(columns) > 0) {
    size.columns = atoi(columns);
  }
  if (size.columns < kLeastColumns) size.columns = kLeastColumns;
  return size;
}

}  // namespace moonlet::ctl
