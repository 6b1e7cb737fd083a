package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
)

// client is a connection to a Redis server, in its protocol of version 2.
type client struct {
	net.Conn
	reader *bufio.Reader
}

// refusal is an error that the server told.
type refusal string

func (text refusal) Error() string { return string(text) }

func connect(address netip.AddrPort) (*client, error) {
	connection, err := dial(address)
	if err != nil {
		return nil, err
	}
	return &client{connection, bufio.NewReader(connection)}, nil
}

// ask sends one command and returns its answer.
func (client *client) ask(words ...string) (any, error) {
	if _, err := client.Write(encode(nil, words...)); err != nil {
		return nil, err
	}
	return client.answer()
}

// encode appends a command to those before it.
func encode(commands []byte, words ...string) []byte {
	commands = fmt.Appendf(commands, "*%d\r\n", len(words))
	for _, word := range words {
		commands = fmt.Appendf(commands, "$%d\r\n%s\r\n", len(word), word)
	}
	return commands
}

// answer reads one answer: a string, a number, a list of answers, or nil.
func (client *client) answer() (any, error) {
	line, err := client.reader.ReadString('\n')
	if err != nil {
		return nil, err
	}
	kind, text := line[0], line[1:len(line)-2]
	switch kind {
	case '+':
		return text, nil
	case '-':
		return nil, refusal(text)
	}
	number, err := strconv.Atoi(text)
	if err != nil || kind == ':' {
		return number, err
	}
	if number < 0 {
		return nil, nil
	}
	if kind == '$' {
		text := make([]byte, number+len("\r\n"))
		_, err := io.ReadFull(client.reader, text)
		return string(text[:number]), err
	}
	list := make([]any, number)
	for i := range list {
		if list[i], err = client.answer(); err != nil {
			return nil, err
		}
	}
	return list, nil
}
