package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// fileVersion is of the format of a FileStore's file.
const fileVersion = 1

// longestState bounds what is read at the start, in bytes.
const longestState = 256 << 20

// FileStore keeps a Snapshot in a file, as JSON. The file is replaced whole,
// so that a crash leaves the old or the new one.
type FileStore struct{ Path string }

type stateFile struct {
	Version int `json:"version"`
	*Snapshot
}

// Load implements Store. A damaged file is moved aside, to PATH.damaged-TIME,
// so that the next Save does not destroy what somebody may want to repair.
func (s FileStore) Load() (*Snapshot, error) {
	f, err := os.Open(s.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, longestState+1))
	f.Close()
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	snapshot, err := decodeState(data)
	if err == nil {
		return snapshot, nil
	}
	aside := s.Path + ".damaged-" + time.Now().UTC().Format("20060102T150405")
	if moved := os.Rename(s.Path, aside); moved != nil {
		return nil, fmt.Errorf("the state in %s is damaged (%w) and cannot be moved aside: %v", s.Path, err, moved)
	}
	return nil, fmt.Errorf("the state in %s is damaged (%w); it is now %s", s.Path, err, aside)
}

func decodeState(data []byte) (*Snapshot, error) {
	if len(data) > longestState {
		return nil, fmt.Errorf("longer than %d bytes", longestState)
	}
	file := stateFile{Snapshot: &Snapshot{}}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&file); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	if file.Version != fileVersion {
		return nil, fmt.Errorf("version %d is unknown, this is version %d", file.Version, fileVersion)
	}
	if file.Snapshot == nil {
		return nil, errors.New("empty")
	}
	return file.Snapshot, nil
}

// Save implements Store.
func (s FileStore) Save(snapshot *Snapshot) (err error) {
	data, err := json.MarshalIndent(stateFile{fileVersion, snapshot}, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(s.Path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(s.Path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("save the state: %w", err)
		}
	}()
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), s.Path)
	}
	if err != nil {
		return err
	}
	// The new name lasts when the directory does.
	d, derr := os.Open(dir)
	if derr != nil {
		return nil
	}
	defer d.Close()
	d.Sync()
	return nil
}
