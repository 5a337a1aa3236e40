// What keeps a process from being frozen, for whoever wants it frozen.
#pragma once

namespace moonlet::image {

/// Writes "moonlet: freeze: ", the text (printf(3)) and the end of a line to standard error. Returns 1: what
/// callers count.
[[gnu::format(printf, 1, 2)]] int complain(const char* format, ...);

}  // namespace moonlet::image
