// Uses a Redis server by a client of its own, and prints what came of it.
//
//	databases ADDRESS
package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := talk(netip.MustParseAddrPort(os.Args[1])); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func talk(address netip.AddrPort) error {
	main, err := connect(address)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func(*client, netip.AddrPort) (any, error)
	}{
		{"greeting", greeting},
		{"counter", counter},
		{"list", list},
		{"large", large},
		{"nothing", nothing},
		{"wrong", wrong},
		{"timeout", timeout},
		{"news", news},
	} {
		said, err := step.do(main, address)
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Printf("%s: %v\n", step.name, said)
	}
	return main.Close()
}

func greeting(client *client, _ netip.AddrPort) (any, error) {
	if _, err := client.ask("SET", "greeting", "hello"); err != nil {
		return nil, err
	}
	return client.ask("GET", "greeting")
}

// counter is counted by three goroutines at once, each with a connection of its own.
func counter(client *client, address netip.AddrPort) (any, error) {
	failures := make(chan error)
	for range 3 {
		go func() {
			other, err := connect(address)
			if err == nil {
				_, err = other.ask("INCR", "counter")
				err = errors.Join(err, other.Close())
			}
			failures <- err
		}()
	}
	if err := errors.Join(<-failures, <-failures, <-failures); err != nil {
		return nil, err
	}
	return client.ask("GET", "counter")
}

// list takes a thousand commands in one go, and their answers.
func list(client *client, _ netip.AddrPort) (any, error) {
	var commands []byte
	for number := range 1000 {
		commands = encode(commands, "RPUSH", "list", strconv.Itoa(number))
	}
	if _, err := client.Write(commands); err != nil {
		return nil, err
	}
	for range 1000 {
		if _, err := client.answer(); err != nil {
			return nil, err
		}
	}
	numbers, err := client.ask("LRANGE", "list", "0", "-1")
	if err != nil {
		return nil, err
	}
	sum := 0
	for _, text := range numbers.([]any) {
		number, err := strconv.Atoi(text.(string))
		if err != nil {
			return nil, err
		}
		sum += number
	}
	return sum, nil
}

func large(client *client, _ netip.AddrPort) (any, error) {
	text := strings.Repeat("x", 1<<20)
	if _, err := client.ask("SET", "large", text); err != nil {
		return nil, err
	}
	back, err := client.ask("GET", "large")
	if err != nil {
		return nil, err
	}
	return fmt.Sprint(len(back.(string)), back == text), nil
}

func nothing(client *client, _ netip.AddrPort) (any, error) {
	answer, err := client.ask("BLPOP", "nobody", "0.1")
	return answer == nil, err
}

func wrong(client *client, _ netip.AddrPort) (any, error) {
	var told refusal
	if _, err := client.ask("INCR", "list"); !errors.As(err, &told) {
		return nil, err
	}
	code, _, _ := strings.Cut(string(told), " ")
	return code, nil
}

// timeout has the server wait for longer than the client does.
func timeout(_ *client, address netip.AddrPort) (any, error) {
	client, err := connect(address)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := client.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		return nil, err
	}
	_, err = client.ask("BLPOP", "nobody", "30")
	return errors.Is(err, os.ErrDeadlineExceeded), nil
}

// news are two messages from one connection to another, which a goroutine waits for.
func news(client *client, address netip.AddrPort) (any, error) {
	listener, err := connect(address)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	if _, err := listener.ask("SUBSCRIBE", "news"); err != nil {
		return nil, err
	}
	messages := make(chan any)
	go func() {
		for range 2 {
			// A message is a list of three: what it is, its channel, its text.
			message, err := listener.answer()
			if err != nil {
				messages <- err
				continue
			}
			messages <- message.([]any)[2]
		}
	}()
	for _, text := range []string{"first", "second"} {
		if _, err := client.ask("PUBLISH", "news", text); err != nil {
			return nil, err
		}
	}
	return fmt.Sprintf("%v %v", <-messages, <-messages), nil
}
