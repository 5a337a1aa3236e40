// How the load test ends when it cannot go on.
#pragma once

namespace moonlet::load {

/// Prints "load: " and the text, which is as for printf(3), and ends with status 1. What was started ends then
/// too: the moonletds by a signal, the scripts at the end of their input.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace moonlet::load
