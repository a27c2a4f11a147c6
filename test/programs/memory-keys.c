/* kmonte-shows: memory/protection-keys */
/* Memory protection keys (pkeys(7)): allocated ones, one that was freed while memory has it, and each thread's own rights. */
#include "kmonte-test.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PAGE 4096
enum { NO_ACCESS = 1, NO_WRITING = 2 };

static unsigned rights(void) {
  unsigned low, high;
  __asm__ volatile(".byte 0x0f,0x01,0xee" : "=a"(low), "=d"(high) : "c"(0)); /* rdpkru */
  return low;
}

static void set_rights(unsigned value) {
  __asm__ volatile(".byte 0x0f,0x01,0xef" : : "a"(value), "d"(0), "c"(0) : "memory"); /* wrpkru */
}

static int allocate(int rights_of_it) { return syscall(SYS_pkey_alloc, 0, rights_of_it); }
static int guard(void *at, int prot, int key) { return syscall(SYS_pkey_mprotect, at, PAGE, prot, key); }

static char *page(int shared) {
  char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
  test_check(at != MAP_FAILED, "mmap");
  *at = 7;
  return at;
}

/* The kernel itself looks whether it may. */
static int readable(const char *at) {
  int ends[2], result;
  if (pipe(ends) < 0) return -1;
  result = write(ends[1], at, 1) == 1;
  close(ends[0]);
  close(ends[1]);
  return result;
}

static volatile int state;
static unsigned threads_rights;

static void *other(void *argument) {
  threads_rights = rights() | 0xc0000000;
  set_rights(threads_rights);
  state = 1;
  while (state < 2) usleep(1000);
  test_check(rights() == threads_rights, "the thread's rights are %x", rights());
  return argument;
}

int main(void) {
  test_begin();
  int passed_over = allocate(0), freed = allocate(0), hidden = allocate(NO_ACCESS), constant = allocate(NO_WRITING);
  if (passed_over < 0) { /* a processor without keys */
    test_ready_and_wait();
    test_pass();
  }
  test_check(constant > hidden && hidden > freed, "keys %d %d %d", freed, hidden, constant);
  char *of_freed = page(0), *of_hidden = page(0), *of_constant = page(1);
  test_check(guard(of_freed, PROT_READ | PROT_WRITE, freed) == 0, "guard");
  test_check(guard(of_hidden, PROT_READ | PROT_WRITE, hidden) == 0, "guard");
  test_check(guard(of_constant, PROT_READ | PROT_WRITE, constant) == 0, "guard");
  /* Code that can be executed only: once with a key of the kernel's choice, once with one of ours. */
  unsigned char *code[2] = {(unsigned char *)page(0), (unsigned char *)page(0)};
  for (int i = 0; i < 2; i++) memcpy(code[i], (unsigned char[]){0xb8, 42 + i, 0, 0, 0, 0xc3}, 6);
  test_check(mprotect(code[0], PAGE, PROT_EXEC) == 0 && guard(code[1], PROT_EXEC, hidden) == 0, "code");
  syscall(SYS_pkey_free, freed);
  syscall(SYS_pkey_free, passed_over);
  pid_t child = fork();
  if (child == 0) {
    test_wait();
    _exit(readable(of_freed) && !readable(of_hidden) && guard(of_freed, PROT_READ, hidden) == 0 ? 0 : 1);
  }
  pthread_t thread;
  pthread_create(&thread, NULL, other, NULL);
  while (!state) usleep(100);
  unsigned before = rights();
  test_ready_and_wait();
  test_check(rights() == before, "rights are %x, not %x", rights(), before);
  test_check(((int (*)(void))code[0])() == 42 && ((int (*)(void))code[1])() == 43, "code");
  test_check(!readable(of_hidden), "what was hidden is not");
  test_check(*of_constant == 7 && of_freed[0] == 7, "contents");
  test_check(allocate(0) == passed_over && allocate(0) == freed, "the keys that were free are not");
  test_check(guard(of_freed, PROT_READ | PROT_WRITE, 15) == -1 && errno == EINVAL, "a key too many");
  pid_t writer = fork();
  int status;
  if (writer == 0) {
    signal(SIGSEGV, SIG_DFL);
    *of_constant = 8;
    _exit(0);
  }
  test_check(waitpid(writer, &status, 0) == writer && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "written to");
  set_rights(before & ~(3u << 2 * hidden) & ~(3u << 2 * constant));
  test_check(*of_hidden == 7, "contents");
  *of_constant = 9;
  state = 2;
  pthread_join(thread, NULL);
  kill(child, SIGTERM);
  test_check(waitpid(child, &status, 0) == child && status == 0, "the child says %x", status);
  test_pass();
}
