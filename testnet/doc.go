// Package testnet runs nodes for tests and measurements: real processes of the
// parley binary (Process), reached as clients reach them (Dial). Its folders are
// what is done with them: bench measures, crash kills.
//
// Whole federations run inside of one process: cluster has real nodes on an emulated
// network, vtime virtual time, checks what must hold; scenario is the language of
// experiments, scenarios those that come with the program, run carries one out, and report
// shows what came of it.
package testnet
