package quic

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	quicgo "github.com/quic-go/quic-go"

	"parley/federation"
)

// Codes of the contract are those on the wire.
func code(c federation.CloseCode) quicgo.ApplicationErrorCode { return quicgo.ApplicationErrorCode(c) }
func streamCode(c federation.CloseCode) quicgo.StreamErrorCode {
	return quicgo.StreamErrorCode(c)
}

// cryptoErrors are the transport error codes that stand for TLS alerts (RFC 9001
// section 4.8).
const cryptoErrors, cryptoErrorsEnd = 0x100, 0x200

// closedError makes a *federation.ClosedError of what quic-go says of the end of a
// connection or stream; other errors stay as they are.
func closedError(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*federation.ClosedError](err); ok {
		return err
	}
	if e, ok := errors.AsType[*quicgo.StreamError](err); ok {
		return &federation.ClosedError{Code: federation.CloseCode(e.ErrorCode), Remote: e.Remote, Err: err}
	}
	if e, ok := errors.AsType[*quicgo.ApplicationError](err); ok {
		return &federation.ClosedError{
			Code: federation.CloseCode(e.ErrorCode), Reason: clean(e.ErrorMessage), Remote: e.Remote,
		}
	}
	if e, ok := errors.AsType[*quicgo.TransportError](err); ok {
		return &federation.ClosedError{Code: transportCode(e.ErrorCode), Remote: e.Remote, Err: err}
	}
	if _, ok := errors.AsType[*quicgo.StatelessResetError](err); ok { // it was restarted
		return &federation.ClosedError{Code: federation.CloseInternal, Remote: true, Err: err}
	}
	if _, ok := errors.AsType[*quicgo.VersionNegotiationError](err); ok {
		return &federation.ClosedError{Code: federation.CloseProtocol, Err: err}
	}
	_, idle := errors.AsType[*quicgo.IdleTimeoutError](err)
	_, handshake := errors.AsType[*quicgo.HandshakeTimeoutError](err)
	if idle || handshake {
		return &federation.ClosedError{Code: federation.CloseIdle, Err: err}
	}
	if errors.Is(err, quicgo.ErrTransportClosed) { // the socket has failed
		return &federation.ClosedError{Code: federation.CloseInternal, Err: err}
	}
	return err
}

// ended is the cause of the end of a connection.
func ended(err error) *federation.ClosedError {
	if e, ok := errors.AsType[*federation.ClosedError](closedError(err)); ok {
		return e
	}
	return &federation.ClosedError{Code: federation.CloseInternal, Err: err}
}

// transportCode says in our codes what QUIC itself has found.
func transportCode(c quicgo.TransportErrorCode) federation.CloseCode {
	switch {
	case c == quicgo.NoError:
		return federation.CloseGoodbye
	case c == quicgo.ConnectionRefused:
		return federation.CloseOverloaded
	case c == quicgo.InternalError:
		return federation.CloseInternal
	case c >= cryptoErrors && c < cryptoErrorsEnd:
		return federation.CloseUnproven
	}
	return federation.CloseProtocol
}

// clean makes text for a log of what a peer says: short, printable, UTF-8.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s[:min(len(s), maxReason)])
	return s
}
