/*
 * lines: the two records of a round as lines of the log, with commitments to its values. What a line says besides numbers and
 * commitments are the pieces of its form (src/audit/frequent.ts). Pure. Source: audit-approval §3.
 */
#ifndef HOLDPOINT_LINES_H
#define HOLDPOINT_LINES_H
#include "form.h"
#include "hash.h"

/*
 * What an event is; one that JavaScript does not want becomes `laneVoid`. Those with a line already: a round that is the
 * server's, one of which the kernel took part, one whose line is not in the file, an outcome, and a round that waits for the
 * disk (double 5: the seq of its line; integer 6: whether JavaScript is to see to it); integer 7 of each round: whether
 * JavaScript is to say again that those like it may go. And what becomes of those: one went (integer 4: ns since it came;
 * 5: whether the kernel took all of it), and one is JavaScript's to see to (double 2: the seq of its line; integer 6: its
 * serial).
 */
enum { laneVoid, laneRound, laneOutcome, laneGone, laneLeft, laneUnwritten, laneEnded, laneWaits, laneFreed, laneUnsynced };
/* Integers in front of a round's values, of an outcome, and in front of each value (its length, its salt). */
enum { roundHead = 12, outcomeInts = 8, valueHead = 5 };

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
#endif
