// Package ca is the congestion avoidance of the flows of a unicast layer.
package ca
