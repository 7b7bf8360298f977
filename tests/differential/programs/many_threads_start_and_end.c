#include "check.h"

static long sum;

static void *body(void *argument)
{
	char *memory = malloc(1000);
	memset(memory, 1, 1000);
	__atomic_add_fetch(&sum, (long)argument + memory[999], __ATOMIC_SEQ_CST);
	free(memory);
	return argument;
}

int main(void)
{
	pthread_t threads[40];
	for (int round = 0; round < 5; round++) {
		for (long i = 0; i < 40; i++)
			if (pthread_create(&threads[i], NULL, body, (void *)i))
				printf("no thread %ld\n", i);
		for (long i = 0; i < 40; i++) {
			void *result;
			pthread_join(threads[i], &result);
			if (result != (void *)i)
				printf("wrong result %ld\n", i);
		}
	}
	printf("%ld\n", sum);
	return 0;
}
