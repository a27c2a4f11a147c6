/* Memory shared between relatives: anonymous, memfd, POSIX shm with and without a name; what one writes, all see. */
/* kmonte-shows: memory/shared-anonymous */
#include "memory-maps.h"
#include <sys/wait.h>

#define SLOTS 5
static char *slots[SLOTS];
static const char *names[SLOTS] = {"anonymous", "memfd", "shm", "unlinked shm", "part of anonymous"};

static void expect(int slot, size_t at, char wanted, const char *who) {
  for (int i = 0; i < 25000 && *(volatile char *)(slots[slot] + at) != wanted; i++) usleep(1000);
  test_check(slots[slot][at] == wanted, "%s: %s sees %d", names[slot], who, slots[slot][at]);
}

int main(void) {
  test_begin();
  size_t size = 64 * 4096;
  slots[0] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int fd = memfd_create("shared memory", 0);
  test_check(ftruncate(fd, size) == 0, "memfd");
  slots[1] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  char name[64];
  snprintf(name, sizeof name, "/kmonte-test-%d", getpid());
  fd = shm_open(name, O_RDWR | O_CREAT, 0600);
  test_check(fd >= 0 && ftruncate(fd, size) == 0, "shm");
  slots[2] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  char gone[64];
  snprintf(gone, sizeof gone, "/kmonte-gone-%d", getpid());
  fd = shm_open(gone, O_RDWR | O_CREAT, 0600);
  test_check(fd >= 0 && ftruncate(fd, size) == 0, "shm");
  slots[3] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  shm_unlink(gone);
  close(fd);
  /* A hole in the middle: two mappings of one object, the second at an offset. */
  slots[4] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  munmap(slots[4] + 8 * 4096, 8 * 4096);
  for (int i = 0; i < SLOTS; i++) {
    test_check(slots[i] != MAP_FAILED, "%s", names[i]);
    for (size_t at = 0; at < size; at += 4096 * 3) if (i != 4 || at / 4096 < 8 || at / 4096 >= 16) slots[i][at] = (char)(at / 4096 + i);
  }
  maps_remember();
  pid_t parent = getpid();
  pid_t child = fork();
  test_check(child >= 0, "fork");
  if (child == 0) {
    for (int i = 0; i < SLOTS; i++) expect(i, 100, 'p', "child");
    for (int i = 0; i < SLOTS; i++) slots[i][200] = 'c';
    maps_check();
    _exit(getppid() == parent ? 0 : 7);
  }
  test_ready_and_wait();
  for (int i = 0; i < SLOTS; i++) {
    for (size_t at = 0; at < size; at += 4096 * 3)
      if (i != 4 || at / 4096 < 8 || at / 4096 >= 16) test_check(slots[i][at] == (char)(at / 4096 + i), "%s at %zu", names[i], at);
    slots[i][100] = 'p';
  }
  for (int i = 0; i < SLOTS; i++) expect(i, 200, 'c', "parent");
  maps_check();
  int status;
  test_check(waitpid(child, &status, 0) == child && status == 0, "the child ended with %x", status);
  shm_unlink(name);
  test_pass();
}
