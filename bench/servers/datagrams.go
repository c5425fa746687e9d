// The usual loop of Go's net: receive a datagram, send it back.
package main

import (
	"log"
	"net"
	"os"
)

func main() {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	buffer := make([]byte, 64*1024)
	for {
		length, sender, err := conn.ReadFrom(buffer)
		if err != nil {
			continue
		}
		conn.WriteTo(buffer[:length], sender)
	}
}
