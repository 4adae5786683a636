/*
 * pen: the end of a log, which JavaScript lends while nobody else writes to it: lines of what goes by a lane are then chained
 * and written here, each before its round goes on. JavaScript has it back before it looks at its log for any reason, and
 * takes over what was written meanwhile (src/hop/pens.ts). Of a write that fails nothing is tried again here.
 *
 * The memory is JavaScript's, which keeps it as long as it is lent. Source: audit-approval §3; write(2).
 */
#ifndef HOLDPOINT_PEN_H
#define HOLDPOINT_PEN_H
#include <errno.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>
#include "finishing.h"
#include "sync.h"

enum { pensMax = 64 };

typedef struct {
  bool isTaken, isLent;
  /* The file, open to append. */
  int fd;
  /* Where lines are made: the next begins at `at`; up to `written` they are in the file. */
  char *block;
  int32_t size, at, written;
  /* What stands for the hash of the line before, and that hash: `spelt` letters each. */
  const char *blank;
  char *head;
  /* Hashes of lines: how many are there, and how many have room. */
  unsigned char *leaves;
  int32_t leaf, leavesMax;
  /* Of the next line. */
  double seq;
  /* CLOCK_MONOTONIC, in ns, when the log's own clock began; and what that said last. It never goes back. */
  uint64_t start, mono;
  /* An errno, of the write that has failed. */
  int failure;
  /* What rounds wait for that are to be on disk; NULL if it was never asked for. `syncs`: those may be left to the pen now. */
  Sync *sync;
  bool syncs;
} Pen;

static uint64_t clockNow(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t penMono(const Pen *pen) {
  const uint64_t now = clockNow(CLOCK_MONOTONIC);
  const uint64_t mono = now > pen->start ? now - pen->start : 0;
  return mono > pen->mono ? mono : pen->mono;
}

/*
 * Chains the lines that were made behind the last one, up to `end`, and writes them: false if they are not all in the file,
 * which then takes nothing more. They are in the chain all the same.
 */
static bool penWrites(Pen *pen, const char *end) {
  uint32_t made = 0;
  const char *fault = finishLines(pen->block + pen->at, end, pen->blank, pen->head, pen->leaves + (size_t)pen->leaf * hashBytes,
                                  (size_t)(pen->leavesMax - pen->leaf), &made);
  pen->at = (int32_t)(end - pen->block);
  pen->leaf += (int32_t)made;
  pen->seq += made;
  /* Of lines that were not chained nothing may be written; no line that a form makes is one. */
  if (fault != NULL) pen->failure = EINVAL;
  while (pen->failure == 0 && pen->written < pen->at) {
    const ssize_t wrote = write(pen->fd, pen->block + pen->written, (size_t)(pen->at - pen->written));
    if (wrote > 0) pen->written += (int32_t)wrote;
    else if (wrote == 0 || errno != EINTR) pen->failure = wrote == 0 ? EIO : errno;
  }
  if (pen->failure != 0) pen->isLent = false;
  return pen->failure == 0;
}
#endif
