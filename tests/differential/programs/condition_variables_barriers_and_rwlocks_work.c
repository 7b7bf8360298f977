#include "check.h"
#include <semaphore.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t semaphore;
static int turn, serial;
static long total;

static void *in_turn(void *argument)
{
	long me = (long)argument;
	for (int round = 0; round < 100; round++) {
		pthread_mutex_lock(&mutex);
		while (turn % 4 != me)
			pthread_cond_wait(&condition, &mutex);
		turn++;
		pthread_cond_broadcast(&condition);
		pthread_mutex_unlock(&mutex);
	}
	if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
		__atomic_add_fetch(&serial, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 500; i++) {
		pthread_rwlock_rdlock(&rwlock);
		long seen = total;
		pthread_rwlock_unlock(&rwlock);
		(void)seen;
		pthread_rwlock_wrlock(&rwlock);
		total++;
		pthread_rwlock_unlock(&rwlock);
		sem_post(&semaphore);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[4];
	struct timespec time;
	pthread_barrier_init(&barrier, NULL, 4);
	sem_init(&semaphore, 0, 0);
	for (long i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, in_turn, (void *)i);
	for (int i = 0; i < 2000; i++)
		sem_wait(&semaphore);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	printf("turn %d serial %d total %ld\n", turn, serial, total);
	clock_gettime(CLOCK_REALTIME, &time);
	pthread_mutex_lock(&mutex);
	printf("%s\n", strerrorname_np(pthread_cond_timedwait(&condition, &mutex, &time)));
	TELL(sem_timedwait(&semaphore, &time));
	TELL(sem_trywait(&semaphore));
	return 0;
}
