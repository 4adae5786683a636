/*
 * finishing: what lines of the log lack until their order is known: in each the hash of the line before, and the hash of each.
 * Pure. Source: audit-approval §3; RFC 9162 §2.1.1 (0x00 before a leaf).
 */
#ifndef HOLDPOINT_FINISHING_H
#define HOLDPOINT_FINISHING_H
#ifndef _GNU_SOURCE
#error "memmem is wanted: define _GNU_SOURCE before anything is included"
#endif
#include "hash.h"

static void hashed(unsigned char kind, const void *one, size_t oneBytes, const void *other, size_t otherBytes,
                   unsigned char *out) {
  Sha sha;
  SHA256_Init(&sha);
  SHA256_Update(&sha, &kind, 1);
  SHA256_Update(&sha, one, oneBytes);
  if (otherBytes > 0) SHA256_Update(&sha, other, otherBytes);
  SHA256_Final(out, &sha);
}

/* Where the hash of the line before goes: at the blank behind the first marker that has it. NULL if there is none. */
static char *place(char *line, const char *end, const char *blank) {
  /* In a text of a line its quotes are escaped. */
  static const char marker[] = "\"prev\":\"";
  enum { markerBytes = sizeof marker - 1 };
  for (;;) {
    char *at = memmem(line, (size_t)(end - line), marker, markerBytes);
    if (at == NULL || end - at < markerBytes + spelt) return NULL;
    if (memcmp(at + markerBytes, blank, spelt) == 0) return at + markerBytes;
    line = at + markerBytes;
  }
}

/*
 * Finishes the lines between `line` and `end`, each with its LF and with `blank` where the hash of the one before is to stand.
 * Writes that in, beginning with `head`, which then is the hash of the last line, and the hash of each into `leaves`, which
 * has room for so many. Returns what is wrong, or NULL; `made` is how many there are.
 */
static const char *finishLines(char *line, const char *end, const char *blank, char *head, unsigned char *leaves,
                               size_t room, uint32_t *made) {
  *made = 0;
  while (line < end) {
    char *lineEnd = memchr(line, '\n', (size_t)(end - line));
    if (lineEnd == NULL) return "a line does not end";
    char *prev = place(line, lineEnd, blank);
    if (prev == NULL) return "a line has no place for the hash of the one before";
    if (*made >= room) return "there are too many lines";
    memcpy(prev, head, spelt);
    hashed(0, line, (size_t)(lineEnd - line), NULL, 0, leaves);
    spell(leaves, head);
    leaves += hashBytes;
    *made += 1;
    line = lineEnd + 1;
  }
  return NULL;
}
#endif
