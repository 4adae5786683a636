/*
 * sync: what a log's pen has written is on disk before a round goes that waits for that: rounds queue here, one fdatasync at a
 * time runs on a thread of libuv's, and behind it those go whose lines it had in front of it. JavaScript has a round again
 * where the disk does not say yes, or the file or the log's lock is not under its name any more: its own log then finds out
 * what is wrong. It may have the pen meanwhile, and close the file: what is synced here is a descriptor of our own, opened
 * before anything was written that it answers for, so that a failed write-back is told to both (fsync(2), "errseq").
 *
 * Source: audit-approval §4 (D2); fdatasync(2); libuv's uv_queue_work.
 */
#ifndef HOLDPOINT_SYNC_H
#define HOLDPOINT_SYNC_H
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct uv_loop_s uv_loop_t;
typedef struct uv_work_s uv_work_t;
extern size_t uv_req_size(int type);
extern int uv_queue_work(uv_loop_t *, uv_work_t *, void (*)(uv_work_t *), void (*)(uv_work_t *, int));
extern void *uv_req_get_data(const uv_work_t *);
extern void uv_req_set_data(uv_work_t *, void *);
enum { uvWork = 7 };

/* A file that must stay under its name. */
typedef struct {
  char *path;
  dev_t device;
  ino_t inode;
} Named;

/* A round that waits: its lane and its serial. */
typedef struct {
  int32_t lane, serial;
} Waiting;

typedef struct Sync {
  uv_loop_t *loop;
  uv_work_t *work;
  /* Called on the thread of the loop when one has ended: takes from `waits` what goes, and sets `next` for the rest. */
  void (*ended)(void *, struct Sync *);
  void *owner;
  /* How many of the owner's run. */
  int *running;
  /* Of the log's file; -1 if there is none. */
  int fd;
  Named file, lock;
  bool isRunning, isDone;
  /* Nobody has it any more: it frees itself when what runs has ended. */
  bool isOver;
  /* What runs is for lines in front of this seq; and the next one. */
  double upTo, next;
  Waiting *waits;
  int32_t count, room;
} Sync;

static bool named(Named *file, int fd, const char *path, size_t bytes) {
  struct stat is;
  char *copy = malloc(bytes + 1);
  if (copy == NULL || fd < 0 || fstat(fd, &is) < 0) {
    free(copy);
    return false;
  }
  memcpy(copy, path, bytes);
  copy[bytes] = 0;
  free(file->path);
  *file = (Named){copy, is.st_dev, is.st_ino};
  return true;
}

static bool isNamed(const Named *file) {
  struct stat is;
  return stat(file->path, &is) == 0 && is.st_dev == file->device && is.st_ino == file->inode;
}

/* On a thread of libuv's: nothing of it is changed meanwhile. */
static void syncRuns(uv_work_t *work) {
  Sync *sync = uv_req_get_data(work);
  sync->isDone = isNamed(&sync->lock) && fdatasync(sync->fd) == 0 && isNamed(&sync->file);
}

static void syncFree(Sync *sync) {
  if (sync->fd >= 0) close(sync->fd);
  free(sync->file.path);
  free(sync->lock.path);
  free(sync->waits);
  free(sync->work);
  free(sync);
}

static void syncEnded(uv_work_t *work, int status);

/* Has the disk confirm lines in front of `upTo`, unless something runs; that is followed by what still waits then. */
static void syncBegins(Sync *sync, double upTo) {
  if (sync->isRunning) return;
  sync->upTo = upTo;
  sync->isDone = false;
  sync->isRunning = true;
  *sync->running += 1;
  /* It refuses nothing but to have nothing to do. */
  uv_queue_work(sync->loop, sync->work, syncRuns, syncEnded);
}

static void syncEnded(uv_work_t *work, int status) {
  Sync *sync = uv_req_get_data(work);
  *sync->running -= 1;
  if (status != 0) sync->isDone = false;
  sync->ended(sync->owner, sync);
  sync->isRunning = false;
  if (sync->isOver) syncFree(sync);
  else if (sync->count > 0) syncBegins(sync, sync->next);
}

/* NULL if there is no memory. */
static Sync *syncMake(uv_loop_t *loop, void (*ended)(void *, Sync *), void *owner, int *running) {
  Sync *sync = calloc(1, sizeof *sync);
  if (sync == NULL) return NULL;
  *sync = (Sync){.loop = loop, .ended = ended, .owner = owner, .running = running, .fd = -1};
  sync->work = calloc(1, uv_req_size(uvWork));
  if (sync->work == NULL) {
    free(sync);
    return NULL;
  }
  uv_req_set_data(sync->work, sync);
  return sync;
}

static void syncDrop(Sync *sync) {
  sync->isOver = true;
  sync->count = 0;
  if (!sync->isRunning) syncFree(sync);
}

/*
 * The log's file is from now on the one at `path`, which is open as `fd`. False where it cannot be had: nothing is to be queued
 * then. Not while something of the last one waits.
 */
static bool syncTakes(Sync *sync, int fd, const char *path, size_t bytes, int lock, const char *lockPath, size_t lockBytes) {
  struct stat is;
  if (sync->isRunning || sync->count > 0) return false;
  if (sync->fd >= 0) close(sync->fd);
  sync->fd = -1;
  if (!named(&sync->file, fd, path, bytes) || !named(&sync->lock, lock, lockPath, lockBytes)) return false;
  sync->fd = open(sync->file.path, O_WRONLY | O_APPEND | O_CLOEXEC);
  if (sync->fd < 0) return false;
  if (fstat(sync->fd, &is) == 0 && is.st_dev == sync->file.device && is.st_ino == sync->file.inode) return true;
  close(sync->fd);
  sync->fd = -1;
  return false;
}

/* Queues a round; false if there is no memory. */
static bool syncQueues(Sync *sync, int32_t lane, int32_t serial) {
  if (sync->count == sync->room) {
    const int32_t room = sync->room * 2 + 16;
    Waiting *more = realloc(sync->waits, (size_t)room * sizeof *more);
    if (more == NULL) return false;
    sync->waits = more;
    sync->room = room;
  }
  sync->waits[sync->count++] = (Waiting){lane, serial};
  return true;
}
#endif
