/* The smallest load: a static program that waits. */
#include <unistd.h>

int main(void) {
  for (;;) pause();
}
