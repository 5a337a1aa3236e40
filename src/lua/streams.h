// The standard streams of stdio(3), which a script finds as if nobody had used them.
#pragma once

namespace moonlet::streams {

/// The warm-up chooses how `stream` is buffered, and so its scripts find it. Of what it has chosen by
/// writing, they find nothing.
void note_buffering(const void* stream);

/// Ends what the warm-up has begun: nothing is buffered in any stream, and none remembers an offset.
void seal();

/// In a child, with its descriptors in place: standard output is buffered as fits the child's descriptor,
/// unless the warm-up has chosen, and
/// standard input has seen neither its end nor an error.
void thaw();

}  // namespace moonlet::streams
