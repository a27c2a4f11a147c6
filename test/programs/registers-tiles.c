/* kmonte-shows: process/attributes thread/prctl-settings thread/execution */
/* Tile registers of Intel AMX: the leave to use them, and what a thread has in them. */
#include "kmonte-test.h"
#include <sys/syscall.h>

#define ARCH_GET_XCOMP_PERM 0x1022
#define ARCH_REQ_XCOMP_PERM 0x1023
#define TILE_DATA 18

static unsigned char config[64] = {1}, before[1024], after[1024];

int main(void) {
  test_begin();
  if (syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) < 0) { /* a processor without tiles */
    test_ready_and_wait();
    test_pass();
  }
  config[16] = 64; /* bytes in a row */
  config[48] = 16; /* rows */
  for (int i = 0; i < 1024; i++) before[i] = i * 3;
  test_ready();
  __asm__ volatile(
      ".byte 0xc4,0xe2,0x78,0x49,0x03\n"      /* ldtilecfg [rbx] */
      ".byte 0xc4,0xe2,0x7b,0x4b,0x04,0x10\n" /* tileloadd tmm0, [rax+rdx] */
      "1: pause\n"
      "cmpl $0, %[told]\n"
      "je 1b\n"
      "mov %%rcx, %%rax\n"
      ".byte 0xc4,0xe2,0x7a,0x4b,0x04,0x10\n" /* tilestored [rax+rdx], tmm0 */
      :
      : "b"(config), "a"(before), "c"(after), "d"(64l), [told] "m"(test_told)
      : "memory", "cc");
  test_check(memcmp(before, after, sizeof before) == 0, "other tiles");
  unsigned long allowed = 0;
  test_check(syscall(SYS_arch_prctl, ARCH_GET_XCOMP_PERM, &allowed) == 0 && allowed >> TILE_DATA & 1, "not allowed");
  test_pass();
}
