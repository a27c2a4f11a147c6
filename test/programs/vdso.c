/* The functions of the vDSO work as before, whoever's they are by now: all symbols, aliases without prefix included. */
#include "kmonte-test.h"
#include <elf.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <time.h>

#define MOST 32
static struct {
  const char *name;
  void *function;
} found[MOST];
static int count;

static void find(void) {
  char *base = (char *)getauxval(AT_SYSINFO_EHDR);
  Elf64_Ehdr *header = (void *)base;
  Elf64_Shdr *sections = (void *)(base + header->e_shoff);
  for (int i = 0; i < header->e_shnum; i++) {
    if (sections[i].sh_type != SHT_DYNSYM) continue;
    Elf64_Sym *symbols = (void *)(base + sections[i].sh_offset);
    char *names = base + sections[sections[i].sh_link].sh_offset;
    for (unsigned j = 0; j < sections[i].sh_size / sizeof *symbols; j++) {
      if (ELF64_ST_TYPE(symbols[j].st_info) != STT_FUNC || !symbols[j].st_value) continue;
      test_check(count < MOST, "symbols");
      found[count].name = names + symbols[j].st_name;
      found[count++].function = base + symbols[j].st_value;
    }
  }
}

static void use_all(void) {
  for (int i = 0; i < count; i++) {
    const char *name = found[i].name;
    if (strncmp(name, "__vdso_", 7) == 0) name += 7;
    void *at = found[i].function;
    struct timespec a = {0}, b;
    struct timeval c = {0};
    unsigned cpu = 9999, node = 9999;
    if (strcmp(name, "clock_gettime") == 0) {
      for (int clock = 0; clock < 12; clock++) {
        if (clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID || clock == 8 || clock == 9 || clock == 10) continue;
        test_check(((int (*)(int, void *))at)(clock, &a) == 0, "%s %d", found[i].name, clock);
        test_check(syscall(228, clock, &b) == 0, "syscall");
        double apart = (double)(b.tv_sec - a.tv_sec) + (b.tv_nsec - a.tv_nsec) / 1e9;
        test_check(apart > -0.1 && apart < 5, "%s of clock %d is %f seconds off", found[i].name, clock, apart);
      }
    } else if (strcmp(name, "gettimeofday") == 0) {
      test_check(((int (*)(void *, void *))at)(&c, NULL) == 0 && c.tv_sec > 1000000000, "%s", found[i].name);
    } else if (strcmp(name, "time") == 0) {
      test_check(((long (*)(void *))at)(NULL) > 1000000000, "%s", found[i].name);
    } else if (strcmp(name, "getcpu") == 0) {
      test_check(((int (*)(void *, void *, void *))at)(&cpu, &node, NULL) == 0 && cpu < 9999, "%s", found[i].name);
    } else if (strcmp(name, "clock_getres") == 0) {
      test_check(((int (*)(int, void *))at)(CLOCK_MONOTONIC, &a) == 0 && a.tv_nsec > 0, "%s", found[i].name);
    }
  }
  struct timespec now;
  test_check(clock_gettime(CLOCK_MONOTONIC, &now) == 0, "the C library's clock");
  struct timeval day;
  test_check(gettimeofday(&day, NULL) == 0 && time(NULL) - day.tv_sec <= 1, "the C library's time");
}

int main(void) {
  test_begin();
  find();
  test_check(count >= 4, "%d functions", count);
  use_all();
  test_ready_and_wait();
  use_all();
  test_pass();
}
