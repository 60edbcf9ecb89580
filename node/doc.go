// Package node is a node: sessions, topics, accounts.
package node
