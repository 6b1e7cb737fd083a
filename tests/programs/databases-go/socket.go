package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"structs"
	"syscall"
	"unsafe"
)

// Both are of WasmEdge's extension of WASI 0.1: Go's own network is not there.

//go:wasmimport wasi_snapshot_preview1 sock_open
//go:noescape
func sockOpen(family, kind uint32, fd *uint32) uint32

//go:wasmimport wasi_snapshot_preview1 sock_connect
//go:noescape
func sockConnect(fd uint32, place *place, port uint32) uint32

// place is where an address lies in memory, whose pointers have 32 bits.
type place struct {
	_              structs.HostLayout
	buffer, length uint32
}

const (
	familyV4   = 1
	kindStream = 2
)

// dial connects by the extension; what comes after that is Go's: its poller waits for the socket.
func dial(address netip.AddrPort) (net.Conn, error) {
	var fd uint32
	if errno := sockOpen(familyV4, kindStream, &fd); errno != 0 {
		return nil, fmt.Errorf("sock_open: errno %d", errno)
	}
	octets := address.Addr().As4()
	to := place{buffer: uint32(uintptr(unsafe.Pointer(&octets))), length: 4}
	errno := sockConnect(fd, &to, uint32(address.Port()))
	runtime.KeepAlive(&octets)
	if errno != 0 {
		return nil, fmt.Errorf("sock_connect: errno %d", errno)
	}
	if err := syscall.SetNonblock(int(fd), true); err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), address.String())
	defer file.Close()
	return net.FileConn(file)
}
