#include "check.h"
#include <sys/uio.h>

int main(void)
{
	char text[100] = { 0 };
	int a = MUST(open("file", O_WRONLY | O_CREAT | O_APPEND, 0644)), b = MUST(open("file", O_RDWR));
	TELL(write(a, "one ", 4));
	TELL(write(b, "ONE", 3));
	MUST(lseek(b, 0, SEEK_END));
	TELL(write(b, "two ", 4));
	TELL(lseek(a, 0, SEEK_CUR));
	TELL(write(a, "three ", 6));
	TELL(lseek(a, 0, SEEK_CUR));
	// Linux appends even with pwrite.
	TELL(pwrite(a, "four ", 5, 0));
	TELL(fcntl(a, F_SETFL, 0));
	TELL(pwrite(a, "X", 1, 0));
	TELL(fcntl(a, F_SETFL, O_APPEND));
	struct iovec vector[2] = { { "fi", 2 }, { "ve", 2 } };
	TELL(writev(a, vector, 2));
	TELL(pread(b, text, 99, 0));
	printf("%s\n", text);
	// Many processes, no line lost.
	for (int i = 0; i < 4; i++)
		if (!fork()) {
			for (int j = 0; j < 50; j++)
				write(a, "0123456789\n", 11);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	TELL(lseek(b, 0, SEEK_END));
	return 0;
}
