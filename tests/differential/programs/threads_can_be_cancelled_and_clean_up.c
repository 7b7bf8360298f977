#include "check.h"

static __thread int local = 5;
static int pipes[2];

static void cleanup(void *argument)
{
	printf("cleanup %s local %d\n", (char *)argument, local);
}

static void destructor(void *value)
{
	printf("key %ld\n", (long)value);
}

static void *reader(void *argument)
{
	char byte;
	local = 6;
	pthread_setspecific(*(pthread_key_t *)argument, (void *)77);
	pthread_cleanup_push(cleanup, "reader");
	read(pipes[0], &byte, 1);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *spinner(void *argument)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	for (;;)
		__asm__ volatile("");
	return argument;
}

static void *disabled(void *argument)
{
	int old;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	pause_ms(40);
	printf("not cancelled yet\n");
	pthread_setcancelstate(old, NULL);
	pthread_testcancel();
	printf("not here\n");
	return argument;
}

int main(void)
{
	pthread_key_t key;
	pthread_t thread;
	void *result;
	void *(*bodies[])(void *) = { reader, spinner, disabled };
	MUST(pipe(pipes));
	pthread_key_create(&key, destructor);
	for (size_t i = 0; i < COUNT(bodies); i++) {
		pthread_create(&thread, NULL, bodies[i], &key);
		pause_ms(15);
		pthread_cancel(thread);
		pthread_join(thread, &result);
		SHOW(result == PTHREAD_CANCELED);
	}
	printf("local %d\n", local);
	return 0;
}
