//go:build nffi_pkgconfig

package nffi

// For a copy of this package in another directory, such as in vendor/: build with
// -tags nffi_pkgconfig and PKG_CONFIG_PATH=PREFIX/nffi/lib/pkgconfig.

// #cgo pkg-config: nffi
import "C"
