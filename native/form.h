/*
 * form: what a round is like, and whether an answer is what one is answered with when all is well. JavaScript gives forms,
 * made of rounds that a session let pass (src/proxy/rounds.ts). Pure. Source: the manual, "Message Formats".
 */
#ifndef HOLDPOINT_FORM_H
#define HOLDPOINT_FORM_H
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { valuesMax = 32, roundBytesMax = 4096 };
/* Pieces of the lines of a `stmt` and of an `outcome`. */
enum { stmtPieces = 7, outcomePieces = 8 };
/* In a form: integers of the head, and pieces in front of those of the lines. */
enum { formInts = 8, formPieces = 4, formHead = formInts + formPieces + stmtPieces + outcomePieces };

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

static int32_t laneInteger(const char *bytes) {
  const unsigned char *at = (const unsigned char *)bytes;
  return (int32_t)((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]);
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
#endif
