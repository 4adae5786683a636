/*
 * lane-calls: lanes as JavaScript has them; what the arguments are stands in src/hop/hop.ts too. Source: Node-API.
 */
#ifndef HOLDPOINT_LANE_CALLS_H
#define HOLDPOINT_LANE_CALLS_H
#include <node_api.h>
#include "lane.h"

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

/* The pen of that number; NULL if there is none, or no lanes. */
static Pen *penOf(napi_env env, Lanes *lanes, napi_value value) {
  int32_t number = -1;
  if (lanes == NULL || napi_get_value_int32(env, value, &number) != napi_ok) return NULL;
  return number >= 0 && number < pensMax && lanes->pens[number].isTaken ? &lanes->pens[number] : NULL;
}

static napi_value laneResult(napi_env env, int32_t number) {
  napi_value result;
  napi_create_int32(env, number, &result);
  return result;
}

/*
 * laneTake(client, server, pen): the number of a new lane between two descriptors, shut; -1 if there is none to be had. `client`:
 * -1 if it is none.
 */
static napi_value laneTake(napi_env env, napi_callback_info info) {
  napi_value values[3];
  int32_t ends[2] = {-1, -1}, pen = -1;
  const int client = 0;
  int number = 0;
  Lanes *lanes = laneArguments(env, info, 3, values);
  if (lanes == NULL) return NULL;
  napi_get_value_int32(env, values[2], &pen);
  for (int i = 0; i < 2; i += 1) {
    napi_get_value_int32(env, values[i], &ends[i]);
    if (i == client && ends[i] == -1) continue;
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
  lane->pen = pen >= 0 && pen < pensMax && lanes->pens[pen].isTaken ? pen : -1;
  lanes->all[number] = lane;
  if (ends[0] >= 0) lanes->of[ends[0]] = number * 2 + 1;
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
    lane->granted[place] = 0;
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
  memset(lane->granted, 0, sizeof lane->granted);
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
 * one, for how many microseconds it has been under way, the form of the last one that was answered and had
 * a Parse, and where it stands behind the last answer.
 */
static napi_value laneShuts(napi_env env, napi_callback_info info) {
  napi_value values[2], result;
  void *told = NULL, *copy;
  size_t size = 0;
  Lane *lane = laneNumbered(env, info, 2, values);
  if (lane == NULL || napi_get_buffer_info(env, values[1], &told, &size) != napi_ok || size < 7 * sizeof(double))
    return NULL;
  const double tells[7] = {lane->state, lane->rounds, lane->form, lane->ref,
                           (double)(clockNow(CLOCK_MONOTONIC) - lane->since) / 1000,
                           lane->state == laneIdle ? lane->lead : lane->leadBefore,
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
    const Waiting round = {numbers[2 * i], numbers[2 * i + 1]};
    Lane *lane = laneOf(lanes, round);
    if (lane == NULL) continue;
    laneSend(lane);
    if (lane->state == laneStuck) numbers[left++] = round.lane;
  }
  return laneResult(env, left);
}

/*
 * laneGrant(rounds, count): the next rounds may go as well; three integers for each form of a lane: the lane, the place of the
 * form, and how (`onceWritten`, `onceSynced`).
 */
static napi_value laneGrant(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int32_t *numbers = NULL, count = 0;
  size_t bytes = 0;
  Lanes *lanes = laneArguments(env, info, 2, values);
  if (lanes == NULL || napi_get_buffer_info(env, values[0], (void **)&numbers, &bytes) != napi_ok ||
      napi_get_value_int32(env, values[1], &count) != napi_ok || count < 0 || (size_t)count * 12 > bytes)
    return NULL;
  const uint64_t now = clockNow(CLOCK_MONOTONIC);
  for (const int32_t *one = numbers; one < numbers + 3 * count; one += 3) {
    Lane *lane = one[0] >= 0 && one[0] < lanes->count ? lanes->all[one[0]] : NULL;
    if (lane == NULL || one[1] < 0 || one[1] >= formsMax || lane->forms[one[1]] == NULL) continue;
    if (one[2] != onceWritten && one[2] != onceSynced) continue;
    lane->granted[one[1]] = now;
    lane->grants[one[1]] = (uint8_t)one[2];
    lane->epochs[one[1]] = lanes->epoch;
  }
  return NULL;
}

/* lanePending(): events that JavaScript was not told of yet, as it is told of them. */
static napi_value lanePending(napi_env env, napi_callback_info info) {
  Lanes *lanes = laneArguments(env, info, 0, NULL);
  return lanes == NULL ? NULL : laneResult(env, lanesGiven(lanes));
}

/*
 * laneMake(block, at, from, to, seq, ts, mono): writes the lines of the events between `from` and `to` into `block` at `at`,
 * each with its LF, the first with that seq, and notes the seqs of rounds. Returns where they end. Throws if there is no room.
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
    if (event[0] != laneRound && event[0] != laneOutcome) continue;
    Lane *lane = event[2] < lanes->count ? lanes->all[event[2]] : NULL;
    /* Whoever closes one of its descriptors has its events dealt with first. */
    if (lane == NULL || lane->forms[event[3]] == NULL) {
      napi_throw_error(env, NULL, "there is no such lane");
      return NULL;
    }
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

/* laneRevoke(): no round goes any more that JavaScript was not asked about from now on. */
static napi_value laneRevoke(napi_env env, napi_callback_info info) {
  Lanes *lanes = laneArguments(env, info, 0, NULL);
  if (lanes != NULL) lanes->epoch += 1;
  return NULL;
}

/* penTake(): the number of a new pen, which is not lent; -1 if there is none to be had. */
static napi_value penTake(napi_env env, napi_callback_info info) {
  Lanes *lanes = laneArguments(env, info, 0, NULL);
  int number = 0;
  if (lanes == NULL) return NULL;
  while (number < pensMax && lanes->pens[number].isTaken) number += 1;
  if (number == pensMax) return laneResult(env, -1);
  lanes->pens[number] = (Pen){.isTaken = true};
  return laneResult(env, number);
}

/*
 * penLend(number, fd, block, at, blank, head, leaves, leaf, seq, start, mono, syncs): from now on lines may be written with
 * it. `start`: ns of CLOCK_MONOTONIC at which the log's clock began; `mono`: what that said last; `syncs`: what waits for the
 * disk may be left to it too. False if it is not to be.
 */
static napi_value penLend(napi_env env, napi_callback_info info) {
  napi_value values[12], result;
  bool syncs = false;
  int32_t numbers[4] = {-1, -1, -1, -1};
  double times[3] = {0};
  void *bytes[4] = {NULL};
  size_t sizes[4] = {0};
  Lanes *lanes = laneArguments(env, info, 12, values);
  if (lanes == NULL) return NULL;
  static const int numbered[] = {0, 1, 3, 7}, buffered[] = {2, 4, 5, 6};
  Pen *pen = penOf(env, lanes, values[0]);
  bool isWhole = pen != NULL;
  for (int i = 0; i < 4; i += 1) {
    isWhole = isWhole && napi_get_value_int32(env, values[numbered[i]], &numbers[i]) == napi_ok && numbers[i] >= 0;
    isWhole = isWhole && napi_get_buffer_info(env, values[buffered[i]], &bytes[i], &sizes[i]) == napi_ok;
  }
  for (int i = 0; i < 3; i += 1)
    isWhole = isWhole && napi_get_value_double(env, values[8 + i], &times[i]) == napi_ok && times[i] >= 0;
  isWhole = isWhole && sizes[0] <= INT32_MAX && (size_t)numbers[2] <= sizes[0] && sizes[1] == spelt && sizes[2] == spelt &&
            (size_t)numbers[3] <= sizes[3] / hashBytes && sizes[3] / hashBytes <= INT32_MAX;
  napi_get_value_bool(env, values[11], &syncs);
  if (isWhole)
    *pen = (Pen){
        .isTaken = true,
        .sync = pen->sync,
        .syncs = syncs && pen->sync != NULL && pen->sync->fd >= 0,
        .isLent = true,
        .fd = numbers[1],
        .block = bytes[0],
        .size = (int32_t)sizes[0],
        .at = numbers[2],
        .written = numbers[2],
        .blank = bytes[1],
        .head = bytes[2],
        .leaves = bytes[3],
        .leaf = numbers[3],
        .leavesMax = (int32_t)(sizes[3] / hashBytes),
        .seq = times[0],
        .start = (uint64_t)times[1],
        .mono = (uint64_t)times[2],
    };
  napi_get_boolean(env, isWhole, &result);
  return result;
}

/*
 * penReturn(number, told): it is not lent any more. Tells, as doubles: where the lines end that were made, and those that
 * are in the file; how many leaves there are; what its clock said last; and the errno of a write that failed, or 0.
 */
static napi_value penReturn(napi_env env, napi_callback_info info) {
  napi_value values[2] = {NULL};
  void *told = NULL;
  size_t size = 0;
  Lanes *lanes = laneArguments(env, info, 2, values);
  Pen *pen = penOf(env, lanes, values[0]);
  if (pen == NULL || napi_get_buffer_info(env, values[1], &told, &size) != napi_ok || size < 5 * sizeof(double)) return NULL;
  const double tells[5] = {pen->at, pen->written, pen->leaf, (double)pen->mono, pen->failure};
  memcpy(told, tells, sizeof tells);
  pen->isLent = false;
  return NULL;
}

/*
 * penFile(number, fd, path, lock, lockPath): what is written with it is, from now on, in this file, which is synced where rounds
 * wait for that, as long as it and the log's lock are under their names. False where that cannot be had, or not yet.
 */
static napi_value penFile(napi_env env, napi_callback_info info) {
  napi_value values[5], result;
  int32_t file = -1, lock = -1;
  void *paths[2] = {NULL};
  size_t sizes[2] = {0};
  Lanes *lanes = laneArguments(env, info, 5, values);
  if (lanes == NULL) return NULL;
  Pen *pen = penOf(env, lanes, values[0]);
  bool isHad = pen != NULL && napi_get_value_int32(env, values[1], &file) == napi_ok &&
               napi_get_value_int32(env, values[3], &lock) == napi_ok &&
               napi_get_buffer_info(env, values[2], &paths[0], &sizes[0]) == napi_ok &&
               napi_get_buffer_info(env, values[4], &paths[1], &sizes[1]) == napi_ok;
  if (isHad && pen->sync == NULL) pen->sync = syncMake(lanes->loop, lanes->synced, lanes->owner, &lanes->syncing);
  isHad = isHad && pen->sync != NULL && syncTakes(pen->sync, file, paths[0], sizes[0], lock, paths[1], sizes[1]);
  napi_get_boolean(env, isHad, &result);
  return result;
}

/* penAbandon(number): rounds that wait for the disk are JavaScript's to see to. What runs is not waited for any more. */
static napi_value penAbandon(napi_env env, napi_callback_info info) {
  napi_value value = NULL;
  Lanes *lanes = laneArguments(env, info, 1, &value);
  Pen *pen = penOf(env, lanes, value);
  Sync *sync = pen == NULL ? NULL : pen->sync;
  int32_t kept = 0;
  for (int32_t i = 0; sync != NULL && i < sync->count; i += 1) {
    Lane *lane = laneOf(lanes, sync->waits[i]);
    if (lane == NULL) continue;
    if (lanes->recorded == lanes->at && laneRoom(lanes)) laneFrees(lanes, lane, sync->waits[i].lane, false);
    else sync->waits[kept++] = sync->waits[i];
  }
  if (sync != NULL) sync->count = kept;
  return NULL;
}

/* penDrop(number): nobody has it any more. */
static napi_value penDrop(napi_env env, napi_callback_info info) {
  napi_value value = NULL;
  Lanes *lanes = laneArguments(env, info, 1, &value);
  Pen *pen = penOf(env, lanes, value);
  if (pen == NULL) return NULL;
  if (pen->sync != NULL) syncDrop(pen->sync);
  *pen = (Pen){.isTaken = false};
  return NULL;
}
#endif
