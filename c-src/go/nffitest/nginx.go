package nffitest

import (
	"os"
	"path/filepath"
	"testing"

	"nffi/internal/nginx"
)

// Nginx is a real one that serves a test.
type Nginx struct {
	// URL is its address: http://127.0.0.1:PORT.
	URL string

	place nginx.Place
}

// StartNginx starts the nginx that `nffi build` has made with a configuration
// file, on a free port of this machine instead of that of its first `listen`, and
// ends it with the test. Its prefix is the folder run-test beside the file.
func StartNginx(t testing.TB, conf string) *Nginx {
	t.Helper()
	conf, err := filepath.Abs(conf)
	if err != nil {
		t.Fatal(err)
	}
	port, err := nginx.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	server := &Nginx{place: nginx.Place{Conf: conf, Run: "run-test"}}
	// left by a test that was killed
	if _, err := server.place.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(server.place.Log()); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if server.URL, err = server.place.Start(port); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("error.log:\n%s", server.Log())
		}
		if _, err := server.place.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// Reload lets nginx start new workers, which load the libraries as they are now.
func (n *Nginx) Reload(t testing.TB) {
	t.Helper()
	if err := n.place.Reload(); err != nil {
		t.Fatal(err)
	}
}

// Log is what stands in error.log.
func (n *Nginx) Log() string {
	text, err := os.ReadFile(n.place.Log())
	if err != nil {
		return ""
	}
	return string(text)
}
