// Puts the scheduler and the collector of Go to work, and reads and writes files.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"
)

type node struct {
	next    *node
	payload [1024]byte
}

// churn makes far more garbage than may be alive, and returns how often the collector ran.
func churn() uint32 {
	var keep *node
	for i := 0; i < 200_000; i++ {
		made := &node{}
		if i%1000 == 0 {
			made.next = keep
			keep = made
		}
	}
	runtime.KeepAlive(keep)
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.NumGC
}

func squares(count int) int {
	numbers := make(chan int)
	results := make(chan int)
	var workers sync.WaitGroup
	for w := 0; w < 8; w++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for n := range numbers {
				results <- n * n
			}
		}()
	}
	go func() {
		for n := 1; n <= count; n++ {
			numbers <- n
		}
		close(numbers)
		workers.Wait()
		close(results)
	}()
	sum := 0
	for square := range results {
		sum += square
	}
	return sum
}

func main() {
	fmt.Println("sum", squares(1000))
	fmt.Println("collected", churn() > 0)
	start := time.Now()
	select {
	case <-time.After(20 * time.Millisecond):
	}
	fmt.Println("waited", time.Since(start) >= 20*time.Millisecond)
	if len(os.Args) > 1 {
		entries, err := os.ReadDir(os.Args[1])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		var names []string
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		sort.Strings(names)
		if err := os.WriteFile(os.Args[1]+"/names", []byte(strings.Join(names, " ")), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(4)
		}
	}
	os.Exit(42)
}
