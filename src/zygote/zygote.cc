#include "zygote/zygote.h"

#include "base/layout.h"
#include "lua/command_line.h"
#include "lua/host.h"
#include "lua/lua_api.h"
#include "lua/modules.h"
#include "lua/sealed_heap.h"
#include "lua/state.h"
#include "zygote/become.h"
#include "zygote/descriptors.h"
#include "zygote/freezer.h"
#include "zygote/layer.h"
#include "zygote/listener.h"
#include "zygote/log.h"
#include "zygote/page_tables.h"
#include "zygote/parts.h"
#include "zygote/renewal.h"
#include "zygote/serve.h"
#include "zygote/watch.h"

#include <unistd.h>

namespace moonlet::zygote {

namespace {

lua_State* served = nullptr;
uid_t owner = 0;

// Whoever may connect gets a copy of root's memory.
void warn_of_others(Listener& listener) {
  if (has_warm_descriptors()) {
    listener.stop();
    fail("the warm-up left descriptors open: not for other users");
  }
  log_line("other users can read what the warm-up left in memory");
}

// In a child, before it waits for anything.
void prepare_child(int channel, bool is_spare) {
  leave_server(channel);
  heap::prefault();
  warm::freshen(served);
  if (is_spare) warm::rehearse(served);
}

// In a child that tells the status.
void describe(int connection) {
  modules::describe(served, connection);
  watch::describe(connection);
}

// In a child: makes it the client's process.
LaunchRequest* become_launch(Accepted& accepted) {
  MOONLET_OPEN_ENDED static constinit LaunchRequest request = {};
  become(accepted, request);
  const interpreter::Outline outline = interpreter::outline(request.argv);
  if (outline.invalid || outline.interactive)
    decline(accepted, false, "only lua itself explains options, or is interactive");
#if defined(MOONLET_LUAJIT)
  if (outline.other_engine_options) decline(accepted, false, "-b, -j and -O are for a process of their own");
#endif
  if (const char* problem = warm::thaw(served, outline.ignores_environment))
    decline(accepted, false, "%s", problem);
  moonlet_host()->warm = true;
  if (kServesOtherUsers && accepted.peer.uid != owner) layer::forget();
  layer::begin_script();
  start(accepted, request);
  return &request;
}

}  // namespace

LaunchRequest* serve_image(lua_State* L, const Options& options, UniqueFd inherited) {
  served = L;
  owner = geteuid();
  layer::announce();
  warm::seal(L);
  if (const char* module = modules::relative())
    log_line("module '%s' came from a relative path: no warm modules in other directories", module);
  Listener listener(static_cast<UniqueFd&&>(inherited), options.socket, static_cast<mode_t>(options.mode));
  if (kServesOtherUsers && owner == 0 && listener.is_for_others()) warn_of_others(listener);
  const int signals = open_signals(handover.mask);
  prepare_children(options.compare_clients);
  repeat_hangup();
  // A layer has those of the image below, whose pages it shares.
  if (!layer::is_layer()) keep_page_tables();
  log_line("serving %s at %s", MOONLET_LUA_NAME, listener.name());
  if (!layer::is_layer()) start_freezer();  // a layer holds what a script has made, and nothing tells how
  announce_ready(options.ready_fd);
  open_standard_descriptors();  // should that have been one of them
  Accepted accepted;
  if (serve(listener, signals,
            {options.max, options.spare, options.reexec_every, options.idle_exit, prepare_child, describe},
            accepted)) {
    listener.abandon();
    return become_launch(accepted);
  }
  listener.stop();
  return nullptr;
}

}  // namespace moonlet::zygote
