#include "check.h"

int main(void)
{
	unsigned char code[] = { 0xb8, 1, 0, 0, 0, 0xc3 };
	unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 1; i < 4; i++) {
		code[1] = i;
		memcpy(page, code, sizeof code);
		printf("%d\n", ((int (*)(void))page)());
	}
	// System calls from written code, again after it has been changed.
	unsigned char call[] = { 0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3 };
	for (int i = 0; i < 20; i++) {
		memcpy(page, call, sizeof call);
		if (((int (*)(void))page)() != getpid())
			printf("wrong\n");
	}
	call[1] = 110;
	memcpy(page, call, sizeof call);
	SHOW(((int (*)(void))page)() == getppid());
	SHOW(page[5] == 0x0f && page[6] == 0x05);
	TELL(mprotect(page, 4096, PROT_READ | PROT_EXEC));
	SHOW(((int (*)(void))page)() == getppid());
	// Of a file, mapped executable.
	int fd = MUST(open("code", O_RDWR | O_CREAT, 0755));
	MUST(write(fd, code, sizeof code));
	unsigned char *mapped = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	printf("%d\n", ((int (*)(void))mapped)());
	code[1] = 77;
	MUST(pwrite(fd, code, sizeof code, 0));
	printf("%d\n", ((int (*)(void))mapped)());
	return 0;
}
