/* Pages that relatives have in common since fork(2) stay one page in memory, and those that differ stay apart. */
/* kmonte-shows: memory/cow-pages */
#include "memory-maps.h"
#include <sys/prctl.h>
#include <sys/wait.h>

#define PAGES 64ul
enum { SELF, WRITER, HEIR, GRANDCHILD, PEOPLE };
static pid_t *pids;
enum { PLAIN, FILE_COPY, SPLIT, HUGE, AREAS };
static char *areas[AREAS];
static unsigned long before[AREAS][PEOPLE][PAGES];

/* Page frames (root sees them); 0 for pages that are not there. */
static unsigned long frame(pid_t pid, char *at) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/pagemap", pid);
  int fd = open(path, O_RDONLY);
  unsigned long entry = 0;
  test_check(fd >= 0 && pread(fd, &entry, 8, (long)at / 4096 * 8) == 8, "pagemap of %d", pid);
  close(fd);
  return entry >> 63 ? entry & ((1ul << 55) - 1) : 0;
}

static void look(unsigned long to[AREAS][PEOPLE][PAGES]) {
  for (int a = 0; a < AREAS; a++)
    for (int who = 0; who < PEOPLE; who++)
      for (unsigned long i = 0; i < PAGES; i++) to[a][who][i] = frame(pids[who], areas[a] + i * 4096);
}

static void live(int who, unsigned char sums[AREAS][PAGES]) {
  for (int a = 0; a < AREAS; a++)
    for (unsigned long i = 0; i < PAGES; i++)
      if (who != WRITER || a != PLAIN || i < 40 || i >= 44) sums[a][i] = (unsigned char)areas[a][i * 4096 + 8];
  maps_remember();
  pids[who] = getpid();
  test_wait();
  maps_check();
  for (int a = 0; a < AREAS; a++)
    for (unsigned long i = 0; i < PAGES; i++)
      if (who != WRITER || a != PLAIN || i < 40 || i >= 44)
        test_check(sums[a][i] == (unsigned char)areas[a][i * 4096 + 8], "%d: area %d page %lu", who, a, i);
  areas[PLAIN][8] = (char)who;
  test_check(areas[PLAIN][8] == who, "write");
}

int main(void) {
  test_begin();
  static unsigned char sums[AREAS][PAGES];
  pids = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memset(before, 1, sizeof before);
  memset(sums, 1, sizeof sums);
  int fd = open("cow-file", O_RDWR | O_CREAT, 0600);
  test_check(ftruncate(fd, PAGES * 4096) == 0, "file");
  areas[PLAIN] = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  areas[FILE_COPY] = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  areas[SPLIT] = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *room = mmap(NULL, 4ul << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  areas[HUGE] = (char *)(((unsigned long)room + (2ul << 20) - 1) & ~((2ul << 20) - 1));
  test_check(mprotect(areas[HUGE], 2ul << 20, PROT_READ | PROT_WRITE) == 0, "huge");
  madvise(areas[HUGE], 2ul << 20, MADV_HUGEPAGE);
  memset(areas[HUGE], 'h', 2ul << 20);
  mprotect(areas[SPLIT] + 20 * 4096, 4 * 4096, PROT_READ);
  for (unsigned long i = 0; i < PAGES; i++) {
    areas[PLAIN][i * 4096 + 8] = (char)('a' + i % 26);
    if (i % 3) areas[FILE_COPY][i * 4096 + 8] = (char)('A' + i % 26);
    if (i < 20 || i >= 24) areas[SPLIT][i * 4096 + 8] = (char)i;
  }
  mprotect(areas[PLAIN] + 60 * 4096, 4096, PROT_READ);
  if (fork() == 0) {
    for (int i = 0; i < 5; i++) areas[PLAIN][i * 4096 + 8] = 'W';
    areas[FILE_COPY][4 * 4096 + 8] = 'W';
    areas[FILE_COPY][9 * 4096 + 8] = 'W'; /* where the parent has the file's own page */
    madvise(areas[PLAIN] + 10 * 4096, 2 * 4096, MADV_DONTNEED);
    munmap(areas[PLAIN] + 40 * 4096, 4 * 4096);
    mprotect(areas[SPLIT] + 8 * 4096, 4096, PROT_NONE);
    mprotect(areas[SPLIT] + 8 * 4096, 4096, PROT_READ);
    areas[HUGE][5 * 4096 + 8] = 'W';
    live(WRITER, sums);
    _exit(0);
  }
  if (fork() == 0) {
    if (fork() == 0) {
      live(GRANDCHILD, sums);
      _exit(0);
    }
    for (int i = 30; i < 33; i++) areas[PLAIN][i * 4096 + 8] = 'H'; /* the grandchild keeps the parent's */
    memset(malloc(300000), 1, 300000);
    live(HEIR, sums);
    kill(pids[GRANDCHILD], SIGTERM);
    int status;
    test_check(wait(&status) > 0 && status == 0, "the grandchild ended with %x", status);
    _exit(0);
  }
  for (int i = 50; i < 55; i++) areas[PLAIN][i * 4096 + 8] = 'P'; /* all others keep the old ones in common */
  pids[SELF] = getpid();
  while (!pids[WRITER] || !pids[HEIR] || !pids[GRANDCHILD]) usleep(1000);
  usleep(100000);
  look(before);
  maps_remember();
  test_ready_and_wait();
  maps_check();
  static unsigned long now[AREAS][PEOPLE][PAGES];
  look(now);
  int together = 0;
  for (int a = 0; a < AREAS; a++)
    for (unsigned long i = 0; i < PAGES; i++)
      for (int x = 0; x < PEOPLE; x++)
        for (int y = x + 1; y < PEOPLE; y++) {
          unsigned long *was = &before[a][x][i], *other = &before[a][y][i], *is = &now[a][x][i], *them = &now[a][y][i];
          int one = *was && *was == *other, still = *is && *is == *them;
          /* Pages of files come and go, and so does the page of zeros. */
          if ((a == FILE_COPY && i % 3 == 0) || (a == SPLIT && i >= 20 && i < 24)) continue;
          together += one;
          test_check(one == still, "area %d page %lu: %d and %d had %s: %lx %lx, now %lx %lx", a, i, x, y, one ? "one page" : "two pages", *was, *other, *is, *them);
        }
  int seen = before[PLAIN][SELF][0] != 0; /* only root of the machine is told */
  test_check(!seen || together > 800, "only %d were common", together);
  int status;
  for (int who = WRITER; who <= HEIR; who++) {
    kill(pids[who], SIGTERM);
    test_check(waitpid(pids[who], &status, 0) > 0 && status == 0, "%d ended with %x", who, status);
  }
  test_pass();
}
