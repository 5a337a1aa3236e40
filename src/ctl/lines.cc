#include "ctl/lines.h"

#include "ctl/escape.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

namespace moonlet::ctl {

void Lines::begin(const char* label) {
  indent_ = *label != '\0' ? kLabelColumns : 2;
  used_ = 0;
  is_first_ = true;
  if (*label == '\0') return;
  out_.format("%s%s%s", colours_.label, label, colours_.off);
  out_.add_spaces(kLabelColumns - static_cast<int>(strlen(label)));
  used_ = kLabelColumns;
}

void Lines::add(const char* phrase, const char* between, const char* colour) {
  Text printable;
  const int width = add_printable(printable, phrase, strlen(phrase), columns_ - indent_);
  if (!is_first_) {
    // The space at its end goes where the line does.
    const auto length = static_cast<int>(strlen(between));
    const bool has_space = length > 0 && between[length - 1] == ' ';
    out_.add(between, static_cast<size_t>(has_space ? length - 1 : length));
    used_ += length;
    if (used_ + width > columns_ - 1) {  // a comma may follow
      out_.add("\n");
      out_.add_spaces(indent_);
      used_ = indent_;
    } else if (has_space) {
      out_.add(" ");
    }
  }
  is_first_ = false;
  used_ += width;
  if (*colour != '\0') out_.add(colour);
  out_.add(printable);
  if (*colour != '\0') out_.add(colours_.off);
}

void Lines::format(const char* colour, const char* format, ...) {
  char phrase[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(phrase, sizeof phrase, format, arguments);
  va_end(arguments);
  add(phrase, ", ", colour);
}

void Lines::add_line(const char* label, const char* phrase) {
  if (*phrase == '\0') return;
  begin(label);
  add(phrase);
  end();
}

}  // namespace moonlet::ctl
