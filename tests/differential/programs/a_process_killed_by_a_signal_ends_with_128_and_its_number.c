#include "check.h"

int main(void)
{
	printf("before\n");
	raise(SIGTERM);
	printf("after\n");
	return 0;
}
