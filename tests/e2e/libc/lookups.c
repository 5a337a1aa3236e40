/* Locales, character sets and name services: what libc loads tables and modules for. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <grp.h>
#include <iconv.h>
#include <langinfo.h>
#include <locale.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>
#include <wordexp.h>

#include "check.h"

static void describe_locale(void) {
  wchar_t wide = 0;
  struct lconv* conventions = localeconv();
  say("%s, %s", setlocale(LC_ALL, NULL), nl_langinfo(CODESET));
  int size = mbtowc(&wide, "\xc3\xa9", 2);
  say("max %zu, %d bytes, U+%04x", MB_CUR_MAX, size, (unsigned)wide);
  say("upper U+%04x, width %d, alpha %d", (unsigned)towupper(0xe9), wcwidth(0x4e2d), iswalpha(0xe9) != 0);
  say("order %d, point '%s', %.2f", strcoll("a", "B") > 0, conventions->decimal_point, 1.5);
}

static void locales(char** unused) {
  (void)unused;
  describe_locale();
  say("set: %s", setlocale(LC_ALL, "C.UTF-8") != NULL ? "C.UTF-8" : "none");
  describe_locale();
  say("no such: %d", setlocale(LC_ALL, "xx_XX.nonexistent") == NULL);
  say("of the environment: %s", setlocale(LC_ALL, ""));
  describe_locale();
  locale_t other = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
  MUST(other != (locale_t)0);
  locale_t before = uselocale(other);
  say("in its own: max %zu", MB_CUR_MAX);
  uselocale(before);
  freelocale(other);
  say("set: %s", setlocale(LC_ALL, "C"));
}

/* kept_locale: set at the first call, in the warm-up or here. */
static void kept_locale(char** unused) {
  (void)unused;
  static int is_set;
  if (!is_set++) MUST(setlocale(LC_CTYPE, "C.UTF-8") != NULL);
  describe_locale();
}

static void convert(const char* from, const char* to, const char* text) {
  char in[100], out[100] = "", shown[300] = "";
  iconv_t conversion = iconv_open(to, from);
  if (conversion == (iconv_t)-1) {
    say("%s to %s: %s", from, to, strerror(errno));
    return;
  }
  strcpy(in, text);
  char *source = in, *target = out;
  size_t left = strlen(in), room = sizeof out;
  size_t result = iconv(conversion, &source, &left, &target, &room);
  for (size_t i = 0; i < sizeof out - room; i++) sprintf(shown + 3 * i, "%02x ", (unsigned char)out[i]);
  say("%s to %s: %zd, %s", from, to, (ssize_t)result, shown);
  MUST(iconv_close(conversion) == 0);
}

/* The first are built in, the others are modules. */
static void conversions(char** unused) {
  (void)unused;
  convert("UTF-8", "UTF-16LE", "a\xc3\xa9\xe4\xb8\xad");
  convert("ISO-8859-1", "UTF-8", "caf\xe9");
  convert("CP1252", "UTF-8", "\x80 5");
  convert("UTF-8", "EUC-JP", "\xe4\xb8\xad");
  convert("UTF-8", "ISO-8859-15", "\xe2\x82\xac");
  convert("UTF-8", "ASCII//TRANSLIT", "\xc2\xab");
  convert("UTF-8", "no-such-set", "");
}

static void users(char** unused) {
  (void)unused;
  struct passwd *user = getpwnam("root"), entry;
  char buffer[4096];
  say("root: %d %s %s", user != NULL ? (int)user->pw_uid : -1, user != NULL ? user->pw_dir : "",
      user != NULL ? user->pw_shell : "");
  MUST(getpwuid_r(0, &entry, buffer, sizeof buffer, &user) == 0);
  say("0: %s", user != NULL ? user->pw_name : "none");
  say("no such: %d", getpwnam("no-such-user-anywhere") == NULL);
  struct group* group = getgrgid(0);
  say("group 0: %s", group != NULL ? group->gr_name : "none");
  gid_t groups[64];
  int count = 64;
  say("groups of root: %d", getgrouplist("root", 0, groups, &count));
  int entries = 0;
  setpwent();
  while (getpwent() != NULL) entries++;
  endpwent();
  say("entries: %d", entries);
}

static void resolve(const char* node, const char* service, int flags, int family) {
  struct addrinfo hints, *list = NULL;
  char host[100], port[20];
  memset(&hints, 0, sizeof hints);
  hints.ai_family = family;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  int error = getaddrinfo(node, service, &hints, &list);
  if (error != 0) {
    say("%s: %s", node, gai_strerror(error));
    return;
  }
  for (struct addrinfo* at = list; at != NULL; at = at->ai_next) {
    MUST(getnameinfo(at->ai_addr, at->ai_addrlen, host, sizeof host, port, sizeof port,
                     NI_NUMERICHOST | NI_NUMERICSERV) == 0);
    say("%s: %s %s", node, host, port);
  }
  freeaddrinfo(list);
}

/* All of it from files of this machine. */
static void hosts(char** unused) {
  (void)unused;
  resolve("localhost", "80", 0, AF_INET);
  resolve("127.0.0.1", "ssh", AI_NUMERICHOST, AF_UNSPEC);
  resolve("::1", NULL, AI_NUMERICHOST, AF_UNSPEC);
  resolve("not a number", NULL, AI_NUMERICHOST, AF_UNSPEC);
  struct hostent* host = gethostbyname("localhost");
  say("localhost: %s", host != NULL ? inet_ntoa(*(struct in_addr*)host->h_addr_list[0]) : "none");
  struct servent* service = getservbyname("http", "tcp");
  say("http: %d", service != NULL ? ntohs((uint16_t)service->s_port) : -1);
  struct protoent* protocol = getprotobyname("tcp");
  say("tcp: %d", protocol != NULL ? protocol->p_proto : -1);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  char name[100] = "", port[100] = "";
  say("name: %d", getnameinfo((void*)&address, sizeof address, name, sizeof name, port, sizeof port, 0));
  say("%s %s", name, port);
}

static void patterns(char** unused) {
  (void)unused;
  regex_t expression;
  regmatch_t match[2];
  MUST(regcomp(&expression, "l([a-z]+)[0-9]", REG_EXTENDED) == 0);
  say("match: %d", regexec(&expression, "moonlet5", 2, match, 0));
  say("%d to %d", (int)match[1].rm_so, (int)match[1].rm_eo);
  regfree(&expression);
  glob_t found;
  say("glob: %d", glob("/et[c]/pass[w]d", 0, NULL, &found));
  say("%s, fnmatch: %d", found.gl_pathc == 1 ? found.gl_pathv[0] : "none", fnmatch("*.lua", "a.lua", 0));
  globfree(&found);
  wordexp_t words;
  MUST(setenv("LIBC_PROBE", "a value", 1) == 0);
  say("wordexp: %d", wordexp("one \"$LIBC_PROBE\" $(echo three)", &words, 0));
  for (size_t i = 0; i < words.we_wordc; i++) say("%s", words.we_wordv[i]);
  wordfree(&words);
  unsetenv("LIBC_PROBE");
}

const struct check lookup_checks[] = {{"locales", locales},
                                      {"kept_locale", kept_locale},
                                      {"conversions", conversions},
                                      {"users", users},
                                      {"hosts", hosts},
                                      {"patterns", patterns},
                                      {NULL, NULL}};
