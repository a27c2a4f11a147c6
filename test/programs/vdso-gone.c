/* A program that has taken the kernel's own code out of its memory, as valgrind does; a child has taken all of it. */
/* kmonte-shows: memory/vdso.x86_64 */
#include "kmonte-test.h"
#include <sys/mman.h>
#include <sys/wait.h>

/* Counts the lines of /proc/self/maps with this name; takes their memory away when told so. */
static int count(const char *name, int take) {
  char line[512];
  unsigned long start[8], end[8];
  int found = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof line, maps))
    if (strstr(line, name) && sscanf(line, "%lx-%lx", &start[found], &end[found]) == 2) found++;
  fclose(maps);
  for (int i = 0; take && i < found; i++) test_check(munmap((void *)start[i], end[i] - start[i]) == 0, "munmap");
  return found;
}

int main(void) {
  test_begin();
  int values = count("[vvar", 0), status;
  test_check(count("[vdso]", 1) == 1 && count("[vdso]", 0) == 0, "no vDSO to take away");
  pid_t child = fork();
  if (child == 0) {
    count("[vvar", 1);
    test_wait();
    _exit(count("[v", 0) == count("[vsyscall]", 0) ? 7 : 1);
  }
  test_ready_and_wait();
  test_check(count("[vdso]", 0) == 0 && count("[vvar", 0) == values, "%d left", count("[vvar", 0));
  kill(child, SIGTERM);
  test_check(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7, "the child ended with %x", status);
  test_pass();
}
