//go:build !nffi_pkgconfig

package nffi

// This directory is in PREFIX/nffi, beside the header and the library.

/*
#cgo CFLAGS: -I${SRCDIR}/../include
#cgo LDFLAGS: -L${SRCDIR}/../lib -lnffi -Wl,-rpath,${SRCDIR}/../lib
*/
import "C"
