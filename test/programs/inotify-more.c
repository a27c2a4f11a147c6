/* Watches with gaps in their numbers, on removed files and folders, one-shot, exclusive, masks that were added to; two instances. */
/* kmonte-shows: event/inotify */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

static int next(int fd, struct inotify_event *event) {
  static char buffer[4096] __attribute__((aligned(8)));
  int got = read(fd, buffer, sizeof buffer);
  if (got > 0) memcpy(event, buffer, sizeof *event);
  return got;
}

int main(void) {
  test_begin();
  mkdir("folder", 0700), mkdir("removed", 0700);
  close(open("file", O_CREAT | O_RDWR, 0600));
  int gone = open("gone", O_CREAT | O_RDWR, 0600), lost = open("lost", O_CREAT | O_RDWR, 0600);
  int fd = inotify_init1(IN_NONBLOCK), other = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  int a = inotify_add_watch(fd, "folder", IN_CREATE | IN_EXCL_UNLINK), b = inotify_add_watch(fd, "file", IN_MODIFY);
  int c = inotify_add_watch(fd, "gone", IN_MODIFY | IN_ONESHOT), d = inotify_add_watch(fd, "removed", IN_ALL_EVENTS | IN_ONLYDIR);
  test_check(a == 1 && b == 2 && c == 3 && d == 4, "watches");
  test_check(inotify_rm_watch(fd, b) == 0 && inotify_add_watch(fd, "file", IN_MODIFY) == 5, "a gap");
  test_check(inotify_add_watch(fd, "file", IN_ATTRIB | IN_MASK_ADD) == 5, "more");
  test_check(inotify_add_watch(other, "lost", IN_MODIFY) == 1, "other");
  unlink("gone"), unlink("lost");
  struct inotify_event event;
  while (next(fd, &event) > 0) {}
  while (next(other, &event) > 0) {}
  test_ready_and_wait();
  test_check(next(fd, &event) == -1 && errno == EAGAIN, "an event from nowhere: %d %x", event.wd, event.mask);
  close(open("folder/new", O_CREAT | O_RDWR, 0600));
  test_check(next(fd, &event) > 0 && event.wd == 1 && event.mask == IN_CREATE, "%d %x", event.wd, event.mask);
  chmod("file", 0640);
  test_check(next(fd, &event) > 0 && event.wd == 5 && event.mask == IN_ATTRIB, "%d %x", event.wd, event.mask);
  test_check(write(gone, "x", 1) == 1 && next(fd, &event) == 32 && event.wd == 3 && event.mask == IN_MODIFY, "%d %x", event.wd, event.mask);
  test_check(write(gone, "x", 1) == 1 && next(fd, &event) == -1, "one-shot");
  test_check(write(lost, "x", 1) == 1 && next(other, &event) > 0 && event.wd == 1, "lost");
  close(lost);
  test_check(next(other, &event) > 0 && event.wd == 1 && (event.mask & (IN_DELETE_SELF | IN_IGNORED)), "%x", event.mask);
  test_check(rmdir("removed") == 0 && next(fd, &event) > 0 && event.wd == 4, "rmdir");
  test_check(inotify_add_watch(fd, "folder/new", IN_MODIFY) == 6, "the next number");
  test_pass();
}
