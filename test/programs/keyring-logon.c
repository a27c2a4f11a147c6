/* kmonte-refuses: KEYRING */
/* A key of a type that no program can read. */
#include "kmonte-test.h"
#include <linux/keyctl.h>
#include <sys/syscall.h>

int main(void) {
  test_begin();
  test_check(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) > 0, "joining a session keyring");
  int key = syscall(SYS_add_key, "logon", "kmonte:secret", "secret", 6, KEY_SPEC_SESSION_KEYRING);
  test_check(key > 0, "add_key");
  test_ready_and_wait();
  test_check(syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "logon", "kmonte:secret", 0) == key, "the key");
  test_pass();
}
