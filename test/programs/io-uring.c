/* An io_uring at rest goes on: the kernel's counters, the program's pointers, an entry that was not taken out.
   kmonte-shows: async-io/io-uring-file async-io/io-uring */
#include "kmonte-test.h"
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static unsigned char *ring;
static struct io_uring_sqe *sqes;
static struct io_uring_params params;
static int fd;

#define AT(offset) (*(volatile unsigned *)(ring + (offset)))

static void submit(unsigned long data) {
  unsigned tail = AT(params.sq_off.tail), slot = tail & (params.sq_entries - 1);
  memset(&sqes[slot], 0, sizeof sqes[slot]);
  sqes[slot].opcode = IORING_OP_NOP;
  sqes[slot].user_data = data;
  ((unsigned *)(ring + params.sq_off.array))[slot] = slot;
  __atomic_store_n(&AT(params.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
  test_check(syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1, "enter");
}

static unsigned long reap(void) {
  unsigned head = AT(params.cq_off.head);
  test_check(head != AT(params.cq_off.tail), "nothing completed");
  struct io_uring_cqe *cqe = (struct io_uring_cqe *)(ring + params.cq_off.cqes) + (head & (params.cq_entries - 1));
  unsigned long data = cqe->user_data;
  __atomic_store_n(&AT(params.cq_off.head), head + 1, __ATOMIC_RELEASE);
  return data;
}

int main(void) {
  test_begin();
  fd = syscall(SYS_io_uring_setup, 8, &params);
  test_check(fd >= 0, "setup");
  size_t size = params.sq_off.array + params.sq_entries * 4, cq = params.cq_off.cqes + params.cq_entries * 16;
  ring = mmap(0, size > cq ? size : cq, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
  sqes = mmap(0, params.sq_entries * sizeof *sqes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
  test_check(ring != MAP_FAILED && sqes != MAP_FAILED, "mmap");
  for (unsigned long i = 0; i < 21; i++) {
    submit(i);
    test_check(reap() == i, "before");
  }
  submit(777);
  test_ready_and_wait();
  test_check(AT(params.sq_off.tail) == 22 && AT(params.sq_off.head) == 22, "counters of submissions");
  test_check(reap() == 777, "the completion that was waiting");
  for (unsigned long i = 100; i < 140; i++) {
    submit(i);
    test_check(reap() == i, "after");
  }
  test_pass();
}
