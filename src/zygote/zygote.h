// A zygote: a warm image that hands out copies of itself. moonletd becomes one at the end of its warm-up.
#pragma once

#include "base/unique_fd.h"
#include "zygote/options.h"
#include "zygote/request.h"

struct lua_State;

namespace moonlet::zygote {

/// Seals the image of `L` and serves copies of it, as `options` tell, until it is told to stop: then it returns
/// null. In each child it returns what the client wants run: the child has become the client's process, the
/// client knows that its script has started, and nothing of that has run. Who calls it returns from there as
/// from fork(2). `inherited`: see Listener. Logs and exits with 1 where serving is not possible.
LaunchRequest* serve_image(lua_State* L, const Options& options, UniqueFd inherited);

}  // namespace moonlet::zygote
