/* kmonte-shows: thread/unshared */
/* Threads with a directory, root and umask of their own, and threads that live in other namespaces than the first. */
#include "kmonte-test.h"
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ioctl.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { DIRECTORY, CHANGED_ROOT, NETWORK, HOST_NAME, IPC, MOUNTS, COUNT };
static pthread_barrier_t set_up, look;
static char base[64], name[80], home[256];

static void set_up_in(long me, int *queue) {
  struct ifreq loopback = {.ifr_name = "lo"};
  switch (me) {
    case DIRECTORY:
      test_check(unshare(CLONE_FS) == 0 && chdir(base) == 0, "unshare");
      umask(0157);
      break;
    case CHANGED_ROOT:
      test_check(unshare(CLONE_FS) == 0 && chroot(base) == 0 && chdir("/in") == 0, "chroot");
      break;
    case NETWORK: {
      test_check(unshare(CLONE_NEWNET) == 0, "unshare");
      int control = socket(AF_INET, SOCK_DGRAM, 0);
      loopback.ifr_flags = IFF_UP;
      test_check(ioctl(control, SIOCSIFFLAGS, &loopback) == 0, "lo");
      close(control);
      break;
    }
    case HOST_NAME:
      test_check(unshare(CLONE_NEWUTS) == 0 && sethostname("apart", 5) == 0, "unshare");
      break;
    case IPC:
      test_check(unshare(CLONE_NEWIPC) == 0, "unshare");
      *queue = msgget(0x4b4d, IPC_CREAT | 0600);
      break;
    case MOUNTS:
      test_check(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "unshare");
      test_check(mount("apart", base, "tmpfs", 0, NULL) == 0 && chdir(base) == 0, "mount");
      test_check(mkdir("only-here", 0700) == 0, "mkdir");
      break;
  }
}

static void *work(void *argument) {
  long me = (long)argument;
  int queue = -1;
  struct ifreq loopback = {.ifr_name = "lo"};
  char text[256] = {0};
  struct stat seen;
  set_up_in(me, &queue);
  pthread_barrier_wait(&set_up);
  pthread_barrier_wait(&look);
  switch (me) {
    case DIRECTORY:
      test_check(getcwd(text, sizeof text) && strcmp(text, base) == 0 && umask(0) == 0157, "directory %s", text);
      break;
    case CHANGED_ROOT:
      test_check(getcwd(text, sizeof text) && strcmp(text, "/in") == 0 && stat("/in", &seen) == 0, "root, in %s", text);
      break;
    case NETWORK: {
      int control = socket(AF_INET, SOCK_DGRAM, 0);
      test_check(ioctl(control, SIOCGIFFLAGS, &loopback) == 0 && (loopback.ifr_flags & IFF_UP), "lo is down");
      close(control);
      break;
    }
    case HOST_NAME:
      test_check(gethostname(text, sizeof text) == 0 && strcmp(text, "apart") == 0, "called %s", text);
      break;
    case IPC:
      test_check(queue >= 0 && msgget(0x4b4d, 0) == queue, "the queue was %d and is %d", queue, msgget(0x4b4d, 0));
      break;
    case MOUNTS:
      test_check(getcwd(text, sizeof text) && strcmp(text, base) == 0, "in %s", text);
      test_check(stat("only-here", &seen) == 0, "the tmpfs");
      break;
  }
  return NULL;
}

int main(void) {
  test_begin();
  sigset_t term;
  strcpy(base, "/tmp/kmonte-apart-XXXXXX");
  test_check(mkdtemp(base) != NULL, "mkdtemp");
  snprintf(name, sizeof name, "%s/in", base);
  test_check(mkdir(name, 0700) == 0 && getcwd(home, sizeof home), "directories");
  umask(022);
  gethostname(name, sizeof name);
  pthread_barrier_init(&set_up, NULL, COUNT + 1);
  pthread_barrier_init(&look, NULL, COUNT + 1);
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &term, NULL);
  pthread_t threads[COUNT];
  for (long i = 0; i < COUNT; i++) test_check(pthread_create(&threads[i], NULL, work, (void *)i) == 0, "create");
  pthread_sigmask(SIG_UNBLOCK, &term, NULL);
  pthread_barrier_wait(&set_up);
  test_ready_and_wait();
  pthread_barrier_wait(&look);
  for (int i = 0; i < COUNT; i++) pthread_join(threads[i], NULL);
  char text[256], inside[80];
  struct stat seen;
  snprintf(inside, sizeof inside, "%s/in", base);
  test_check(getcwd(text, sizeof text) && strcmp(text, home) == 0 && umask(0) == 022, "the first thread is in %s", text);
  test_check(gethostname(text, sizeof text) == 0 && strcmp(text, name) == 0 && stat(inside, &seen) == 0, "name %s", text);
  test_check(msgget(0x4b4d, 0) < 0, "the queue is seen from here");
  rmdir(inside);
  rmdir(base);
  test_pass();
}
