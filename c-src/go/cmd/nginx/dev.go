package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"nffi/internal/nginx"
)

const lookEvery = 300 * time.Millisecond

// dev serves until a signal comes: HUP is the terminal that was closed.
func dev(place nginx.Place, port int, command []string) error {
	ctx, cancel := signal.NotifyContext(context.Background(),
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()

	seen := newest(".")
	if err := build(ctx, command); err != nil {
		return err
	}
	if err := start(place, port); err != nil {
		return err
	}
	log := follow(place.Log())
	fmt.Println("watching for changes; Ctrl-C ends nginx, too")
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
		}
		log.show()
		now := newest(".")
		if now == seen || ctx.Err() != nil {
			continue
		}
		seen = now
		if build(ctx, command) != nil {
			continue
		}
		if err := place.Reload(); err != nil {
			return err
		}
		fmt.Println("built, and loaded by nginx for the next requests")
	}
	return stop(place)
}

func build(ctx context.Context, command []string) error {
	process := exec.CommandContext(ctx, command[0], command[1:]...)
	process.Stdout, process.Stderr = os.Stdout, os.Stderr
	return process.Run()
}

// state tells one state of the sources from another.
type state struct {
	files int
	last  time.Time
}

// newest looks at Go's sources and nginx.conf, hidden folders aside.
func newest(folder string) state {
	var seen state
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != folder && strings.HasPrefix(name, ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") && name != "go.mod" && name != "nginx.conf" {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			seen.files++
			if info.ModTime().After(seen.last) {
				seen.last = info.ModTime()
			}
		}
		return nil
	})
	return seen
}

// follower shows what is added to a file.
type follower struct {
	path string
	at   int64
}

func follow(path string) *follower {
	info, err := os.Stat(path)
	if err != nil {
		return &follower{path: path}
	}
	return &follower{path, info.Size()}
}

func (f *follower) show() {
	file, err := os.Open(f.path)
	if err != nil {
		return
	}
	defer file.Close()
	if _, err := file.Seek(f.at, io.SeekStart); err == nil {
		n, _ := io.Copy(os.Stdout, file)
		f.at += n
	}
}
