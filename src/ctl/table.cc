#include "ctl/table.h"

#include "ctl/escape.h"
#include "ctl/units.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

namespace moonlet::ctl {

namespace {

constexpr int kLabelColumns = 11;
constexpr int kUserColumns = 8;
constexpr int kBeforeScript =
    7 + 2 + kUserColumns + 2 + 6 + 2 + 8 + 2 + 8 + 2;  // as kTitles and add_script() have it
constexpr const char* kTitles = "    PID  USER         AGE   PRIVATE    SHARED  SCRIPT";

// The parts of one table, line by line.
class Table {
 public:
  Table(Text& out, const Answer& answer, const Colours& colours, int columns)
      : out_(out), answer_(answer), colours_(colours), columns_(columns) {}

  void add_title() {
    const protocol::StatusHead& head = answer_.head;
    out_.add(colours_.title);
    out_.add("moonletd ");
    add_printable(out_, head.moonletd, strlen(head.moonletd), INT_MAX);
    out_.format("%s, %s, up %s: ", colours_.off, name_of_lua(head.lua),
                age(seconds_since(answer_.counts.started)).text);
    add_verdict();
    out_.add("\n");
  }

  void add_place(const char* socket) {
    add_label("socket");
    add_printable(out_, socket, strlen(socket), columns_ - kLabelColumns);
    out_.add("\n");
    add_label("pid");
    if (answer_.pid != 0) {
      out_.format("%d\n", answer_.pid);
    } else {
      out_.add("in another pid namespace\n");
    }
  }

  void add_image(bool brief) {
    const protocol::ImageStatus& image = answer_.image;
    add_label("image");
    if (image.kilobytes != 0) {
      out_.format("%s, ", bytes(uint64_t{image.kilobytes} * 1024).text);
      out_.format("%s old, ", age(seconds_since(image.made_at)).text);
      out_.format("%u so far\n", answer_.keeper.images);
    } else {
      out_.add("none\n");
    }
    if (!brief) add_line("made anew", answer_.reason);
    add_label("warm heap");
    out_.format("%s\n", bytes(uint64_t{image.heap} * 1024).text);
    add_label("modules");
    out_.format("%u", answer_.modules.count);
    if (!brief) add_modules();
    out_.add("\n");
    add_label("asks for");
    out_.format("%u file%s, ", image.paths, image.paths == 1 ? "" : "s");
    out_.format("%u variable%s, ", image.variables, image.variables == 1 ? "" : "s");
    out_.format("%u other%s\n", image.others, image.others == 1 ? "" : "s");
    add_failures();
  }

  void add_counts() {
    const protocol::StatusCounts& counts = answer_.counts;
    add_label("launches");
    out_.format("%u so far, ", counts.launches);
    add_number(counts.failed, "failed", colours_.bad);
    out_.add(", ");
    add_number(counts.declined, "declined", colours_.attention);
    out_.add("\n");
    add_label("running");
    add_number(counts.running, nullptr, colours_.good);
    if (counts.max != 0) out_.format(" of at most %u", counts.max);
    out_.add(", ");
    add_number(counts.connections - counts.running, "waiting", colours_.attention);
    out_.add("\n");
  }

  void add_scripts() {
    if (answer_.counts.running == 0) return;
    out_.format("\n%s%s%s\n", colours_.title, kTitles, colours_.off);
    for (uint32_t i = 0; i < answer_.counts.connections; i++) {
      if (answer_.launch[i].pid > 0) add_script(answer_.launch[i]);
    }
  }

 private:
  // In a word or some: whether launches are warm.
  void add_verdict() {
    const protocol::KeeperStatus& keeper = answer_.keeper;
    const bool is_warm = answer_.image.kilobytes != 0;
    const bool is_failing = keeper.is_failing != 0;
    out_.add(is_failing ? colours_.bad : is_warm ? colours_.good : colours_.attention);
    out_.add(is_warm ? "warm" : "cold");
    if (is_failing) out_.add(", the warm-up fails");
    if (keeper.is_making != 0) out_.add(", a warm-up runs");
    out_.add(colours_.off);
  }

  void add_line(const char* label, const char* text) {
    if (*text == '\0') return;
    add_label(label);
    add_printable(out_, text, strlen(text), columns_ - kLabelColumns);
    out_.add("\n");
  }

  void add_failures() {
    const protocol::KeeperStatus& keeper = answer_.keeper;
    if (keeper.failures == 0) return;
    add_label("warm-ups");
    add_number(keeper.failures, "failed", keeper.is_failing != 0 ? colours_.bad : colours_.attention);
    out_.format(", the last one %s ago\n", age(seconds_since(keeper.failed_at)).text);
    add_line("error", answer_.error);
  }

  void add_label(const char* label) {
    out_.format("%s%s%s", colours_.label, label, colours_.off);
    out_.add_spaces(kLabelColumns - static_cast<int>(strlen(label)));
  }

  // In that colour unless it is 0.
  void add_number(uint32_t number, const char* what, const char* colour) {
    if (number != 0) out_.add(colour);
    out_.format("%u", number);
    if (what != nullptr) out_.format(" %s", what);
    if (number != 0) out_.add(colours_.off);
  }

  // Their names behind their number, in as many lines as that takes.
  void add_modules() {
    if (answer_.modules.count == 0) return;
    out_.add(":");
    int used = columns_;  // the first one begins a line, which is the one of the label if there is room
    const char* name = answer_.modules.first;
    for (uint32_t i = 0; i < answer_.modules.count; i++, name = next(name)) {
      Text printable;
      const int width = add_printable(printable, name, strlen(name), columns_ - kLabelColumns);
      if (used + 1 + width > columns_) {
        out_.add("\n");
        out_.add_spaces(kLabelColumns);
        used = kLabelColumns;
      } else {
        out_.add(" ");
        used++;
      }
      out_.add(printable);
      used += width;
    }
  }

  void add_script(const protocol::LaunchStatus& launch) {
    const Script script(launch.pid, parent_of_scripts(answer_));
    const char* user = name_of_user(launch.uid);
    out_.format("%7d  ", launch.pid);
    out_.add_spaces(kUserColumns - add_printable(out_, user, strlen(user), kUserColumns));
    const bool has_memory = script.visible && script.has_memory;
    out_.format("  %6s  %8s  %8s  ", age(seconds_since(launch.started)).text,
                has_memory ? bytes(script.private_bytes).text : "-",
                has_memory ? bytes(script.shared_bytes).text : "-");
    if (script.visible) {
      const Text line = command_line(script);
      add_printable(out_, line.bytes(), line.size(), columns_ - kBeforeScript);
    } else {
      out_.add("-");
    }
    out_.add("\n");
  }

  Text& out_;
  const Answer& answer_;
  const Colours& colours_;
  const int columns_;
};

}  // namespace

void add_table(Text& out, const Answer& answer, const char* socket, const Colours& colours, int columns,
               bool brief) {
  Table table(out, answer, colours, columns);
  table.add_title();
  table.add_place(socket);
  table.add_image(brief);
  table.add_counts();
  table.add_scripts();
}

}  // namespace moonlet::ctl
