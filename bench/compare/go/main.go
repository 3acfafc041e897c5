// The same handler twice: as a runtime of nffi, and, as a program with the arguments
// SOCKET HTTP_SOCKET, behind unix sockets. On the first, a length of four bytes precedes each
// payload.
package main

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"os"

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
	listener := listen(os.Args[1])
	go http.Serve(listen(os.Args[2]), http.HandlerFunc(serveHTTP))
	for {
		connection, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go serve(connection)
	}
}

func listen(path string) net.Listener {
	listener, err := net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	return listener
}

func serve(connection net.Conn) {
	defer connection.Close()
	var head [4]byte
	var buffer []byte
	for {
		if _, err := io.ReadFull(connection, head[:]); err != nil {
			return
		}
		size := int(binary.BigEndian.Uint32(head[:]))
		if size+4 > len(buffer) {
			buffer = make([]byte, size+4)
		}
		if _, err := io.ReadFull(connection, buffer[4:size+4]); err != nil {
			return
		}
		response, _ := echo(context.Background(), nffi.Request{Data: buffer[4 : size+4]})
		binary.BigEndian.PutUint32(buffer, uint32(len(response)))
		if _, err := connection.Write(buffer[:len(response)+4]); err != nil {
			return
		}
	}
}

func serveHTTP(writer http.ResponseWriter, request *http.Request) {
	data, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	response, _ := echo(request.Context(), nffi.Request{Data: data})
	writer.Write(response)
}
