/* kmonte-unshare: ipc */
/* kmonte-shows: ipc/mqueues */
/* Empty message queues of an IPC namespace of its own: attributes, owner, and the descriptors that lead to them. */
#include "kmonte-test.h"
#include <fcntl.h>
#include <mqueue.h>
#include <sys/stat.h>

int main(void) {
  test_begin();
  struct mq_attr attributes = {.mq_maxmsg = 3, .mq_msgsize = 77}, now;
  mqd_t queue = mq_open("/mine", O_RDWR | O_CREAT | O_NONBLOCK, 0604, &attributes);
  mqd_t spare = mq_open("/spare", O_RDWR | O_CREAT, 0600, NULL);
  test_check(queue >= 0 && spare >= 0 && fchown(spare, 3, 4) == 0 && mq_close(spare) == 0, "mq_open");
  test_ready_and_wait();
  test_check(mq_getattr(queue, &now) == 0 && now.mq_maxmsg == 3 && now.mq_msgsize == 77 && now.mq_flags == O_NONBLOCK, "attributes");
  struct stat about;
  test_check(fstat(queue, &about) == 0 && (about.st_mode & 0777) == 0604, "mode %o", about.st_mode);
  spare = mq_open("/spare", O_RDWR);
  test_check(spare >= 0 && fstat(spare, &about) == 0 && about.st_uid == 3 && about.st_gid == 4, "owner %d", about.st_uid);
  char room[100] = "";
  test_check(mq_send(queue, "text", 4, 2) == 0 && mq_receive(queue, room, 100, NULL) == 4, "message %s", room);
  test_pass();
}
