// The time zone: glibc reads $TZ once, at the first localtime_r(3); musl at each.
#pragma once

namespace moonlet::time_zone {

/// At the seal: remembers which zone the warm-up may have made glibc read.
void seal();

/// In a child, with its environment in place: has glibc read $TZ again if it has changed.
void thaw();

}  // namespace moonlet::time_zone
