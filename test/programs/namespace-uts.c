/* kmonte-unshare: uts */
/* kmonte-shows: namespace/membership namespace/uts */
/* A host name of its own, shared by parent and child; a second child went on to a namespace of its own. */
#include "kmonte-test.h"
#include <sched.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static void expect(const char *host, const char *domain) {
  struct utsname name;
  test_check(uname(&name) == 0, "uname");
  test_check(strcmp(name.nodename, host) == 0, "host name is %s", name.nodename);
  test_check(strcmp(name.domainname, domain) == 0, "domain name is %s", name.domainname);
}

int main(void) {
  test_begin();
  test_check(sethostname("elsewhere", 9) == 0 && setdomainname("far.away", 8) == 0, "naming");
  int turn[2][2], up[2];
  pid_t children[2];
  test_check(pipe(up) == 0, "pipe");
  for (int i = 0; i < 2; i++) {
    test_check(pipe(turn[i]) == 0, "pipe");
    children[i] = fork();
    if (children[i] > 0) continue;
    char c;
    if (i == 1) test_check(unshare(CLONE_NEWUTS) == 0 && sethostname("nested", 6) == 0, "unshare");
    test_check(write(up[1], "r", 1) == 1, "telling");
    test_check(read(turn[i][0], &c, 1) == 1, "waiting");
    /* The parent has changed the name that the first child shares. */
    expect(i == 0 ? "changed" : "nested", "far.away");
    _exit(0);
  }
  char c;
  for (int i = 0; i < 2; i++) test_check(read(up[0], &c, 1) == 1, "waiting for children");
  test_ready_and_wait();
  expect("elsewhere", "far.away");
  test_check(sethostname("changed", 7) == 0, "changing");
  for (int i = 0; i < 2; i++) {
    int status;
    test_check(write(turn[i][1], "g", 1) == 1, "letting go");
    test_check(waitpid(children[i], &status, 0) == children[i] && status == 0, "child %d: %x", i, status);
  }
  test_pass();
}
