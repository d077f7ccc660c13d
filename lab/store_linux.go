package lab

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrTaken is matched by the error of Reserve if there is a lab of that name.
var ErrTaken = errors.New("the name is taken")

// ErrNone is matched by the error of Load if there is no lab of that name.
var ErrNone = errors.New("no such lab")

const (
	rootDir    = "/run/ctsim"
	recordFile = "lab.json"
)

// Store is the folder that holds the Records of one user's labs. Each lab has a folder in it, which is the user's alone.
type Store struct {
	dir  string
	mode fs.FileMode
	// Waiting is told whom a call waits for; nil if nobody wants to know.
	Waiting func(text string)
}

// RootStore is root's: /run/ctsim, whose names all may read.
func RootStore() *Store { return &Store{dir: rootDir, mode: 0o755} }

// UserStore is an ordinary user's: ctsim in $XDG_RUNTIME_DIR, or else /tmp/ctsim-UID, for that user alone. A process
// inside the user's lab finds the same one.
func UserStore() (*Store, error) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		if info, err := os.Stat(dir); err == nil && info.IsDir() && ownedByCaller(info) {
			return &Store{dir: filepath.Join(dir, "ctsim"), mode: 0o700}, nil
		}
	}
	uid, err := uidOutside()
	if err != nil {
		return nil, err
	}
	return &Store{dir: fmt.Sprintf("/tmp/ctsim-%d", uid), mode: 0o700}, nil
}

// uidOutside is the caller's user id as the user namespace above this one has it; in the first one, and for an id that
// is not mapped, the id itself.
func uidOutside() (int, error) {
	uid := os.Geteuid()
	data, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		var inside, outside, count int
		if n, _ := fmt.Sscan(line, &inside, &outside, &count); n == 3 && uid >= inside && uid < inside+count {
			return uid - inside + outside, nil
		}
	}
	return uid, nil
}

func ownedByCaller(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// Dir is the store's folder.
func (s *Store) Dir() string { return s.dir }

// check makes sure that nobody else can have put anything into the folder. A folder that is not there matches
// fs.ErrNotExist.
func (s *Store) check() error {
	info, err := os.Lstat(s.dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no folder", s.dir)
	case !ownedByCaller(info):
		return fmt.Errorf("%s belongs to somebody else", s.dir)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s can be written by others (mode %s)", s.dir, info.Mode().Perm())
	}
	return nil
}

func (s *Store) folder(name string) string { return filepath.Join(s.dir, name) }

// Load reads the record of a lab.
func (s *Store) Load(name string) (*Record, error) {
	if err := s.check(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	r := &Record{}
	err := readRecord(s.folder(name), r)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("lab %s: %w", name, ErrNone)
	}
	if err != nil {
		return nil, err
	}
	if r.Format != recordFormat || r.Name != name {
		return nil, fmt.Errorf("%s: not a record of this version of ctsim", s.folder(name))
	}
	return r, nil
}

func readRecord(folder string, r *Record) error {
	path := filepath.Join(folder, recordFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, r); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Names lists the labs there are records of, in the order of their names.
func (s *Store) Names() ([]string, error) {
	err := s.check()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(s.dir)
	var names []string
	for _, e := range entries {
		if e.IsDir() && CheckName(e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// NamesOfOthers lists the labs of a store that is somebody else's: nothing of what they hold may be believed.
func (s *Store) NamesOfOthers() (names []string, err error) {
	entries, err := os.ReadDir(s.dir)
	for _, e := range entries {
		if CheckName(e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// bootID is the machine's since it was started.
func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data)), err
}

// self is the calling process.
func self() (Process, error) {
	start, err := startTime(os.Getpid())
	return Process{os.Getpid(), start}, err
}

// startTime is field 22 of /proc/PID/stat. The second field, a name in parentheses, may hold anything.
func startTime(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	text := string(data)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, fs.ErrNotExist // it has ended and waits to be reaped
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// alive tells whether the process is still the one that was noted.
func (p Process) alive() bool {
	start, err := startTime(p.PID)
	return err == nil && start == p.Start
}
