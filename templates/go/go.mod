module example.com/hello-runtime

go 1.19

require nffi.local/nffi v0.0.0

// The package of the OpenResty in .nffi/openresty. Nothing is downloaded.
replace nffi.local/nffi => ./.nffi/openresty/nffi/go
