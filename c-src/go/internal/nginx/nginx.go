// Package nginx starts and ends the nginx that `nffi build` has made, with the
// nginx.conf of a project. Its prefix is a folder beside that file: its logs and
// its pid file go there.
package nginx

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Place says which nginx is meant.
type Place struct {
	Conf string // nginx.conf
	Run  string // the name of the folder beside it
}

// patience is how long nginx may take to start or to end.
const patience = 10 * time.Second

// Folder is nginx's prefix.
func (p Place) Folder() string { return filepath.Join(filepath.Dir(p.Conf), p.Run) }

// Log is where nginx writes its error log, if nginx.conf says `logs/error.log`.
func (p Place) Log() string { return filepath.Join(p.Folder(), "logs", "error.log") }

// Start starts it and gives its address. Port 0 is the one in nginx.conf; with
// another one a copy of nginx.conf is used whose first `listen` names it.
func (p Place) Start(port int) (string, error) {
	program, err := program()
	if err != nil {
		return "", err
	}
	if p.Pid() != 0 {
		return "", fmt.Errorf("nginx runs already in %s/", p.Run)
	}
	conf, err := readConf(p, port)
	if err != nil {
		return "", err
	}
	if err := requireFree(conf.port); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(p.Folder(), "logs"), 0o755); err != nil {
		return "", err
	}
	args := []string{"-p", p.Folder(), "-c", conf.file}
	// as root, nginx would run its worker as nobody, who often may not read this folder
	if os.Getuid() == 0 && !conf.namesUser {
		args = append(args, "-g", "user root root;")
	}
	if output, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("nginx does not start:\n%s", strings.TrimSpace(string(output)))
	}
	if !until(func() bool { return p.Pid() != 0 }) {
		return "", fmt.Errorf("nginx has gone; see %s", p.Log())
	}
	return "http://127.0.0.1:" + strconv.Itoa(conf.port), nil
}

// Stop lets nginx finish what it serves and ends it; false if none runs.
func (p Place) Stop() (bool, error) {
	defer os.Remove(p.copyOfConf())
	pid := p.Pid()
	if pid == 0 {
		return false, nil
	}
	gone := func() bool { return !isNginx(pid) }
	_ = syscall.Kill(pid, syscall.SIGQUIT)
	if until(gone) {
		return true, nil
	}
	_ = syscall.Kill(pid, syscall.SIGTERM)
	if !until(gone) {
		return true, fmt.Errorf("nginx (pid %d) does not end; see %s", pid, p.Log())
	}
	return true, nil
}

// Reload starts new workers, with the libraries as they are now; the old ones
// finish what they serve.
func (p Place) Reload() error {
	pid := p.Pid()
	if pid == 0 {
		return errors.New("nginx does not run")
	}
	return syscall.Kill(pid, syscall.SIGHUP)
}

// Pid of the nginx that runs there, 0 if none does.
func (p Place) Pid() int {
	text, err := os.ReadFile(filepath.Join(p.Folder(), "logs", "nginx.pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || !isNginx(pid) {
		return 0
	}
	return pid
}

// isNginx: a pid file can outlive its nginx, and its number be another program's.
func isNginx(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.HasPrefix(string(text), "nginx: master")
}

// program is the nginx of the build whose folder nffi/go this package is in.
func program() (string, error) {
	prefix := os.Getenv("NFFI_PREFIX")
	if prefix == "" {
		output, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "nffi").Output()
		dir := strings.TrimSpace(string(output))
		if err != nil || dir == "" {
			return "", errors.New("cannot find the OpenResty of this project: correct the path " +
				"of nffi in go.mod, or name the place with NFFI_PREFIX")
		}
		prefix = filepath.Dir(filepath.Dir(dir))
	}
	program := filepath.Join(prefix, "nginx", "sbin", "nginx")
	if _, err := os.Stat(program); err != nil {
		return "", fmt.Errorf("there is no %s: run `nffi build` again", program)
	}
	return program, nil
}

func requireFree(port int) error {
	listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d is used by another program: choose one with -port, "+
			"or change `listen` in nginx.conf", port)
	}
	if err != nil {
		return fmt.Errorf("port %d cannot be used: %w", port, err)
	}
	return listener.Close()
}

// FreePort is one that nobody listens on now.
func FreePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func until(condition func() bool) bool {
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
