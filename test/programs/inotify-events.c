/* kmonte-refuses: INOTIFY_EVENTS
   Events that wait to be read stay where they are. */
/* kmonte-shows: files/inotify */
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/inotify.h>

int main(void) {
  test_begin();
  int fd = inotify_init();
  test_check(inotify_add_watch(fd, ".", IN_CREATE) == 1, "watch");
  close(open("new", O_CREAT | O_RDWR, 0600));
  test_ready_and_wait();
  char buffer[4096] __attribute__((aligned(8)));
  struct inotify_event *event = (struct inotify_event *)buffer;
  test_check(read(fd, buffer, sizeof buffer) > 0 && strcmp(event->name, "new") == 0, "the event");
  test_pass();
}
