/* kmonte-needs: root */
/* A fanotify group: marks on a file, a folder with its children, a mount and a file system, ignored events, what it asks for. */
/* kmonte-shows: event/fanotify */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/stat.h>

static int next(int fd, struct fanotify_event_metadata *event) {
  static char buffer[4096] __attribute__((aligned(8)));
  int got = read(fd, buffer, sizeof buffer);
  if (got <= 0) return got;
  memcpy(event, buffer, sizeof *event);
  for (char *at = buffer; at < buffer + got; at += ((struct fanotify_event_metadata *)at)->event_len) {
    int file = ((struct fanotify_event_metadata *)at)->fd;
    if (file >= 0) close(file);
  }
  return got;
}

int main(void) {
  test_begin();
  mkdir("folder", 0700);
  int file = open("file", O_CREAT | O_RDWR, 0600), gone = open("gone", O_CREAT | O_RDWR, 0600);
  int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS, O_RDONLY | O_LARGEFILE);
  int ids = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_REPORT_FID | FAN_REPORT_DIR_FID | FAN_REPORT_NAME, 0);
  test_check(fd >= 0 && ids >= 0, "fanotify_init");
  test_check(fanotify_mark(fd, FAN_MARK_ADD, FAN_MODIFY | FAN_CLOSE_WRITE, AT_FDCWD, "file") == 0, "file");
  test_check(fanotify_mark(fd, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, "gone") == 0, "gone");
  test_check(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_CLOSE_WRITE, AT_FDCWD, "file") == 0, "ignored");
  test_check(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN_EXEC, AT_FDCWD, "/proc") == 0, "mount");
  test_check(fanotify_mark(ids, FAN_MARK_ADD | FAN_MARK_ONLYDIR, FAN_CREATE | FAN_DELETE | FAN_ONDIR | FAN_EVENT_ON_CHILD, AT_FDCWD, "folder") == 0, "folder");
  unlink("gone");
  int flags = fcntl(fd, F_GETFL);
  struct fanotify_event_metadata event;
  while (next(fd, &event) > 0) {}
  test_ready_and_wait();
  test_check(fcntl(fd, F_GETFL) == flags, "flags %o", fcntl(fd, F_GETFL));
  test_check(next(fd, &event) == -1 && errno == EAGAIN && next(ids, &event) == -1, "an event from nowhere");
  test_check(write(file, "x", 1) == 1 && next(fd, &event) > 0 && event.mask == FAN_MODIFY && event.pid == getpid() && event.fd >= 0, "%llx", event.mask);
  close(file);
  test_check(next(fd, &event) == -1, "the ignored event: %llx", event.mask);
  test_check(write(gone, "x", 1) == 1 && next(fd, &event) > 0 && event.mask == FAN_MODIFY, "gone");
  mkdir("folder/new", 0700);
  test_check(next(ids, &event) > (int)sizeof event && (event.mask & FAN_CREATE) && event.fd == FAN_NOFD, "folder: %llx", event.mask);
  test_check(fanotify_mark(fd, FAN_MARK_REMOVE | FAN_MARK_MOUNT, FAN_OPEN_EXEC, AT_FDCWD, "/proc") == 0, "mount");
  test_pass();
}
