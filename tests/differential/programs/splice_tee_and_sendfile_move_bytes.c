#include "check.h"
#include <sys/sendfile.h>
#include <sys/uio.h>

int main(void)
{
	int p[2], q[2];
	char text[64] = { 0 };
	MUST(pipe(p));
	MUST(pipe2(q, O_NONBLOCK));
	put("in", "0123456789abcdef", 0644);
	int in = MUST(open("in", O_RDONLY)), out = MUST(open("out", O_RDWR | O_CREAT | O_TRUNC, 0644));
	loff_t offset = 10;
	TELL(splice(in, &offset, p[1], NULL, 4, 0));
	printf("offset %ld position %ld\n", (long)offset, (long)lseek(in, 0, SEEK_CUR));
	TELL(splice(in, NULL, p[1], NULL, 3, 0));
	printf("position %ld\n", (long)lseek(in, 0, SEEK_CUR));
	TELL(tee(p[0], q[1], 100, SPLICE_F_NONBLOCK));
	TELL(splice(p[0], NULL, out, NULL, 100, 0));
	offset = 20;
	TELL(splice(q[0], NULL, out, &offset, 2, 0));
	TELL(read(q[0], text, 64));
	printf("%s\n", text);
	memset(text, 0, sizeof text);
	ssize_t count = pread(out, text, sizeof text, 0);
	for (ssize_t i = 0; i < count; i++)
		putchar(text[i] ? text[i] : '.');
	putchar('\n');
	TELL(splice(in, NULL, out, NULL, 1, 0));
	TELL(splice(p[0], NULL, p[1], NULL, 1, 0));
	TELL(splice(p[0], &offset, out, NULL, 1, 0));
	TELL(splice(q[0], NULL, out, NULL, 1, SPLICE_F_NONBLOCK));
	TELL(splice(p[0], NULL, out, NULL, 0, 0));
	TELL(splice(p[0], NULL, out, NULL, 1, 0x100));
	TELL(tee(p[0], p[1], 1, 0));
	TELL(tee(in, p[1], 1, 0));
	struct iovec vector[2] = { { "vm", 2 }, { "splice", 6 } };
	TELL(vmsplice(p[1], vector, 2, 0));
	memset(text, 0, sizeof text);
	TELL(read(p[0], text, 64));
	printf("%s\n", text);
	off_t position = 2;
	TELL(sendfile(p[1], in, &position, 5));
	printf("position %ld\n", (long)position);
	TELL(sendfile(p[1], in, NULL, 100));
	TELL(sendfile(p[1], in, NULL, 100));
	memset(text, 0, sizeof text);
	TELL(read(p[0], text, 64));
	printf("%s\n", text);
	TELL(sendfile(out, p[0], NULL, 1));
	int append = MUST(open("out", O_WRONLY | O_APPEND));
	TELL(sendfile(append, in, NULL, 1));
	position = -1;
	TELL(sendfile(p[1], in, &position, 1));
	TELL(sendfile(in, in, NULL, 1));
	position = 0;
	offset = 3;
	TELL(copy_file_range(in, &position, out, &offset, 4, 0));
	printf("%ld %ld\n", (long)position, (long)offset);
	TELL(copy_file_range(in, &position, out, &offset, 4, 1));
	TELL(copy_file_range(in, &position, append, NULL, 4, 0));
	TELL(copy_file_range(p[0], NULL, out, NULL, 4, 0));
	return 0;
}
