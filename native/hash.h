/*
 * hash: SHA-256, base64url and the log's commitments to values, for the addons that need them.
 *
 * SHA-256 is OpenSSL's, which the node binary has and exports: with the processor's own instructions where it has them.
 * Its three functions are declared here, since their headers come with no package; their context has 112 bytes, and is
 * given more. Where they are not exported the addon cannot be loaded. Source: RFC 4648 §5 (base64url); commitments:
 * verify/src/leaf.ts.
 */
#ifndef HOLDPOINT_HASH_H
#define HOLDPOINT_HASH_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
  uint64_t words[32];
} Sha;
extern int SHA256_Init(Sha *);
extern int SHA256_Update(Sha *, const void *, size_t);
extern int SHA256_Final(unsigned char *, Sha *);

enum { hashBytes = 32, spelt = 43, saltBytes = 16 };

/* Writes a hash as `spelt` letters. */
static void spell(const unsigned char *hash, char *text) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  int at = 0;
  for (int i = 0; i < 30; i += 3) {
    uint32_t bits = (uint32_t)hash[i] << 16 | (uint32_t)hash[i + 1] << 8 | hash[i + 2];
    text[at++] = letters[bits >> 18];
    text[at++] = letters[bits >> 12 & 63];
    text[at++] = letters[bits >> 6 & 63];
    text[at++] = letters[bits & 63];
  }
  uint32_t bits = (uint32_t)hash[30] << 16 | (uint32_t)hash[31] << 8;
  text[at++] = letters[bits >> 18];
  text[at++] = letters[bits >> 12 & 63];
  text[at++] = letters[bits >> 6 & 63];
}

/* The commitment to a value under a salt of `saltBytes`; NULL is no value. Writes `spelt` letters. */
static void commitment(const void *salt, uint32_t oid, const void *value, size_t bytes, char *text) {
  /* With the zero byte at its end. */
  static const char prefix[] = "holdpoint-commit-v1";
  static const char null = (char)0xff;
  unsigned char head[sizeof prefix + saltBytes + 4], hash[hashBytes];
  if (value == NULL) {
    value = &null;
    bytes = 1;
    oid = 0xffffffff;
  }
  memcpy(head, prefix, sizeof prefix);
  memcpy(head + sizeof prefix, salt, saltBytes);
  for (int i = 0; i < 4; i += 1) head[sizeof prefix + saltBytes + i] = (unsigned char)(oid >> (24 - 8 * i));
  Sha sha;
  SHA256_Init(&sha);
  SHA256_Update(&sha, head, sizeof head);
  SHA256_Update(&sha, value, bytes);
  SHA256_Final(hash, &sha);
  spell(hash, text);
}
#endif
