/*
 * finish: what the lines of a turn of the log still lack, all in one call: in each the hash of the line before, the hash
 * of each, and their place in the tree; and commitments to values. A call of node:crypto costs several times the SHA-256
 * inside it, and a statement would make five. Pure: bytes in, bytes out, nothing is kept. src/audit/finish.ts does the
 * same where this is not, and a test compares.
 *
 * Built by scripts/native.ts. Source: RFC 9162 §2.1.1 (0x00 before a leaf, 0x01 before a node).
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "finishing.h"

#ifndef SOURCE_DIGEST
#define SOURCE_DIGEST ""
#endif

static bool buffer(napi_env env, napi_value value, char **bytes, size_t *length) {
  return napi_get_buffer_info(env, value, (void **)bytes, length) == napi_ok;
}

static napi_value wrong(napi_env env, const char *what) {
  napi_throw_type_error(env, NULL, what);
  return NULL;
}

/*
 * finish(block, from, to, blank, head, leaves, at): `block` holds lines between `from` and `to`, each with its LF and with
 * `blank` where the hash of the one before is to stand. Writes that in, beginning with `head`, which then is the hash of
 * the last line; both have 43 bytes. Writes the hash of each line into `leaves`, the first as its number `at`. Returns how
 * many there are.
 */
static napi_value finish(napi_env env, napi_callback_info info) {
  size_t argc = 7, blockBytes, blankBytes, headBytes, leavesBytes;
  napi_value values[7], result;
  char *block, *blank, *head, *leaves;
  uint32_t from, to, at;
  if (napi_get_cb_info(env, info, &argc, values, NULL, NULL) != napi_ok || argc < 7 ||
      !buffer(env, values[0], &block, &blockBytes) || napi_get_value_uint32(env, values[1], &from) != napi_ok ||
      napi_get_value_uint32(env, values[2], &to) != napi_ok || !buffer(env, values[3], &blank, &blankBytes) ||
      !buffer(env, values[4], &head, &headBytes) || !buffer(env, values[5], &leaves, &leavesBytes) ||
      napi_get_value_uint32(env, values[6], &at) != napi_ok || from > to || to > blockBytes ||
      blankBytes != spelt || headBytes != spelt)
    return wrong(env, "wrong arguments");
  const size_t leavesMax = leavesBytes / hashBytes;
  uint32_t made = 0;
  if (at > leavesMax) return wrong(env, "wrong arguments");
  const char *fault = finishLines(block + from, block + to, blank, head, (unsigned char *)leaves + (size_t)at * hashBytes,
                                  leavesMax - at, &made);
  if (fault != NULL) return wrong(env, fault);
  napi_create_uint32(env, made, &result);
  return result;
}

/*
 * grow(peaks, size, leaves, count): appends `count` leaves to a tree of `size`, whose perfect subtrees' roots, largest
 * first, lie in `peaks`, which has room for 64; how many there are then.
 */
static napi_value grow(napi_env env, napi_callback_info info) {
  size_t argc = 4, peaksBytes, leavesBytes;
  napi_value values[4], result;
  char *peaks, *leaves;
  int64_t size = -1;
  uint32_t count = 0;
  if (napi_get_cb_info(env, info, &argc, values, NULL, NULL) != napi_ok || argc < 4 ||
      !buffer(env, values[0], &peaks, &peaksBytes) || napi_get_value_int64(env, values[1], &size) != napi_ok ||
      !buffer(env, values[2], &leaves, &leavesBytes) || napi_get_value_uint32(env, values[3], &count) != napi_ok ||
      size < 0 || peaksBytes != 64 * hashBytes || (size_t)count * hashBytes > leavesBytes)
    return wrong(env, "wrong arguments");
  int peak = __builtin_popcountll((unsigned long long)size);
  for (uint32_t i = 0; i < count; i += 1, size += 1) {
    unsigned char node[hashBytes];
    memcpy(node, leaves + (size_t)i * hashBytes, hashBytes);
    for (int64_t rest = size; rest & 1; rest >>= 1) {
      peak -= 1;
      hashed(1, peaks + peak * hashBytes, hashBytes, node, hashBytes, node);
    }
    memcpy(peaks + peak * hashBytes, node, hashBytes);
    peak += 1;
  }
  napi_create_int32(env, peak, &result);
  return result;
}

/* commit(salt, oid, value): the commitment to a value, undefined for NULL, under a salt of 16 bytes; base64url. */
static napi_value commitTo(napi_env env, napi_callback_info info) {
  size_t argc = 3, bytes = 0, valueBytes = 0;
  napi_value values[3], result;
  napi_valuetype type;
  char *salt, *value = NULL, text[spelt];
  uint32_t oid;
  if (napi_get_cb_info(env, info, &argc, values, NULL, NULL) != napi_ok || argc < 3 ||
      !buffer(env, values[0], &salt, &bytes) || bytes != saltBytes ||
      napi_get_value_uint32(env, values[1], &oid) != napi_ok || napi_typeof(env, values[2], &type) != napi_ok)
    return wrong(env, "wrong arguments");
  if (type != napi_undefined) {
    if (!buffer(env, values[2], &value, &valueBytes)) return wrong(env, "wrong arguments");
    /* An empty buffer may have no memory of its own, and is a value all the same. */
    if (value == NULL) value = text;
  }
  commitment(salt, oid, value, valueBytes, text);
  napi_create_string_latin1(env, text, spelt, &result);
  return result;
}

NAPI_MODULE_INIT() {
  napi_value value;
  napi_create_function(env, "finish", NAPI_AUTO_LENGTH, finish, NULL, &value);
  napi_set_named_property(env, exports, "finish", value);
  napi_create_function(env, "grow", NAPI_AUTO_LENGTH, grow, NULL, &value);
  napi_set_named_property(env, exports, "grow", value);
  napi_create_function(env, "commit", NAPI_AUTO_LENGTH, commitTo, NULL, &value);
  napi_set_named_property(env, exports, "commit", value);
  napi_create_string_utf8(env, SOURCE_DIGEST, NAPI_AUTO_LENGTH, &value);
  napi_set_named_property(env, exports, "source", value);
  return exports;
}
