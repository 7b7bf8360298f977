#include "check.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

int main(void)
{
	put("file", "0123456789", 0644);
	char text[4] = { 0 };
	int a = MUST(open("file", O_RDONLY)), b = dup(a), c = MUST(open("file", O_RDONLY));
	read(a, text, 3);
	TELL(lseek(b, 0, SEEK_CUR));
	TELL(lseek(c, 0, SEEK_CUR));
	IN_CHILD(lseek(a, 7, SEEK_SET));
	TELL(read(b, text, 3));
	printf("%s\n", text);
	TELL(fcntl(a, F_SETFL, O_NONBLOCK));
	printf("%x %x\n", fcntl(b, F_GETFL) & O_NONBLOCK, fcntl(c, F_GETFL) & O_NONBLOCK);
	TELL(dup2(a, a) == a);
	TELL(dup2(99, 99));
	TELL(dup2(a, -1));
	TELL(dup2(a, 1 << 20));
	TELL(dup3(a, a, 0));
	TELL(dup3(a, 20, O_NONBLOCK));
	TELL(dup3(a, 20, O_CLOEXEC));
	TELL(fcntl(20, F_GETFD));
	TELL(fcntl(a, F_DUPFD, 20));
	TELL(fcntl(a, F_DUPFD, -1));
	TELL(fcntl(a, F_DUPFD, 1 << 30));
	TELL(fcntl(a, 9999));
	TELL(fcntl(99, F_GETFL));
	TELL(syscall(SYS_close_range, 20, 21, CLOSE_RANGE_CLOEXEC));
	TELL(fcntl(21, F_GETFD));
	TELL(syscall(SYS_close_range, 20, 30, 0));
	TELL(fcntl(21, F_GETFD));
	TELL(syscall(SYS_close_range, 5, 4, 0));
	TELL(syscall(SYS_close_range, 5, 6, 99));
	return 0;
}
