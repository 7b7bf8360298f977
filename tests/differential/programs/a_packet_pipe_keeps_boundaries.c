#include "check.h"

int main(void)
{
	int p[2];
	char buffer[100];
	MUST(pipe2(p, O_DIRECT));
	TELL(write(p[1], "one", 3));
	TELL(write(p[1], "second", 6));
	TELL(write(p[1], "3", 1));
	TELL(read(p[0], buffer, 100));
	// What does not fit is lost.
	TELL(read(p[0], buffer, 2));
	TELL(read(p[0], buffer, 100));
	return 0;
}
