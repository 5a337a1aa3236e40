#include "moonletd.h"

#include "fail.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>

namespace moonlet::load {

namespace {

// What /proc shows comes without an event to wait for: it is looked at until it is so.
template <typename Condition>
bool within_ten_seconds(Condition holds) {
  for (int i = 0; i < 10000; i++) {
    if (holds()) return true;
    const timespec millisecond = {0, 1000000};
    nanosleep(&millisecond, nullptr);
  }
  return false;
}

std::string proc(pid_t pid, const char* name) { return "/proc/" + std::to_string(pid) + "/" + name; }

// The number behind `key` in a file of lines "Key:   number kB".
long field(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind(key + ":", 0) == 0) return std::strtol(line.c_str() + key.size() + 1, nullptr, 10);
  }
  fail("%s: no %s", path.c_str(), key.c_str());
}

// The letter of proc(5), or '?'.
char state_of(pid_t pid) {
  std::ifstream file(proc(pid, "stat"));
  std::string stat;
  std::getline(file, stat);
  const size_t end = stat.rfind(") ");
  return end != std::string::npos ? stat[end + 2] : '?';
}

// What each descriptor of a process is, as "socket:[number]".
std::vector<std::string> descriptors_of(pid_t pid) {
  const std::string path = proc(pid, "fd");
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) fail("the moonletd is gone");
  std::vector<std::string> descriptors;
  while (const dirent* entry = readdir(directory)) {
    char target[256];
    const ssize_t size = readlink((path + "/" + entry->d_name).c_str(), target, sizeof target);
    if (size > 0) descriptors.emplace_back(target, static_cast<size_t>(size));
  }
  closedir(directory);
  return descriptors;
}

// It listens on one, and has one to the keeper of the image.
int sockets_of(pid_t pid) {
  int count = 0;
  for (const std::string& descriptor : descriptors_of(pid))
    count += descriptor.rfind("socket:", 0) == 0 ? 1 : 0;
  return count;
}

}  // namespace

std::vector<pid_t> children_of(pid_t pid) {
  std::ifstream file(proc(pid, "task/") + std::to_string(pid) + "/children");
  std::vector<pid_t> children;
  for (pid_t child = 0; file >> child;) children.push_back(child);
  return children;
}

Moonletd::Moonletd(const std::string& programs, const std::string& modules, const std::string& directory,
                   int max, bool trusts)
    : socket_(directory + (trusts ? "/trusting.sock" : "/asking.sock")),
      log_(directory + (trusts ? "/trusting.log" : "/asking.log")),
      trusts_(trusts) {
  // Nothing is hidden by a fallback: where a launch fails, the status is 125.
  strings_ = {"PATH=/usr/bin:/bin", "LANG=C",         "LUA_CPATH=" + modules + "/?.so;;",
              "MOONLET_FALLBACK=",  "MOONLET_IMAGE=", "MOONLET_SOCKET=" + socket_};
  for (std::string& string : strings_) environment_.push_back(string.data());
  environment_.push_back(nullptr);

  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) fail("pipe: %s", strerror(errno));
  const int log = open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const std::string program = programs + "/moonletd";
  const std::string limit = std::to_string(max);
  pid_ = fork();
  if (pid_ < 0) fail("fork: %s", strerror(errno));
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    const int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    dup2(ready[1], null);  // without close-on-exec
    const std::string told = std::to_string(null);
    std::vector<const char*> argv = {"moonletd",    "--ready-fd", told.c_str(), "--max",
                                     limit.c_str(), "-l",         "probe"};
    if (trusts) argv.push_back("--trust");
    argv.push_back(nullptr);
    execve(program.c_str(), const_cast<char* const*>(argv.data()), environment_.data());
    _exit(127);
  }
  close(log);
  close(ready[1]);
  char byte = 0;
  if (read(ready[0], &byte, 1) != 1) fail("%s does not serve: %s", program.c_str(), unexpected_log().c_str());
  close(ready[0]);
  server_ = children_of(pid_).front();
}

std::string Moonletd::name() const { return trusts_ ? "moonletd --trust" : "moonletd"; }

Sample Moonletd::sample() const {
  Sample sample;
  const std::string rollup = proc(server_, "smaps_rollup");
  sample.resident = field(rollup, "Rss");
  sample.proportional = field(rollup, "Pss");
  sample.private_dirty = field(rollup, "Private_Dirty");
  sample.anonymous = field(rollup, "Anonymous");
  sample.page_tables = field(proc(server_, "status"), "VmPTE");
  sample.descriptors = static_cast<int>(descriptors_of(server_).size());
  for (const pid_t child : children_of(server_)) {
    sample.children++;
    sample.zombies += state_of(child) == 'Z' ? 1 : 0;
  }
  return sample;
}

bool Moonletd::becomes_quiet() const {
  return within_ten_seconds([this] {
    if (!children_of(server_).empty()) return false;
    // It closes what it then forgets: it has done so when it waits again.
    return connections() == 0 && sockets_of(server_) == 2 && state_of(server_) == 'S';
  });
}

bool Moonletd::has_connections(int count) const {
  return within_ten_seconds([&] { return connections() >= count; });
}

int Moonletd::connections() const {
  std::ifstream file("/proc/net/unix");
  int count = -1;  // the socket that listens
  for (std::string line; std::getline(file, line);) {
    if (line.size() > socket_.size() &&
        line.compare(line.size() - socket_.size(), std::string::npos, socket_) == 0)
      count++;
  }
  return count;
}

std::string Moonletd::unexpected_log() const {
  std::ifstream file(log_);
  std::string unexpected;
  for (std::string line; std::getline(file, line) && unexpected.size() < 4000;) {
    const bool expected =
        line.rfind("moonletd: serving ", 0) == 0 || line.find(" left before its ") != std::string::npos;
    if (!expected) unexpected += line + "\n";
  }
  return unexpected;
}

int Moonletd::stop() {
  int status = 0;
  kill(pid_, SIGTERM);
  if (!within_ten_seconds([&] { return waitpid(pid_, &status, WNOHANG) == pid_; })) {
    kill(pid_, SIGKILL);
    waitpid(pid_, &status, 0);
  }
  return status;
}

}  // namespace moonlet::load
