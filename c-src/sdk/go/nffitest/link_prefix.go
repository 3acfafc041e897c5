//go:build !nffi_pkgconfig

package nffitest

// This directory is PREFIX/nffi/go.

/*
#cgo CFLAGS: -I${SRCDIR}/../../include
#cgo LDFLAGS: -L${SRCDIR}/../../lib -lnffi_testhost -lnffi -Wl,-rpath,${SRCDIR}/../../lib
*/
import "C"
