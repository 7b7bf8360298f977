// What BusyBox cannot tell: it gives up what a set-user-ID bit gave it.
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	printf("%d\n", geteuid());
	return 0;
}
