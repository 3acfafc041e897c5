// nginx starts and ends the nginx of a project, in the folder of its nginx.conf:
//
//	go run nffi/cmd/nginx start [-port N] [-run FOLDER]
//	go run nffi/cmd/nginx stop [-run FOLDER]
//	go run nffi/cmd/nginx dev [-port N] [-run FOLDER] -- COMMAND...
//
// dev starts it, runs COMMAND whenever a source changes, and lets nginx load
// what was built if that has worked. It shows nginx's error log.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"nffi/internal/nginx"
)

const usage = `usage: go run nffi/cmd/nginx start [-port N] [-run FOLDER]
       go run nffi/cmd/nginx stop [-run FOLDER]
       go run nffi/cmd/nginx dev [-port N] [-run FOLDER] -- COMMAND...`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	action := args[0]
	flags := flag.NewFlagSet(action, flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprintln(os.Stderr, usage) }
	port := flags.Int("port", 0, "")
	folder := flags.String("run", "run", "")
	if err := flags.Parse(args[1:]); err != nil {
		return errors.New("nothing was done")
	}
	if *port < 0 || *port > 65535 {
		return fmt.Errorf("-port takes a number from 1 to 65535, not %d", *port)
	}
	// libraries are seen from nginx's prefix: ../build must be this project's
	if !regexp.MustCompile(`^[\w-][\w.-]*$`).MatchString(*folder) {
		return fmt.Errorf("-run takes the name of a folder in this project, not %q", *folder)
	}
	conf, err := filepath.Abs("nginx.conf")
	if err != nil {
		return err
	}
	place := nginx.Place{Conf: conf, Run: *folder}
	switch {
	case action == "start" && flags.NArg() == 0:
		return start(place, *port)
	case action == "stop" && flags.NArg() == 0:
		return stop(place)
	case action == "dev" && flags.NArg() > 0:
		return dev(place, *port, flags.Args())
	}
	return errors.New(usage)
}

func start(place nginx.Place, port int) error {
	address, err := place.Start(port)
	if err != nil {
		return err
	}
	fmt.Printf("nginx listens on %s (log: %s/logs/error.log)\n", address, place.Run)
	return nil
}

func stop(place nginx.Place) error {
	ran, err := place.Stop()
	switch {
	case err != nil:
		return err
	case ran:
		fmt.Println("nginx has ended")
	default:
		fmt.Printf("no nginx runs in %s/\n", place.Run)
	}
	return nil
}
