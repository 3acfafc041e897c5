module example.com/nffi/bench

go 1.19

require nffi.local/nffi v0.0.0

replace nffi.local/nffi => ../../../.nffi/openresty/nffi/go
