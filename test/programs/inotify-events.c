/* kmonte-shows: event/inotify */
/* Events that nobody has read: the kernel tells that some were lost, in their place, and the watches go on. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/inotify.h>

int main(void) {
  test_begin();
  int fd = inotify_init1(IN_NONBLOCK), spare = inotify_init1(IN_NONBLOCK);
  int watch = inotify_add_watch(fd, ".", IN_CREATE);
  test_check(watch == 1 && inotify_add_watch(spare, ".", IN_CREATE | IN_ONESHOT) == 1, "watch");
  close(open("new", O_CREAT | O_RDWR, 0600));
  test_ready_and_wait();
  char buffer[4096] __attribute__((aligned(8)));
  struct inotify_event *event = (struct inotify_event *)buffer;
  test_check(read(fd, buffer, sizeof buffer) == sizeof *event, "one event");
  test_check(event->wd == -1 && event->mask == IN_Q_OVERFLOW, "watch %d, %x", event->wd, event->mask);
  test_check(read(spare, buffer, sizeof buffer) == sizeof *event && event->mask == IN_Q_OVERFLOW, "the spare one");
  test_check(read(fd, buffer, sizeof buffer) < 0 && errno == EAGAIN, "nothing else");
  close(open("newer", O_CREAT | O_RDWR, 0600));
  test_check(read(fd, buffer, sizeof buffer) > 0 && event->wd == watch && strcmp(event->name, "newer") == 0, "the next event");
  test_check(inotify_add_watch(fd, "/", IN_CREATE) == watch + 1, "the next watch");
  test_pass();
}
