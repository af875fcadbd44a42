package catalog

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// A Secret holds text that must not be printed: formatting, logging and encoding it yield
// "[redacted]". Only Reveal returns the text. The zero value is the empty secret. It can
// be decoded from JSON but never encoded.
type Secret struct {
	// A pointer, because fmt does not call the methods of a value in an
	// unexported field: it then shows an address and not the text.
	text *string
}

// NewSecret returns a Secret with the given text.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal returns the text. The caller must not log it.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

func (s Secret) String() string { return redacted }

// Format covers every verb, also those that print fields of a struct (%#v, %x).
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText covers JSON, XML and similar encoders, also for map keys.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText decodes text into the Secret.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// LogValue covers log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
