/* The address space as /proc shows it, remembered before the freeze and compared after the thaw. */
#ifndef MEMORY_MAPS_H
#define MEMORY_MAPS_H
#include "kmonte-test.h"
#include <fcntl.h>
#include <sys/mman.h>

#define MAPS_ROOM (4 << 20)
static char maps_before[MAPS_ROOM], maps_now[MAPS_ROOM], smaps_text[MAPS_ROOM * 4];

static inline void maps_read(const char *path, char *to, size_t room) {
  int fd = open(path, O_RDONLY);
  size_t size = 0;
  ssize_t got;
  while (size + 1 < room && (got = read(fd, to + size, room - 1 - size)) > 0) size += (size_t)got;
  to[size] = 0;
  close(fd);
}

/*
 * All mappings with their VmFlags: lines of smaps that tell of shape, not of use. Device and inode are left out: a
 * memfd gets new ones.
 */
static inline void maps_take(char *to) {
  maps_read("/proc/self/smaps", smaps_text, sizeof smaps_text);
  char *end = to;
  for (char *line = smaps_text; *line;) {
    char *next = strchr(line, '\n');
    size_t length = next ? (size_t)(next - line) + 1 : strlen(line);
    int shape = strncmp(line, "VmFlags:", 8) == 0 || (line[0] >= '0' && line[0] <= '9') || (line[0] >= 'a' && line[0] <= 'f');
    if (shape) {
      int column = 0;
      for (size_t i = 0; i < length; i++) {
        if (line[i] == ' ' && line[i + 1] != ' ') column++;
        if (line[0] == 'V' || column < 3 || column > 4) *end++ = line[i];
      }
    }
    line += length;
  }
  *end = 0;
}

static inline void maps_remember(void) {
  printf("remembered\n"); /* the C library takes memory for its buffers at the first line */
  signal(SIGUSR2, SIG_IGN);
  /* Pages of both buffers are touched before the first look, and so is the stack. */
  memset(maps_before, 1, sizeof maps_before);
  memset(maps_now, 1, sizeof maps_now);
  maps_take(maps_now);
  maps_take(maps_before);
}

static inline void maps_check(void) {
  maps_take(maps_now);
  if (strcmp(maps_before, maps_now) == 0) return;
  char *a = maps_before, *b = maps_now;
  while (*a && *a == *b) a++, b++;
  while (a > maps_before && a[-1] != '\n') a--, b--;
  printf("was: %.*s\nnow: %.*s\n", (int)strcspn(a, "\n"), a, (int)strcspn(b, "\n"), b);
  test_fail("the address space is not the same");
}

static inline unsigned long maps_memory_kib(const char *field) {
  static char status[8192];
  maps_read("/proc/self/status", status, sizeof status);
  char *at = strstr(status, field);
  return at ? strtoul(at + strlen(field) + 1, NULL, 10) : 0;
}
#endif
