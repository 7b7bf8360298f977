#include "check.h"

static int use(size_t bytes)
{
	volatile char *p = __builtin_alloca(bytes);
	for (size_t i = 0; i < bytes; i += 4096)
		p[bytes - 1 - i] = 1;
	return p[bytes - 1];
}

int main(int argc, char **argv)
{
	if (argc == 1) {
		struct rlimit limit = { 2 << 20, 2 << 20 };
		setrlimit(RLIMIT_STACK, &limit);
		execl("/proc/self/exe", argv[0], "again", NULL);
		return 1;
	}
	IN_CHILD(printf("%d\n", use(1 << 20)));
	IN_CHILD(printf("%d\n", use(1900 << 10)));
	IN_CHILD(printf("%d\n", use(4 << 20)));
	IN_CHILD({
		// Far below the stack pointer, yet within the limit: grows.
		char here;
		char *volatile low = &here;
		low[-(1 << 20)] = 1;
		printf("fine\n");
	});
	return 0;
}
