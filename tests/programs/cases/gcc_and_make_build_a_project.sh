# needs: gcc libc6-dev make
mkdir src; for i in 1 2 3 4 5 6; do echo "int f$i(int x) { return x * $i; }" > src/f$i.c; done
cat > src/main.c <<'C'
#include <stdio.h>
#include <stdlib.h>
int f1(int),f2(int),f3(int),f4(int),f5(int),f6(int);
int main(void) { printf("%d\n", f1(1)+f2(2)+f3(3)+f4(4)+f5(5)+f6(6)); return 0; }
C
cat > Makefile <<'M'
OBJS := $(patsubst src/%.c,%.o,$(wildcard src/*.c))
prog: $(OBJS)
	gcc -o $@ $^
%.o: src/%.c
	gcc -O1 -Wall -c -o $@ $<
M
make -s -j2 && ./prog && make -s && echo '#define X' >> src/f1.c && make -sq; echo "up to date: $?"; echo 'int broken(' > b.c; gcc -c b.c 2>/dev/null; echo "broken: $?"
gcc -g -O2 -shared -fPIC -o libf.so src/f1.c && gcc -static -o fixed src/*.c && ./fixed; nm libf.so | grep -c f1
