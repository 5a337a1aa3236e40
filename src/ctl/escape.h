// Bytes that somebody else has chosen, made harmless for where they shall be shown.
#pragma once

#include "ctl/text.h"

namespace moonlet::ctl {

/// Adds `size` bytes for a terminal: what could steer it, or hide or reorder what is shown, is written as an
/// escape of Lua's ("\27", "\n"), and so is each byte that is no UTF-8. Where `columns` would not do, the text
/// is cut and ends in
/// "...". Returns how many columns it takes at most.
int add_printable(Text& out, const char* bytes, size_t size, int columns);

/// Adds `size` bytes as a string of JSON (RFC 8259), quotes included. A byte that is no UTF-8 becomes the
/// character with its number, "\u00XX".
void add_json_string(Text& out, const char* bytes, size_t size);

/// Whether this terminal is told to take UTF-8, by the variables of the locale.
bool terminal_takes_utf8();

}  // namespace moonlet::ctl
