package tracking

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/rastrohq/rastro/internal/cborwire"
)

// stateVersion is that of the CBOR form of a State. It must grow whenever fold changes in a way that old states cannot be
// read by, or mean something else; stored states of another version are then rebuilt.
const stateVersion = 3

// ErrStateVersion says that a stored State was written by another version of the fold. Rebuild makes a new one.
var ErrStateVersion = errors.New("state was written by another version of the fold")

type stateEnvelope struct {
	_       struct{} `cbor:",toarray"`
	Version int
	Fold    cbor.RawMessage
}

// MarshalBinary implements encoding.BinaryMarshaler: a CBOR array of the version and the state.
func (s State) MarshalBinary() ([]byte, error) {
	w := make(stateWriter, 0, 1024)
	w.head(cborwire.Array, 2)
	w.int(stateVersion)
	w.fold(&s.data)
	return w, nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler. It returns an error that wraps ErrStateVersion for the state of
// another version. Empty data is an empty state.
func (s *State) UnmarshalBinary(data []byte) error {
	if len(data) == 0 {
		*s = State{}
		return nil
	}
	var quick fold
	r := stateReader{cborwire.Reader{Rest: data}}
	r.array(2)
	if r.Int() == stateVersion && r.fold(&quick) {
		return s.take(quick)
	}
	var envelope stateEnvelope
	if err := cbor.Unmarshal(data, &envelope); err != nil {
		return fmt.Errorf("decode trace state: %w", err)
	}
	if envelope.Version != stateVersion {
		return fmt.Errorf("decode trace state of version %d, not %d: %w", envelope.Version, stateVersion, ErrStateVersion)
	}
	var f fold
	if err := cbor.Unmarshal(envelope.Fold, &f); err != nil {
		return fmt.Errorf("decode trace state: %w", err)
	}
	return s.take(f)
}

// take takes over a fold that was read.
func (s *State) take(f fold) error {
	if len(f.Keys)%4 != 0 || len(f.Bloom) != 0 && len(f.Bloom) != bloomBytes {
		return errors.New("decode trace state: the event ids seen are damaged")
	}
	s.data = f
	return nil
}
