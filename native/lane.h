/*
 * lane: rounds that need no judgement, since the session has judged the same before and nothing has happened since: Bind,
 * Describe or not, Execute and Sync of a prepared statement that it has a form of, or the same behind its Parse, or a Query
 * that differs from the form in the digits of integers; and the answer to that. The bytes go on as they came, and the two
 * records of each are made here. What differs from its form in a single byte that the form does not leave open is not taken,
 * and goes to the session. A form holds where it was learned: between transactions, or within one.
 *
 * A lane decides nothing. JavaScript gives the forms (src/proxy/rounds.ts), is asked before each round whether what its form
 * rests on still holds, and says when the record is in the file and the round may go. It takes the lane away before it
 * looks at the session for any other reason, and is told then what is under way.
 *
 * Source: wire.md §2; the manual, "Message Formats"; audit-approval §3 (the lines).
 */
#ifndef HOLDPOINT_LANE_H
#define HOLDPOINT_LANE_H
#include <errno.h>
#include <node_api.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include "hash.h"

/* `shut`: the session has it all. `idle`: a round may begin. `staged`: one waits for its record to be in the file. `stuck`:
 * its record is, and the kernel took part of it. `flight`: the server has it. */
enum { laneShut, laneIdle, laneStaged, laneStuck, laneFlight };

enum { formsMax = 16, valuesMax = 32, roundBytesMax = 4096 };
/* Digits of an integer that stays of one type, whatever they are: src/sql/stencil.ts. */
enum { digitsMax = 9 };
/* Room for the events of one call of JavaScript, in integers, and for one round of the largest size. */
enum { laneInts = 1 << 18, roundInts = 16 + roundBytesMax / 2 + 8 * valuesMax };
/* What an event is; a round that JavaScript does not want becomes `laneVoid`. */
enum { laneVoid, laneRound, laneOutcome };
/* Integers in front of a round's values, of an outcome, and in front of each value (its length, its salt). */
enum { roundHead = 10, outcomeInts = 8, valueHead = 5 };
/* Pieces of the lines of a `stmt` and of an `outcome`. */
enum { stmtPieces = 7, outcomePieces = 8 };
/* In a form: integers of the head, and pieces in front of those of the lines. */
enum { formInts = 8, formPieces = 4, formHead = formInts + formPieces + stmtPieces + outcomePieces };
enum { saltsBytes = 1 << 14 };

typedef struct {
  const char *text;
  int32_t bytes;
} Piece;

/* What a round is like. */
typedef struct {
  char *memory;
  /* A Query; else a Bind and what follows. */
  bool isQuery;
  /* A Parse in front of it, or nothing. */
  Piece lead;
  /* Behind the length of the Bind, up to the first parameter. */
  Piece prefix;
  /* Behind the last one, to the end; so many bytes of it are the Bind's. */
  Piece suffix;
  int32_t bindBytes;
  bool isDescribed;
  /* Where it stands, and where it leads: I between transactions, T within one, W within one that has written. */
  char from, to;
  /* What the command tag is, and whether a number follows. */
  Piece tag;
  bool isCounted;
  /* Values of the text, which are the same each time, and parameters; of a Query its integers. */
  int32_t literals, parameters;
  uint32_t oids[valuesMax];
  /* The literals; or what stands in a Query in front of, between and behind its integers. */
  Piece texts[valuesMax + 1];
  /* Bytes of its text; of a Query it is told by the frame. */
  int32_t textBytes;
  Piece stmt[stmtPieces], outcome[outcomePieces];
} Form;

typedef struct {
  int state;
  int client, server;
  /* Where the session stands behind the last answer, as forms have it. */
  char status;
  Form *forms[formsMax];
  /* Of the round that is under way: its form, its bytes and how many of them went, its time and its record. */
  int form;
  char *bytes;
  int32_t size, room, sent;
  uint64_t since;
  double ref;
  /* The last one with a Parse since the lane was opened, and the last before the round; -1. */
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
  /* Integers of it that are used, and whether there is a round in it, which somebody waits for. */
  int32_t at;
  bool isAwaited;
  uint64_t now;
  int32_t serial;
  char salts[saltsBytes];
  size_t salted;
} Lanes;

static uint64_t laneClock(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int32_t laneInteger(const char *bytes) {
  const unsigned char *at = (const unsigned char *)bytes;
  return (int32_t)((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]);
}

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

/* Takes what a client sent if it is a round and none is under way. `input`: where it lies. */
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

/* The rows that a tag like `SELECT 12` tells; -1 if it is another, or not spelled as a server spells it. */
static int32_t laneRows(const Form *form, const char *tag, int32_t bytes) {
  const int32_t head = form->tag.bytes;
  int32_t rows = 0;
  if (bytes <= head || memcmp(tag, form->tag.text, (size_t)head) != 0 || tag[bytes - 1] != 0) return -1;
  if (!form->isCounted) return bytes == head + 1 ? 0 : -1;
  if (bytes < head + 2 || bytes > head + 10) return -1;
  if (tag[head] == '0' && bytes != head + 2) return -1;
  for (int32_t at = head; at < bytes - 1; at += 1) {
    if (tag[at] < '0' || tag[at] > '9') return -1;
    rows = rows * 10 + (tag[at] - '0');
  }
  return rows;
}

/* The rows that an answer tells, if it is whole and what a round is answered with when all is well; else -1. */
static int32_t laneAnswer(const Form *form, const char *bytes, int32_t size) {
  static const char done[] = {'1', 0, 0, 0, 4, '2', 0, 0, 0, 4}, ready[] = {'Z', 0, 0, 0, 5};
  /* ParseComplete and BindComplete, one of them, or none. */
  const int32_t skip = form->lead.bytes > 0 ? 0 : 5;
  int32_t at = form->isQuery ? 0 : (int32_t)sizeof done - skip, rows;
  bool isDescribed = false;
  if (size < at || memcmp(bytes, done + skip, (size_t)at) != 0) return -1;
  for (;;) {
    if (size - at < 5) return -1;
    const char type = bytes[at];
    const int32_t length = laneInteger(bytes + at + 1);
    if (length < 4 || length > size - at - 1) return -1;
    if (type == 'C') {
      rows = laneRows(form, bytes + at + 5, length - 4);
      at += 1 + length;
      break;
    }
    /* A Query describes what has rows; a Bind is described if that was asked for, also what has none. */
    const bool describes = type == 'T' || (type == 'n' && !form->isQuery);
    if (describes ? isDescribed || !(form->isDescribed || form->isQuery) : type != 'D') return -1;
    if (type == 'D' && (form->isDescribed || form->isQuery) && !isDescribed) return -1;
    isDescribed = isDescribed || describes;
    at += 1 + length;
  }
  if (form->isDescribed && !isDescribed) return -1;
  if (size - at != (int32_t)sizeof ready + 1 || memcmp(bytes + at, ready, sizeof ready) != 0) return -1;
  return bytes[size - 1] == (form->to == 'I' ? 'I' : 'T') ? rows : -1;
}

/*
 * Gives the client what a server sent, if it is the answer to the round under way. What the kernel does not take of it is
 * returned in `rest`: the last so many bytes are JavaScript's to send.
 */
static bool laneEnds(Lanes *lanes, int number, const char *bytes, int32_t size, int32_t *rest) {
  Lane *lane = lanes->all[number];
  *rest = 0;
  if (lane->state != laneFlight) return false;
  const int32_t rows = laneAnswer(lane->forms[lane->form], bytes, size);
  const uint64_t micros = (lanes->now - lane->since) / 1000;
  /* What took longer than an event can say is for the session to say. */
  if (rows < 0 || micros > INT32_MAX) return false;
  const ssize_t sent = send(lane->client, bytes, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
  /* The client is gone, or reads nothing: that is the session's to deal with. */
  if (sent <= 0) return false;
  *rest = size - (int32_t)sent;
  lane->isClogged = *rest > 0;
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

/* Lines are written between these; what does not fit is not written, and `isFull` says so. */
typedef struct {
  char *at, *end;
  bool isFull;
} Page;

static void laneWrite(Page *page, const char *text, size_t bytes) {
  if ((size_t)(page->end - page->at) < bytes) {
    page->isFull = true;
    return;
  }
  memcpy(page->at, text, bytes);
  page->at += bytes;
}

static void lanePiece(Page *page, Piece piece) { laneWrite(page, piece.text, (size_t)piece.bytes); }

static void laneNumber(Page *page, uint64_t number) {
  char digits[20];
  int at = sizeof digits;
  do digits[at -= 1] = (char)('0' + number % 10);
  while ((number /= 10) > 0);
  laneWrite(page, digits + at, sizeof digits - (size_t)at);
}

static void laneCommitments(Page *page, const Form *form, const int32_t *event) {
  const int32_t *value = event + roundHead;
  for (int32_t i = 0; i < event[5]; i += 1) {
    char text[spelt];
    const bool isNull = value[0] < 0;
    commitment(value + 1, form->oids[i], isNull ? NULL : (const void *)(value + valueHead), isNull ? 0 : (size_t)value[0],
               text);
    laneWrite(page, i == 0 ? ",\"pc\":[\"" : ",\"", i == 0 ? 8 : 2);
    laneWrite(page, text, spelt);
    laneWrite(page, "\"", 1);
    value += valueHead + (isNull ? 0 : (value[0] + 3) / 4);
  }
  if (event[5] > 0) laneWrite(page, "]", 1);
}

static void laneLine(Page *page, const Form *form, const int32_t *event, uint64_t seq, uint64_t ts, uint64_t mono) {
  if (event[0] == laneRound) {
    const Piece *piece = form->stmt;
    lanePiece(page, piece[0]);
    laneNumber(page, (uint64_t)event[9]);
    lanePiece(page, piece[1]);
    laneNumber(page, mono);
    lanePiece(page, piece[2]);
    laneNumber(page, (uint64_t)event[4]);
    lanePiece(page, piece[3]);
    laneCommitments(page, form, event);
    lanePiece(page, piece[4]);
    laneNumber(page, seq);
    lanePiece(page, piece[5]);
    laneNumber(page, ts);
    lanePiece(page, piece[6]);
    return;
  }
  const Piece *piece = form->outcome;
  double ref;
  memcpy(&ref, event + 4, sizeof ref);
  lanePiece(page, piece[0]);
  laneNumber(page, (uint64_t)event[6]);
  lanePiece(page, piece[1]);
  laneNumber(page, mono);
  lanePiece(page, piece[2]);
  laneNumber(page, (uint64_t)ref);
  lanePiece(page, piece[3]);
  laneNumber(page, (uint64_t)event[7]);
  lanePiece(page, piece[4]);
  laneNumber(page, seq);
  lanePiece(page, piece[5]);
  if (form->isCounted) laneNumber(page, (uint64_t)event[7]);
  lanePiece(page, piece[6]);
  laneNumber(page, ts);
  lanePiece(page, piece[7]);
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
  lanes->of[lane->client] = lanes->of[lane->server] = 0;
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

/* The other end of a descriptor's lane. */
static int laneOther(const Lanes *lanes, int descriptor) {
  const Lane *lane = lanes->all[(lanes->of[descriptor] - 1) / 2];
  return lane->client == descriptor ? lane->server : lane->client;
}

/* True if there is room for the events of one more descriptor. */
static bool laneRoom(Lanes *lanes) { return laneInts - lanes->at >= roundInts; }

/*
 * Makes a form of what JavaScript gives: integers (whether it is a Query; whether it is described; bytes of the suffix that
 * are the Bind's; of its text; how many literals; status before and behind; whether its tag counts), the lengths of lead,
 * prefix, suffix, tag and the pieces of the lines, the number of values and their oids, the lengths of the texts, -1 for NULL; then all bytes in that order.
 */
static Form *laneForm(const char *given, size_t size) {
  /* The copy is aligned, which what is given need not be. */
  int32_t *head = malloc(size + 1);
  Form *form = calloc(1, sizeof *form);
  if (form == NULL || head == NULL || size < 4 * (formHead + 1)) goto fail;
  memcpy(head, given, size);
  const int32_t values = head[formHead], literals = head[4];
  if (values < 0 || values > valuesMax || literals < 0 || literals > values) goto fail;
  form->isQuery = head[0] != 0;
  form->isDescribed = head[1] != 0;
  form->bindBytes = head[2];
  form->textBytes = head[3];
  form->from = (char)head[5];
  form->to = (char)head[6];
  form->isCounted = head[7] != 0;
  form->literals = literals;
  form->parameters = values - literals;
  const int32_t texts = form->isQuery ? values + 1 : literals;
  const int32_t *lengths = head + formHead + 1 + values;
  size_t at = 4 * (size_t)(formHead + 1 + values + texts), textBytes = 0;
  if (size < at || (form->isQuery && literals > 0)) goto fail;
  for (int32_t i = 0; i < values; i += 1) form->oids[i] = (uint32_t)head[formHead + 1 + i];
  for (int32_t i = 0; i < formHead - formInts + texts; i += 1) {
    const int32_t line = i - formPieces, text = line - stmtPieces - outcomePieces;
    const int32_t bytes = text < 0 ? head[formInts + i] : lengths[text];
    const size_t taken = bytes > 0 ? (size_t)bytes : 0;
    if (bytes < (text < 0 || form->isQuery ? 0 : -1) || taken > size - at) goto fail;
    const Piece piece = {(const char *)head + at, bytes};
    if (i == 0) form->lead = piece;
    else if (i == 1) form->prefix = piece;
    else if (i == 2) form->suffix = piece;
    else if (i == 3) form->tag = piece;
    else if (line < stmtPieces) form->stmt[line] = piece;
    else if (text < 0) form->outcome[line - stmtPieces] = piece;
    else form->texts[text] = piece;
    if (text >= 0) textBytes += taken;
    at += taken;
  }
  if (at != size || textBytes > roundBytesMax || form->textBytes < 0 || form->bindBytes < 0 ||
      form->bindBytes > form->suffix.bytes)
    goto fail;
  form->memory = (char *)head;
  return form;
fail:
  free(form);
  free(head);
  return NULL;
}

/* Events become JavaScript's: so many integers, which stay as they are until the next is noted. */
static int32_t lanesGiven(Lanes *lanes) {
  const int32_t given = lanes->at;
  lanes->at = 0;
  lanes->isAwaited = false;
  return given;
}

/* The functions below are called by JavaScript. */

static Lanes *laneArguments(napi_env env, napi_callback_info info, size_t wanted, napi_value *values) {
  void *data = NULL;
  size_t count = wanted;
  if (napi_get_cb_info(env, info, &count, values, NULL, &data) != napi_ok || count < wanted) {
    napi_throw_type_error(env, NULL, "wrong arguments");
    return NULL;
  }
  return data;
}

/* The lane whose number is the first argument; NULL if there is none. */
static Lane *laneNumbered(napi_env env, napi_callback_info info, size_t wanted, napi_value *values) {
  int32_t number = -1;
  Lanes *lanes = laneArguments(env, info, wanted, values);
  if (lanes == NULL || napi_get_value_int32(env, values[0], &number) != napi_ok) return NULL;
  return number >= 0 && number < lanes->count ? lanes->all[number] : NULL;
}

static napi_value laneResult(napi_env env, int32_t number) {
  napi_value result;
  napi_create_int32(env, number, &result);
  return result;
}

/* laneTake(client, server): the number of a new lane between two descriptors, shut; -1 if there is none to be had. */
static napi_value laneTake(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int32_t ends[2] = {-1, -1};
  int number = 0;
  Lanes *lanes = laneArguments(env, info, 2, values);
  if (lanes == NULL) return NULL;
  for (int i = 0; i < 2; i += 1) {
    napi_get_value_int32(env, values[i], &ends[i]);
    if (ends[i] < 0) return laneResult(env, -1);
    if (ends[i] >= lanes->descriptors) {
      const int many = ends[i] * 2 + 64;
      int32_t *more = realloc(lanes->of, (size_t)many * sizeof *more);
      if (more == NULL) return laneResult(env, -1);
      memset(more + lanes->descriptors, 0, (size_t)(many - lanes->descriptors) * sizeof *more);
      lanes->of = more;
      lanes->descriptors = many;
    }
    if (lanes->of[ends[i]] != 0) return laneResult(env, -1);
  }
  while (number < lanes->count && lanes->all[number] != NULL) number += 1;
  if (number == lanes->count) {
    const int many = lanes->count * 2 + 64;
    Lane **more = realloc(lanes->all, (size_t)many * sizeof *more);
    if (more == NULL) return laneResult(env, -1);
    memset(more + lanes->count, 0, (size_t)(many - lanes->count) * sizeof *more);
    lanes->all = more;
    lanes->count = many;
  }
  Lane *lane = calloc(1, sizeof *lane);
  if (lane == NULL) return laneResult(env, -1);
  lane->client = ends[0];
  lane->server = ends[1];
  lanes->all[number] = lane;
  lanes->of[ends[0]] = number * 2 + 1;
  lanes->of[ends[1]] = number * 2 + 2;
  return laneResult(env, number);
}

/* laneLearn(number, place, form): the form in that place, from now on. False if it cannot be had. Only while it is shut. */
static napi_value laneLearn(napi_env env, napi_callback_info info) {
  napi_value values[3], result;
  int32_t place = -1;
  void *bytes = NULL;
  size_t size = 0;
  Lane *lane = laneNumbered(env, info, 3, values);
  Form *form = NULL;
  if (lane != NULL && lane->state == laneShut && napi_get_value_int32(env, values[1], &place) == napi_ok && place >= 0 &&
      place < formsMax && (place == 0 || lane->forms[place - 1] != NULL) && napi_get_buffer_info(env, values[2], &bytes, &size) == napi_ok)
    form = laneForm(bytes, size);
  if (form != NULL) {
    if (lane->forms[place] != NULL) free(lane->forms[place]->memory);
    free(lane->forms[place]);
    lane->forms[place] = form;
  }
  napi_get_boolean(env, form != NULL, &result);
  return result;
}

/* laneForgetAll(number): it has no form any more. Only while it is shut. */
static napi_value laneForgetAll(napi_env env, napi_callback_info info) {
  napi_value value;
  Lane *lane = laneNumbered(env, info, 1, &value);
  if (lane != NULL && lane->state == laneShut) laneForget(lane);
  return NULL;
}

/* laneOpens(number, n, status): rounds may begin; `n`: ordinal of the last statement before; `status`: as forms have it. */
static napi_value laneOpens(napi_env env, napi_callback_info info) {
  napi_value values[3];
  Lane *lane = laneNumbered(env, info, 3, values);
  double n = INT32_MAX;
  int32_t status = 0;
  if (lane == NULL || lane->state != laneShut) return NULL;
  napi_get_value_double(env, values[1], &n);
  napi_get_value_int32(env, values[2], &status);
  /* What cannot be counted any more begins no round. */
  lane->n = n >= 0 && n < INT32_MAX ? (int32_t)n : INT32_MAX;
  lane->status = (char)status;
  lane->rounds = 0;
  lane->ref = -1;
  lane->lead = -1;
  lane->isClogged = false;
  lane->state = laneIdle;
  return NULL;
}

/*
 * laneShuts(number, told): the session has it again. Returns the bytes of the round under way that the server does not
 * have yet, and tells, as doubles: the state it was in, rounds since it was opened, the form and the record of the last
 * one, for how many microseconds it has been under way, the form of the last one with a Parse, and where it
 * stands behind the last answer.
 */
static napi_value laneShuts(napi_env env, napi_callback_info info) {
  napi_value values[2], result;
  void *told = NULL, *copy;
  size_t size = 0;
  Lane *lane = laneNumbered(env, info, 2, values);
  if (lane == NULL || napi_get_buffer_info(env, values[1], &told, &size) != napi_ok || size < 7 * sizeof(double))
    return NULL;
  const double tells[7] = {lane->state, lane->rounds, lane->form, lane->ref,
                           (double)(laneClock() - lane->since) / 1000, lane->lead,
                           lane->status};
  memcpy(told, tells, sizeof tells);
  result = NULL;
  if (lane->state == laneStaged || lane->state == laneStuck)
    napi_create_buffer_copy(env, (size_t)(lane->size - lane->sent), lane->bytes + lane->sent, &copy, &result);
  lane->state = laneShut;
  return result;
}

/* laneUndo(number): the round that was staged just now is none; its bytes go to the session. */
static napi_value laneUndo(napi_env env, napi_callback_info info) {
  napi_value value;
  Lane *lane = laneNumbered(env, info, 1, &value);
  if (lane == NULL || lane->state != laneStaged) return NULL;
  lane->state = laneIdle;
  lane->lead = lane->leadBefore;
  lane->n -= 1;
  lane->rounds -= 1;
  return NULL;
}

/*
 * laneGo(rounds, count): the records of so many rounds are in the file; two integers each, the lane and the serial. Returns
 * how many of them the kernel did not take whole; their lanes' numbers then come first.
 */
static napi_value laneGo(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int32_t *numbers = NULL, count = 0, left = 0;
  size_t bytes = 0;
  Lanes *lanes = laneArguments(env, info, 2, values);
  if (lanes == NULL || napi_get_buffer_info(env, values[0], (void **)&numbers, &bytes) != napi_ok ||
      napi_get_value_int32(env, values[1], &count) != napi_ok || (size_t)count * 8 > bytes)
    return NULL;
  for (int32_t i = 0; i < count; i += 1) {
    const int32_t number = numbers[2 * i];
    Lane *lane = number >= 0 && number < lanes->count ? lanes->all[number] : NULL;
    /* Shut meanwhile: then the session sees to it. */
    if (lane == NULL || lane->state != laneStaged || lane->serial != numbers[2 * i + 1]) continue;
    const ssize_t sent = send(lane->server, lane->bytes, (size_t)lane->size, MSG_NOSIGNAL | MSG_DONTWAIT);
    lane->sent = sent > 0 ? (int32_t)sent : 0;
    lane->state = lane->sent == lane->size ? laneFlight : laneStuck;
    if (lane->state == laneStuck) numbers[left++] = number;
  }
  return laneResult(env, left);
}

/* lanePending(): events that JavaScript was not told of yet, as it is told of them. */
static napi_value lanePending(napi_env env, napi_callback_info info) {
  Lanes *lanes = laneArguments(env, info, 0, NULL);
  return lanes == NULL ? NULL : laneResult(env, lanesGiven(lanes));
}

/*
 * laneMake(block, at, from, to, seq, ts, mono): writes the lines of the events between `from` and `to` into `block` at `at`,
 * each with its LF, the first with that seq, and notes the seqs of rounds. Returns where they end. Throws if there is no
 * room.
 */
static napi_value laneMake(napi_env env, napi_callback_info info) {
  napi_value values[7];
  void *block = NULL;
  size_t size = 0;
  int32_t numbers[3] = {0};
  double stamps[3] = {0};
  Lanes *lanes = laneArguments(env, info, 7, values);
  if (lanes == NULL) return NULL;
  for (int i = 0; i < 3; i += 1) napi_get_value_int32(env, values[1 + i], &numbers[i]);
  for (int i = 0; i < 3; i += 1) napi_get_value_double(env, values[4 + i], &stamps[i]);
  if (napi_get_buffer_info(env, values[0], &block, &size) != napi_ok || numbers[0] < 0 || (size_t)numbers[0] > size ||
      numbers[1] < 0 || numbers[2] > laneInts) {
    napi_throw_type_error(env, NULL, "wrong arguments");
    return NULL;
  }
  Page page = {(char *)block + numbers[0], (char *)block + size, false};
  for (int32_t at = numbers[1]; at < numbers[2]; at += lanes->events[at + 1]) {
    const int32_t *event = lanes->events + at;
    if (event[0] == laneVoid) continue;
    Lane *lane = lanes->all[event[2]];
    if (event[0] == laneRound) lane->ref = stamps[0];
    laneLine(&page, lane->forms[event[3]], event, (uint64_t)stamps[0], (uint64_t)stamps[1], (uint64_t)stamps[2]);
    stamps[0] += 1;
  }
  if (page.isFull) {
    napi_throw_range_error(env, NULL, "there is no room for the lines");
    return NULL;
  }
  return laneResult(env, (int32_t)(page.at - (char *)block));
}
#endif
