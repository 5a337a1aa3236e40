// What a reader of the figures should know beside them, and reads behind them.
#pragma once

namespace moonlet::bench {

/// Keeps the formatted text (printf(3)), of one line or more, without an end of line, until print_notes().
[[gnu::format(printf, 1, 2)]] void note(const char* format, ...);

/// Prints all notes to standard output, each behind "note: ".
void print_notes();

}  // namespace moonlet::bench
