module example.com/hello-runtime

go 1.19

require nffi v0.0.0

// The package of the OpenResty in .nffi/openresty: nothing is downloaded.
replace nffi => ./.nffi/openresty/nffi/go
