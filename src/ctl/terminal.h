// The terminal that somebody reads on, if there is one.
#pragma once

namespace moonlet::ctl {

/// What turns a colour on; "" where there shall be none.
struct Colours {
  const char* title = "";
  const char* label = "";
  const char* good = "";
  const char* attention = "";
  const char* bad = "";
  const char* off = "";
};

/// Whether standard output is a terminal.
bool is_on_terminal();

/// Colours for a terminal, unless $NO_COLOR is set and not empty (no-color.org), or $TERM says that it knows
/// none.
Colours colours();

/// How wide and how high the terminal is. Without one $COLUMNS, else 80, and no limit of the height.
struct Size {
  int columns;
  int rows;
};
Size size_of_terminal();

}  // namespace moonlet::ctl
