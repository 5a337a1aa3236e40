// Lines of a label and phrases, as wide as there is room.
#pragma once

#include "ctl/terminal.h"
#include "ctl/text.h"

namespace moonlet::ctl {

/// Adds to a Text. A phrase is not divided: what does not fit begins a line, below the one before it.
class Lines {
 public:
  static constexpr int kLabelColumns = 11;

  Lines(Text& out, const Colours& colours, int columns) : out_(out), colours_(colours), columns_(columns) {}

  /// Begins a line with a label, or without one if that is "".
  void begin(const char* label);

  /// Adds a phrase behind the others, with `between` after the one before it, in `colour`. What is not fit to
  /// be printed is made so, and what is longer than a line is cut.
  void add(const char* phrase, const char* between = ", ", const char* colour = "");

  /// The same with a format of printf(3), for text that is this program's own.
  [[gnu::format(printf, 3, 4)]] void format(const char* colour, const char* format, ...);

  void end() { out_.add("\n"); }

  /// A line of a label and one phrase; none if that is "".
  void add_line(const char* label, const char* phrase);

 private:
  Text& out_;
  const Colours& colours_;
  int columns_;
  int indent_ = 0;
  int used_ = 0;
  bool is_first_ = true;
};

}  // namespace moonlet::ctl
