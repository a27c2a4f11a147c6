/* Mappings of objects of every sort: sealed and executable memfds, O_TMPFILE, /dev/zero, duplicates. */
#include "memory-maps.h"
#include <sys/stat.h>
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 16
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 32
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 16
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8
#endif
#define PAGE 4096ul

static char *map(size_t pages, int prot, int flags, int fd, off_t offset) {
  char *at = mmap(NULL, pages * PAGE, prot, flags, fd, offset);
  test_check(at != MAP_FAILED, "mmap of %zu pages", pages);
  return at;
}

static int file(const char *name, const char *text) {
  int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
  test_check(fd >= 0 && ftruncate(fd, 4 * PAGE) == 0 && pwrite(fd, text, strlen(text), 0) > 0, "%s", name);
  return fd;
}

int main(void) {
  test_begin();
  static const int seals[] = {F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_EXEC, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL};
  int sealed[7];
  char *views[7], *copies[7];
  for (int i = 0; i < 7; i++) {
    sealed[i] = memfd_create("sealed", MFD_ALLOW_SEALING);
    test_check(sealed[i] >= 0 && ftruncate(sealed[i], 3 * PAGE) == 0 && write(sealed[i], "sealed", 7) == 7, "memfd");
    if (seals[i] == F_SEAL_EXEC) fchmod(sealed[i], 0600); /* else it would seal against writes as well */
    char *writable = seals[i] & F_SEAL_WRITE ? NULL : map(1, PROT_READ | PROT_WRITE, MAP_SHARED, sealed[i], PAGE);
    if (writable) strcpy(writable, "shared");
    if (seals[i] == F_SEAL_FUTURE_WRITE) views[i] = map(3, PROT_READ, MAP_SHARED, sealed[i], 0);
    if (fcntl(sealed[i], F_ADD_SEALS, seals[i]) != 0) test_check(errno == EINVAL, "seal %d", i);
    if (seals[i] != F_SEAL_FUTURE_WRITE) views[i] = mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, sealed[i], 0);
    copies[i] = map(3, PROT_READ | PROT_WRITE, MAP_PRIVATE, sealed[i], 0);
    copies[i][100] = 'c';
  }
  int unsealable = memfd_create("unsealable", 0);
  int noexec = memfd_create("noexec", MFD_NOEXEC_SEAL | MFD_CLOEXEC);
  int code = memfd_create("code", MFD_EXEC);
  if (code < 0) code = memfd_create("code", 0);
  test_check(write(code, "\xb8\x2a\0\0\0\xc3", 6) == 6, "code");
  char *run = map(1, PROT_READ | PROT_EXEC, MAP_PRIVATE, code, 0);
  char *run_shared = map(1, PROT_READ | PROT_EXEC, MAP_SHARED, code, 0);
  int reader = open("/proc/self/fd/0", O_RDONLY);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", code);
  reader = open(path, O_RDONLY);
  char *through = map(1, PROT_READ, MAP_SHARED, reader, 0);
  close(code);
  int nameless = open(".", O_TMPFILE | O_RDWR, 0600);
  char *tmp = MAP_FAILED, *tmp_copy = NULL;
  if (nameless >= 0) {
    test_check(ftruncate(nameless, 2 * PAGE) == 0, "size");
    tmp = map(2, PROT_READ | PROT_WRITE, MAP_SHARED, nameless, 0);
    tmp_copy = map(2, PROT_READ | PROT_WRITE, MAP_PRIVATE, nameless, 0);
    strcpy(tmp, "tmp");
    tmp_copy[PAGE] = 't';
    close(nameless);
  }
  int poked = file("poked", "poked");
  char *poked_view = map(2, PROT_READ, MAP_PRIVATE, poked, 0);
  int self = open("/proc/self/mem", O_RDWR);
  test_check(pwrite(self, "P", 1, (off_t)(poked_view + 1)) == 1, "poke");
  close(self);
  int zero = open("/dev/zero", O_RDWR);
  char *zeros = map(2, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0), *zeros_shared = map(2, PROT_READ | PROT_WRITE, MAP_SHARED, zero, PAGE);
  zeros[PAGE] = 'z', zeros_shared[0] = 'Z';
  char *whole = map(16, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 16; i++) whole[i * PAGE] = (char)('a' + i);
  char *twin = mremap(whole, 0, 16 * PAGE, MREMAP_MAYMOVE);
  test_check(twin != MAP_FAILED, "duplicate");
  char *room = map(32, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *piece = mremap(whole + 4 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room + 8 * PAGE);
  char *other = mremap(whole + 9 * PAGE, 1 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room + 20 * PAGE);
  test_check(piece == room + 8 * PAGE && other == room + 20 * PAGE, "pieces");
  munmap(whole + 13 * PAGE, 3 * PAGE);
  int past = file("past", "past");
  char *beyond = map(8, PROT_READ | PROT_WRITE, MAP_SHARED, past, 0), *far_out = map(2, PROT_READ, MAP_PRIVATE, past, 64 * PAGE);
  test_check(ftruncate(past, 100) == 0, "cut");
  maps_remember();
  test_ready_and_wait();
  maps_check();
  for (int i = 0; i < 7; i++) {
    int now = fcntl(sealed[i], F_GET_SEALS);
    test_check(now == seals[i] || (seals[i] == F_SEAL_EXEC && now == 0) || (now & seals[i]) == seals[i], "seals %x instead of %x", now, seals[i]);
    test_check(views[i] == MAP_FAILED || strcmp(views[i], "sealed") == 0, "view %d", i);
    test_check(copies[i][100] == 'c' && strcmp(copies[i], "sealed") == 0, "copy %d", i);
    if (!(seals[i] & F_SEAL_WRITE)) test_check(strcmp(copies[i] + PAGE, "shared") == 0, "shared %d", i);
    int grown = ftruncate(sealed[i], 4 * PAGE), shrunk = ftruncate(sealed[i], 3 * PAGE);
    test_check((grown != 0) == !!(seals[i] & F_SEAL_GROW), "grow %d: %d", i, grown);
    if (!(seals[i] & F_SEAL_GROW)) test_check((shrunk != 0) == !!(seals[i] & F_SEAL_SHRINK), "shrink %d: %d", i, shrunk);
    int writes = pwrite(sealed[i], "x", 1, 50) == 1;
    test_check(writes == !(seals[i] & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)), "write %d", i);
  }
  test_check(fcntl(unsealable, F_GET_SEALS) == F_SEAL_SEAL, "unsealable");
  struct stat info;
  if (noexec >= 0) test_check(fstat(noexec, &info) == 0 && (info.st_mode & 0111) == 0 && (fcntl(noexec, F_GET_SEALS) & F_SEAL_EXEC), "noexec");
  test_check(((int (*)(void))run)() == 42 && ((int (*)(void))run_shared)() == 42 && through[0] == '\xb8', "code");
  test_check(mprotect(through, PAGE, PROT_READ | PROT_WRITE) != 0, "a reader's mapping can be written to");
  if (nameless >= 0) test_check(strcmp(tmp, "tmp") == 0 && strcmp(tmp_copy, "tmp") == 0 && tmp_copy[PAGE] == 't', "O_TMPFILE");
  test_check(strcmp(poked_view, "pPked") == 0, "poked: %s", poked_view);
  test_check(zeros[PAGE] == 'z' && zeros[0] == 0 && zeros_shared[0] == 'Z', "/dev/zero");
  for (int i = 0; i < 16; i++) test_check(twin[i * PAGE] == (char)('a' + i), "twin %d", i);
  piece[5] = 'p', other[5] = 'o', whole[5] = 'w';
  test_check(twin[4 * PAGE + 5] == 'p' && twin[9 * PAGE + 5] == 'o' && twin[5] == 'w' && other[PAGE] == 'k', "pieces part");
  test_check(strcmp(beyond, "past") == 0 && far_out != NULL && ftruncate(past, 66 * PAGE) == 0 && beyond[5 * PAGE] == 0 && far_out[PAGE] == 0, "past the end");
  test_pass();
}
