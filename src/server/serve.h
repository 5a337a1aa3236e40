// The server: accept, fork, reap. It leaves everything that a request says to the child, and everything about
// the image to the keeper.
#pragma once

namespace moonlet::server {

struct Bulletin;
class Listener;

/// How to serve.
struct Terms {
  int max;            // launches at once; 0: as many as there are descriptors for
  const char* image;  // its path, for the status
};

/// Serves on `listener`, with `signals`, a signalfd that tells of SIGCHLD, after child::prepare_children().
/// Ends when the other end of `keeper` has closed: then nobody is listened to any more, and it returns when the
/// last script has ended, whose client has been told. `bulletin`: shared with the keeper.
void serve(Listener& listener, int signals, int keeper, Bulletin& bulletin, const Terms& terms);

}  // namespace moonlet::server
