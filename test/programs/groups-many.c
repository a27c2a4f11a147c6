/* kmonte-needs: root */
/* As many supplementary groups as there can be. */
#include "kmonte-test.h"
#include <grp.h>

int main(void) {
  test_begin();
  int most = (int)sysconf(_SC_NGROUPS_MAX);
  gid_t *groups = calloc(most, sizeof *groups), *now = calloc(most, sizeof *now);
  for (int i = 0; i < most; i++) groups[i] = 100000 + i * 3;
  test_check(setgroups(most, groups) == 0, "setgroups");
  test_ready_and_wait();
  test_check(getgroups(most, now) == most && memcmp(now, groups, most * sizeof *now) == 0, "other groups");
  test_pass();
}
