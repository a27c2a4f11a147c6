/* kmonte-cflags: -O2 */
/* kmonte-shows: thread/kernel-pointers */
/* A thread that is in a restartable sequence, and one that asks for the time without pause, go on unharmed. */
#include "kmonte-test.h"
#include <pthread.h>
#include <stdint.h>
#include <sys/rseq.h>
#include <time.h>

static volatile int stop;
static volatile unsigned long aborted, finished, reads;
static uint64_t in_section_once;

/* Spins inside a critical section until it is aborted, again and again. Whoever left the section otherwise failed. */
static void *sequences(void *argument) {
  struct rseq *area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
  while (!stop) {
    int result = 0;
    uint64_t rounds = 20000000;
    __asm__ __volatile__(
        ".pushsection __rseq_cs, \"aw\"\n\t.balign 32\n"
        "3:\n\t.long 0, 0\n\t.quad 1f, 2f - 1f, 4f\n\t.popsection\n\t"
        "leaq 3b(%%rip), %%rax\n\tmovq %%rax, %[cs]\n"
        "1:\n\tdecq %[rounds]\n\tjnz 1b\n"
        "2:\n\tmovl $1, %[result]\n\tjmp 5f\n\t"
        ".pushsection __rseq_failure, \"ax\"\n\t.byte 0x0f, 0xb9, 0x3d\n\t.long 0x53053053\n"
        "4:\n\tmovl $2, %[result]\n\tjmp 5f\n\t.popsection\n"
        "5:\n\t"
        : [result] "+r"(result), [rounds] "+r"(rounds), [cs] "=m"(area->rseq_cs)
        :
        : "rax", "memory", "cc");
    if (result == 2) aborted++;
    else finished++;
    in_section_once++;
    if (aborted > 0) usleep(1000);
  }
  return argument;
}

static void *times(void *argument) {
  struct timespec before = {0}, now;
  while (!stop) {
    for (int i = 0; i < 2000; i++) {
      clock_gettime(CLOCK_MONOTONIC, &now);
      test_check(now.tv_sec > before.tv_sec || (now.tv_sec == before.tv_sec && now.tv_nsec >= before.tv_nsec), "time ran backwards");
      before = now;
      reads++;
    }
    usleep(20);
  }
  return argument;
}

int main(void) {
  test_begin();
  test_check(__rseq_size > 0, "the C library has not registered an area");
  pthread_t threads[2];
  test_check(pthread_create(&threads[0], NULL, sequences, NULL) == 0, "create");
  test_check(pthread_create(&threads[1], NULL, times, NULL) == 0, "create");
  usleep(3000);
  test_ready_and_wait();
  unsigned long before = reads, passes = in_section_once;
  usleep(200000);
  test_check(reads > before, "the clock reader stands still");
  test_check(in_section_once > passes, "the sequences stand still");
  stop = 1;
  pthread_join(threads[0], NULL);
  pthread_join(threads[1], NULL);
  test_check(aborted > 0, "no sequence was aborted (%lu finished)", finished);
  test_pass();
}
