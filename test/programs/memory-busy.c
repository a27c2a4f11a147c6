/* Large memory that changes all the time, also its shape, while it is copied ahead: every page is whole afterwards. */
/* kmonte-shows: memory/mappings */
#include "kmonte-test.h"
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#define PAGES 12000
#define WORDS 512
#define PIECES 16
static uint64_t (*all)[WORDS];
static volatile int stop;
static unsigned char *pieces[PIECES];
static size_t sizes[PIECES];

/* A page says the same in every word, but for the word's number. */
static void fill(uint64_t *page, uint64_t value) {
  for (int i = 0; i < WORDS; i++) page[i] = value * WORDS + i;
}

static int whole(const uint64_t *page) {
  for (int i = 0; i < WORDS; i++)
    if (page[i] != page[0] + i) return 0;
  return 1;
}

static void *change(void *unused) {
  (void)unused;
  unsigned seed = 1;
  for (uint64_t turn = 1; !stop; turn++) {
    fill(all[rand_r(&seed) % PAGES], turn);
    if (turn % 50) continue;
    /* Pieces come and go, grow and shrink, and give pages back. */
    int i = rand_r(&seed) % PIECES;
    if (pieces[i]) munmap(pieces[i], sizes[i]);
    sizes[i] = (1 + rand_r(&seed) % 64) * 4096UL;
    pieces[i] = mmap(NULL, sizes[i], PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(pieces[i], i + 1, sizes[i]);
    int gone = rand_r(&seed) % PAGES;
    madvise(all[gone], 4096, MADV_DONTNEED);
    fill(all[gone], turn);
    usleep(500);
  }
  return NULL;
}

int main(void) {
  test_begin();
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &term, NULL);
  all = mmap(NULL, PAGES * 4096UL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < PAGES; i++) fill(all[i], i);
  pthread_t thread;
  pthread_create(&thread, NULL, change, NULL);
  test_ready_and_wait();
  stop = 1;
  pthread_join(thread, NULL);
  for (int i = 0; i < PAGES; i++) test_check(whole(all[i]), "page %d is torn", i);
  for (int i = 0; i < PIECES; i++)
    for (size_t at = 0; pieces[i] && at < sizes[i]; at++)
      test_check(pieces[i][at] == i + 1, "piece %d has %d at %zu", i, pieces[i][at], at);
  test_pass();
}
