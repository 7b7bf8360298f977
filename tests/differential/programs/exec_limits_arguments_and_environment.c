#include "check.h"

static void run(size_t count, size_t length)
{
	char **argv = calloc(count + 2, sizeof *argv);
	char *word = malloc(length + 1), *none[] = { NULL };
	memset(word, 'x', length);
	word[length] = 0;
	argv[0] = "true";
	for (size_t i = 1; i <= count; i++)
		argv[i] = word;
	printf("%zu of %zu: ", count, length);
	fflush(stdout);
	IN_CHILD({
		execve("/bin/true", argv, none);
		printf("%s ", strerrorname_np(errno));
	});
	free(argv);
	free(word);
}

int main(void)
{
	run(1, 131071);
	run(1, 131072);
	run(10, 100000);
	run(15, 131000);
	run(17, 131000);
	run(2000, 1000);
	run(2200, 1000);
	struct rlimit limit = { 1 << 20, RLIM_INFINITY };
	setrlimit(RLIMIT_STACK, &limit);
	run(250, 900);
	run(300, 900);
	return 0;
}
