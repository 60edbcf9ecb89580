// Package testnet runs nodes for tests and measurements: real processes of the
// parley binary (Process), reached as clients reach them (Dial). Its folders are
// what is done with them: bench measures, crash kills.
package testnet
