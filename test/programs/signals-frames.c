/* kmonte-cflags: -lm */
/* Frozen inside handlers that have interrupted one another, on two stacks, with vector registers in use; then all of them return. */
#include "kmonte-test.h"
#include <fenv.h>
#include <xmmintrin.h>

static char stack[65536] __attribute__((aligned(64)));
static volatile int depth, right;

static double use(double seed) {
  double sum = seed;
  for (int i = 1; i < 20; i++) sum += seed / i;
  return sum;
}

static void inner(int signal) {
  (void)signal;
  depth++;
  fesetround(FE_DOWNWARD);
  test_ready_and_wait();
  right += fegetround() == FE_DOWNWARD;
}

static void middle(int signal) {
  (void)signal;
  stack_t now;
  depth++;
  /* SS_AUTODISARM: there is no alternate stack while one is on it. */
  sigaltstack(NULL, &now);
  right += now.ss_flags & SS_DISABLE ? 1 : 0;
  fesetround(FE_UPWARD);
  raise(SIGUSR2);
  right += fegetround() == FE_UPWARD;
  sigaltstack(NULL, &now);
  right += now.ss_flags & SS_DISABLE ? 1 : 0;
}

int main(void) {
  test_begin();
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack, .ss_flags = (int)(1u << 31)}, now;
  test_check(sigaltstack(&alternate, NULL) == 0, "sigaltstack");
  struct sigaction first = {.sa_handler = middle, .sa_flags = SA_ONSTACK}, second = {.sa_handler = inner, .sa_flags = SA_NODEFER};
  sigaction(SIGUSR1, &first, NULL);
  sigaction(SIGUSR2, &second, NULL);
  double want = use(3.25);
  fesetround(FE_TOWARDZERO);
  unsigned csr = _mm_getcsr();
  unsigned short control;
  __asm__ volatile("fnstcw %0" : "=m"(control));
  register double kept __asm__("xmm7") = want;
  __asm__ volatile("" : "+x"(kept));
  raise(SIGUSR1);
  unsigned short control_after;
  __asm__ volatile("fnstcw %0" : "=m"(control_after));
  test_check(depth == 2 && right == 4, "depth %d, %d of 4 right", depth, right);
  test_check(fegetround() == FE_TOWARDZERO && (_mm_getcsr() & 0x6000) == (csr & 0x6000) && control == control_after, "rounding");
  sigaltstack(NULL, &now);
  test_check(now.ss_sp == stack && !(now.ss_flags & SS_DISABLE), "the alternate stack is not back: %x", now.ss_flags);
  test_pass();
}
