/*
 * A launch, in all the orders in which it can go: client, zygote, children and spares, each of which may be killed
 * between any two steps. The words are those of protocol.md; its section "The model" says how to have it checked.
 *
 * A step here is a system call there. What a process does between two of them nobody sees.
 *
 *   -DCLIENTS=n     so many clients (1; with 2 the search is too long for the tests)
 *   -DKIDS=n        so many forks succeed (2), of children and spares together
 *   -DSPARES=n      so many spares are kept (1)
 *   -DMAX=n         --max (CLIENTS)
 *   -DRELOAD        the zygote may once exec itself anew, and keeps the connections and the launches in flight
 *   -DMUTANT_...    a mistake, which must be found
 *   -DNEVER=end     asserts that no caller sees this end, which must be refuted
 *
 * Left out: what stops and continues a process, signals to the script (to the model it ends of itself), time limits.
 */
#ifndef CLIENTS
#define CLIENTS 1
#endif
#ifndef KIDS
#define KIDS 2
#endif
#ifndef SPARES
#define SPARES 1
#endif
#ifndef MAX
#define MAX CLIENTS
#endif
#define ZYGOTE KIDS /* its index, behind those of its children */

mtype = { started, declined, exited, killed }; /* reports. The last two are also how a process ended */
mtype = { fallback, failed, gone };            /* what else the caller sees: lua, status 125, a client that was killed */
mtype = { unborn, runs, zombie, reaped };      /* a child */

/* Descriptors, one bit each. */
#define CONNECTION(c) (1 << (c))
#define LISTENER (1 << CLIENTS)
#define CHANNEL(k) (1 << (CLIENTS + 1 + (k))) /* the zygote's end of a spare's */
byte holds[KIDS + 1];                         /* by each process of the server's side */

bool pidfds;               /* whether the kernel has them */
bool zygote_lives = true;
bool zygote_killed;
bool sigchld;              /* pending in the zygote */

/* By client. */
mtype caller_sees[CLIENTS]; /* 0: nothing yet */
bool client_killed[CLIENTS];
bool client_end[CLIENTS];   /* the client has its end of the connection */
bool queued[CLIENTS];       /* the connection waits to be accepted */
bool has_begun[CLIENTS];    /* a part of the request is sent, */
bool is_whole[CLIENTS];     /* or all of it */
bool farewell[CLIENTS];     /* SIGURG is pending */
byte runs_of[CLIENTS];      /* how often the script has been run */
chan report[CLIENTS] = [4] of { mtype, byte };

/* By child. */
mtype state[KIDS] = unborn;
mtype end_of[KIDS];         /* what waitpid tells */
bool kid_killed[KIDS];
bool own_group[KIDS];
bool endless[KIDS];         /* its script runs until it is killed */
bool said_farewell[KIDS];
bool has_execed[KIDS];      /* the script has become another program */
byte handed_over[KIDS];     /* 1 + the client whose connection is on its way to this spare */
byte client_of[KIDS];
byte forks;

#if KIDS == 1
#define ANY_HOLDS(bit) ((holds[0] | holds[1]) & (bit))
#define ON_ITS_WAY(c) (handed_over[0] == (c) + 1)
#elif KIDS == 2
#define ANY_HOLDS(bit) ((holds[0] | holds[1] | holds[2]) & (bit))
#define ON_ITS_WAY(c) (handed_over[0] == (c) + 1 || handed_over[1] == (c) + 1)
#else
#define ANY_HOLDS(bit) ((holds[0] | holds[1] | holds[2] | holds[3]) & (bit))
#define ON_ITS_WAY(c) (handed_over[0] == (c) + 1 || handed_over[1] == (c) + 1 || handed_over[2] == (c) + 1)
#endif

/* The server's side has this end of the connection: open, in a message, or in the queue of a listener. */
#define SERVER_END(c) (ANY_HOLDS(CONNECTION(c)) || ON_ITS_WAY(c) || (queued[c] && ANY_HOLDS(LISTENER)))

#define HAS_ENDED(k) (state[k] == zombie || state[k] == reaped)

/* ---- The child ---- */

#define mine client_of[k]

/* The kernel: all descriptors close at once, and with a spare's channel goes what is on its way to it. */
inline end_kid(how) {
  atomic {
    holds[k] = 0;
    handed_over[k] = 0;
    end_of[k] = how;
    state[k] = zombie;
    kid_killed[k] = false; /* what has lost its meaning shall not tell states apart, here and below */
    own_group[k] = false;
    endless[k] = false;
    sigchld = true
  }
}

/* The script, of which one end is followed: by exit, with a farewell; by exit, where none is sent or none arrives; after
 * it has become another program, when the descriptors that close on exec are closed; by a signal (see Fate). */
inline run_script() {
  atomic {
    assert(runs_of[mine] == 0);
    runs_of[mine]++
  }
  if
  :: atomic {
       holds[k] = holds[k] & CONNECTION(mine); /* the connection closes last */
       said_farewell[k] = true;
       if
       :: client_end[mine] -> farewell[mine] = true
       :: else
       fi
     }
  :: skip
  :: atomic {
       has_execed[k] = true;
       holds[k] = 0
     }
  :: endless[k] = true;
end_script:
     false /* until it is killed */
  fi
}

/* Its client is the one whose connection the fork has accepted, or CLIENTS: it is a spare. */
proctype Child(byte k) {
  {
    /* leave_server: with the fork it has got all that the zygote had open. */
#ifndef MUTANT_KEEPS_WHAT_IT_INHERITED
    if
    :: mine < CLIENTS -> holds[k] = CONNECTION(mine)
    :: else -> holds[k] = 0
    fi;
#endif
    /* A spare is told of its launch, or its channel ends. */
    if
    :: mine == CLIENTS ->
end_spare:
       if
       :: atomic {
            handed_over[k] > 0 ->
            mine = handed_over[k] - 1;
            handed_over[k] = 0;
            holds[k] = holds[k] | CONNECTION(mine)
          }
       :: handed_over[k] == 0 && !ANY_HOLDS(CHANNEL(k)) -> goto leave
       fi
    :: else
    fi;
    /* read_request, and whatever else may be found wrong. */
    if
    :: is_whole[mine]
    :: has_begun[mine] && !client_end[mine] -> goto decline
    :: is_whole[mine] -> goto decline
    fi;
#ifdef MUTANT_RUNS_BEFORE_STARTED
    run_script();
#endif
#ifndef MUTANT_GROUP_AFTER_STARTED
    own_group[k] = true;
#endif
    if
    :: atomic { client_end[mine] -> report[mine]!started, k }
    :: !client_end[mine] -> goto leave /* the client left before its script started */
    fi;
#ifdef MUTANT_GROUP_AFTER_STARTED
    own_group[k] = true;
#endif
    /* Without a pidfd the client learns of the end from the connection. */
    if
    :: pidfds -> holds[k] = 0
    :: else
    fi;
#ifndef MUTANT_RUNS_BEFORE_STARTED
    run_script();
#endif
    goto leave;
decline:
    if
    :: atomic { client_end[mine] -> report[mine]!declined, k }
    :: !client_end[mine]
    fi;
leave:
    end_kid(exited)
  } unless {
    atomic {
      kid_killed[k] && state[k] == runs;
      end_kid(killed)
    }
  }
}

/* ---- The zygote ---- */

#define NOT_FORKED 0 /* else 1 + the child of a launch */
#define HAS_ROOM (running < MAX)

/* A fork inherits all descriptors. It may also fail. */
inline fork_kid(first) {
  state[forks] = runs;
  client_of[forks] = first;
  holds[forks] = holds[ZYGOTE];
  run Child(forks);
  forks++
}

inline tell(c, kind, k) {
  if
  :: client_end[c] -> report[c]!kind, k
  :: else
  fi
}

/* Of a launch, or of a spare. */
inline reap_one() {
  atomic {
    k = 0;
    do
    :: k < KIDS && state[k] != zombie -> k++
    :: else -> break
    od;
    if
    :: k < KIDS ->
       state[k] = reaped;
       how = end_of[k];
       end_of[k] = 0;
       c = 0;
       do
       :: c < CLIENTS && kid_of[c] != k + 1 -> c++
       :: else -> break
       od
    :: else
    fi
  }
  if
  :: k < KIDS && c < CLIENTS ->
#ifndef MUTANT_ENDS_UNTOLD
     atomic { tell(c, how, k) };
#endif
     atomic {
       holds[ZYGOTE] = holds[ZYGOTE] & ~CONNECTION(c);
       kid_of[c] = NOT_FORKED;
       left[c] = false;
       running--
     }
  :: atomic {
       k < KIDS && c == CLIENTS && (holds[ZYGOTE] & CHANNEL(k)) ->
       holds[ZYGOTE] = holds[ZYGOTE] & ~CHANNEL(k);
       spares--
     }
  :: k < KIDS && c == CLIENTS && !(holds[ZYGOTE] & CHANNEL(k))
  :: k == KIDS
  fi
}

/* For a connection whose request has begun to come: a spare, or a new child. */
inline find_kid() {
  if
  :: spares > 0 ->
     atomic {
       k = 0;
       do
       :: !(holds[ZYGOTE] & CHANNEL(k)) -> k++
       :: else -> break
       od;
       if
       :: state[k] == runs ->
          handed_over[k] = c + 1;
#ifndef MUTANT_FORGETS_A_SPARE_THAT_IT_HANDED_OVER
          kid_of[c] = k + 1;
          running++
#endif
       :: else
       fi;
       holds[ZYGOTE] = holds[ZYGOTE] & ~CHANNEL(k); /* one that cannot be told has ended */
       spares--
     }
  :: atomic {
       spares == 0 && forks < KIDS ->
       fork_kid(c);
       kid_of[c] = forks;
       running++
     }
  :: spares == 0 -> /* fork fails */
     atomic { tell(c, declined, 0) };
     atomic {
       holds[ZYGOTE] = holds[ZYGOTE] & ~CONNECTION(c);
       goto next
     }
  fi
}

/* What poll tells of a client's connection. */
#define IS_OPEN(c) (holds[ZYGOTE] & CONNECTION(c))
#define COMES(c) (queued[c] && HAS_ROOM)
#define HANGS_UP(c) (IS_OPEN(c) && !client_end[c] && !left[c])
#define ASKS(c) (IS_OPEN(c) && has_begun[c] && kid_of[c] == NOT_FORKED && HAS_ROOM)

proctype Zygote() {
  byte k, c;
  mtype how;
  byte kid_of[CLIENTS];
  bool left[CLIENTS]; /* ignore_client: this hang-up has been seen */
  byte running, spares;
#ifdef RELOAD
  bool has_reloaded;
#endif
  {
    holds[ZYGOTE] = LISTENER;
next:
    atomic {
      k = 0;
      c = 0;
      how = 0
    }
end_zygote:
    if
    :: sigchld ->
#ifndef MUTANT_SIGCHLD_TAKEN_AFTER_REAPING
       sigchld = false;
#endif
       do
       :: reap_one();
          if
          :: k == KIDS -> break
          :: else
          fi
       od;
#ifdef MUTANT_SIGCHLD_TAKEN_AFTER_REAPING
       sigchld = false;
#endif
       goto next
    :: atomic {
         spares < SPARES && forks < KIDS ->
         fork_kid(CLIENTS);
         holds[ZYGOTE] = holds[ZYGOTE] | CHANNEL(forks - 1);
         spares++;
         goto next
       }
#ifdef RELOAD
    /* A changed module. Its own spares are of no use any more, and end by themselves. The new image takes over the
     * descriptors, the table of the launches, and the pending SIGCHLD. */
    :: !has_reloaded ->
       has_reloaded = true;
       atomic {
         holds[ZYGOTE] = holds[ZYGOTE] & ~(CHANNEL(0) | CHANNEL(1) | CHANNEL(2));
         spares = 0
       }
#ifdef MUTANT_RELOAD_LOSES_CONNECTIONS
       holds[ZYGOTE] = LISTENER;
#endif
#ifdef MUTANT_RELOAD_LOSES_SIGCHLD
       sigchld = false;
#endif
#ifdef MUTANT_RELOAD_LOSES_LAUNCHES
       kid_of[0] = NOT_FORKED;
#endif
       goto next
#endif
    :: COMES(0) || HANGS_UP(0) || ASKS(0) -> c = 0
#if CLIENTS > 1
    :: COMES(1) || HANGS_UP(1) || ASKS(1) -> c = 1
#endif
    fi;
    if
    :: atomic {
         COMES(c) ->
         queued[c] = false;
         holds[ZYGOTE] = holds[ZYGOTE] | CONNECTION(c)
       }
    :: HANGS_UP(c) && kid_of[c] != NOT_FORKED ->
       /* end_orphan: only what has started. A child that has not finds out by itself. */
       k = kid_of[c] - 1;
#ifndef MUTANT_DOES_NOT_KILL
       if
       :: own_group[k] -> kid_killed[k] = true
       :: !own_group[k]
       fi;
#endif
       left[c] = true
    :: atomic {
         HANGS_UP(c) && kid_of[c] == NOT_FORKED ->
         holds[ZYGOTE] = holds[ZYGOTE] & ~CONNECTION(c)
       }
    :: ASKS(c) -> find_kid()
    fi;
    goto next
  } unless {
    zygote_killed
  };
  atomic {
    holds[ZYGOTE] = 0;
    zygote_lives = false
  }
}

/* ---- The client ---- */

#define READABLE(c) (len(report[c]) > 0 || !SERVER_END(c))
#define SIGNALLED (has_started && farewell[c])

inline see(what) {
  atomic {
    assert(caller_sees[c] == 0);
#ifdef NEVER
    assert(what != NEVER);
#endif
    client_end[c] = false;
    caller_sees[c] = what;
    client_killed[c] = false;
    farewell[c] = false;
    has_started = false;
    k = 0;
    goto end
  }
}

proctype Client(byte c) {
  byte k;
  bool has_started;
  {
    if
    :: atomic {
         ANY_HOLDS(LISTENER) ->
         queued[c] = true;
         client_end[c] = true
       }
    :: atomic { !ANY_HOLDS(LISTENER) -> goto fall_back }
    fi;
    has_begun[c] = true;
    if
    :: goto fall_back /* the rest cannot be sent */
    :: is_whole[c] = true
    fi;
follow: /* poll looks at the connection, then at the signals, of which SIGURG counts from started on */
#ifdef MUTANT_LOOKS_FOR_SIGNALS_FIRST
    if
    :: SIGNALLED -> goto take_farewell
    :: !SIGNALLED
    fi;
    if
    :: READABLE(c) -> goto read
    :: !READABLE(c)
    fi;
#else
    if
    :: READABLE(c) ->
       if
       :: SIGNALLED -> goto take_farewell
       :: !SIGNALLED -> goto read
       fi
    :: !READABLE(c)
    fi;
    if
#ifdef MUTANT_TAKES_SIGURG_BEFORE_STARTED
    :: farewell[c] && !has_started -> farewell[c] = false
#endif
    :: SIGNALLED -> goto take_farewell
    :: !SIGNALLED
    fi;
#endif
    READABLE(c) || SIGNALLED;
    goto follow;
read:
    if
    :: atomic {
         report[c]?started, k ->
         assert(!has_started);
         has_started = true;
         goto follow
       }
    :: atomic { report[c]?declined, k -> assert(!has_started); goto fall_back }
    :: atomic {
         report[c]?exited, k ->
         if
         :: has_started -> see(exited)
         :: !has_started -> goto follow /* the end of the connection follows */
         fi
       }
    :: atomic {
         report[c]?killed, k ->
         if
         :: has_started ->
            assert(!said_farewell[k]);
            see(killed)
         :: !has_started -> goto follow
         fi
       }
#ifdef MUTANT_READS_ON_AT_THE_END
    :: len(report[c]) == 0 && !SERVER_END(c) -> goto follow
#elif defined(MUTANT_FALLS_BACK_AFTER_STARTED)
    :: len(report[c]) == 0 && !SERVER_END(c) -> goto fall_back
#else
    :: len(report[c]) == 0 && !SERVER_END(c) && !has_started -> goto fall_back
    :: len(report[c]) == 0 && !SERVER_END(c) && has_started
#endif
    fi;
    /* follow_alone */
    if
    :: pidfds
    :: !pidfds -> goto fail
    fi;
#ifdef MUTANT_LOSES_THE_PIDFD
    goto fail;
#endif
alone: /* poll looks at the signals, then at the pidfd */
    if
    :: farewell[c] -> goto take_farewell
    :: !farewell[c]
    fi;
    if
    :: HAS_ENDED(k)
    :: !HAS_ENDED(k) ->
       farewell[c] || HAS_ENDED(k);
       goto alone
    fi;
#ifndef MUTANT_LOOKS_ONCE_FOR_SIGNALS
    /* The script may have said its farewell, and ended, between the two looks. */
    if
    :: farewell[c] -> goto take_farewell
    :: !farewell[c]
    fi;
#endif
fail: /* Only where nobody is left who could have told. */
    atomic {
      assert(!zygote_lives);
      assert(!said_farewell[k]);
      assert(HAS_ENDED(k) || (has_execed[k] && !pidfds));
      see(failed)
    };
take_farewell:
    see(exited);
fall_back:
    client_end[c] = false;
    atomic {
      assert(runs_of[c] == 0);
      runs_of[c]++;
      see(fallback)
    }
  } unless {
    atomic {
      client_killed[c] && caller_sees[c] == 0 ->
      see(gone)
    }
  };
end:
  skip
}

/* ---- Fate, which kills at any time, and looks at what is left when all is still ---- */

#define IN_USE(k) (endless[k] && state[k] == runs)
#define WAITS_FOR(k) (IN_USE(k) && client_end[client_of[k]] && !client_killed[client_of[k]])

active proctype Fate() {
  byte i;
  atomic {
    if
    :: pidfds = true
    :: pidfds = false
    fi;
    run Zygote();
    for (i : 0 .. CLIENTS - 1) {
      run Client(i)
    }
    i = 0
  };
  do
  :: !zygote_killed -> zygote_killed = true
  :: !client_killed[0] && caller_sees[0] == 0 -> client_killed[0] = true
  :: !kid_killed[0] && state[0] == runs -> kid_killed[0] = true
#if CLIENTS > 1
  :: !client_killed[1] && caller_sees[1] == 0 -> client_killed[1] = true
#endif
#if KIDS > 1
  :: !kid_killed[1] && state[1] == runs -> kid_killed[1] = true
#endif
#if KIDS > 2
  :: !kid_killed[2] && state[2] == runs -> kid_killed[2] = true
#endif
  :: break
  od;
  /* Who waits for an endless script gets tired of it. */
  do
  :: atomic {
       timeout ->
       i = 0;
       do
       :: i < KIDS && !WAITS_FOR(i) -> i++
       :: else -> break
       od;
       if
       :: i < KIDS -> client_killed[client_of[i]] = true
       :: else -> break
       fi
     }
  od;
  /* All is still. */
  atomic {
    for (i : 0 .. CLIENTS - 1) {
      assert(caller_sees[i] != 0);
      assert(!zygote_lives || !SERVER_END(i));
      assert(caller_sees[i] == gone || runs_of[i] == 1 || caller_sees[i] == killed || caller_sees[i] == failed)
    }
    for (i : 0 .. KIDS - 1) {
      /* No zombie, and no child but spares. A script whose client and zygote are both gone runs on. */
      assert(!zygote_lives || state[i] == unborn || state[i] == reaped || (state[i] == runs && ANY_HOLDS(CHANNEL(i))));
      assert(zygote_lives || state[i] != runs || IN_USE(i))
    }
  }
}
