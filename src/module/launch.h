// The launch itself, without Lua: through the server, or by the real lua.
#pragma once

#include "module/handle.h"
#include "protocol/outgoing_request.h"
#include "protocol/refusal.h"
#include "protocol/socket_path.h"

namespace moonlet::module_of_lua {

/// Connects to the server at `address` and sends `request`, but for its descriptors, which are those of
/// `handle`. True when all is sent: the answer follows. Else `refusal` says why nothing runs.
bool ask_server(Handle& handle, const protocol::SocketAddress& address, protocol::OutgoingRequest& request,
                protocol::Refusal& refusal);

/// Takes one report of the server's answer. True as long as there is none that decides: then the script's pid
/// is known, or `refusal`, where `doing` is null until then, says why it does not run.
bool await_answer(Handle& handle, const protocol::SocketAddress& address, protocol::Refusal& refusal);

/// The interpreter that runs scripts where no moonletd does, or null where there shall be none.
const char* fallback();

/// Runs `interpreter`, searched on $PATH, as a child, with what `handle` passes. False if it could not be
/// started: `refusal` says why.
bool run_fallback(Handle& handle, const char* interpreter, char** argv, char** environment,
                  protocol::Refusal& refusal);

}  // namespace moonlet::module_of_lua
