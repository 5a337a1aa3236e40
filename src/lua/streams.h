// The standard streams of stdio(3), which a script finds as if nobody had used them.
#pragma once

namespace moonlet::streams {

/// Ends what the warm-up has begun: nothing is buffered in any stream, and none remembers an offset.
void seal();

/// In a child, with its descriptors in place: standard output is buffered as fits the child's descriptor, and
/// standard input has seen neither its end nor an error.
void thaw();

}  // namespace moonlet::streams
