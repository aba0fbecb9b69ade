package server

import (
	"bytes"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"ouroboros/internal/pb"
	"ouroboros/internal/rundir"
)

// FuzzSession sends arbitrary records on the flow socket, cut at zero bytes,
// before and after a Hello. Others are served all the same.
func FuzzSession(f *testing.F) {
	record := func(ms ...*pb.ToDaemon) (all []byte) {
		for _, m := range ms {
			b, err := proto.Marshal(m)
			if err != nil {
				f.Fatal(err)
			}
			all = append(append(all, b...), 0)
		}
		return all
	}
	f.Add(true, []byte{})
	f.Add(false, []byte("\xff\xff\xff\xff"))
	f.Add(true, record(
		&pb.ToDaemon{Request: 2, Body: &pb.ToDaemon_Bind{Bind: &pb.Bind{Name: "n"}}},
		&pb.ToDaemon{Request: 3, Body: &pb.ToDaemon_Accept{Accept: &pb.Accept{}}},
		&pb.ToDaemon{Request: 4, Body: &pb.ToDaemon_Alloc{Alloc: &pb.Alloc{Dst: "n", Qos: &pb.QoS{Availability: 999}}}},
		&pb.ToDaemon{Request: 5, Expired: true, Body: &pb.ToDaemon_Join{Join: &pb.Join{Layer: "l"}}},
		&pb.ToDaemon{Request: 3, Body: &pb.ToDaemon_Cancel{Cancel: &pb.Cancel{}}},
		&pb.ToDaemon{Body: &pb.ToDaemon_Dealloc{Dealloc: &pb.Dealloc{Flow: 1, LinkLost: true}}},
	))
	f.Add(false, record(&pb.ToDaemon{Request: 1, Body: &pb.ToDaemon_Hello{Hello: &pb.Hello{Version: 99}}}))

	d := start(f, Config{Limits: Limits{Hello: time.Second}})
	server, client := d.serve("bystander"), d.dial()
	a, b := pair(f, client, server, "bystander")
	f.Fuzz(func(t *testing.T, greet bool, data []byte) {
		fd, err := rawDial(d.dir)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if greet {
			if err := rawHello(fd); err != nil {
				t.Fatal(err)
			}
		}
		for r := range bytes.SplitSeq(data, []byte{0}) {
			unix.Send(fd, r, unix.MSG_NOSIGNAL)
		}
		unix.Shutdown(fd, unix.SHUT_WR)
		for {
			if _, err := rawRecv(fd); err != nil {
				break
			}
		}
		talk(t, a, b)
	})
}

// FuzzRPC sends arbitrary bodies, and arbitrary bytes instead of a request, to
// the management socket.
func FuzzRPC(f *testing.F) {
	f.Add("CreateName", true, []byte(`{"name":"x"}`))
	f.Add("BootstrapIPCP", true, []byte(`{"pid":1,"config":{"type":"UDP4","layer":"l","udp":{"ip":"::1","port":99999}}}`))
	f.Add("BindProgram", true, []byte(`{"program":"/bin/true","name":"x","args":["",""]}`))
	f.Add("ConnectIPCP", false, []byte("\x08\x01\x12\x02x"))
	f.Add("Watch", true, []byte("\x00\x00\x00\x00\x02{}"))
	f.Add("\r\nGET / HTTP/1.1\r\n", true, []byte("\x00"))

	d := start(f, Config{})
	c := d.client()
	f.Fuzz(func(t *testing.T, method string, isJSON bool, body []byte) {
		conn, err := net.Dial("unix", filepath.Join(d.dir, rundir.APISocket))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		kind := "application/proto"
		if isJSON {
			kind = "application/json"
		}
		var head bytes.Buffer
		head.WriteString("POST /ouroboros.v1.Irm/" + method + " HTTP/1.1\r\nHost: irmd\r\nConnection: close\r\nContent-Type: " + kind + "\r\nContent-Length: ")
		head.WriteString(strconv.Itoa(len(body)) + "\r\n\r\n")
		conn.Write(append(head.Bytes(), body...))
		conn.(*net.UnixConn).CloseWrite()
		conn.SetReadDeadline(time.Now().Add(patience))
		buf := make([]byte, 4096)
		for {
			if _, err := conn.Read(buf); err != nil {
				break
			}
		}
		if _, err := c.Status(soon(t)); err != nil {
			t.Fatal(err)
		}
	})
}
