#include "ctl/json.h"

#include "ctl/escape.h"

#include <inttypes.h>
#include <string.h>

namespace moonlet::ctl {

namespace {

void add_string(Text& out, const char* name, const char* value) {
  out.format("\"%s\": ", name);
  add_json_string(out, value, strlen(value));
}

void add_number(Text& out, const char* name, uint64_t value) { out.format("\"%s\": %" PRIu64, name, value); }

void add_number_or_null(Text& out, const char* name, uint64_t value, bool known) {
  if (known) return add_number(out, name, value);
  out.format("\"%s\": null", name);
}

void add_names(Text& out, const char* name, const protocol::Names& names) {
  out.format("\"%s\": [", name);
  const char* at = names.first;
  for (uint32_t i = 0; i < names.count; i++, at = next(at)) {
    if (i > 0) out.add(", ");
    add_json_string(out, at, strlen(at));
  }
  out.add("]");
}

void add_command(Text& out, const Script& script) {
  if (!script.visible) {
    out.add("\"script\": null, \"command\": null");
    return;
  }
  const Text line = command_line(script);
  out.add("\"script\": ");
  add_json_string(out, line.bytes(), line.size());
  out.add(", \"command\": [");
  const char* const first = script.command.data;
  for (const char* at = first; at < first + script.command.size; at += strlen(at) + 1) {
    if (at > first) out.add(", ");
    add_json_string(out, at, strlen(at));
  }
  out.add("]");
}

void add_script(Text& out, const protocol::LaunchStatus& launch, pid_t parent) {
  const Script script(launch.pid, parent);
  out.add("{");
  add_number(out, "pid", static_cast<uint64_t>(launch.pid));
  out.add(", ");
  add_number(out, "client_pid", static_cast<uint64_t>(launch.client));
  out.add(", ");
  add_number(out, "uid", launch.uid);
  out.add(", ");
  add_string(out, "user", name_of_user(launch.uid));
  out.add(", ");
  add_number(out, "age_seconds", seconds_since(launch.started));
  out.add(", ");
  add_number_or_null(out, "private_bytes", script.private_bytes, script.visible && script.has_memory);
  out.add(", ");
  add_number_or_null(out, "shared_bytes", script.shared_bytes, script.visible && script.has_memory);
  out.add(", ");
  add_command(out, script);
  out.add("}");
}

void add_scripts(Text& out, const Answer& answer) {
  out.add("\"scripts\": [");
  bool is_first = true;
  for (uint32_t i = 0; i < answer.counts.connections; i++) {
    if (answer.launch[i].pid <= 0) continue;
    out.add(is_first ? "\n    " : ",\n    ");
    is_first = false;
    add_script(out, answer.launch[i], parent_of_scripts(answer));
  }
  out.add(is_first ? "]" : "\n  ]");
}

}  // namespace

void add_json(Text& out, const Answer& answer, const char* socket) {
  constexpr const char* kNext = ",\n  ";
  const protocol::StatusCounts& counts = answer.counts;
  out.add("{\n  ");
  add_string(out, "version", answer.head.moonletd);
  out.add(kNext);
  add_string(out, "lua", name_of_lua(answer.head.lua));
  out.add(kNext);
  add_string(out, "socket", socket);
  out.add(kNext);
  add_number_or_null(out, "pid", static_cast<uint64_t>(answer.pid), answer.pid != 0);
  out.add(kNext);
  add_number(out, "uptime_seconds", seconds_since(counts.started));
  out.add(kNext);
  const bool has_image = answer.image.kilobytes != 0;
  add_number_or_null(out, "image_bytes", uint64_t{answer.image.kilobytes} * 1024, has_image);
  out.add(kNext);
  add_number_or_null(out, "image_age_seconds", seconds_since(answer.image.made_at), has_image);
  out.add(kNext);
  add_number(out, "warm_heap_bytes", uint64_t{answer.image.heap} * 1024);
  out.add(kNext);
  add_names(out, "modules", answer.modules);
  out.add(kNext);
  add_names(out, "files", answer.paths);
  out.add(kNext);
  add_number(out, "variables", answer.image.variables);
  out.add(kNext);
  add_number(out, "other_questions", answer.image.others);
  out.add(kNext);
  out.format("\"warm_up_runs\": %s", answer.keeper.is_making != 0 ? "true" : "false");
  out.add(kNext);
  out.format("\"warm_up_fails\": %s", answer.keeper.is_failing != 0 ? "true" : "false");
  out.add(kNext);
  add_string(out, "error", answer.error);
  out.add(kNext);
  add_number_or_null(out, "error_age_seconds", seconds_since(answer.keeper.failed_at),
                     answer.keeper.failures != 0);
  out.add(kNext);
  add_string(out, "made_anew", answer.reason);
  const protocol::NamedCounts named = protocol::name_counts(answer);
  for (const auto& it : named.each) {
    out.add(kNext);
    add_number(out, it.name, it.value);
  }
  out.add(kNext);
  add_number_or_null(out, "max", counts.max, counts.max != 0);
  out.add(kNext);
  add_scripts(out, answer);
  out.add("\n}\n");
}

}  // namespace moonlet::ctl
