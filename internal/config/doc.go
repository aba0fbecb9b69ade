// Package config reads the configuration file of the daemon.
//
// The file is TOML. It describes what the daemon is to be (tables daemon,
// limits, access), which names it serves (table name) and which IPC processes
// it runs (one table a kind):
//
//	[name."web.example"]            # a service
//	prog = ["/usr/bin/httpd"]
//	args = ["--port 80"]            # present: started on demand
//
//	[udp4.internet]                 # an IPCP
//	bootstrap = "udp"
//	ip        = "192.0.2.1"
//	reg       = ["web.example"]
//
// Parse turns bytes into a File and touches nothing else. It is strict: a key
// that is not known, a value of the wrong type or out of its range is an
// error that says where it stands, shows the line, and says what was
// expected. All errors of a file are reported together.
//
// # Spellings
//
// Where the words of the irm command differ from those of the file, both are
// understood: enrol and enroll, dev and device, addr_size and addr, eid_size
// and eid, max_ttl and ttl, dht_t_expire and dht_t_expiry, addr-auth and
// addr_auth, server_enc_file and sencpath (and so on), link-state and
// link_state, spill and spillover, DHT and dht.
//
// # Order
//
// Apply works in the order of the file, with three steps so that nothing runs
// before what it stands on:
//
//  1. names, with their programs
//  2. IPCPs that stand on the host itself: local, eth-llc, eth-dix, udp4, udp6
//  3. IPCPs that stand on other layers: unicast, broadcast
//
// An IPCP is created, then bootstrapped or enrolled, then bound (autobind),
// then the names of reg are registered with it, then it connects to those in
// conn. The first failure ends the work.
//
// A neighbour that cannot be reached is no failure: it may start later, or
// stand behind a layer of this node that is itself not complete. The daemon
// tries on in the background, and what can be done is done meanwhile.
package config
