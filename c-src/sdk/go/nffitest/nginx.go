package nffitest

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Nginx is a real one that serves a test.
type Nginx struct {
	// URL is its address: http://127.0.0.1:PORT.
	URL string

	program string // nffi-nginx
	folder  string // of nginx.conf
}

// StartNginx starts the nginx of an `nffi build` with an nginx.conf, on a free
// port instead of the port of its first `listen`. It stops nginx when the test
// ends, also when the test is killed. The nginx prefix is the directory run-test
// beside the file.
func StartNginx(t testing.TB, conf string) *Nginx {
	t.Helper()
	conf, err := filepath.Abs(conf)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(conf) != "nginx.conf" {
		t.Fatalf("%s: the configuration must be called nginx.conf", conf)
	}
	server := &Nginx{folder: filepath.Dir(conf)}
	if server.program, err = program(); err != nil {
		t.Fatal(err)
	}
	server.start(t)
	return server
}

func (n *Nginx) start(t testing.TB) {
	t.Helper()
	var diagnosis strings.Builder
	process := exec.Command(n.program, "run")
	process.Dir, process.Stderr = n.folder, &diagnosis
	// nginx ends when this end of its standard input does
	input, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		_ = input.Close()
		_ = process.Wait()
		t.Fatal(strings.TrimSpace(diagnosis.String()))
	}
	n.URL = strings.TrimSpace(address)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("error.log:\n%s", n.Log())
		}
		_ = input.Close()
		_, _ = io.Copy(io.Discard, output)
		if err := process.Wait(); err != nil {
			t.Errorf("%v: %s", err, strings.TrimSpace(diagnosis.String()))
		}
	})
}

// Reload lets nginx start new workers, which load the libraries as they are now.
func (n *Nginx) Reload(t testing.TB) {
	t.Helper()
	reload := exec.Command(n.program, "reload", "--run", "run-test")
	reload.Dir = n.folder
	if output, err := reload.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, strings.TrimSpace(string(output)))
	}
}

// Log is what stands in error.log.
func (n *Nginx) Log() string {
	text, err := os.ReadFile(filepath.Join(n.folder, "run-test", "logs", "error.log"))
	if err != nil {
		return ""
	}
	return string(text)
}

// program is nffi-nginx of the build whose directory nffi/go contains this package.
func program() (string, error) {
	if prefix := os.Getenv("NFFI_PREFIX"); prefix != "" {
		return filepath.Join(prefix, "nffi", "bin", "nffi-nginx"), nil
	}
	output, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "nffi.local/nffi").Output()
	dir := strings.TrimSpace(string(output))
	if err != nil || dir == "" {
		return "", errors.New("cannot find the OpenResty of this project: correct the path " +
			"of nffi.local/nffi in go.mod, or set NFFI_PREFIX")
	}
	return filepath.Join(filepath.Dir(dir), "bin", "nffi-nginx"), nil
}
