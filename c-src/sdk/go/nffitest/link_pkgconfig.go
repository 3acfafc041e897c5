//go:build nffi_pkgconfig

package nffitest

/*
#cgo pkg-config: nffi
#cgo LDFLAGS: -lnffi_testhost
*/
import "C"
