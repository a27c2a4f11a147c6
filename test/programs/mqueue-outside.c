/* kmonte-shows: ipc/mqueue-file */
/* Message queues of POSIX: named, non-blocking, opened twice, with messages waiting in them. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <mqueue.h>
#include <sys/stat.h>

static char named[40];

static void expect(mqd_t queue, const char *text, unsigned priority) {
  char found[101] = "";
  unsigned got;
  ssize_t length = mq_receive(queue, found, 100, &got);
  test_check(length == (ssize_t)strlen(text) && strcmp(found, text) == 0 && got == priority, "received %s, %u", found, got);
}

int main(void) {
  test_begin();
  struct mq_attr attributes = {.mq_maxmsg = 5, .mq_msgsize = 100};
  snprintf(named, sizeof named, "/kmonte-%d", getpid());
  mqd_t queue = mq_open(named, O_RDWR | O_CREAT | O_NONBLOCK, 0640, &attributes);
  mqd_t reader = mq_open(named, O_RDONLY);
  test_check(queue >= 0 && reader >= 0, "mq_open");
  test_check(mq_send(queue, "low", 3, 1) == 0 && mq_send(queue, "high", 4, 9) == 0 && mq_send(queue, "low too", 7, 1) == 0, "sending");
  test_ready_and_wait();
  struct mq_attr now;
  test_check(mq_getattr(queue, &now) == 0 && now.mq_maxmsg == 5 && now.mq_msgsize == 100 && now.mq_curmsgs == 3 && now.mq_flags == O_NONBLOCK, "attributes: %ld %ld %ld %lx", now.mq_maxmsg, now.mq_msgsize, now.mq_curmsgs, now.mq_flags);
  expect(reader, "high", 9);
  expect(queue, "low", 1);
  expect(queue, "low too", 1);
  char room[100];
  test_check(mq_receive(queue, room, 100, NULL) < 0 && errno == EAGAIN, "the queue is not empty");
  struct stat about;
  test_check(fstat(queue, &about) == 0 && (about.st_mode & 0777) == 0640, "mode %o", about.st_mode);
  mqd_t again = mq_open(named, O_WRONLY);
  test_check(again >= 0 && mq_send(again, "again", 5, 0) == 0, "opened by name");
  expect(reader, "again", 0);
  test_check(mq_unlink(named) == 0, "mq_unlink");
  test_pass();
}
