# needs: golang-go
export HOME=$PWD GOCACHE=$PWD/cache GOFLAGS=-mod=mod GO111MODULE=off
cat > m.go <<'G'
package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

func main() {
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for i := 0; i < 200; i++ {
		wg.Add(1)
		go func(i int) { defer wg.Done(); time.Sleep(time.Millisecond); mu.Lock(); total += i; mu.Unlock() }(i)
	}
	wg.Wait()
	fmt.Println(total)
	done := make(chan bool)
	go func() { x := 0; for i := 0; i < 300000000; i++ { x += i }; done <- x != 0 }()
	runtime.Gosched()
	runtime.GC()
	fmt.Println(<-done)
	out, err := exec.Command("echo", "from go").Output()
	fmt.Printf("%s %v\n", out, err)
	fmt.Println(exec.Command("false").Run())
	select { case <-time.After(20 * time.Millisecond): fmt.Println("after") }
}
G
go build -o m m.go && ./m
