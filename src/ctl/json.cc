#include "ctl/json.h"

#include "ctl/escape.h"
#include "ctl/scripts.h"
#include "ctl/units.h"
#include "ctl/verdict.h"
#include "ctl/words_of_status.h"

#include <inttypes.h>
#include <string.h>

namespace moonlet::ctl {

namespace {

// An object or an array on its way into a text.
class Group {
 public:
  // `between`: what stands before each member.
  Group(Text& out, const char* begin, const char* between) : out_(out), between_(between) { out.add(begin); }

  void string(const char* name, const char* value) {
    begin(name);
    add_json_string(out_, value, strlen(value));
  }
  void number(const char* name, uint64_t value) {
    begin(name);
    out_.format("%" PRIu64, value);
  }
  void number_or_null(const char* name, uint64_t value, bool known) {
    if (known) return number(name, value);
    begin(name);
    out_.add("null");
  }
  void truth(const char* name, bool value) {
    begin(name);
    out_.add(value ? "true" : "false");
  }

  // Begins a member, whose value is then to be added. Null: it is in an array, and has no name.
  Text& begin(const char* name) {
    if (!is_first_) out_.add(",");
    out_.add(*between_ != '\0' || is_first_ ? between_ : " ");
    is_first_ = false;
    if (name != nullptr) out_.format("\"%s\": ", name);
    return out_;
  }

  void end(const char* text) { out_.add(text); }
  // Where the last member stands on a line of its own.
  void end(const char* line, const char* empty) { out_.add(is_first_ ? empty : line); }

 private:
  Text& out_;
  const char* between_;
  bool is_first_ = true;
};

using ForEach = void (image::Inspection::*)(image::Inspection::Each, void*) const;

// What an image has many of.
void add_names(Text& out, const image::Inspection& image, ForEach for_each) {
  Group names(out, "[", "");
  (image.*for_each)(
      [](const char* name, void* to) {
        Text& text = static_cast<Group*>(to)->begin(nullptr);
        add_json_string(text, name, strlen(name));
      },
      &names);
  names.end("]");
}

void add_script(Text& out, const Script& script, bool is_forked) {
  const protocol::RunningScript& seen = script.seen;
  Group group(out, "{", "");
  group.number("pid", static_cast<uint64_t>(script.pid));
  if (is_forked) {
    group.number("client_pid", static_cast<uint64_t>(script.client));
  } else {
    group.truth("current", script.is_current);
  }
  group.number("uid", script.uid);
  group.string("user", name_of_user(script.uid));
  group.number("age_seconds", script.age);
  group.number_or_null("private_bytes", seen.private_bytes, seen.visible && seen.has_memory);
  group.number_or_null("shared_bytes", seen.shared_bytes, seen.visible && seen.has_memory);
  if (seen.visible) {
    const Text line = command_line(seen);
    add_json_string(group.begin("script"), line.bytes(), line.size());
    Group command(group.begin("command"), "[", "");
    const char* const first = seen.command.data;
    for (const char* at = first; at < first + seen.command.size; at += strlen(at) + 1)
      add_json_string(command.begin(nullptr), at, strlen(at));
    command.end("]");
  } else {
    group.begin("script").add("null");
    group.begin("command").add("null");
  }
  group.end("}");
}

void add_scripts(Text& out, const Scripts& scripts, bool are_forked) {
  Group group(out, "[", "\n    ");
  for (const Script& it : scripts) add_script(group.begin(nullptr), it, are_forked);
  group.end("\n  ]", "]");
}

// In whole numbers: what an image holds. Without one each is 0, and lists are empty.
void add_image(Group& status, const Answer& answer) {
  const Inspection image(answer);
  const bool has_image = image.has_image();
  const image::Header none = {};
  const image::Header& header = has_image ? image.tables.header() : none;
  status.number_or_null("image_bytes", header.file_size, has_image);
  status.number_or_null("image_age_seconds", seconds_since_date(header.made_seconds), has_image);
  status.truth("outdated", answer.known.is_outdated != 0);
  status.number("warm_heap_bytes", uint64_t{header.heap} * 1024);
  add_names(status.begin("modules"), image, &image::Inspection::for_each_module);
  add_names(status.begin("files"), image, &image::Inspection::for_each_path);
  add_names(status.begin("clock_asked_by"), image, &image::Inspection::for_each_asker_of_clock);
  Kind kinds[kKindsOfQuestions];
  count_questions(image, kinds);
  Group questions(status.begin("questions"), "{", "");
  for (const Kind& it : kinds) questions.number(it.name, it.count);
  questions.end("}");
  uint64_t others = 0;
  for (const Kind& it : kinds) {
    if (strcmp(it.name, "variables") == 0) status.number("variables", it.count);
    if (!it.is_of_files && strcmp(it.name, "variables") != 0) others += it.count;
  }
  status.number("other_questions", others);
}

void add_declined(Text& out, const Answer& answer) {
  Group reasons(out, "{", "");
  for (uint32_t i = 0; i < protocol::kReasons; i++)
    reasons.number(words_of(static_cast<protocol::Declined>(i)).name, answer.declined[i]);
  reasons.end("}");
}

}  // namespace

void add_json(Text& out, const Answer& answer, const char* socket) {
  const protocol::StatusCounts& counts = answer.counts;
  const protocol::Known& known = answer.known;
  Group status(out, "{", "\n  ");
  status.string("verdict", judge(answer).text);
  status.string("version", answer.head.moonletd);
  status.string("lua", name_of_lua(answer.head.lua));
  status.string("socket", socket);
  status.number_or_null("pid", static_cast<uint64_t>(answer.pid), answer.pid != 0);
  status.number("uptime_seconds", seconds_since(counts.started));
  add_image(status, answer);
  status.truth("warm_up_runs", known.is_making != 0);
  status.truth("warm_up_fails", known.is_failing != 0);
  status.string("error", answer.error);
  status.number_or_null("error_age_seconds", seconds_since(known.failed_at), known.failures != 0);
  status.string("made_anew", answer.reason);
  status.string("not_used", answer.unused);
  status.number_or_null("not_used_age_seconds", seconds_since(known.unused_at), *answer.unused != '\0');
  const protocol::NamedCounts named = protocol::name_counts(answer);
  for (const auto& it : named.each) status.number(it.name, it.value);
  add_declined(status.begin("declined_for"), answer);
  status.number_or_null("max", counts.max, counts.max != 0);
  Scripts forked;
  forked.add_forked(answer);
  add_scripts(status.begin("scripts"), forked, true);
  Scripts thawed;
  thawed.add_thawed(answer);
  add_scripts(status.begin("thawed"), thawed, false);
  status.end("\n}\n");
}

}  // namespace moonlet::ctl
