// What getpid(2) answers while a warm-up runs: a number that no process has, so that whoever remembers it finds
// in each launch that he is another process. Libraries draw fresh random numbers then.
#pragma once

namespace moonlet::freeze {

/// From now on getpid(2) tells the truth.
void reveal_process_id();

}  // namespace moonlet::freeze
