/* kmonte-refuses: KEYRING */
/* kmonte-shows: thread/keyrings */
/* A process with a keyring of its own. */
#include "kmonte-test.h"
#include <linux/keyctl.h>
#include <sys/syscall.h>

int main(void) {
  test_begin();
  int key = syscall(SYS_add_key, "user", "kmonte", "secret", 6, KEY_SPEC_PROCESS_KEYRING);
  test_check(key > 0, "add_key");
  test_ready_and_wait();
  char text[16] = {0};
  test_check(syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text) == 6 && strcmp(text, "secret") == 0, "the key");
  test_pass();
}
