module example.com/nffi/bench

go 1.19

require nffi v0.0.0

replace nffi => ../../../.nffi/openresty/nffi/go
