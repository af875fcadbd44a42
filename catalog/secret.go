package catalog

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret holds a text that must not be seen: every way of printing, logging or
// encoding it gives "[redacted]". Only Reveal gives the text. The zero value is
// the empty secret. It can be decoded from JSON, never encoded back.
type Secret struct {
	// A pointer, because fmt does not call the methods of a value in an
	// unexported field: it then shows an address and not the text.
	text *string
}

// NewSecret wraps a text.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal gives the text itself. Whoever calls it answers for where it goes.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

func (s Secret) String() string { return redacted }

// Format covers every verb, also those that look into a struct (%#v, %x).
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText covers JSON, XML and the like, also as a map's key.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText lets a request be decoded straight into a Secret.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// LogValue covers log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
