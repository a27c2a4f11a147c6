/* Neighbours that the kernel would merge today stay apart, as /proc/PID/maps shows them. */
#include "memory-maps.h"
#include <sys/wait.h>

int main(void) {
  test_begin();
  /* A file mapped by two descriptions, at neighbouring places. */
  int one = open("n-file", O_RDWR | O_CREAT, 0600), two = open("n-file", O_RDWR);
  test_check(ftruncate(one, 16 * 4096) == 0, "size");
  char *room = mmap(NULL, 64 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  test_check(mmap(room, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, one, 0) == room, "first");
  test_check(mmap(room + 4096, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, two, 4096) == room + 4096, "second");
  /* Anonymous memory on both sides of a page whose mark was taken away again: own histories, so they stay apart. */
  char *at = room + 32 * 4096;
  mprotect(at, 12 * 4096, PROT_READ | PROT_WRITE);
  madvise(at + 4 * 4096, 4 * 4096, MADV_DONTDUMP);
  for (int i = 0; i < 12; i++) at[i * 4096] = (char)i;
  madvise(at + 4 * 4096, 4 * 4096, MADV_DODUMP);
  /* The same with a part that was never written to. */
  char *empty = room + 48 * 4096;
  mprotect(empty, 12 * 4096, PROT_READ | PROT_WRITE);
  madvise(empty + 4 * 4096, 4 * 4096, MADV_DONTDUMP);
  for (int i = 0; i < 12; i++) empty[i * 4096] = (char)i;
  madvise(empty, 12 * 4096, MADV_DONTNEED);
  madvise(empty + 4 * 4096, 4 * 4096, MADV_DODUMP);
  maps_remember();
  pid_t child = fork();
  if (child == 0) {
    mprotect(at + 12 * 4096, 2 * 4096, PROT_READ | PROT_WRITE);
    maps_remember();
    test_wait();
    maps_check();
    _exit(0);
  }
  usleep(50000);
  test_ready_and_wait();
  maps_check();
  for (int i = 0; i < 12; i++) test_check(at[i * 4096] == i && empty[i * 4096] == 0, "page %d", i);
  kill(child, SIGTERM);
  int status;
  test_check(waitpid(child, &status, 0) == child && status == 0, "the child ended with %x", status);
  test_pass();
}
