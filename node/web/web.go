// Package web is the page that a node serves at / unless it is given another
// client: enough of a messenger to see the node work. It is plain HTML, CSS and
// ES modules, without a build step and without anything from elsewhere, and it
// speaks the client protocol (spec/client.md) to the origin that it came from.
//
// Read wire.js (one connection), topic.js (one conversation), chat.js (all that
// the user has), drafty.js (rich text), then app.js (what the user sees).
package web

import (
	"embed"
	"io/fs"
)

//go:embed *.html *.css *.js *.svg
var files embed.FS

// FS holds the page; index.html is its entry.
var FS fs.FS = files
