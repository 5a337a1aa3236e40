#include "lua/host.h"

namespace {
moonlet::Host host;
}

moonlet::Host* moonlet_host() { return &host; }
