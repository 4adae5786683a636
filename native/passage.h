/*
 * passage: what streams from one descriptor to another without anybody looking at it: frames of one type, rows or COPY
 * data, from the middle of one up to the first byte of another type. JavaScript opens it where its framer stands within such
 * frames and nothing waits on either side (src/hop/passage.ts), and shuts it, and is told how far it went, before it looks at
 * either stream again or closes one of the two. What the kernel does not take, a length that cannot be, a header in two
 * pieces, an end: it shuts itself, and the rest is JavaScript's.
 *
 * Source: the manual, "Message Formats".
 */
#ifndef HOLDPOINT_PASSAGE_H
#define HOLDPOINT_PASSAGE_H
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "form.h"

typedef struct {
  bool isOpen;
  char type;
  /* Where it goes. */
  int sink;
  /* Bytes of the frame begun that are still to come; the largest value of a length. */
  int64_t rest;
  int32_t lengthMax;
} Passage;

typedef struct {
  /* By descriptor. */
  Passage *of;
  int descriptors;
} Passages;

/* Of a descriptor; NULL if it never had one. */
static Passage *passageOf(const Passages *passages, int descriptor) {
  return descriptor >= 0 && descriptor < passages->descriptors ? &passages->of[descriptor] : NULL;
}

/* Opens one; false if there is no memory. */
static bool passageOpen(Passages *passages, int descriptor, Passage passage) {
  if (descriptor >= passages->descriptors) {
    const int many = descriptor * 2 + 64;
    Passage *more = realloc(passages->of, (size_t)many * sizeof *more);
    if (more == NULL) return false;
    memset(more + passages->descriptors, 0, (size_t)(many - passages->descriptors) * sizeof *more);
    passages->of = more;
    passages->descriptors = many;
  }
  passages->of[descriptor] = passage;
  return true;
}

/* Shuts it. Returns the bytes of the frame begun that are still to come. */
static int64_t passageShut(const Passages *passages, int descriptor) {
  Passage *passage = passageOf(passages, descriptor);
  if (passage == NULL) return 0;
  passage->isOpen = false;
  return passage->rest;
}

/* Where the last frame ends that begins in these bytes, or before them, and passes: perhaps behind them. */
static int64_t passageEnd(const Passage *passage, const char *bytes, int32_t size) {
  int64_t end = passage->rest;
  while (end + 5 <= size && bytes[end] == passage->type) {
    const int32_t length = laneInteger(bytes + end + 1);
    if (length < 4 || length > passage->lengthMax) break;
    end += 1 + (int64_t)length;
  }
  return end;
}

/*
 * Gives the other side what was read of a descriptor, as far as it passes. Returns how many bytes of it are dealt with;
 * of those, the last `unsent` are JavaScript's to send. Shuts the passage where there are more, or some are unsent.
 */
static int32_t passageReads(const Passages *passages, int descriptor, const char *bytes, int32_t size, int32_t *unsent) {
  Passage *passage = passageOf(passages, descriptor);
  *unsent = 0;
  if (passage == NULL || !passage->isOpen || size <= 0) return 0;
  const int64_t end = passageEnd(passage, bytes, size);
  const int32_t given = end < size ? (int32_t)end : size;
  ssize_t sent = given == 0 ? 0 : send(passage->sink, bytes, (size_t)given, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) {
    /* JavaScript finds out what is wrong as it gives the same bytes. */
    passage->isOpen = false;
    return 0;
  }
  if (sent < 0) sent = 0;
  passage->rest = end - given;
  *unsent = given - (int32_t)sent;
  passage->isOpen = given == size && *unsent == 0;
  return given;
}
#endif
