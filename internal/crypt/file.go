package crypt

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxFile is the most that a security file can have in bytes. The largest that
// makes sense is a list of revoked certificates.
const maxFile = 4 << 20

// How a file may be accessible to others than its owner.
const (
	shared fs.FileMode = 0o022 // nobody else may write it
	secret fs.FileMode = 0o027 // nor may everybody read it
)

// readFile reads a security file. Absent is no error but ok = false; anything
// else that keeps it from being read is one, and so is a file that others could
// have changed: what a file says is never left out in silence.
func readFile(path string, forbidden fs.FileMode) (b []byte, ok bool, err error) {
	if path == "" {
		return nil, false, nil
	}
	// Opening a pipe or a device must not hold an allocation.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	} else if err != nil {
		return nil, false, problem("the file %s cannot be read: %w", path, cause(err)).
			next("let the user that the daemon runs as read it, or remove it")
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, false, problem("the file %s cannot be read: %w", path, cause(err))
	case !info.Mode().IsRegular():
		return nil, false, problem("%s is not a regular file", path)
	case info.Mode().Perm()&forbidden&0o022 != 0:
		return nil, false, problem("the file %s can be changed by others than its owner", path).next("run: chmod go-w %s", path)
	case info.Mode().Perm()&forbidden != 0:
		return nil, false, problem("the private key %s can be read by everybody", path).next("run: chmod 600 %s", path)
	case info.Size() > maxFile:
		return nil, false, problem("the file %s has %d bytes, the most is %d", path, info.Size(), maxFile)
	}
	b = make([]byte, info.Size())
	n, err := io.ReadFull(f, b)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		clear(b)
		return nil, false, problem("the file %s cannot be read: %w", path, err)
	}
	return b[:n], true, nil
}

// cause takes the path, which is said already, out of an error.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// in says which file a problem is about.
func in(path string, err error) error {
	var p *Problem
	if errors.As(err, &p) {
		return &Problem{Cause: path + ": " + p.Cause, Hint: p.Hint, Err: p.Err}
	}
	return problem("%s: %w", path, err)
}
