/*
 * hop: sockets as bare descriptors. Reads whatever is ready into one buffer and tells JavaScript of all of it in one
 * call; writes at once, without a request object. It exists because a stream of Node's costs more than the two system
 * calls that it wraps (docs/hop.md). Refuses to know what the bytes are and whom they are for.
 *
 * A descriptor given to `take` is duplicated: whoever had it closes his own. What is read lies in `input` until the
 * callback returns, and is written over then. Everything happens on the thread of the event loop that loaded it; a
 * process may load it on several.
 *
 * Rounds that need no judgement do not come to JavaScript one by one: lane.h has them. Nor do rows and COPY data: passage.h.
 *
 * Of libuv it needs the functions below, which the node binary exports and libuv 1 keeps as they are; its headers are no
 * part of node-api-headers, so they are declared here.
 *
 * Built by scripts/native.ts. Source: Node-API (nodejs.org/api/n-api.html), epoll(7), libuv's uv_poll_t.
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <errno.h>
#include <fcntl.h>
#include <node_api.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lane-calls.h"
#include "passage.h"

typedef struct uv_poll_s uv_poll_t;
typedef struct uv_timer_s uv_timer_t;
typedef struct uv_handle_s uv_handle_t;
extern size_t uv_handle_size(int type);
extern int uv_poll_init(uv_loop_t *, uv_poll_t *, int fd);
extern int uv_poll_start(uv_poll_t *, int events, void (*)(uv_poll_t *, int, int));
extern int uv_timer_init(uv_loop_t *, uv_timer_t *);
extern int uv_timer_start(uv_timer_t *, void (*)(uv_timer_t *), uint64_t timeout, uint64_t repeat);
extern void uv_close(uv_handle_t *, void (*)(uv_handle_t *));
extern void uv_ref(uv_handle_t *);
extern void uv_unref(uv_handle_t *);
extern void *uv_handle_get_data(const uv_handle_t *);
extern void uv_handle_set_data(uv_handle_t *, void *);

enum { uv_poll = 8, uv_timer = 13, uv_readable = 1 };

/* Bytes taken from one descriptor before the next has its turn, and by all of them before JavaScript has its. */
enum { piece = 64 << 10, inputBytes = 1 << 20 };
/* Descriptors looked at in one go; each may be writable, and readable with bytes to be written and others
 * to be seen. Three integers an event. */
enum { readyMax = 128, eventsMax = 3 * readyMax, eventInts = 3 };
/* The second integer of an event that says a descriptor can be written again; what is added to where bytes begin that are
 * to be written to it, and were not read. */
enum { writable = -1, unsent = 1 << 30 };

/* How long the end of a round may lie here until JavaScript is told of it, if there is nothing else to tell. */
enum { lateMs = 5 };

#ifndef SOURCE_DIGEST
#define SOURCE_DIGEST ""
#endif

typedef struct {
  napi_env env;
  napi_ref callback;
  napi_ref receiver;
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
  uv_poll_t *poll;
  uv_timer_t *timer;
  bool isTimed;
  /* Being taken down; and its handles are closed. */
  bool isOver, isClosed;
  int epoll;
  char *input;
  /*
   * Descriptor, or minus a lane's number and 1; where in `input` it begins, or `writable`; bytes, 0 for the end of the stream, or
   * minus an errno.
   */
  int32_t *events;
  Lanes lanes;
  Passages passages;
} Hop;

/* `rounds`: integers of what happened in lanes. */
static void tellOf(Hop *hop, int count, int32_t rounds) {
  napi_handle_scope scope;
  napi_value callback, receiver, arguments[2], result;
  if (count == 0 && rounds == 0) return;
  napi_open_handle_scope(hop->env, &scope);
  napi_get_reference_value(hop->env, hop->callback, &callback);
  napi_get_reference_value(hop->env, hop->receiver, &receiver);
  napi_create_int32(hop->env, count, &arguments[0]);
  napi_create_int32(hop->env, rounds, &arguments[1]);
  if (napi_make_callback(hop->env, hop->context, receiver, callback, 2, arguments, &result) ==
      napi_pending_exception) {
    napi_value error;
    if (napi_get_and_clear_last_exception(hop->env, &error) == napi_ok) napi_fatal_exception(hop->env, error);
  }
  napi_close_handle_scope(hop->env, scope);
}

static void tell(Hop *hop, int count) { tellOf(hop, count, lanesGiven(&hop->lanes)); }

static void note(Hop *hop, int *count, int fd, int at, int bytes) {
  int32_t *event = hop->events + *count * eventInts;
  event[0] = fd;
  event[1] = at;
  event[2] = bytes;
  *count += 1;
}

/* What an answer leaves to be written goes in front: nothing that JavaScript says of the same call may come before it. */
static void noteRest(Hop *hop, int *count, int fd, int at, int bytes) {
  memmove(hop->events + eventInts, hop->events, (size_t)(*count * eventInts) * sizeof(int32_t));
  int first = 0;
  note(hop, &first, fd, at, bytes);
  *count += 1;
}

static void late(uv_timer_t *timer) {
  Hop *hop = uv_handle_get_data((uv_handle_t *)timer);
  hop->isTimed = false;
  if (hop->lanes.at > 0) lanesRecord(&hop->lanes);
  tell(hop, 0);
}

/* What nobody waits for goes with the next that somebody does: half of the calls are saved. */
static void tellLate(Hop *hop) {
  if (hop->isTimed) return;
  hop->isTimed = uv_timer_start(hop->timer, late, lateMs, 0) == 0;
  if (!hop->isTimed) tell(hop, 0);
}

static void over(Hop *hop);

/* The disk has confirmed what rounds wait for, or not. */
static void synced(void *owner, Sync *sync) {
  Hop *hop = owner;
  Lanes *lanes = &hop->lanes;
  int32_t kept = 0;
  if (hop->isOver) {
    over(hop);
    return;
  }
  lanes->now = clockNow(CLOCK_MONOTONIC);
  if (lanes->recorded < lanes->at) lanesRecord(lanes);
  if (lanes->recorded < lanes->at) tell(hop, 0);
  sync->next = 0;
  for (int32_t i = 0; i < sync->count; i += 1) {
    const Waiting waiting = sync->waits[i];
    if (!laneRoom(lanes)) tell(hop, 0);
    Lane *lane = laneOf(lanes, waiting);
    if (lane == NULL) continue;
    if (!sync->isDone || lane->ref < sync->upTo) {
      laneFrees(lanes, lane, waiting.lane, sync->isDone);
      continue;
    }
    if (lane->ref >= sync->next) sync->next = lane->ref + 1;
    sync->waits[kept++] = waiting;
  }
  if (sync->count > 0) sync->count = kept;
  if (lanes->isAwaited) tell(hop, 0);
  else if (lanes->at > 0) tellLate(hop);
}

static void ready(uv_poll_t *poll, int status, int events) {
  Hop *hop = uv_handle_get_data((uv_handle_t *)poll);
  struct epoll_event found[readyMax];
  /* `answers`: of `count`, those of rounds whose clients are no descriptors. */
  int count = 0, answers = 0, at = 0;
  int ready = epoll_wait(hop->epoll, found, readyMax, 0);
  (void)status;
  (void)events;
  hop->lanes.now = clockNow(CLOCK_MONOTONIC);
  for (int i = 0; i < ready; i += 1) {
    int fd = found[i].data.fd;
    if (found[i].events & EPOLLOUT) note(hop, &count, fd, writable, 0);
    if (!(found[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))) continue;
    if (inputBytes - at < piece || !laneRoom(&hop->lanes)) {
      if (hop->lanes.isAwaited) lanesRecord(&hop->lanes);
      tell(hop, count);
      count = answers = at = 0;
    }
    ssize_t bytes = recv(fd, hop->input + at, piece, MSG_DONTWAIT);
    if (bytes < 0) {
      if (errno != EAGAIN && errno != EINTR) note(hop, &count, fd, at, -errno);
      continue;
    }
    int32_t rest = 0;
    const int32_t passed = passageReads(&hop->passages, fd, hop->input + at, (int32_t)bytes, &rest);
    if (passed > 0) {
      if (rest > 0) noteRest(hop, &count, hop->passages.of[fd].sink, unsent + at + passed - rest, rest);
      if (passed < bytes) note(hop, &count, fd, at + passed, (int)bytes - passed);
      /* What nobody has to see need not be kept. */
      if (rest == 0 && passed == bytes) continue;
    } else if (bytes > 0 && laneReads(&hop->lanes, fd, hop->input + at, (int32_t)bytes, at, &rest)) {
      const int other = rest > 0 ? laneOther(&hop->lanes, fd) : 0;
      if (rest > 0) noteRest(hop, &count, other, unsent + at + (int)bytes - rest, rest);
      if (other < 0) answers += 1;
    } else {
      note(hop, &count, fd, at, (int)bytes);
    }
    at += (int)bytes;
  }
  if (hop->lanes.isAwaited) lanesRecord(&hop->lanes);
  if (count > answers || hop->lanes.isAwaited) {
    tell(hop, count);
    return;
  }
  /* They only have to be written: what happened is told as late as ever. */
  if (answers > 0) tellOf(hop, answers, 0);
  if (hop->lanes.at > 0) tellLate(hop);
}

/* Frees it once nothing runs on its behalf. */
static void over(Hop *hop) {
  napi_async_cleanup_hook_handle cleanup = hop->cleanup;
  if (!hop->isClosed || hop->lanes.syncing > 0) return;
  close(hop->epoll);
  free(hop->poll);
  free(hop->timer);
  for (int i = 0; i < hop->lanes.count; i += 1)
    if (hop->lanes.all[i] != NULL) laneDrop(&hop->lanes, i);
  free(hop->lanes.all);
  free(hop->lanes.of);
  free(hop->passages.of);
  /* `input` and `events` may still be seen by JavaScript: they stay with the process, once a thread. */
  free(hop);
  napi_remove_async_cleanup_hook(cleanup);
}

static void closed(uv_handle_t *handle) {
  Hop *hop = uv_handle_get_data(handle);
  if (handle == (uv_handle_t *)hop->poll) {
    uv_close((uv_handle_t *)hop->timer, closed);
    return;
  }
  hop->isClosed = true;
  over(hop);
}

static void cleanUp(napi_async_cleanup_hook_handle handle, void *data) {
  Hop *hop = data;
  (void)handle;
  hop->isOver = true;
  for (int i = 0; i < pensMax; i += 1) {
    if (hop->lanes.pens[i].sync != NULL) syncDrop(hop->lanes.pens[i].sync);
    hop->lanes.pens[i].sync = NULL;
  }
  uv_close((uv_handle_t *)hop->poll, closed);
}

static Hop *arguments(napi_env env, napi_callback_info info, size_t wanted, napi_value *values) {
  void *data = NULL;
  size_t count = wanted;
  if (napi_get_cb_info(env, info, &count, values, NULL, &data) != napi_ok || count < wanted || data == NULL) {
    napi_throw_type_error(env, NULL, "wrong arguments");
    return NULL;
  }
  return data;
}

static int integer(napi_env env, napi_value value) {
  int32_t number = -1;
  napi_get_value_int32(env, value, &number);
  return number;
}

static napi_value number(napi_env env, int value) {
  napi_value result;
  napi_create_int32(env, value, &result);
  return result;
}

/* take(fd): a duplicate, that nothing is asked of yet; or minus an errno. */
static napi_value take(napi_env env, napi_callback_info info) {
  napi_value value;
  Hop *hop = arguments(env, info, 1, &value);
  if (hop == NULL) return NULL;
  int fd = fcntl(integer(env, value), F_DUPFD_CLOEXEC, 0);
  return number(env, fd < 0 ? -errno : fd);
}

/* watch(fd, before, after): bits 1 to read and 2 to write; 0 is not watched at all, so that its end is not told either. */
static napi_value watch(napi_env env, napi_callback_info info) {
  napi_value values[3];
  Hop *hop = arguments(env, info, 3, values);
  if (hop == NULL) return NULL;
  int fd = integer(env, values[0]), before = integer(env, values[1]), after = integer(env, values[2]);
  struct epoll_event event = {
      .events = (after & 1 ? EPOLLIN : 0) | (after & 2 ? EPOLLOUT : 0),
      .data.fd = fd,
  };
  int how = after == 0 ? EPOLL_CTL_DEL : before == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  return number(env, epoll_ctl(hop->epoll, how, fd, &event) < 0 ? -errno : 0);
}

/* write(fd, bytes): how many of them the kernel has taken, or minus an errno. */
static napi_value writeBytes(napi_env env, napi_callback_info info) {
  napi_value values[2];
  void *bytes = NULL;
  size_t length = 0;
  Hop *hop = arguments(env, info, 2, values);
  if (hop == NULL) return NULL;
  if (napi_get_buffer_info(env, values[1], &bytes, &length) != napi_ok) {
    napi_throw_type_error(env, NULL, "not a buffer");
    return NULL;
  }
  if (length > INT32_MAX) length = INT32_MAX;
  ssize_t written = send(integer(env, values[0]), bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
  return number(env, written < 0 ? -errno : (int)written);
}

/* finish(fd): nothing more is written; the other side reads the end. */
static napi_value finish(napi_env env, napi_callback_info info) {
  napi_value value;
  if (arguments(env, info, 1, &value) == NULL) return NULL;
  return number(env, shutdown(integer(env, value), SHUT_WR) < 0 ? -errno : 0);
}

/* drop(fd) */
static napi_value drop(napi_env env, napi_callback_info info) {
  napi_value value;
  Hop *hop = arguments(env, info, 1, &value);
  if (hop == NULL) return NULL;
  laneCut(&hop->lanes, integer(env, value));
  passageShut(&hop->passages, integer(env, value));
  close(integer(env, value));
  return NULL;
}

/* hold(isHeld): whether the process goes on for the sake of what is watched. */
static napi_value hold(napi_env env, napi_callback_info info) {
  napi_value value;
  bool held = false;
  Hop *hop = arguments(env, info, 1, &value);
  if (hop == NULL) return NULL;
  napi_get_value_bool(env, value, &held);
  if (held) uv_ref((uv_handle_t *)hop->poll);
  else uv_unref((uv_handle_t *)hop->poll);
  return NULL;
}

/*
 * passOpen(source, sink, type, rest, lengthMax): what is read of the one goes to the other, as far as it are frames of that
 * type. `rest`: bytes of the one begun that are still to come. False if it cannot be had.
 */
static napi_value passOpen(napi_env env, napi_callback_info info) {
  napi_value values[5], result;
  double rest = -1;
  Hop *hop = arguments(env, info, 5, values);
  if (hop == NULL) return NULL;
  const int source = integer(env, values[0]);
  napi_get_value_double(env, values[3], &rest);
  const Passage passage = {true, (char)integer(env, values[2]), integer(env, values[1]), (int64_t)rest, integer(env, values[4])};
  napi_get_boolean(env, source >= 0 && passage.sink >= 0 && rest >= 0 && passageOpen(&hop->passages, source, passage), &result);
  return result;
}

/* passShut(source): nothing passes any more. Returns the bytes of the frame begun that are still to come. */
static napi_value passShut(napi_env env, napi_callback_info info) {
  napi_value value, result;
  Hop *hop = arguments(env, info, 1, &value);
  if (hop == NULL) return NULL;
  napi_create_double(env, (double)passageShut(&hop->passages, integer(env, value)), &result);
  return result;
}

/*
 * laneFeed(number, bytes): what a client sent that is no descriptor. 0: it is no round, and the session's; 1: it is, and is
 * recorded; 2: JavaScript is to be told of it.
 */
static napi_value laneFeed(napi_env env, napi_callback_info info) {
  napi_value values[2];
  void *bytes = NULL;
  size_t size = 0;
  Hop *hop = arguments(env, info, 2, values);
  if (hop == NULL) return NULL;
  Lanes *lanes = &hop->lanes;
  const int lane = integer(env, values[0]);
  lanes->now = clockNow(CLOCK_MONOTONIC);
  if (lane < 0 || lane >= lanes->count || lanes->all[lane] == NULL || lanes->all[lane]->client >= 0 || !laneRoom(lanes) ||
      napi_get_buffer_info(env, values[1], &bytes, &size) != napi_ok || size > roundBytesMax ||
      !laneBegins(lanes, lane, bytes, (int32_t)size, -1))
    return number(env, 0);
  lanesRecord(lanes);
  if (lanes->isAwaited) return number(env, 2);
  tellLate(hop);
  return number(env, 1);
}

static bool method(napi_env env, napi_value object, const char *name, napi_callback callback, void *data) {
  napi_value function;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, data, &function) == napi_ok &&
         napi_set_named_property(env, object, name, function) == napi_ok;
}

/* open(told): the functions above and those of lane.h, `input`, `events` and `rounds`, of which `told` is called with the numbers. */
static napi_value openHop(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value told, result, input, events, rounds, memory, name;
  uv_loop_t *loop = NULL;
  const int eventBytes = eventsMax * eventInts * (int)sizeof(int32_t);
  napi_get_cb_info(env, info, &count, &told, NULL, NULL);
  Hop *hop = calloc(1, sizeof *hop);
  if (hop == NULL) goto fail;
  hop->env = env;
  hop->lanes.salted = saltsBytes;
  hop->lanes.events = malloc(laneInts * sizeof(int32_t));
  hop->epoll = epoll_create1(EPOLL_CLOEXEC);
  hop->input = malloc(inputBytes);
  hop->events = calloc(1, eventBytes);
  hop->poll = calloc(1, uv_handle_size(uv_poll));
  hop->timer = calloc(1, uv_handle_size(uv_timer));
  if (hop->epoll < 0 || !hop->input || !hop->events || !hop->poll || !hop->timer || !hop->lanes.events) goto fail;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok || uv_timer_init(loop, hop->timer) != 0 ||
      uv_poll_init(loop, hop->poll, hop->epoll) != 0)
    goto fail;
  hop->lanes.loop = loop;
  hop->lanes.synced = synced;
  hop->lanes.owner = hop;
  uv_handle_set_data((uv_handle_t *)hop->timer, hop);
  uv_unref((uv_handle_t *)hop->timer);
  uv_handle_set_data((uv_handle_t *)hop->poll, hop);
  uv_unref((uv_handle_t *)hop->poll);
  napi_add_async_cleanup_hook(env, cleanUp, hop, &hop->cleanup);
  napi_create_object(env, &result);
  napi_create_string_utf8(env, "holdpoint:hop", NAPI_AUTO_LENGTH, &name);
  if (napi_create_external_buffer(env, inputBytes, hop->input, NULL, NULL, &input) != napi_ok ||
      napi_create_external_arraybuffer(env, hop->events, eventBytes, NULL, NULL, &memory) != napi_ok ||
      napi_create_typedarray(env, napi_int32_array, eventsMax * eventInts, memory, 0, &events) != napi_ok ||
      napi_create_external_buffer(env, laneInts * sizeof(int32_t), hop->lanes.events, NULL, NULL, &rounds) != napi_ok ||
      napi_create_reference(env, told, 1, &hop->callback) != napi_ok ||
      napi_create_reference(env, result, 1, &hop->receiver) != napi_ok ||
      napi_async_init(env, result, name, &hop->context) != napi_ok ||
      napi_set_named_property(env, result, "input", input) != napi_ok ||
      napi_set_named_property(env, result, "events", events) != napi_ok ||
      napi_set_named_property(env, result, "rounds", rounds) != napi_ok ||
      !method(env, result, "take", take, hop) || !method(env, result, "watch", watch, hop) ||
      !method(env, result, "write", writeBytes, hop) || !method(env, result, "finish", finish, hop) ||
      !method(env, result, "drop", drop, hop) || !method(env, result, "hold", hold, hop) ||
      !method(env, result, "passOpen", passOpen, hop) || !method(env, result, "passShut", passShut, hop) ||
      !method(env, result, "laneFeed", laneFeed, hop) || !method(env, result, "laneTake", laneTake, &hop->lanes) || !method(env, result, "laneLearn", laneLearn, &hop->lanes) ||
      !method(env, result, "laneForget", laneForgetAll, &hop->lanes) ||
      !method(env, result, "laneOpen", laneOpens, &hop->lanes) || !method(env, result, "laneShut", laneShuts, &hop->lanes) ||
      !method(env, result, "laneUndo", laneUndo, &hop->lanes) || !method(env, result, "laneGo", laneGo, &hop->lanes) ||
      !method(env, result, "laneGrant", laneGrant, &hop->lanes) || !method(env, result, "laneMake", laneMake, &hop->lanes) ||
      !method(env, result, "lanePending", lanePending, &hop->lanes) ||
      !method(env, result, "laneRevoke", laneRevoke, &hop->lanes) || !method(env, result, "penTake", penTake, &hop->lanes) ||
      !method(env, result, "penLend", penLend, &hop->lanes) || !method(env, result, "penReturn", penReturn, &hop->lanes) ||
      !method(env, result, "penDrop", penDrop, &hop->lanes) || !method(env, result, "penFile", penFile, &hop->lanes) ||
      !method(env, result, "penAbandon", penAbandon, &hop->lanes) ||
      uv_poll_start(hop->poll, uv_readable, ready) != 0)
    goto fail;
  return result;
fail:
  /* What was had so far is little, and a process that fails here goes on without it. */
  napi_throw_error(env, NULL, "hop cannot be set up");
  return NULL;
}

NAPI_MODULE_INIT() {
  napi_value open, digest;
  napi_create_function(env, "open", NAPI_AUTO_LENGTH, openHop, NULL, &open);
  napi_set_named_property(env, exports, "open", open);
  napi_create_string_utf8(env, SOURCE_DIGEST, NAPI_AUTO_LENGTH, &digest);
  napi_set_named_property(env, exports, "source", digest);
  return exports;
}
