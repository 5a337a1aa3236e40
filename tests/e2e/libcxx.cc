// The Lua module libcxx_probe: what a C++ module, with its library, needs of libc. Each function returns text,
// as those of libc_probe do.
#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

extern "C" {
#include <lauxlib.h>
#include <lua.h>
}

namespace {

std::string text;

__attribute__((format(printf, 1, 2))) void say(const char* format, ...) {
  char line[1000];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  text += line;
  text += '\n';
}

void write_line(const std::string& line) {
  if (write(1, (line + "\n").data(), line.size() + 1) < 0) abort();
}

// Says when it comes and goes.
struct Guard {
  explicit Guard(const char* its_name) : name(its_name) {}
  ~Guard() { write_line(std::string(name) + " goes"); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  const char* name;
  int uses = 0;
};

Guard global("a static object");
thread_local Guard of_thread("an object of a thread");
thread_local std::string words = "fresh";

struct Base {
  virtual ~Base() = default;
  virtual const char* name() const { return "base"; }
};
struct Derived : Base {
  const char* name() const override { return "derived"; }
};

[[gnu::noinline]] void throw_at(int depth) {
  if (depth == 0) throw std::runtime_error("from below");
  std::vector<int> owned(10, depth);
  throw_at(depth - 1);
  if (owned[0] != depth) abort();
}

void exceptions(const char*) {
  try {
    throw_at(20);
  } catch (const std::exception& error) {
    say("caught %s", error.what());
  }
  try {
    std::vector<int>().at(3) = 1;
  } catch (const std::out_of_range&) {
    say("out of range");
  }
  try {
    try {
      throw 7;
    } catch (int) {
      throw;
    }
  } catch (int number) {
    say("again %d", number);
  }
  try {
    Base base;
    static_cast<void>(dynamic_cast<Derived&>(base));
  } catch (const std::bad_cast& error) {
    say("%s", error.what());
  }
  say("uncaught: %d", std::uncaught_exceptions());
}

// through_plugin(path): a module of its own throws, through a function of this one, to this one.
void through_plugin(const char* path) {
  void* plugin = dlopen(path, RTLD_NOW);
  say("plugin: %s", plugin != nullptr ? "there" : dlerror());
  if (plugin == nullptr) return;
  auto call = reinterpret_cast<void (*)(void (*)(int))>(dlsym(plugin, "plugin_call"));
  auto raise = reinterpret_cast<void (*)(int)>(dlsym(plugin, "plugin_throw"));
  for (int kind = 0; kind < 3; kind++) {
    try {
      raise(kind);
    } catch (const std::logic_error& error) {
      say("logic error: %s", error.what());
    } catch (const std::exception& error) {
      say("exception: %s", error.what());
    } catch (...) {
      say("something else");
    }
  }
  try {
    call([](int number) { throw std::to_string(number); });
  } catch (const std::string& number) {
    say("string: %s", number.c_str());
  }
  say("close: %d", dlclose(plugin));
}

void thread_locals(const char*) {
  std::mutex mutex;
  of_thread.uses++;
  words += " main";
  for (int i = 0; i < 3; i++)
    std::thread([&] {
      of_thread.uses += 10;
      words += " thread";
      std::lock_guard lock(mutex);
      say("in a thread: %d, %s", of_thread.uses, words.c_str());
    }).join();
  say("in main: %d, %s", of_thread.uses, words.c_str());
}

void threads(const char*) {
  std::atomic<int> sum = 0;
  std::vector<std::thread> all;
  for (int i = 0; i < 16; i++)
    all.emplace_back([&sum, i] {
      try {
        throw_at(i);
      } catch (const std::exception&) {
        sum += i;
      }
    });
  for (auto& thread : all) thread.join();
  say("sum %d", sum.load());
  auto failed = std::async(std::launch::async, []() -> int { throw std::domain_error("in a thread"); });
  try {
    failed.get();
  } catch (const std::domain_error& error) {
    say("brought over: %s", error.what());
  }
  static std::once_flag once;
  static int calls;
  try {
    std::call_once(once, [] {
      calls++;
      if (calls == 1) throw 1;
    });
  } catch (int) {
    say("not yet");
  }
  std::call_once(once, [] { calls++; });
  say("calls %d", calls);
  std::recursive_mutex mutex;
  std::lock_guard first(mutex), second(mutex);
  say("twice");
}

void streams(const char*) {
  std::ostringstream line;
  line << "number " << 42 << ' ' << 1.5 << ' ' << std::boolalpha << true;
  say("%s", line.str().c_str());
  std::istringstream in("7 words");
  int number = 0;
  std::string word;
  in >> number >> word;
  say("%d %s", number, word.c_str());
  std::cout << "to standard output " << number << std::endl;
  std::cerr << "to standard error " << number << '\n';
  try {
    std::locale named("C.UTF-8");
    say("locale: %s", named.name().c_str());
  } catch (const std::exception& error) {
    say("no locale: %s", error.what());
  }
}

std::map<std::string, std::unique_ptr<Base>> kept;

// kept_objects: what was made at the last call is there.
void kept_objects(const char*) {
  say("%zu: %s", kept.size(), kept.empty() ? "none" : kept.rbegin()->second->name());
  for (int i = 0; i < 100; i++) kept[std::to_string(kept.size())] = std::make_unique<Derived>();
  global.uses++;
  static Guard local("a local static object");
  local.uses++;
  say("%zu, used %d, %d times", kept.size(), global.uses, local.uses);
}

void not_caught(const char* kind) {
  if (kind != nullptr && std::string(kind) == "thread") {
    std::thread([] { throw std::runtime_error("nobody catches it"); }).join();
  } else {
    // No frame between here and the end may catch it: Lua's are C.
    []() noexcept { throw_at(3); }();
  }
}

void random_device(const char*) {
  std::random_device device;
  say("%08x%08x%08x%08x", device(), device(), device(), device());
}

struct Check {
  const char* name;
  void (*run)(const char* argument);
};
const Check checks[] = {{"exceptions", exceptions},
                        {"through_plugin", through_plugin},
                        {"thread_locals", thread_locals},
                        {"threads", threads},
                        {"streams", streams},
                        {"kept_objects", kept_objects},
                        {"random_device", random_device},
                        {"not_caught", not_caught}};

int run_check(lua_State* L) {
  text.clear();
  static_cast<const Check*>(lua_touserdata(L, lua_upvalueindex(1)))->run(lua_tostring(L, 1));
  lua_pushlstring(L, text.data(), text.size());
  return 1;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int luaopen_libcxx_probe(lua_State* L) {
  lua_newtable(L);
  for (const Check& check : checks) {
    lua_pushlightuserdata(L, const_cast<Check*>(&check));
    lua_pushcclosure(L, run_check, 1);
    lua_setfield(L, -2, check.name);
  }
  return 1;
}
