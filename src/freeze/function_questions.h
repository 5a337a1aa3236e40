// What a call of a function in front of libc's asks, turned into questions.
#pragma once

#include "freeze/asks.h"
#include "freeze/log.h"

#include <stdint.h>

namespace moonlet::freeze::questions {

/// What libc reads behind a function, as interposed_list.h names it.
enum class Reads : uint8_t {
  kNothing,
  kLocaleNames,
  kTimeZone,
  kDateMask,
  kMessages,
  kTemporary,
  kResolver,
  kAccounts,
  kPrograms,  // the whole environment: another program is started
  kConversion,
  kTranslation,
  kOptions,
};

/// Records what `call` asks, with `argument`: as many as are in registers.
void ask_as(Log* log, const Call& call, Reads reads, const long* argument);

}  // namespace moonlet::freeze::questions
