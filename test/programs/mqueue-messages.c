/* kmonte-unshare: ipc */
/* kmonte-shows: ipc/unlinked-mqueue */
/* Messages in the POSIX queues of an IPC namespace of its own, and in a queue whose name is gone; one that is full. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <mqueue.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void expect(mqd_t queue, const char *text, unsigned priority) {
  char found[200] = "";
  unsigned got;
  ssize_t length = mq_receive(queue, found, 200, &got);
  test_check(length == (ssize_t)strlen(text) && strcmp(found, text) == 0 && got == priority, "received %s, %u", found, got);
}

int main(void) {
  test_begin();
  struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 101}, now;
  mqd_t queue = mq_open("/here", O_RDWR | O_CREAT | O_NONBLOCK, 0604, &attributes);
  mqd_t gone = mq_open("/gone", O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attributes), reader = mq_open("/gone", O_RDONLY);
  test_check(queue >= 0 && gone >= 0 && reader >= 0, "mq_open");
  test_check(mq_send(queue, "low", 3, 1) == 0 && mq_send(queue, "high", 4, 9) == 0 && mq_send(queue, "low too", 7, 1) == 0 && mq_send(queue, "", 0, 1) == 0, "sending");
  test_check(mq_send(gone, "nameless", 8, 32767) == 0 && mq_send(gone, "another", 7, 3) == 0 && mq_unlink("/gone") == 0, "gone");
  pid_t child = fork();
  if (child == 0) {
    signal(SIGTERM, SIG_IGN);
    mqd_t writer = mq_open("/here", O_WRONLY);
    _exit(mq_send(writer, "waited", 6, 0) == 0 ? 0 : 1);
  }
  usleep(20000);
  test_ready_and_wait();
  test_check(mq_getattr(queue, &now) == 0 && now.mq_maxmsg == 4 && now.mq_msgsize == 101 && now.mq_curmsgs == 4, "%ld messages", now.mq_curmsgs);
  expect(queue, "high", 9);
  int status;
  test_check(waitpid(child, &status, 0) == child && status == 0, "the writer that waited: %x", status);
  expect(queue, "low", 1);
  expect(queue, "low too", 1);
  expect(queue, "", 1);
  expect(queue, "waited", 0);
  test_check(mq_open("/gone", O_RDONLY) < 0 && errno == ENOENT, "a name");
  expect(reader, "nameless", 32767);
  expect(gone, "another", 3);
  test_check(mq_send(gone, "again", 5, 0) == 0, "sending again");
  expect(reader, "again", 0);
  test_pass();
}
