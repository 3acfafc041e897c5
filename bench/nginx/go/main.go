// The same handler for both: as a runtime of nffi, and, as a program with the
// arguments PATH SIZE, behind a unix socket.
package main

import (
	"context"
	"io"
	"net"
	"os"
	"strconv"

	"nffi.local/nffi"
)

func echo(_ context.Context, request nffi.Request) ([]byte, error) { return request.Data, nil }

func init() {
	nffi.Serve(nffi.Methods{
		"":       nffi.HandlerFunc(echo),
		"inline": nffi.Inline(nffi.HandlerFunc(echo)),
	})
}

func main() {
	if len(os.Args) != 3 {
		nffi.Main()
	}
	size, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		panic(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go serve(connection, size)
	}
}

func serve(connection net.Conn, size int) {
	defer connection.Close()
	request := make([]byte, size)
	for {
		if _, err := io.ReadFull(connection, request); err != nil {
			return
		}
		reply, _ := echo(context.Background(), nffi.Request{Data: request})
		if _, err := connection.Write(reply); err != nil {
			return
		}
	}
}
