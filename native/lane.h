/*
 * lane: rounds that need no judgement, since the session has judged the same before and nothing has happened since: Bind,
 * Describe or not, Execute and Sync of a prepared statement that it has a form of, or the same behind its Parse, or a Query
 * that differs from the form in the digits of integers; and the answer to that. The bytes go on as they came, and the two
 * records of each are made here. What differs from its form in a single byte that the form does not leave open is not taken,
 * and goes to the session. A form holds where it was learned: between transactions, or within one.
 *
 * A lane decides nothing. JavaScript gives the forms (src/proxy/rounds.ts), is asked before a round whether what its form
 * rests on still holds, and says when the record is in the file and the round may go. It takes the lane away before it
 * looks at the session for any other reason, and is told then what is under way.
 *
 * What it says of a round holds for the next ones of the same form and lane for a moment (`grantNs`), unless it takes it
 * back. Those need not be asked of it while the log's pen is lent (pen.h): they are recorded and go on at once, or once the
 * disk has their lines (sync.h), and it is told afterwards.
 *
 * The client need not be a descriptor: behind TLS its bytes are JavaScript's, which feeds them to the lane, and is given the
 * answers to write.
 *
 * Source: wire.md §2; the manual, "Message Formats"; audit-approval §3 (the lines).
 */
#ifndef HOLDPOINT_LANE_H
#define HOLDPOINT_LANE_H
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include "form.h"
#include "lines.h"
#include "pen.h"

/* `shut`: the session has it all. `idle`: a round may begin. `staged`: one waits for its record to be in the file. `stuck`:
 * its record is, and the kernel took part of it. `flight`: the server has it. */
enum { laneShut, laneIdle, laneStaged, laneStuck, laneFlight };

/* Of bench/ alone, which asks what it costs to record: nothing is. */
#ifndef HOLDPOINT_UNRECORDED
#define HOLDPOINT_UNRECORDED false
#endif

enum { formsMax = 16 };
/* Digits of an integer that stays of one type, whatever they are: src/sql/stencil.ts. */
enum { digitsMax = 9 };
/* Room for the events of one call of JavaScript, in integers, and for one round of the largest size. */
enum { laneInts = 1 << 18, roundInts = 16 + roundBytesMax / 2 + 8 * valuesMax };
enum { saltsBytes = 1 << 14 };
/* What JavaScript says of the next rounds of a form: they may go once their lines are in the file, or on disk. */
enum { onceWritten = 1, onceSynced };
/* For how long a form's rounds may go once one was let go. */
static const uint64_t grantNs = 100000000;
/* When it is to be said again, while rounds of it still go: so that what goes on is never asked about. */
static const uint64_t renewNs = 40000000;

typedef struct {
  int state;
  /* `client`: -1 if it is no descriptor. */
  int client, server;
  /* Number of the pen of its log; -1. */
  int pen;
  /* Where the session stands behind the last answer, as forms have it. */
  char status;
  Form *forms[formsMax];
  /* When a round of each was let go, how, and what `Lanes.epoch` was then. */
  uint64_t granted[formsMax];
  uint8_t grants[formsMax];
  uint32_t epochs[formsMax];
  /* Of the round that is under way: its form, its bytes and how many of them went, its time and its record. */
  int form;
  char *bytes;
  int32_t size, room, sent;
  uint64_t since;
  double ref;
  /* The last round with a Parse since the lane was opened, and the last before the one under way; -1. */
  int lead, leadBefore;
  /* Ordinal of the last statement in the session; rounds since the lane was opened. */
  int32_t n, rounds;
  /* Of the round, among all of the process: a lane may be another by the time that its record is in the file. */
  int32_t serial;
  /* The client was not given all of an answer by the kernel: no more of them here. */
  bool isClogged;
} Lane;

typedef struct {
  Lane **all;
  int count;
  /* By descriptor: twice its lane and 1, and 1 more for the server's. */
  int32_t *of;
  int descriptors;
  int32_t *events;
  /* Integers of it that are used, and of those that a pen has dealt with. */
  int32_t at, recorded;
  /* There is a round in it that waits for JavaScript, or something that JavaScript has to see to. */
  bool isAwaited;
  /* Grants of another one count no more. */
  uint32_t epoch;
  Pen pens[pensMax];
  /* For syncs: whose loop, whom to tell when one has ended, and how many run. */
  uv_loop_t *loop;
  void (*synced)(void *, Sync *);
  void *owner;
  int syncing;
  uint64_t now;
  int32_t serial;
  char salts[saltsBytes];
  size_t salted;
} Lanes;

/* Sixteen bytes that nothing else gets; false if there is no randomness to be had. */
static bool laneSalt(Lanes *lanes, void *salt) {
  if (lanes->salted + saltBytes > saltsBytes) {
    for (size_t got = 0; got < saltsBytes;) {
      ssize_t more = getrandom(lanes->salts + got, saltsBytes - got, 0);
      if (more < 0 && errno != EINTR) return false;
      if (more > 0) got += (size_t)more;
    }
    lanes->salted = 0;
  }
  memcpy(salt, lanes->salts + lanes->salted, saltBytes);
  lanes->salted += saltBytes;
  return true;
}

/* Puts a value behind an event's last; NULL where `bytes` is negative. */
static bool laneValue(Lanes *lanes, int32_t **to, const char *value, int32_t bytes) {
  int32_t *event = *to;
  event[0] = bytes;
  if (!laneSalt(lanes, event + 1)) return false;
  if (bytes > 0) memcpy(event + valueHead, value, (size_t)bytes);
  *to = event + valueHead + (bytes > 0 ? (bytes + 3) / 4 : 0);
  return true;
}

/*
 * Whether the bytes are a round of the form, whose values then are put behind the event at `to`. A Bind has its own length,
 * which must fit what is in it.
 */
static bool laneMatches(Lanes *lanes, const Form *form, const char *bytes, int32_t size, int32_t **to) {
  const int32_t begin = form->lead.bytes;
  if (size - begin < 5 || memcmp(bytes, form->lead.text, (size_t)begin) != 0 || bytes[begin] != 'B') return false;
  const int32_t length = laneInteger(bytes + begin + 1);
  if (length < 4 || length > size - begin - 1) return false;
  const int32_t end = begin + 1 + length;
  int32_t at = begin + 5 + form->prefix.bytes;
  if (end < at || memcmp(bytes + begin + 5, form->prefix.text, (size_t)form->prefix.bytes) != 0) return false;
  for (int i = 0; i < form->literals; i += 1)
    if (!laneValue(lanes, to, form->texts[i].text, form->texts[i].bytes)) return false;
  for (int i = 0; i < form->parameters; i += 1) {
    if (end - at < 4) return false;
    const int32_t value = laneInteger(bytes + at);
    at += 4;
    if (value < -1 || value > end - at) return false;
    if (!laneValue(lanes, to, bytes + at, value)) return false;
    if (value > 0) at += value;
  }
  return end - at == form->bindBytes && size - at == form->suffix.bytes &&
         memcmp(bytes + at, form->suffix.text, (size_t)form->suffix.bytes) == 0;
}

/* As laneMatches, of a Query: its text is the form's but for the digits of its integers. */
static bool laneAsks(Lanes *lanes, const Form *form, const char *bytes, int32_t size, int32_t **to) {
  /* Up to the zero byte behind the text. */
  const int32_t end = size - 1;
  int32_t at = 5;
  if (bytes[0] != 'Q' || laneInteger(bytes + 1) != end || bytes[end] != 0) return false;
  for (int i = 0;; i += 1) {
    const Piece piece = form->texts[i];
    if (end - at < piece.bytes || memcmp(bytes + at, piece.text, (size_t)piece.bytes) != 0) return false;
    at += piece.bytes;
    if (i == form->parameters) return at == end;
    int32_t digits = 0;
    while (at + digits < end && bytes[at + digits] >= '0' && bytes[at + digits] <= '9') digits += 1;
    if (digits == 0 || digits > digitsMax || !laneValue(lanes, to, bytes + at, digits)) return false;
    at += digits;
  }
}

/* Takes what a client sent if it is a round and none is under way. `input`: where it lies; -1 if it was fed. */
static bool laneBegins(Lanes *lanes, int number, const char *bytes, int32_t size, int32_t input) {
  Lane *lane = lanes->all[number];
  int32_t *event = lanes->events + lanes->at;
  if (lane->state != laneIdle || lane->isClogged || size > roundBytesMax || size < 6) return false;
  if (lane->n == INT32_MAX) return false;
  for (int i = 0; i < formsMax && lane->forms[i] != NULL; i += 1) {
    int32_t *to = event + roundHead;
    const Form *form = lane->forms[i];
    if (form->from != lane->status) continue;
    if (!(form->isQuery ? laneAsks : laneMatches)(lanes, form, bytes, size, &to)) continue;
    if (lane->room < size) {
      char *more = realloc(lane->bytes, (size_t)size);
      if (more == NULL) return false;
      lane->bytes = more;
      lane->room = size;
    }
    memcpy(lane->bytes, bytes, (size_t)size);
    lane->size = size;
    lane->sent = 0;
    lane->form = i;
    lane->leadBefore = lane->lead;
    if (form->lead.bytes > 0) lane->lead = i;
    lane->since = lanes->now;
    lane->state = laneStaged;
    lane->n += 1;
    lane->rounds += 1;
    lanes->serial = (lanes->serial + 1) & INT32_MAX;
    lane->serial = lanes->serial;
    event[0] = laneRound;
    event[1] = (int32_t)(to - event + 1) & ~1;
    event[2] = number;
    event[3] = i;
    event[4] = lane->n;
    event[5] = form->literals + form->parameters;
    event[6] = input;
    event[7] = size;
    event[8] = lane->serial;
    event[9] = form->isQuery ? size - 6 : form->textBytes;
    lanes->at += event[1];
    lanes->isAwaited = true;
    return true;
  }
  return false;
}

/*
 * Gives the client what a server sent, if it is the answer to the round under way. What the kernel does not take of it is
 * returned in `rest`: the last so many bytes are JavaScript's to send, which are all if the client is no descriptor.
 */
static bool laneEnds(Lanes *lanes, int number, const char *bytes, int32_t size, int32_t *rest) {
  Lane *lane = lanes->all[number];
  *rest = 0;
  if (lane->state != laneFlight) return false;
  const int32_t rows = laneAnswer(lane->forms[lane->form], bytes, size);
  const uint64_t micros = (lanes->now - lane->since) / 1000;
  /* What took longer than an event can say is for the session to say. */
  if (rows < 0 || micros > INT32_MAX) return false;
  ssize_t sent = 0;
  if (lane->client >= 0) {
    sent = send(lane->client, bytes, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
    /* The client is gone, or reads nothing: that is the session's to deal with. */
    if (sent <= 0) return false;
  }
  *rest = size - (int32_t)sent;
  /* A stream of JavaScript's has room, and has the server not read while it is full. */
  lane->isClogged = lane->client >= 0 && *rest > 0;
  lane->state = laneIdle;
  lane->status = lane->forms[lane->form]->to;
  int32_t *event = lanes->events + lanes->at;
  event[0] = laneOutcome;
  event[1] = outcomeInts;
  event[2] = number;
  event[3] = lane->form;
  memcpy(event + 4, &lane->ref, sizeof lane->ref);
  event[6] = (int32_t)micros;
  event[7] = rows;
  lanes->at += outcomeInts;
  return true;
}

static void laneForget(Lane *lane) {
  for (int i = 0; i < formsMax; i += 1) {
    if (lane->forms[i] != NULL) free(lane->forms[i]->memory);
    free(lane->forms[i]);
    lane->forms[i] = NULL;
  }
}

static void laneDrop(Lanes *lanes, int number) {
  Lane *lane = lanes->all[number];
  if (lane->client >= 0) lanes->of[lane->client] = 0;
  lanes->of[lane->server] = 0;
  laneForget(lane);
  free(lane->bytes);
  free(lane);
  lanes->all[number] = NULL;
}

/* A descriptor is closed. */
static void laneCut(Lanes *lanes, int descriptor) {
  if (descriptor >= 0 && descriptor < lanes->descriptors && lanes->of[descriptor] != 0)
    laneDrop(lanes, (lanes->of[descriptor] - 1) / 2);
}

/* Takes what was read of a descriptor, or leaves it to JavaScript. `rest`: as in laneEnds. */
static bool laneReads(Lanes *lanes, int descriptor, const char *bytes, int32_t size, int32_t input, int32_t *rest) {
  *rest = 0;
  if (descriptor >= lanes->descriptors || lanes->of[descriptor] == 0) return false;
  const int number = (lanes->of[descriptor] - 1) / 2;
  return (lanes->of[descriptor] - 1) % 2 == 0 ? laneBegins(lanes, number, bytes, size, input)
                                              : laneEnds(lanes, number, bytes, size, rest);
}

/* The other end of a descriptor's lane; minus the lane's number and 1 if that is no descriptor. */
static int laneOther(const Lanes *lanes, int descriptor) {
  const int number = (lanes->of[descriptor] - 1) / 2;
  const Lane *lane = lanes->all[number];
  const int other = lane->client == descriptor ? lane->server : lane->client;
  return other >= 0 ? other : -1 - number;
}

/* True if there is room for the events of one more descriptor. */
static bool laneRoom(Lanes *lanes) { return laneInts - lanes->at >= roundInts; }

/* The pen that an event is to be recorded with, if that may be. */
static Pen *lanePen(Lanes *lanes, const int32_t *event) {
  const Lane *lane = lanes->all[event[2]];
  Pen *pen = lane->pen < 0 ? NULL : &lanes->pens[lane->pen];
  if (pen == NULL || !pen->isLent || event[0] == laneVoid) return NULL;
  if (event[0] == laneOutcome) return pen;
  const bool isGranted = lane->state == laneStaged && lane->epochs[event[3]] == lanes->epoch &&
                         lanes->now - lane->granted[event[3]] < grantNs &&
                         (lane->grants[event[3]] == onceWritten || pen->syncs);
  return isGranted ? pen : NULL;
}

/* Gives the server the round that is staged. */
static void laneSend(Lane *lane) {
  const ssize_t sent = send(lane->server, lane->bytes, (size_t)lane->size, MSG_NOSIGNAL | MSG_DONTWAIT);
  lane->sent = sent > 0 ? (int32_t)sent : 0;
  lane->state = lane->sent == lane->size ? laneFlight : laneStuck;
}

/* Makes and writes the lines of events; false, and nothing is done, if the pen has no room. `isWritten`: as penWrites says. */
static bool laneLines(Lanes *lanes, Pen *pen, int32_t from, int32_t to, int32_t lines, bool *isWritten) {
  if (lines > pen->leavesMax - pen->leaf) return false;
  Page page = {pen->block + pen->at, pen->block + pen->size, false};
  const uint64_t ts = clockNow(CLOCK_REALTIME) / 1000000 * 1000, mono = penMono(pen);
  double seq = pen->seq;
  for (int32_t at = from; at < to; at += lanes->events[at + 1], seq += 1) {
    const int32_t *event = lanes->events + at;
    laneLine(&page, lanes->all[event[2]]->forms[event[3]], event, (uint64_t)seq, ts, mono);
  }
  if (page.isFull) return false;
  pen->mono = mono;
  *isWritten = penWrites(pen, page.at);
  return true;
}

/* Notes what became of a round that waited for the disk, behind what is recorded; there must be room. */
static int32_t *laneNotes(Lanes *lanes, int32_t kind, int32_t number) {
  int32_t *event = lanes->events + lanes->at;
  memset(event, 0, outcomeInts * sizeof *event);
  event[0] = kind;
  event[1] = outcomeInts;
  event[2] = number;
  event[3] = lanes->all[number]->form;
  lanes->at += outcomeInts;
  lanes->recorded = lanes->at;
  return event;
}

/* The lane of a round that waits, if it does still. */
static Lane *laneOf(Lanes *lanes, Waiting waiting) {
  Lane *lane = waiting.lane >= 0 && waiting.lane < lanes->count ? lanes->all[waiting.lane] : NULL;
  /* Shut meanwhile: then the session sees to it. */
  return lane != NULL && lane->state == laneStaged && lane->serial == waiting.serial ? lane : NULL;
}

static int32_t laneNs(const Lane *lane) {
  const uint64_t ns = clockNow(CLOCK_MONOTONIC) - lane->since;
  return ns < INT32_MAX ? (int32_t)ns : INT32_MAX;
}

/* A round's line is on disk, and it goes; or it is JavaScript's to see to. There must be room for an event. */
static void laneFrees(Lanes *lanes, Lane *lane, int32_t number, bool isDone) {
  if (!isDone) {
    int32_t *event = laneNotes(lanes, laneUnsynced, number);
    memcpy(event + 4, &lane->ref, sizeof lane->ref);
    event[6] = lane->serial;
    lanes->isAwaited = true;
    return;
  }
  laneSend(lane);
  int32_t *event = laneNotes(lanes, laneFreed, number);
  event[4] = laneNs(lane);
  event[5] = lane->state == laneFlight;
  if (lane->state == laneStuck) lanes->isAwaited = true;
}

/* Records so many events with one pen and lets their rounds go; false, and nothing is done, if it has no room. */
static bool laneRecord(Lanes *lanes, Pen *pen, int32_t from, int32_t to, int32_t lines) {
  double seq = pen->seq;
  bool isWritten = true;
  if (HOLDPOINT_UNRECORDED) pen->seq += lines;
  else if (!laneLines(lanes, pen, from, to, lines, &isWritten)) return false;
  if (!isWritten) lanes->isAwaited = true;
  for (int32_t at = from; at < to; at += lanes->events[at + 1], seq += 1) {
    int32_t *event = lanes->events + at;
    if (event[0] == laneOutcome) {
      event[0] = laneEnded;
      continue;
    }
    Lane *lane = lanes->all[event[2]];
    lane->ref = seq;
    event[0] = laneUnwritten;
    event[7] = lanes->now - lane->granted[event[3]] > renewNs;
    if (!isWritten) continue;
    if (lane->grants[event[3]] == onceSynced && !HOLDPOINT_UNRECORDED) {
      event[0] = laneWaits;
      event[6] = !syncQueues(pen->sync, event[2], lane->serial);
      if (event[6]) lanes->isAwaited = true;
      memcpy(event + 10, &seq, sizeof seq);
      continue;
    }
    laneSend(lane);
    event[0] = lane->state == laneFlight ? laneGone : laneLeft;
    if (lane->state == laneStuck) lanes->isAwaited = true;
    event[10] = laneNs(lane);
  }
  if (pen->syncs && pen->sync->count > 0) syncBegins(pen->sync, pen->seq);
  return true;
}

/* Records what happened since, as far as that may be without JavaScript, in order. */
static void lanesRecord(Lanes *lanes) {
  lanes->isAwaited = false;
  while (lanes->recorded < lanes->at) {
    const int32_t from = lanes->recorded;
    Pen *pen = lanePen(lanes, lanes->events + from);
    int32_t to = from, lines = 0;
    for (; pen != NULL && to < lanes->at && lanePen(lanes, lanes->events + to) == pen; lines += 1)
      to += lanes->events[to + 1];
    if (lines == 0 || !laneRecord(lanes, pen, from, to, lines)) break;
    lanes->recorded = to;
  }
  for (int32_t at = lanes->recorded; at < lanes->at; at += lanes->events[at + 1])
    if (lanes->events[at] == laneRound) lanes->isAwaited = true;
}

/* Events become JavaScript's: so many integers, which stay as they are until the next is noted. */
static int32_t lanesGiven(Lanes *lanes) {
  const int32_t given = lanes->at;
  lanes->at = lanes->recorded = 0;
  lanes->isAwaited = false;
  return given;
}
#endif
