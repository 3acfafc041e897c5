package nginx

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// conf is what matters here of an nginx.conf.
type conf struct {
	file      string
	port      int
	namesUser bool
}

var (
	// `listen PORT` or `listen ADDRESS:PORT`
	listen = regexp.MustCompile(`(?m)^(\s*listen\s+(?:(?:[\w.*-]+|\[[^\]]*\]):)?)(\d+)([\s;])`)
	user   = regexp.MustCompile(`(?m)^\s*user\s`)
)

// copyOfConf lies beside nginx.conf, since an `include` is seen from its folder.
func (p Place) copyOfConf() string {
	return filepath.Join(filepath.Dir(p.Conf), ".nginx-"+p.Run+".conf")
}

func readConf(p Place, port int) (conf, error) {
	text, err := os.ReadFile(p.Conf)
	if err != nil {
		return conf{}, err
	}
	found := listen.FindSubmatch(text)
	if found == nil {
		return conf{}, errors.New(
			"nginx.conf has no line `listen PORT;` or `listen ADDRESS:PORT;` to tell the port")
	}
	namesUser := user.Match(text)
	if port == 0 {
		told, err := strconv.Atoi(string(found[2]))
		return conf{p.Conf, told, namesUser}, err
	}
	first := true
	changed := listen.ReplaceAllFunc(text, func(line []byte) []byte {
		if !first {
			return line
		}
		first = false
		return listen.ReplaceAll(line, []byte("${1}"+strconv.Itoa(port)+"${3}"))
	})
	return conf{p.copyOfConf(), port, namesUser}, os.WriteFile(p.copyOfConf(), changed, 0o644)
}
