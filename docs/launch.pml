/*
 * A launch through moonletd, in all the orders in which it can go: client, server and children, each of which may be killed
 * between any two steps, and a server that stops. The words are those of protocol.md; its section "The model" says how to
 * have it checked.
 *
 * A step here is a system call there. What a process does between two of them nobody sees.
 *
 *   -DCLIENTS=n     so many clients (1)
 *   -DKIDS=n        so many forks succeed (CLIENTS)
 *   -DMAX=n         --max (CLIENTS)
 *   -DMUTANT_...    a mistake, which must be found
 *   -DNEVER=end     asserts that no caller sees this end, which must be refuted
 *
 * Left out: what stops and continues a process, signals to the script (to the model it ends of itself), time limits, an end
 * told by signal (no server of this version tells one), and the keeper, whose end is to the server what SIGTERM is.
 */
#ifndef CLIENTS
#define CLIENTS 1
#endif
#ifndef KIDS
#define KIDS CLIENTS
#endif
#ifndef MAX
#define MAX CLIENTS
#endif
#define SERVER KIDS /* its index, behind those of its children */

mtype = { started, declined, exited, killed }; /* reports. The last two are also how a process ended */
mtype = { fallback, failed, gone };            /* what else the caller sees: lua, status 125, a client that was killed */
mtype = { unborn, runs, zombie, reaped };      /* a child */

/* Descriptors, one bit each. */
#define CONNECTION(c) (1 << (c))
#define LISTENER (1 << CLIENTS)
byte holds[KIDS + 1];                         /* by each process of the server's side */

bool pidfds;               /* whether the kernel has them */
bool server_lives = true;
bool server_killed;
bool server_told_to_stop;
bool sigchld;              /* pending in the server */

/* By client. */
mtype caller_sees[CLIENTS]; /* 0: nothing yet */
bool client_killed[CLIENTS];
bool client_end[CLIENTS];   /* the client has its end of the connection */
bool queued[CLIENTS];       /* the connection waits to be accepted */
bool has_begun[CLIENTS];    /* a part of the request is sent, */
bool is_whole[CLIENTS];     /* or all of it */
byte runs_of[CLIENTS];      /* how often the script has been run */
chan report[CLIENTS] = [4] of { mtype, byte };

/* By child. */
mtype state[KIDS] = unborn;
mtype end_of[KIDS];         /* what waitpid tells */
bool kid_killed[KIDS];
bool own_group[KIDS];
bool endless[KIDS];         /* its script runs until it is killed */
bool has_execed[KIDS];      /* the script has become another program */
byte client_of[KIDS];
byte forks;

#if KIDS == 1
#define ANY_HOLDS(bit) ((holds[0] | holds[1]) & (bit))
#elif KIDS == 2
#define ANY_HOLDS(bit) ((holds[0] | holds[1] | holds[2]) & (bit))
#else
#define ANY_HOLDS(bit) ((holds[0] | holds[1] | holds[2] | holds[3]) & (bit))
#endif

/* The server's side has this end of the connection: open, or in the queue of a listener. */
#define SERVER_END(c) (ANY_HOLDS(CONNECTION(c)) || (queued[c] && ANY_HOLDS(LISTENER)))

#define HAS_ENDED(k) (state[k] == zombie || state[k] == reaped)

/* ---- The child ---- */

#define mine client_of[k]

/* The kernel: all descriptors close at once. */
inline end_kid(how) {
  atomic {
    holds[k] = 0;
    end_of[k] = how;
    state[k] = zombie;
    kid_killed[k] = false; /* what has lost its meaning shall not tell states apart, here and below */
    own_group[k] = false;
    endless[k] = false;
    sigchld = true
  }
}

/* The script, of which one end is followed: by exit; after it has become another program, when the descriptors that close
 * on exec are closed; by a signal (see Fate). */
inline run_script() {
  atomic {
    assert(runs_of[mine] == 0);
    assert(!(holds[k] & ~CONNECTION(mine)));
    runs_of[mine]++
  }
  if
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

proctype Child(byte k) {
  {
    /* leave_server: with the fork it has got all that the server had open. */
#ifndef MUTANT_KEEPS_WHAT_IT_INHERITED
    holds[k] = CONNECTION(mine);
#endif
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

/* ---- The server ---- */

#define NOT_FORKED 0 /* else 1 + the child of a launch */
#define HAS_ROOM (running < MAX)

/* A fork inherits all descriptors. It may also fail. */
inline fork_kid() {
  state[forks] = runs;
  client_of[forks] = c;
  holds[forks] = holds[SERVER];
  run Child(forks);
  forks++
}

inline tell(c, kind, k) {
  if
  :: client_end[c] -> report[c]!kind, k
  :: else
  fi
}

/* The next child that has ended; k is KIDS when there is none. */
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
       c = client_of[k]
    :: else
    fi
  }
  if
  :: k < KIDS ->
#ifndef MUTANT_ENDS_UNTOLD
     atomic { tell(c, how, k) };
#endif
     atomic {
       holds[SERVER] = holds[SERVER] & ~CONNECTION(c);
       kid_of[c] = NOT_FORKED;
       left[c] = false;
       running--
     }
  :: k == KIDS
  fi
}

/* For a connection whose request has begun to come. */
inline fork_for() {
  if
  :: atomic {
       forks < KIDS ->
       fork_kid();
       kid_of[c] = forks;
       running++
     }
  :: true -> /* fork fails */
     atomic { tell(c, declined, 0) };
     holds[SERVER] = holds[SERVER] & ~CONNECTION(c)
  fi
}

/* What poll tells of a client's connection. */
#define IS_OPEN(c) (holds[SERVER] & CONNECTION(c))
#define COMES(c) (queued[c] && (holds[SERVER] & LISTENER) && HAS_ROOM)
#define HANGS_UP(c) (IS_OPEN(c) && !client_end[c] && !left[c])
#define ASKS(c) (IS_OPEN(c) && has_begun[c] && kid_of[c] == NOT_FORKED && HAS_ROOM)

proctype Server() {
  byte k, c;
  mtype how;
  byte kid_of[CLIENTS];
  bool left[CLIENTS]; /* ignore_client: this hang-up has been seen */
  byte running;
  {
    holds[SERVER] = LISTENER;
next:
    atomic {
      k = 0;
      c = 0;
      how = 0
    }
end_server:
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
    /* stop: it hears of nobody any more, hangs up on whom has no child, and serves the rest to their ends. */
    :: server_told_to_stop && (holds[SERVER] & LISTENER) ->
       holds[SERVER] = holds[SERVER] & ~LISTENER;
       do
       :: c < CLIENTS ->
          if
          :: kid_of[c] == NOT_FORKED -> holds[SERVER] = holds[SERVER] & ~CONNECTION(c)
          :: else
          fi;
          c++
       :: else -> break
       od;
       goto next
#ifdef MUTANT_STOPS_AT_ONCE
    :: server_told_to_stop && !(holds[SERVER] & LISTENER) -> goto leave
#else
    :: server_told_to_stop && !(holds[SERVER] & LISTENER) && running == 0 -> goto leave
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
         holds[SERVER] = holds[SERVER] | CONNECTION(c)
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
         holds[SERVER] = holds[SERVER] & ~CONNECTION(c)
       }
    :: ASKS(c) -> fork_for()
    fi;
    goto next;
leave:
    skip
  } unless {
    server_killed
  };
  atomic {
    holds[SERVER] = 0;
    server_lives = false
  }
}

/* ---- The client ---- */

#define READABLE(c) (len(report[c]) > 0 || !SERVER_END(c))

inline see(what) {
  atomic {
    assert(caller_sees[c] == 0);
#ifdef NEVER
    assert(what != NEVER);
#endif
    client_end[c] = false;
    caller_sees[c] = what;
    client_killed[c] = false;
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
follow:
    READABLE(c);
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
         :: has_started -> see(killed)
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
    HAS_ENDED(k);
fail: /* Only where nobody is left who could have told: a server that stops tells each end. */
    atomic {
      assert(!server_lives && server_killed);
      assert(HAS_ENDED(k) || (has_execed[k] && !pidfds));
      see(failed)
    };
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
    run Server();
    for (i : 0 .. CLIENTS - 1) {
      run Client(i)
    }
    i = 0
  };
  do
  :: !server_killed && server_lives -> server_killed = true
  :: !server_told_to_stop && server_lives -> server_told_to_stop = true
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
    assert(!server_told_to_stop || !server_lives);
    for (i : 0 .. CLIENTS - 1) {
      assert(caller_sees[i] != 0);
      assert(!server_lives || !SERVER_END(i));
      assert(caller_sees[i] == gone || runs_of[i] == 1 || caller_sees[i] == killed || caller_sees[i] == failed)
    }
    for (i : 0 .. KIDS - 1) {
      /* No zombie, and no child. A script whose client and server are both gone runs on. */
      assert(server_killed || state[i] == unborn || state[i] == reaped);
      assert(state[i] != runs || IN_USE(i))
    }
  }
}
