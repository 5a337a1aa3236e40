#include "ctl/table.h"

#include "ctl/escape.h"
#include "ctl/lines.h"
#include "ctl/units.h"
#include "ctl/verdict.h"
#include "ctl/words_of_status.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

namespace moonlet::ctl {

namespace {

constexpr int kUserColumns = 8;
constexpr int kWide = 60;  // from so many columns on a row has a user, and shared memory

const char* plural(uint32_t count, const char* one, const char* many) { return count == 1 ? one : many; }

// The parts of one table, line by line.
class Table {
 public:
  Table(Text& out, const Answer& answer, const View& view)
      : out_(out),
        answer_(answer),
        image_(answer),
        view_(view),
        colours_(view.colours),
        lines_(out, view.colours, view.columns) {}

  void add_title() {
    const Verdict verdict = judge(answer_);
    const char* const colour = verdict.kind == Verdict::kGood        ? colours_.good
                               : verdict.kind == Verdict::kAttention ? colours_.attention
                                                                     : colours_.bad;
    out_.format("%s%s%s ", colour, terminal_takes_utf8() ? "\xe2\x97\x8f" : "*", colours_.off);
    lines_.begin("");
    char name[64];
    snprintf(name, sizeof name, "moonletd %s", answer_.head.moonletd);
    lines_.add(name, "", colours_.title);
    lines_.format("", "%s", name_of_lua(answer_.head.lua));
    lines_.format("", "up %s", age(seconds_since(answer_.counts.started)).text);
    lines_.add(verdict.text, ": ", colour);
    lines_.end();
  }

  void add_place(const char* socket) {
    lines_.add_line("socket", socket);
    lines_.begin("pid");
    if (answer_.pid != 0) {
      lines_.format("", "%d", answer_.pid);
    } else {
      lines_.add("in another pid namespace");
    }
    lines_.end();
  }

  void add_image() {
    lines_.begin("image");
    if (image_.has_image()) {
      const image::Header& header = image_.tables.header();
      lines_.format("", "%s", bytes(header.file_size).text);
      lines_.format("", "%s old", age(seconds_since_date(header.made_seconds)).text);
      lines_.format("", "%u so far", answer_.known.images);
    } else {
      lines_.add("none");
    }
    lines_.end();
    if (!view_.is_brief) lines_.add_line("made anew", answer_.reason);
    add_last_not_used();
    if (image_.has_image()) {
      lines_.begin("warm heap");
      lines_.format("", "%s", bytes(uint64_t{image_.tables.header().heap} * 1024).text);
      lines_.end();
      add_modules();
      if (!view_.is_brief) add_questions();
      add_askers_of_clock();
    }
    add_failures();
  }

  void add_counts() {
    const protocol::StatusCounts& counts = answer_.counts;
    lines_.begin("launches");
    lines_.format("", "%u so far", counts.launches);
    if (view_.per_second >= 0) lines_.format("", "%.1f per second", view_.per_second);
    const uint32_t others = counts.failed - counts.killed;
    if (others != 0) lines_.format("", "%u with another status than 0", others);
    if (counts.killed != 0) lines_.format(colours_.attention, "%u ended by a signal", counts.killed);
    lines_.end();
    add_declined();
    lines_.begin("running");
    if (counts.max != 0) {
      lines_.format(counts.running != 0 ? colours_.good : "", "%u of at most %u", counts.running, counts.max);
    } else {
      lines_.format(counts.running != 0 ? colours_.good : "", "%u", counts.running);
    }
    const uint32_t waiting = counts.connections - counts.running;
    lines_.format(waiting != 0 ? colours_.attention : "", "%u waiting", waiting);
    Scripts thawed;
    thawed.add_thawed(answer_);
    lines_.format(thawed.count() != 0 ? colours_.good : "", "%u thawed", thawed.count());
    lines_.end();
    if (counts.running != 0) {
      Scripts forked;
      forked.add_forked(answer_);
      add_scripts(forked, "SCRIPT");
    }
    if (thawed.count() != 0) add_scripts(thawed, "THAWED SCRIPT");
  }

 private:
  void add_last_not_used() {
    if (*answer_.unused == '\0') return;
    lines_.begin("not used");
    lines_.format("", "%s ago", age(seconds_since(answer_.known.unused_at)).text);
    lines_.add(answer_.unused, ": ");
    lines_.end();
  }

  void add_modules() {
    const uint32_t count = image_.tables.header().modules;
    lines_.begin("modules");
    lines_.format("", "%u", count);
    is_next_ = false;
    if (view_.is_brief) {
      add_folded_modules();
    } else {
      image_.for_each_module([](const char* name, void* it) { static_cast<Table*>(it)->add_module(name); },
                             this);
    }
    lines_.end();
  }

  void add_module(const char* name) {
    lines_.add(name, is_next_ ? " " : ": ");
    is_next_ = true;
  }

  // Those of one package in one word, as "luacheck.*43". They come in alphabetical order.
  void add_folded_modules() {
    image_.for_each_module([](const char* name, void* it) { static_cast<Table*>(it)->fold(name); }, this);
    fold("");
  }

  void fold(const char* name) {
    const size_t length = strcspn(name, ".");
    if (folded_.size() == length && *name != '\0' && memcmp(folded_.bytes(), name, length) == 0) {
      folded_count_++;
      return;
    }
    if (folded_count_ > 1) folded_.format(".*%u", folded_count_);
    if (folded_count_ > 0) add_module(folded_count_ > 1 ? folded_.bytes() : folded_whole_.bytes());
    folded_.cut(0);
    folded_.add(name, length);
    folded_whole_.cut(0);
    folded_whole_.add(name);
    folded_count_ = 1;
  }

  void add_questions() {
    Kind kinds[kKindsOfQuestions];
    count_questions(image_, kinds);
    lines_.begin("asks for");
    bool any = false;
    for (const Kind& it : kinds) {
      if (it.count == 0) continue;
      any = true;
      if (it.many == nullptr) {
        lines_.add(it.one);
      } else {
        lines_.format("", "%u %s", it.count, plural(it.count, it.one, it.many));
      }
    }
    if (!any) lines_.add("nothing");
    lines_.end();
  }

  // Nobody can tell whether they would be told the same now.
  void add_askers_of_clock() {
    bool any = false;
    image_.for_each_asker_of_clock([](const char*, void* it) { *static_cast<bool*>(it) = true; }, &any);
    if (!any) return;
    lines_.begin("clock");
    lines_.add("asked by");
    is_next_ = false;
    image_.for_each_asker_of_clock(
        [](const char* name, void* it) {
          auto& table = *static_cast<Table*>(it);
          table.lines_.add(name, table.is_next_ ? ", " : " ", table.colours_.attention);
          table.is_next_ = true;
        },
        this);
    lines_.end();
  }

  void add_failures() {
    const protocol::Known& known = answer_.known;
    if (known.failures == 0) return;
    lines_.begin("warm-ups");
    lines_.format(known.is_failing != 0 ? colours_.bad : colours_.attention, "%u failed", known.failures);
    lines_.format("", "the last one %s ago", age(seconds_since(known.failed_at)).text);
    lines_.end();
    lines_.add_line("error", answer_.error);
  }

  void add_declined() {
    const uint32_t all = declined(answer_);
    if (all == 0) return;
    lines_.begin("declined");
    lines_.format(colours_.attention, "%u", all);
    is_next_ = false;
    for (uint32_t i = 0; i < protocol::kReasons; i++) {
      const uint32_t count = answer_.declined[i];
      if (count == 0) continue;
      char phrase[64];
      snprintf(phrase, sizeof phrase, "%u %s", count, words_of(static_cast<protocol::Declined>(i)).words);
      lines_.add(phrase, is_next_ ? ", " : ": ");
      is_next_ = true;
    }
    lines_.end();
  }

  [[nodiscard]] bool is_wide() const { return view_.columns >= kWide; }

  void add_scripts(Scripts& scripts, const char* title) {
    scripts.sort(view_.order);
    Text titles;
    titles.format(is_wide() ? "%7s  %-*s  %6s  %8s  %8s  " : "%7s  ", "PID", kUserColumns, "USER", "AGE",
                  "PRIVATE", "SHARED");
    if (!is_wide()) titles.format("%6s  %8s  ", "AGE", "PRIVATE");
    before_script_ = static_cast<int>(titles.size());
    add_printable(titles, title, strlen(title), view_.columns - before_script_);
    out_.format("\n%s%s%s\n", colours_.title, titles.bytes(), colours_.off);
    for (const Script& it : scripts) add_script(it);
  }

  void add_script(const Script& script) {
    const protocol::RunningScript& seen = script.seen;
    const bool has_memory = seen.visible && seen.has_memory;
    const Short private_bytes = bytes(seen.private_bytes);
    const Short shared_bytes = bytes(seen.shared_bytes);
    out_.format("%7d  ", script.pid);
    if (is_wide()) {
      const char* const user = name_of_user(script.uid);
      out_.add_spaces(kUserColumns - add_printable(out_, user, strlen(user), kUserColumns));
      out_.add("  ");
    }
    out_.format("%6s  %8s  ", age(script.age).text, has_memory ? private_bytes.text : "-");
    if (is_wide()) out_.format("%8s  ", has_memory ? shared_bytes.text : "-");
    if (seen.visible) {
      const Text line = command_line(seen);
      add_printable(out_, line.bytes(), line.size(), view_.columns - before_script_);
    } else {
      out_.add("-");
    }
    out_.add("\n");
  }

  Text& out_;
  const Answer& answer_;
  const Inspection image_;
  const View& view_;
  const Colours& colours_;
  Lines lines_;
  bool is_next_ = false;  // not the first of a list
  int before_script_ = 0;
  Text folded_;        // what names of modules began with
  Text folded_whole_;  // the first of them
  uint32_t folded_count_ = 0;
};

}  // namespace

void add_table(Text& out, const Answer& answer, const char* socket, const View& view) {
  Table table(out, answer, view);
  table.add_title();
  table.add_place(socket);
  table.add_image();
  table.add_counts();
}

}  // namespace moonlet::ctl
