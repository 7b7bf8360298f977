#include "check.h"

int main(void)
{
	int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
	MUST(write(fd, "0123456789", 10));
	char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	char *anonymous = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char text[11] = { 0 };
	private[0] = 'P';
	shared[1] = 'S';
	strcpy(anonymous, "mine");
	printf("%.10s %.10s\n", shared, private);
	pread(fd, text, 10, 0);
	printf("%s\n", text);
	IN_CHILD({
		private[2] = 'c';
		shared[3] = 'C';
		strcpy(anonymous, "theirs");
	});
	printf("%.10s %.10s %s\n", shared, private, anonymous);
	pwrite(fd, "W", 1, 5);
	printf("%c\n", shared[5]);
	pread(fd, text, 10, 0);
	printf("%s\n", text);
	TELL(msync(shared, 4096, MS_SYNC));
	TELL(msync(shared, 4096, MS_SYNC | MS_ASYNC));
	TELL(msync(shared + 1, 4096, MS_SYNC));
	munmap(anonymous, 4096);
	TELL(msync(anonymous, 4096, MS_SYNC));
	// It outlives its descriptor and its name.
	close(fd);
	unlink("file");
	shared[9] = 'Z';
	printf("%.10s\n", shared);
	return 0;
}
