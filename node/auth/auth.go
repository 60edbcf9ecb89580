// Package auth is how users prove who they are: passwords by argon2id, signed
// tokens, and codes sent to e-mail addresses and telephones. It plugs into
// node.Config as Passwords, Tokens and Validators.
package auth
