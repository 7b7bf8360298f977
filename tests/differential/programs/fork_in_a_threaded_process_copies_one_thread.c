#include "check.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void prepare(void) { pthread_mutex_lock(&mutex); }
static void release(void) { pthread_mutex_unlock(&mutex); }

static void *busy(void *argument)
{
	volatile int *stop = argument;
	while (!*stop) {
		pthread_mutex_lock(&mutex);
		free(malloc(100));
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void *simple(void *argument)
{
	return argument;
}

int main(void)
{
	volatile int stop = 0;
	pthread_t threads[2], another;
	pthread_atfork(prepare, release, release);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, busy, (void *)&stop);
	for (int i = 0; i < 5; i++)
		IN_CHILD({
			SHOW(gettid() == getpid());
			pthread_create(&another, NULL, simple, NULL);
			pthread_join(another, NULL);
			_exit(i);
		});
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
