/* Inotify watches keep their numbers and masks: on a folder, a file in memory, one without a name, with gaps between. */
/* kmonte-shows: event/inotify */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

static int fd;

static struct inotify_event *next(void) {
  static char buffer[4096] __attribute__((aligned(8)));
  static ssize_t at, end;
  if (at >= end) {
    end = read(fd, buffer, sizeof buffer);
    at = 0;
    if (end <= 0) return NULL;
  }
  struct inotify_event *event = (struct inotify_event *)(buffer + at);
  at += sizeof *event + event->len;
  return event;
}

static void touch(const char *path) {
  int file = open(path, O_WRONLY | O_CREAT, 0600);
  test_check(file >= 0 && write(file, "x", 1) == 1, "touch %s", path);
  close(file);
}

int main(void) {
  test_begin();
  fd = inotify_init1(IN_NONBLOCK);
  char memory[64];
  snprintf(memory, sizeof memory, "/dev/shm/kmonte-inotify-%d", getpid());
  test_check(mkdir("folder", 0700) == 0, "mkdir");
  touch(memory);
  touch("file");
  touch("gone");
  touch("other");
  int gone = open("gone", O_RDWR);
  test_check(inotify_add_watch(fd, "folder", IN_CREATE | IN_DELETE | IN_EXCL_UNLINK) == 1, "folder");
  for (int wd = 2; wd <= 6; wd++) test_check(inotify_add_watch(fd, "other", IN_MODIFY) == wd && inotify_rm_watch(fd, wd) == 0, "gap");
  test_check(inotify_add_watch(fd, memory, IN_MODIFY) == 7, "memory");
  test_check(inotify_add_watch(fd, "file", IN_MODIFY | IN_ONESHOT) == 8, "file");
  test_check(inotify_add_watch(fd, "gone", IN_MODIFY) == 9, "gone");
  unlink("gone");
  while (next()) {}
  test_ready_and_wait();
  struct inotify_event *event = next();
  test_check(event == NULL && errno == EAGAIN, "an event came from nowhere: %d %x %s", event->wd, event->mask, event->len ? event->name : "");
  touch("folder/new");
  event = next();
  test_check(event && event->wd == 1 && event->mask == IN_CREATE && strcmp(event->name, "new") == 0, "folder");
  touch(memory);
  event = next();
  test_check(event && event->wd == 7 && event->mask == IN_MODIFY, "memory");
  touch("file");
  event = next();
  test_check(event && event->wd == 8 && event->mask == IN_MODIFY, "file");
  event = next();
  test_check(event && event->wd == 8 && event->mask == IN_IGNORED, "one-shot");
  test_check(write(gone, "y", 1) == 1, "write");
  event = next();
  test_check(event && event->wd == 9 && event->mask == IN_MODIFY, "gone");
  test_check(next() == NULL, "more events");
  test_check(inotify_add_watch(fd, "other", IN_MODIFY) == 10, "the next number");
  test_check(inotify_rm_watch(fd, 1) == 0, "removing");
  unlink(memory);
  test_pass();
}
