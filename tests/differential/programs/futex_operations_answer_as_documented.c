#include "check.h"
#include <linux/futex.h>

static uint32_t a, b;

static long futex(uint32_t *word, int operation, uint32_t value, void *timeout, uint32_t *second, uint32_t third)
{
	return syscall(SYS_futex, word, operation, value, timeout, second, third);
}

static void *waiter(void *argument)
{
	(void)argument;
	return (void *)futex(&a, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static void *bitset_waiter(void *argument)
{
	return (void *)futex(&a, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (uint32_t)(long)argument);
}

int main(void)
{
	struct timespec none = { 0, 0 }, little = { 0, 10000000 }, bad = { 0, -1 }, past = { 1, 0 };
	TELL(futex(&a, FUTEX_WAIT, 1, NULL, NULL, 0));
	TELL(futex(&a, FUTEX_WAIT, 0, &none, NULL, 0));
	TELL(futex(&a, FUTEX_WAIT, 0, &little, NULL, 0));
	TELL(futex(&a, FUTEX_WAIT, 0, &bad, NULL, 0));
	TELL(futex(&a, FUTEX_WAIT_BITSET, 0, &past, NULL, 1));
	TELL(futex(&a, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &past, NULL, 1));
	TELL(futex(&a, FUTEX_WAIT_BITSET, 0, &past, NULL, 0));
	TELL(futex(&a, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0));
	TELL(futex(&a, FUTEX_WAKE, 1, NULL, NULL, 0));
	TELL(futex((void *)((char *)&a + 1), FUTEX_WAIT, 0, &none, NULL, 0));
	TELL(futex((void *)((char *)&a + 1), FUTEX_WAKE, 1, NULL, NULL, 0));
	TELL(futex((void *)8, FUTEX_WAIT, 0, &none, NULL, 0));
	TELL(futex((void *)8, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
	TELL(futex((void *)8, FUTEX_WAKE, 1, NULL, NULL, 0));
	TELL(futex(&a, 99, 0, NULL, NULL, 0));
	TELL(futex(&a, FUTEX_CMP_REQUEUE, 1, (void *)1, &b, 5));
	pthread_t threads[5];
	void *result;
	for (int i = 0; i < 5; i++)
		pthread_create(&threads[i], NULL, waiter, NULL);
	// Requeue all when they sleep: counts those woken and those moved.
	long moved;
	pause_ms(60);
	moved = futex(&a, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)3L, &b, 0);
	printf("woken and moved %ld\n", moved);
	printf("left at a %ld\n", futex(&a, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
	printf("found at b %ld\n", futex(&b, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
	for (int i = 0; i < 5; i++) {
		pthread_join(threads[i], &result);
		printf("%ld ", (long)result);
	}
	printf("\n");
	for (long i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, bitset_waiter, (void *)(1L << i));
	pause_ms(60);
	printf("bits 2: %ld\n", futex(&a, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 2));
	printf("bits 8: %ld\n", futex(&a, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 8));
	printf("bits 5: %ld\n", futex(&a, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 5));
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	// Adds 5 to b, wakes at a, and at b as its old value was 0.
	pthread_create(&threads[0], NULL, waiter, NULL);
	pause_ms(30);
	TELL(futex(&a, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &b, FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 0)));
	printf("b %u\n", b);
	pthread_join(threads[0], NULL);
	return 0;
}
