#include "check.h"
#include <sys/uio.h>

int main(void)
{
	char a[4] = { 0 }, b[4] = { 0 }, c[8] = { 0 };
	int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
	struct iovec out[4] = { { "one", 3 }, { NULL, 0 }, { "two", 3 }, { "three", 5 } };
	TELL(writev(fd, out, 4));
	struct iovec in[3] = { { a, 3 }, { b, 3 }, { c, 8 } };
	TELL(preadv(fd, in, 3, 0));
	printf("%s %s %s\n", a, b, c);
	TELL(pwritev(fd, out, 1, 20));
	TELL(preadv(fd, in, 1, 19));
	TELL(preadv2(fd, in, 1, -1, 0));
	TELL(lseek(fd, 0, SEEK_CUR));
	TELL(preadv2(fd, in, 1, 0, 0x1000));
	TELL(pwritev2(fd, out, 1, 0, RWF_APPEND));
	TELL(lseek(fd, 0, SEEK_END));
	TELL(preadv(fd, in, 1, -5));
	TELL(readv(fd, in, 0));
	TELL(readv(99, in, 1));
	struct iovec local = { c, 3 }, remote = { "xyz", 3 };
	TELL(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	printf("%.3s\n", c);
	remote.iov_base = (void *)8;
	TELL(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	TELL(process_vm_readv(1 << 21, &local, 1, &remote, 1, 0));
	TELL(process_vm_readv(getpid(), &local, 1, &remote, 1, 1));
	return 0;
}
