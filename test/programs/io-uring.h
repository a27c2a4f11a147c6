/* An io_uring without a library around it. */
#ifndef IO_URING_H
#define IO_URING_H
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static unsigned char *ring;
static struct io_uring_sqe *sqes;
static struct io_uring_params params;
static int ring_fd;

#define AT(offset) (*(volatile unsigned *)(ring + (offset)))

static inline void ring_open(unsigned entries, unsigned flags) {
  params.flags = flags;
  ring_fd = syscall(SYS_io_uring_setup, entries, &params);
  test_check(ring_fd >= 0, "setup");
  size_t size = params.sq_off.array + params.sq_entries * 4, cq = params.cq_off.cqes + params.cq_entries * 16;
  ring = mmap(0, size > cq ? size : cq, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring_fd, IORING_OFF_SQ_RING);
  sqes = mmap(0, params.sq_entries * sizeof *sqes, PROT_READ | PROT_WRITE, MAP_SHARED, ring_fd, IORING_OFF_SQES);
  test_check(ring != MAP_FAILED && sqes != MAP_FAILED, "mmap");
}

/* Submits one entry and waits until as many as `completions` are there. */
static inline void ring_submit(struct io_uring_sqe entry, unsigned completions) {
  unsigned tail = AT(params.sq_off.tail), slot = tail & (params.sq_entries - 1);
  sqes[slot] = entry;
  // Without an array, entries are taken in order.
  if (params.sq_off.array)
    ((unsigned *)(ring + params.sq_off.array))[slot] = slot;
  __atomic_store_n(&AT(params.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
  long done = syscall(SYS_io_uring_enter, ring_fd, 1, completions, completions ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
  test_check(done == 1, "enter");
}

/* Takes the next completion out; returns its result. */
static inline int ring_reap(void) {
  unsigned head = AT(params.cq_off.head);
  test_check(head != AT(params.cq_off.tail), "nothing completed");
  struct io_uring_cqe *cqe = (struct io_uring_cqe *)(ring + params.cq_off.cqes) + (head & (params.cq_entries - 1));
  int result = cqe->res;
  __atomic_store_n(&AT(params.cq_off.head), head + 1, __ATOMIC_RELEASE);
  return result;
}
#endif
