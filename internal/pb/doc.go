// Package pb is the generated code of the daemon's two local interfaces, the
// session of a process and the management of the node (proto/ouroboros/v1),
// with the conversions that both need.
package pb

//go:generate protoc -I../../proto --go_out=../.. --go_opt=module=ouroboros --connect-go_out=../.. --connect-go_opt=module=ouroboros,simple ouroboros/v1/common.proto ouroboros/v1/session.proto ouroboros/v1/irm.proto
